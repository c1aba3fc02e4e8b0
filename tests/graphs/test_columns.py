"""Ragged columns against lists of lists."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, Columns
from archflow.graphs.columns import offsets_of, ragged_positions
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables


def rows_of(columns):
    """Return columns as lists: operation ids and edges of each row."""
    ids, nodes = columns.operation_ids.tolist(), columns.node_offsets.tolist()
    edges = columns.edge_offsets.tolist()
    pairs = list(zip(columns.sources.tolist(), columns.targets.tolist(), strict=True))
    return [
        (ids[nodes[row] : nodes[row + 1]], pairs[edges[row] : edges[row + 1]]) for row in range(len(columns))
    ]


def check_dtypes(columns):
    assert columns.operation_ids.dtype == np.int16
    assert columns.sources.dtype == columns.targets.dtype == np.int32
    assert columns.node_offsets.dtype == columns.edge_offsets.dtype == np.int64


TWO = Columns.of([[0, 1, 2], [0, 2]], [[(0, 1), (1, 2)], [(0, 1)]])


def test_two_graphs_written_out():
    check_dtypes(TWO)
    assert len(TWO) == 2
    assert TWO.operation_ids.tolist() == [0, 1, 2, 0, 2]
    assert TWO.node_offsets.tolist() == [0, 3, 5]
    assert TWO.sources.tolist() == [0, 1, 0]
    assert TWO.targets.tolist() == [1, 2, 1]
    assert TWO.edge_offsets.tolist() == [0, 2, 3]
    assert TWO.node_rows().tolist() == [0, 0, 0, 1, 1]
    sources, targets = TWO.global_edges()
    assert (sources.tolist(), targets.tolist()) == ([0, 1, 3], [1, 2, 4])
    assert sources.dtype == targets.dtype == np.int64


@settings(deadline=None)
@given(st.lists(st.integers(0, 5)))
def test_offsets_are_running_sums(lengths):
    offsets = offsets_of(np.array(lengths, dtype=np.int64))
    assert offsets.tolist() == [sum(lengths[:end]) for end in range(len(lengths) + 1)]
    assert offsets.dtype == np.int64


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 4))))
def test_ragged_positions_are_ranges(rows):
    starts, lengths = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    expected = [position for start, length in rows for position in range(start, start + length)]
    assert ragged_positions(starts, lengths).tolist() == expected


@given(tables(SIZED_TOY_OPERATIONS), st.data())
def test_slice_is_take_of_rows_that_follow_each_other(table, data):
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(table))] * 2)))
    part, taken = table.columns.slice(begin, end), table.columns.take(np.arange(begin, end))
    check_dtypes(part)
    for field in dataclasses.fields(part):
        np.testing.assert_array_equal(getattr(part, field.name), getattr(taken, field.name))


@settings(deadline=None)
@given(tables(min_size=1), st.data())
def test_take_picks_rows_like_a_list(table, data):
    picked = data.draw(st.lists(st.integers(0, len(table) - 1)))
    rows = rows_of(table.columns)
    taken = table.columns.take(np.array(picked, dtype=np.int64))
    check_dtypes(taken)
    assert rows_of(taken) == [rows[row] for row in picked]


@settings(deadline=None)
@given(st.lists(tables(), min_size=1, max_size=4))
def test_concatenate_joins_like_lists(parts):
    joined = Columns.concatenate([part.columns for part in parts])
    check_dtypes(joined)
    assert rows_of(joined) == [row for part in parts for row in rows_of(part.columns)]


@settings(deadline=None)
@given(tables())
def test_global_edges_join_nodes_of_their_own_row(table):
    columns = table.columns
    sources, targets = columns.global_edges()
    rows = columns.node_rows()
    assert np.bincount(rows, minlength=len(table)).tolist() == np.diff(columns.node_offsets).tolist()
    edge_rows = np.repeat(np.arange(len(table)), np.diff(columns.edge_offsets))
    assert rows[sources].tolist() == rows[targets].tolist() == edge_rows.tolist()
    assert (sources - columns.node_offsets[edge_rows]).tolist() == columns.sources.tolist()
    assert (targets - columns.node_offsets[edge_rows]).tolist() == columns.targets.tolist()


def test_repeated_wiring_equals_one_list_an_architecture():
    ids = np.array([[0, 1, 2, 5], [0, 3, 3, 5], [0, 2, 1, 5]], dtype=np.int16)
    edges = [(0, 3), (1, 2), (0, 1), (2, 3), (0, 2)]
    columns = Columns.repeated(ids, edges)
    check_dtypes(columns)
    in_order = [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3)]
    assert rows_of(columns) == [(row, in_order) for row in ids.tolist()]


@pytest.mark.parametrize(
    "columns",
    [
        Columns.of([], []),
        TWO.take(np.zeros(0, dtype=np.int64)),
        Columns.repeated(np.zeros((0, 3), dtype=np.int16), [(0, 1), (1, 2)]),
        Columns.concatenate([Columns.of([], []), Columns.of([], [])]),
    ],
)
def test_no_rows(columns):
    check_dtypes(columns)
    assert len(columns) == 0
    assert rows_of(columns) == []
    assert columns.node_rows().tolist() == columns.global_edges()[0].tolist() == []


def test_rows_without_edges():
    columns = Columns.repeated(np.array([[0, 5], [0, 5]], dtype=np.int16), [])
    check_dtypes(columns)
    assert rows_of(columns) == [([0, 5], []), ([0, 5], [])]
    assert rows_of(Columns.of([[0, 5], [0, 5]], [[], []])) == rows_of(columns)


def test_with_graphs_renumbers_and_sorts():
    keep = np.array([True, False, True, True, True])
    columns = TWO.with_graphs(keep, np.array([3, 0, 3]), np.array([4, 2, 4]))
    check_dtypes(columns)
    assert rows_of(columns) == [([0, 2], [(0, 1)]), ([0, 2], [(0, 1), (0, 1)])]
    unsorted = Columns.of([[0, 1, 1, 5]], [[]]).with_graphs(
        np.ones(4, dtype=bool), np.array([2, 1, 0, 0]), np.array([3, 3, 2, 1])
    )
    assert rows_of(unsorted) == [([0, 1, 1, 5], [(0, 1), (0, 2), (1, 3), (2, 3)])]


@settings(deadline=None)
@given(tables())
def test_with_graphs_of_all_nodes_and_edges_changes_nothing(table):
    columns = table.columns
    everything = np.ones(len(columns.operation_ids), dtype=bool)
    assert rows_of(columns.with_graphs(everything, *columns.global_edges())) == rows_of(columns)


def test_taking_leaves_the_original_alone():
    table = toy_table(5)
    before = rows_of(table.columns)
    taken = table.columns.take(np.array([4, 0, 4]))
    taken.operation_ids[:] = 0
    taken.sources[:] = 0
    assert rows_of(table.columns) == before


def test_columns_hold_what_architectures_hold():
    table = toy_table(20)
    rows = rows_of(table.columns)
    for row, (ids, edges) in enumerate(rows):
        names = tuple(TOY_OPERATIONS.names[i] for i in ids)
        assert Architecture(names, tuple(edges)) == table[row]
    assert rows == rows_of(ArchitectureTable.of(list(table), TOY_OPERATIONS).columns)
