"""Paths: the heaviest against all of them, and counts far beyond any float."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable
from archflow.predictors.features.paths import cones_of_operations, count_paths, heaviest_paths, largest
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables
from reference import structure as slow

WEIGHTS = st.sampled_from([-np.inf, -3.0, -1.0, 0.0, 1.0, 2.0, 50.0])


@given(tables(), st.lists(st.tuples(*[WEIGHTS] * len(TOY_OPERATIONS)), max_size=4))
def test_the_heaviest_path_equals_the_heaviest_of_all(table, ways):
    weights = np.array(ways, dtype=np.float32).reshape(-1, len(TOY_OPERATIONS)).T
    found = heaviest_paths(table.columns, TOY_OPERATIONS, cones_of_operations(table.columns), weights)
    assert found.shape == (len(table), len(ways))
    for architecture, row in zip(table, found.tolist(), strict=True):
        names = [[architecture.operations[node] for node in path] for path in slow.paths(architecture)]
        for way, heaviest in zip(ways, row, strict=True):
            totals = (sum(way[TOY_OPERATIONS.id(name)] for name in path) for path in names)
            assert heaviest == max(totals, default=-np.inf)


@given(st.lists(st.integers(1, 3) | st.integers(1, 40), max_size=12), st.integers(0, 3))
def test_largest_equals_the_maxima_group_by_group(sizes, width):
    rng = np.random.default_rng(len(sizes))
    values = rng.integers(-9, 9, size=(7, width)).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    members = rng.integers(0, 7, size=starts[-1])
    expected = [values[members[a:b]].max(axis=0) for a, b in itertools.pairwise(starts)]
    found = largest(values, members, starts)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.reshape(expected, (len(sizes), width)))


def counts(table, starts, *, reverse=False):
    fractions, powers = count_paths(cones_of_operations(table.columns, reverse=reverse), starts)
    return [math.ldexp(*pair) for pair in zip(fractions.tolist(), powers.tolist(), strict=True)]


@given(tables(), st.booleans())
def test_counts_equal_the_number_of_paths_written_out(table, reverse):
    name = "output" if reverse else "input"
    starts = table.columns.operation_ids == TOY_OPERATIONS.id(name)
    expected = []
    for architecture in table:
        ways = [int(own == name) for own in architecture.operations]
        order = range(architecture.n_nodes)
        for node in order[::-1] if reverse else order:
            for edge in architecture.edges:
                here, there = edge if reverse else edge[::-1]
                ways[node] += ways[there] * (here == node)
        expected += ways
    assert counts(table, starts, reverse=reverse) == expected


def diamonds(count):
    """Return a chain of diamonds, each two ways to go."""
    edges, names = [], ["input"]
    for top in range(0, 3 * count, 3):
        names += ["conv", "pool", "conv"]
        edges += [(top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3)]
    return Architecture((*names, "output"), (*edges, (3 * count, 3 * count + 1)))


@pytest.mark.parametrize("count", [1, 52, 53, 1022, 1024, 2000])
def test_every_diamond_doubles_the_count(count):
    table = ArchitectureTable.of([diamonds(count)], TOY_OPERATIONS)
    starts = table.columns.operation_ids == TOY_OPERATIONS.id("input")
    fractions, powers = count_paths(cones_of_operations(table.columns), starts)
    assert (fractions[-1], powers[-1]) == (0.5, count + 1)  # 2^count
    assert (fractions >= 0.5).all()


def test_a_few_more_paths_than_a_power_of_two_are_counted_exactly():
    """input to output k times directly and through a chain of three edges each: 3^n + k."""
    for length, direct in itertools.product((1, 20, 33), (0, 1, 2)):
        edges = [(node, node + 1) for node in range(length) for _ in range(3)] + [(0, length)] * direct
        names = ("input", *["conv"] * (length - 1), "output")
        table = ArchitectureTable.of([Architecture(names, tuple(edges))], TOY_OPERATIONS)
        starts = table.columns.operation_ids == TOY_OPERATIONS.id("input")
        assert counts(table, starts)[-1] == 3**length + direct  # below 2^53


def test_no_graph_has_no_path():
    empty = toy_table(0)
    weights = np.ones((len(TOY_OPERATIONS), 3), dtype=np.float32)
    cones = cones_of_operations(empty.columns)
    assert heaviest_paths(empty.columns, TOY_OPERATIONS, cones, weights).shape == (0, 3)
    assert counts(empty, np.zeros(0, dtype=bool)) == []
