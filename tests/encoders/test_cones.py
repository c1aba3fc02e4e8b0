"""States shared between nodes with equal cones, against cones written out and against the plain path."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from archflow.encoders import EncoderConfig, fit_scale, sharing
from archflow.encoders.asynchronous import AsynchronousPass, Schedule
from archflow.encoders.cones import Cones, SharesCones
from archflow.encoders.embedding import embed
from archflow.graphs import FORMS, Architecture, ArchitectureTable, GraphBatch
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables


def built(operations=TOY_OPERATIONS, **sizes):
    torch.manual_seed(0)
    config = EncoderConfig("dagnn", **{"width": 12, "layers": 2, **sizes})
    return config.build(len(operations), len(operations.attributes)).eval()


def plainly(encoder, table):
    with torch.inference_mode():
        return encoder(GraphBatch.of(table.columns))[1].numpy()


def trees(architecture, operations, backward):
    """Return the cone of every node as nested tuples."""
    rows = architecture.attribute_rows(operations).tolist()

    def tree(node):
        ends = [(target, source) for source, target in architecture.edges]
        ends = [end[::-1] for end in ends] if backward else ends
        below = sorted((tree(other) for own, other in ends if own == node), key=repr)
        return architecture.operations[node], tuple(rows[node]), tuple(below)

    return [tree(node) for node in range(architecture.n_nodes)]


@pytest.mark.parametrize("backward", [False, True])
@settings(max_examples=30)
@given(table=tables(SIZED_TOY_OPERATIONS))
def test_nodes_share_a_cone_if_their_trees_are_equal(backward, table):
    found = Cones.of(GraphBatch.of(table.columns), backward=backward)
    expected = [tree for graph in table for tree in trees(graph, table.operations, backward)]
    of_tree = dict(zip(expected, found.places.tolist(), strict=True))
    assert [of_tree[tree] for tree in expected] == found.places.tolist()
    assert len(set(of_tree.values())) == len(of_tree) == len(found.first) == sum(found.sweep.sizes)
    assert found.places[found.first].tolist() == list(range(len(found.first)))


@pytest.mark.parametrize("backward", [False, True])
@settings(max_examples=30)
@given(table=tables(TOY_OPERATIONS))
def test_a_pass_over_cones_equals_one_over_nodes(backward, table):
    torch.manual_seed(0)
    module, table_of_starts = AsynchronousPass(6).double(), torch.randn(len(TOY_OPERATIONS), 6).double()
    batch = GraphBatch.of(table.columns)
    schedule, cones = Schedule.of(batch), Cones.of(batch, backward=backward)
    states = table_of_starts[batch.operation_ids][schedule.order]
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            spread = cones.spread(module, schedule, states)
            expected = module(states, schedule.backward if backward else schedule.forward)
            torch.testing.assert_close(spread, expected, rtol=1e-10, atol=1e-12)


@settings(max_examples=30)
@given(table=tables(SIZED_TOY_OPERATIONS, min_size=1))
def test_dagnn_equals_the_plain_path(table):
    encoder = built(SIZED_TOY_OPERATIONS)
    fit_scale(encoder, table.columns)
    np.testing.assert_allclose(encoder.embed_cones(table.columns), plainly(encoder, table), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_cells_of_nasbench201_equal_the_plain_path(form):
    table = NASBench201().sample(1000, np.random.default_rng(0)).in_form(form)
    encoder = built(table.operations, width=32)
    np.testing.assert_allclose(embed(encoder, table), plainly(encoder, table), rtol=0, atol=1e-5)


def test_all_cells_as_written_share_all_but_the_last_of_their_cones():
    """Six edges between four points; from either end on, more and more of their operations are known."""
    batch = GraphBatch.of(NASBench201().all().columns)
    expected = [1, 5, 25, 625, *[1024] * 15, 15_625 - 15 * 1024]  # the last generation in blocks
    assert Cones.of(batch).sweep.sizes == Cones.of(batch, backward=True).sweep.sizes == expected


@pytest.mark.parametrize("nodes", [1, 60, 1 << 20])
def test_embedding_takes_distinct_graphs_piece_by_piece(nodes, monkeypatch):
    monkeypatch.setattr(sharing, "NODES", nodes)
    table = toy_table(40, seed=4)
    table = ArchitectureTable.concatenate([table, table])
    encoder, seen, told = built(), [], []
    assert isinstance(encoder, SharesCones)
    original = encoder.embed_cones
    monkeypatch.setattr(
        type(encoder),
        "embed_cones",
        lambda self, columns, device: (seen.append(len(columns)), original(columns, device))[1],
    )
    shared = embed(encoder, table, report=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(shared, plainly(encoder, table), rtol=0, atol=1e-5)
    distinct = len(set(table.keys().tolist()))
    assert sum(seen) == distinct
    assert told[-1] == (distinct, distinct)


def test_dropout_takes_the_plain_path(monkeypatch):
    encoder = built(dropout=0.5)
    monkeypatch.setattr(type(encoder), "embed_cones", None)
    first, second = (embed(encoder, toy_table(20), dropout=True) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_a_repeated_edge_and_a_dead_end_are_told_apart():
    names = ("input", "conv", "pool", "output")
    edges = ((0, 1), (0, 2), (1, 3), (2, 3))
    rows = [Architecture(names, edges), Architecture(names, (*edges, (2, 3))), Architecture(names, edges[:3])]
    table = ArchitectureTable.of(rows, TOY_OPERATIONS)
    encoder = built()
    embedded = embed(encoder, table)
    np.testing.assert_allclose(embedded, plainly(encoder, table), rtol=0, atol=1e-5)
    assert min(np.abs(embedded[i] - embedded[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-4
