"""Toy graphs: what the suites rely on them to contain, and renumbering."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture
from archflow.testing import TOY_OPERATIONS, random_architecture, renumbered, toy_table
from archflow.testing.strategies import architectures


def test_a_toy_table_has_what_goes_wrong_in_large_ones():
    table = toy_table(40)
    rows = list(table)
    assert table.operations == TOY_OPERATIONS
    assert len(rows) == 40
    assert rows[0] == Architecture(("input", "output"), ())
    assert any(row.operations.count("input") > 1 for row in rows)
    assert any(len(set(row.edges)) < len(row.edges) for row in rows)
    assert any("none" in row.operations for row in rows)
    assert any("skip" in row.operations for row in rows)
    pruned = list(table.pruned())
    assert any(short.n_nodes < row.n_nodes for short, row in zip(pruned, rows, strict=True))
    assert any(short.n_nodes > 4 for short in pruned)


def test_seeds_decide():
    assert list(toy_table(20, seed=1)) == list(toy_table(20, seed=1))
    assert list(toy_table(20, seed=1)) != list(toy_table(20, seed=2))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_count_is_kept(count):
    assert len(toy_table(count)) == count


def test_the_number_of_nodes_is_bounded():
    rng = np.random.default_rng(0)
    sizes = {random_architecture(rng, max_inner=3).n_nodes for _ in range(200)}
    assert sizes == {2, 3, 4, 5}


@settings(deadline=None)
@given(architectures(), st.integers(0, 2**32))
def test_renumbering_moves_every_node_and_edge(architecture, seed):
    other, places = renumbered(architecture, np.random.default_rng(seed))
    assert sorted(places.tolist()) == list(range(architecture.n_nodes))
    assert [other.operations[place] for place in places] == list(architecture.operations)
    moved = [(places[source], places[target]) for source, target in architecture.edges]
    assert sorted(moved) == sorted(other.edges)


def test_renumbering_reaches_every_order():
    architecture = Architecture(("input", "conv", "pool", "output"), ((0, 1), (0, 2), (1, 3)))
    rng = np.random.default_rng(0)
    orders = {renumbered(architecture, rng)[0].operations for _ in range(100)}
    assert orders == {
        ("input", "conv", "pool", "output"),
        ("input", "pool", "conv", "output"),
        ("input", "conv", "output", "pool"),
    }
