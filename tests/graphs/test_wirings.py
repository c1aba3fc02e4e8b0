"""Grouping rows by wiring against grouping by a Python key."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, rows_by_wiring
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import architectures


def groups_by_loop(table, marked_name):
    groups = {}
    for row, architecture in enumerate(table):
        marks = tuple(name == marked_name for name in architecture.operations)
        groups.setdefault((marks, architecture.edges), []).append(row)
    return sorted(groups.values())


def groups_of(table, marked_name):
    marked = table.columns.operation_ids == table.operations.id(marked_name)
    groups = rows_by_wiring(table.columns, marked)
    assert all(np.all(np.diff(group) > 0) for group in groups)
    return sorted(group.tolist() for group in groups)


@pytest.mark.parametrize("marked_name", ["input", "conv"])
@settings(deadline=None)
@given(st.lists(architectures(max_inner=2, max_edges=3), max_size=12))
def test_groups_equal_the_loop(marked_name, rows):
    table = ArchitectureTable.of(rows, TOY_OPERATIONS)
    assert groups_of(table, marked_name) == groups_by_loop(table, marked_name)


def test_larger_tables():
    table = toy_table(2_000, seed=3, max_inner=3)
    expected = groups_by_loop(table, "input")
    assert groups_of(table, "input") == expected
    assert max(map(len, expected)) > 20  # or the test would prove little


def test_a_space_of_one_wiring_is_one_group():
    table = NASBench201().all()
    assert groups_of(table, "input") == [list(range(len(table)))]


def test_marks_are_part_of_a_wiring():
    edges = ((0, 2), (1, 2))
    table = ArchitectureTable.of(
        [Architecture(names, edges) for names in (("input", "conv", "output"), ("input", "input", "output"))],
        TOY_OPERATIONS,
    )
    assert groups_of(table, "input") == [[0], [1]]
    assert groups_of(table, "pool") == [[0, 1]]


def test_no_rows_no_groups():
    table = ArchitectureTable.of([], TOY_OPERATIONS)
    assert rows_by_wiring(table.columns, np.zeros(0, dtype=bool)) == []
