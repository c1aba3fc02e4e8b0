"""Structural features: written out, against networkx, on huge numbers of paths, and on every space."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.predictors.features import (
    attribute_sequence,
    attribute_sums,
    edge_counts,
    operation_counts,
    path_statistics,
    structure,
)
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables
from reference import structure as slow

FEATURES = [
    operation_counts,
    edge_counts,
    path_statistics,
    functools.partial(attribute_sequence, slots=4),
    attribute_sums,
]
INVARIANT = [operation_counts, edge_counts, path_statistics, attribute_sums]
SIZED = tables(SIZED_TOY_OPERATIONS)


def name_of(feature):
    return getattr(feature, "func", feature).__name__


def slow_rows(feature, table):
    keywords = getattr(feature, "keywords", {})
    twin = functools.partial(getattr(slow, name_of(feature)), operations=table.operations, **keywords)
    rows = [twin(architecture) for architecture in table]
    return np.array(rows).reshape(len(table), len(rows[0]) if rows else feature(table).shape[1])


def test_two_graphs_written_out():
    """The edge that skips is doubled; the pool node is a dead end, and the second graph has no path."""
    graph = Architecture(
        ("input", "conv", "conv", "pool", "output"), ((0, 1), (1, 2), (1, 3), (2, 4), (0, 4), (0, 4))
    )
    table = ArchitectureTable.of(
        [graph, Architecture(("input", "none", "output"), ((0, 1),))], TOY_OPERATIONS
    )
    # the operations are input, conv, pool, skip, none, output
    assert operation_counts(table).tolist() == [[1, 2, 1, 0, 0, 1], [1, 0, 0, 0, 1, 1]]
    edges = edge_counts(table).reshape(2, 6, 6)
    assert [tuple(place) for place in np.argwhere(edges)] == [
        (0, 0, 1), (0, 0, 5), (0, 1, 1), (0, 1, 2), (0, 1, 5), (1, 0, 4)
    ]  # fmt: skip
    assert edges[0, 0, 5] == 2
    found = path_statistics(table)
    assert found[0].tolist() == [3, 1, pytest.approx(math.log(4)), 6, 1, 2 / 3, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0]
    assert found[1].tolist() == [-1, -1, 0, 1, *[0] * 6, 0, -1, -1, -1, -1, 0]


def test_attributes_written_out():
    sizes = {"channels": (8, -16, 0), "kernel": (0, 3, 0)}
    graph = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)), sizes)
    table = ArchitectureTable.of([graph], SIZED_TOY_OPERATIONS)
    eight, sixteen, three = math.log(9), -math.log(17), math.log(4)
    expected = [eight, 0, sixteen, three, 0, 0, 0, 0]
    for slots in (1, 2, 4):
        np.testing.assert_allclose(attribute_sequence(table, slots), [expected[: 2 * slots]], rtol=1e-6)
    sums = [eight + sixteen, three, math.log(1 + 8 + 16), math.log(1 + 3), 2, 1]
    np.testing.assert_allclose(attribute_sums(table), [sums], rtol=1e-6)


@given(SIZED)
def test_tables_equal_the_slow_twins(table):
    for feature in FEATURES:
        scale = np.abs(table.columns.attributes).max(initial=1)
        np.testing.assert_allclose(
            feature(table), slow_rows(feature, table), rtol=1e-6, atol=1e-5 * math.log1p(scale)
        )


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
def test_larger_graphs_equal_the_slow_twins(form):
    table = toy_table(120, seed=3, max_inner=9).in_form(form)
    for feature in (operation_counts, edge_counts, path_statistics):
        np.testing.assert_allclose(feature(table), slow_rows(feature, table), rtol=1e-12, atol=1e-12)


@given(SIZED, st.integers(0, 2**32 - 1))
def test_renumbering_changes_nothing(table, seed):
    rng = np.random.default_rng(seed)
    other = ArchitectureTable.of([renumbered(graph, rng)[0] for graph in table], table.operations)
    for feature in INVARIANT[:-1]:
        assert feature(other).tobytes() == feature(table).tobytes(), name_of(feature)
    np.testing.assert_allclose(attribute_sums(other), attribute_sums(table), rtol=1e-9, atol=1e-9)


@given(SIZED)
def test_tables_equal_one_by_one(table):
    for feature in FEATURES:
        alone = [feature(table[row : row + 1]) for row in range(len(table))]
        assert feature(table).tobytes() == b"".join(row.tobytes() for row in alone), name_of(feature)


def test_pairs_of_a_large_vocabulary_share_columns():
    names = tuple(f"op{number}" for number in range(40))
    graph = Architecture(("input", *names, "output"), tuple((node, node + 1) for node in range(41)))
    table = ArchitectureTable.of([graph, graph], Operations.of(names))
    counts = edge_counts(table)
    assert counts.shape == (2, structure.HASHED_COLUMNS)
    assert counts.sum(axis=1).tolist() == [41, 41]
    assert counts[0].tolist() == counts[1].tolist()
    assert 35 < np.count_nonzero(counts[0]) <= 41  # 0.8 pairs of 41 collide on average
    assert operation_counts(table).shape == (2, 42)


def test_the_largest_vocabulary_with_a_column_a_pair():
    names = [f"op{number:02}" for number in range(structure.LARGEST_PAIRED - 2)]
    table = ArchitectureTable.of(
        [Architecture(("input", "op29", "output"), ((0, 1), (1, 2)))], Operations.of(names)
    )
    assert np.flatnonzero(edge_counts(table)).tolist() == [30, 30 * 32 + 31]


def diamonds(count):
    edges, names = [], ["input"]
    for top in range(0, 3 * count, 3):
        names += ["conv", "pool", "skip"]
        edges += [(top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3)]
    return Architecture((*names, "output"), (*edges, (3 * count, 3 * count + 1)))


@pytest.mark.parametrize("count", [10, 500, 2000])
def test_chains_of_diamonds_stay_finite(count):
    """Half of the 2^count paths go through the conv node of each diamond."""
    table = ArchitectureTable.of([diamonds(count), *toy_table(3), diamonds(3)], TOY_OPERATIONS)
    found = path_statistics(table)
    assert np.isfinite(found).all()
    longest, shortest, paths, n_edges, *rest = found[0].tolist()
    assert (longest, shortest, n_edges) == (2 * count + 1, 2 * count + 1, 4 * count + 1)
    assert paths == pytest.approx(np.logaddexp(0, count * math.log(2)), rel=1e-12)
    assert rest == [1, count / 2, count / 2, count, 0, 1, 0, count, count, count, 0, 0]
    assert found[1:].tobytes() == path_statistics(table[1:]).tobytes()


def test_shares_of_uneven_ways_stay_right_beyond_any_float():
    """In each of 1,500 stages conv is on 3 ways of 4 and pool on one: 4^1500 paths."""
    edges, names = [], ["input"]
    for top in range(0, 4500, 3):
        names += ["conv", "pool", "skip"]
        edges += [(top, top + 1)] * 3 + [(top, top + 2), (top + 1, top + 3), (top + 2, top + 3)]
    graph = Architecture((*names, "output"), (*edges, (4500, 4501)))
    found = path_statistics(ArchitectureTable.of([graph], TOY_OPERATIONS))[0]
    assert found[2] == pytest.approx(3000 * math.log(2), rel=1e-12)
    np.testing.assert_allclose(found[5:8], [1125, 375, 1500], rtol=1e-9)


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS])
def test_shapes_of_empty_tables_and_without_attributes(operations):
    n_attributes = len(operations.attributes)
    for count in (0, 3):
        table = toy_table(count, operations=operations)
        widths = [feature(table).shape for feature in FEATURES]
        assert widths == [(count, width) for width in (6, 36, 16, 4 * n_attributes, 3 * n_attributes)]
        assert {feature(table).dtype for feature in FEATURES} == {np.dtype(np.float64)}


def test_huge_attributes_stay_finite():
    sizes = {"channels": (3e38,) * 5, "kernel": (-3e38, 0, 3e38, 0, 0)}
    graph = Architecture(("input", "conv", "conv", "conv", "output"), ((0, 1),), sizes)
    sums = attribute_sums(ArchitectureTable.of([graph], SIZED_TOY_OPERATIONS))
    assert np.isfinite(sums).all()
    assert sums[0, 1] == 0
