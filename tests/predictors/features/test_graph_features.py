"""Neural graph features: written out, against networkx, and on every space and public table."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets import read_texts
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.predictors import features
from archflow.predictors.features import attribute_sums, graph_features, operation_subsets
from archflow.spaces import SPACES, get
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables
from reference.graph_features import graph_features as slow

NEEDS_TABLES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
TABLES = {
    "nasbench201": "nasbench201",
    "nasbench101": "nasbench101",
    "darts": "darts",
    "nasbench_graph": "nasbench_graph_cora",
    "nasbench_macro": "nasbench_macro",
    "nasbench_nlp": "nasbench_nlp",
    "transnas_micro": "transnas_micro",
    "transnas_macro": "transnas_macro",
    "nats_size": "nats_size",
    "mnasnet": "mnasnet",
    "fbnet": "fbnet_latency",
    "gpt": "gpt_s",
}


def subsets_by_name(operations):
    names = np.array(operations.names)
    return [tuple(names[member].tolist()) for member in operation_subsets(operations)]


def by_subset(table):
    """Return the ten features of each set by its names, (A, 10)."""
    subsets = subsets_by_name(table.operations)
    found = graph_features(table)[:, : 10 * len(subsets)].reshape(len(table), 10, len(subsets))
    return {subset: found[:, :, place] for place, subset in enumerate(subsets)}


def test_two_graphs_written_out():
    """Two ways: conv conv pool, and a skip that is fed twice; the second graph has no path."""
    graph = Architecture(
        ("input", "conv", "conv", "skip", "pool", "output"),
        ((0, 1), (1, 2), (0, 3), (0, 3), (2, 4), (3, 5), (4, 5)),
    )
    broken = Architecture(("input", "conv", "output"), ((0, 1),))
    found = by_subset(ArchitectureTable.of([graph, broken], TOY_OPERATIONS))
    # count; shortest, longest, most; into the output, mean, largest; from the input, mean, largest
    assert found["conv",][0].tolist() == [2, -1, -1, 2, 0, 2 / 4, 1, 1, 1 / 4, 1]
    assert found["skip",][0].tolist() == [1, 1, 1, 1, 1, 0, 0, 2, 0, 0]
    assert found["conv", "pool"][0].tolist() == [3, 3, 3, 3, 1, 2 / 4, 1, 1, 2 / 4, 1]
    assert found["conv", "pool", "skip", "none"][0].tolist() == [4, 1, 3, 3, 2, 2 / 4, 1, 3, 2 / 4, 1]
    assert found["conv",][1].tolist() == [1, -1, -1, -1, 0, 0, 0, 1, 0, 0]


def test_a_cell_with_operations_on_edges_has_the_degrees_of_its_sums():
    """In NAS-Bench-201 three operations end at the output and three start at the input."""
    space = get("nasbench201")
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    found = by_subset(ArchitectureTable.of([space.parse(text)], space.operations))
    count, shortest, longest, most, into, mean_in, most_in, out_of, mean_out, most_out = found[
        "nor_conv_3x3",
    ][0].tolist()
    assert (count, shortest, longest, most) == (5, 2, 3, 3)
    assert (into, out_of) == (2, 2)  # none is the third of both
    # Sum 1 (one conv in, two out) feeds two operations, sum 2 (two in, one out) feeds one; three are fed by
    # the input. One operation feeds sum 1, two feed sum 2; three feed the output.
    assert (mean_in, most_in) == (pytest.approx((1 + 1 + 2) / 6), 2)
    assert (mean_out, most_out) == (pytest.approx((2 + 1 + 1) / 6), 2)


@given(tables())
def test_tables_equal_the_slow_twin(table):
    for subset, found in by_subset(table).items():
        expected = [slow(architecture, set(subset)) for architecture in table]
        np.testing.assert_allclose(found, np.array(expected).reshape(-1, 10), rtol=1e-12)


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
def test_larger_graphs_equal_the_slow_twin(form):
    table = toy_table(100, seed=4, max_inner=9).in_form(form)
    for subset, found in by_subset(table).items():
        expected = [slow(architecture, set(subset)) for architecture in table]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(tables(), st.integers(0, 2**32 - 1))
def test_renumbering_changes_nothing(table, seed):
    rng = np.random.default_rng(seed)
    other = ArchitectureTable.of([renumbered(graph, rng)[0] for graph in table], table.operations)
    assert graph_features(other).tobytes() == graph_features(table).tobytes()


@given(tables(SIZED_TOY_OPERATIONS))
def test_tables_equal_one_by_one(table):
    alone = [graph_features(table[row : row + 1]).tobytes() for row in range(len(table))]
    assert graph_features(table).tobytes() == b"".join(alone)


def test_attributes_come_last():
    sized = toy_table(20, operations=SIZED_TOY_OPERATIONS)
    found = graph_features(sized)
    assert found.shape == (20, 10 * 15 + 3 * 2)
    assert found[:, 150:].tolist() == attribute_sums(sized).tolist()


def vocabulary(count):
    return Operations.of(f"op{number:04}" for number in range(count))


def test_of_few_operations_every_set_is_taken():
    assert subsets_by_name(vocabulary(2)) == [("op0000",), ("op0001",), ("op0000", "op0001")]
    assert len(set(subsets_by_name(vocabulary(5)))) == 31
    assert len(subsets_by_name(TOY_OPERATIONS)) == 15  # zero and identity are operations too
    assert subsets_by_name(vocabulary(0)) == []


@pytest.mark.parametrize(("count", "sets"), [(6, 28), (10, 66), (14, 120), (15, 128), (60, 128), (500, 128)])
def test_of_many_operations_some_sets_are_taken(count, sets):
    operations = vocabulary(count)
    subsets = [set(subset) for subset in subsets_by_name(operations)]
    inner = list(operations.names[1:-1])
    assert len(subsets) == sets
    assert len({frozenset(subset) for subset in subsets}) == sets
    assert subsets[0] == set(inner)
    assert subsets[1 : count + 1] == [{name} for name in inner[:127]]
    if count <= 63:
        assert all({*inner} - {name} in subsets for name in inner)
    if count <= 14:
        assert all({one, other} in subsets for one in inner for other in inner)


def test_tables_without_rows_or_inner_operations_have_features():
    assert graph_features(toy_table(0)).shape == (0, 150)
    bare = ArchitectureTable.of([Architecture(("input", "output"), ((0, 1),))])
    assert graph_features(bare).shape == (1, 0)


def check_all(table):
    size, n_attributes = len(table.operations), len(table.operations.attributes)
    n_subsets = len(operation_subsets(table.operations))
    widths = {
        features.operation_counts: size,
        features.edge_counts: min(size**2, 1024),
        features.path_statistics: 4 + 2 * size,
        features.attribute_sums: 3 * n_attributes,
        graph_features: 10 * n_subsets + 3 * n_attributes,
    }
    for feature, width in widths.items():
        found = feature(table)
        assert found.shape == (len(table), width)
        assert np.isfinite(found).all()
    assert features.attribute_sequence(table, 7).shape == (len(table), 7 * n_attributes)


@pytest.mark.parametrize("name", sorted(set(SPACES) - {"free"}))
@pytest.mark.parametrize("form", ["as-written", "collapsed"])
def test_every_space_has_features(name, form):
    check_all(get(name).sample(30, np.random.default_rng(0)).in_form(form))


@NEEDS_TABLES
@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_public_table_has_features(name):
    space = get(name)
    texts = read_texts(Path(os.environ["ARCHFLOW_DATA"]) / f"{TABLES[name]}.parquet")[:300]
    check_all(ArchitectureTable.of([space.parse(text) for text in texts], space.operations))
