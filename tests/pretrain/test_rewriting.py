"""Rewritten graphs compute what they computed before."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, GraphBatch, Operations
from archflow.pretrain.rewriting import Rewriting
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables


def rewritten(table, share=0.5, seed=0):
    torch.manual_seed(seed)
    batch = Rewriting(table.operations, share=share)(GraphBatch.of(table.columns))
    return ArchitectureTable(batch.to_columns(), table.operations)


@given(tables(min_size=1), st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(0, 99))
def test_the_function_stays(table, share, seed):
    other = rewritten(table, share, seed)
    other.columns.check(table.operations)  # sorted, topological, one output
    np.testing.assert_array_equal(other.collapsed().keys(), table.collapsed().keys())


@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.integers(0, 99))
def test_attributes_stay_with_their_nodes(table, seed):
    np.testing.assert_array_equal(rewritten(table, 0.5, seed).collapsed().keys(), table.collapsed().keys())


def test_the_text_changes():
    table = NASBench201().sample(200, np.random.default_rng(0))
    for form in ("as-written", "pruned", "collapsed"):
        formed = table.in_form(form)
        other = rewritten(formed)
        assert (other.keys() != formed.keys()).mean() > 0.8
        assert len(other.columns.operation_ids) > len(formed.columns.operation_ids)
        np.testing.assert_array_equal(other.collapsed().keys(), formed.collapsed().keys())


@pytest.mark.parametrize(
    ("meaning", "added"),
    [
        ({"identity": frozenset({"skip"}), "zero": frozenset()}, {"skip"}),
        ({"identity": frozenset(), "zero": frozenset({"none"})}, {"none"}),
        ({"identity": frozenset(), "zero": frozenset()}, set()),
    ],
)
def test_the_vocabulary_decides_what_there_is(meaning, added):
    operations = dataclasses.replace(TOY_OPERATIONS, **meaning)
    rewriting = Rewriting(operations)
    inside = {operations.names[number] for number in rewriting.candidates[rewriting.joins]}
    assert inside == added
    dead_ends = {operations.names[number] for number in rewriting.candidates[~rewriting.joins]}
    assert dead_ends == {"conv", "pool", "skip", "none"}
    kinds = 1 + len(added)
    assert rewriting.odds.sum().item() == pytest.approx(kinds)
    table = ArchitectureTable(toy_table(60, seed=4).columns, operations)
    np.testing.assert_array_equal(rewritten(table).collapsed().keys(), table.collapsed().keys())


def test_the_share_of_edges_is_kept():
    table = toy_table(500, seed=3)
    more = len(rewritten(table, 0.2).columns.operation_ids) - len(table.columns.operation_ids)
    assert more / len(table.columns.sources) == pytest.approx(0.2, abs=0.03)


def test_nothing_to_change():
    bare = toy_table(1)  # without an edge
    assert rewritten(bare, 1.0).digest() == bare.digest()
    poor = Operations(("input", "output"))  # without anything to add
    joined = ArchitectureTable.of([Architecture(poor.names, ((0, 1),))], poor)
    assert rewritten(joined, 1.0).digest() == joined.digest()


def test_the_batch_is_left_alone_and_the_seed_decides():
    table = toy_table(30, seed=2)
    before = table.digest()
    one, again, other = (rewritten(table, 0.5, seed) for seed in (1, 1, 2))
    assert table.digest() == before
    assert one.digest() == again.digest() != other.digest()
