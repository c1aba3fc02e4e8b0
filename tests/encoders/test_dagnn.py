"""DAGNN against a twin that goes node by node, and the encoder suite."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.encoders.dagnn import DAGNN
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.spaces import DARTS, NASBench101, NASBench201
from archflow.testing import TOY_OPERATIONS, check_encoder, toy_table
from reference.dagnn import dagnn as slow

LAYERS = 2


def built(n_operations, **sizes):
    torch.manual_seed(0)
    return DAGNN(n_operations, **{"width": 16, "layers": LAYERS, "dropout": 0.3, **sizes}).eval()


@pytest.fixture(scope="module")
def encoder():
    return built(len(TOY_OPERATIONS))


def require_equal_to_the_twin(encoder, table):
    batch = GraphBatch.of(table.columns)
    with torch.no_grad():
        nodes, graphs = encoder(batch)
        first = np.split(encoder.embedding(batch).double().numpy(), batch.node_offsets[1:-1].numpy())
    weights = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    twins = [slow(graph, states, weights, LAYERS) for graph, states in zip(table, first, strict=True)]
    for actual, expected in (
        (nodes, np.concatenate([twin[0] for twin in twins])),
        (graphs, np.stack([twin[1] for twin in twins])),
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_conforms():
    check_encoder(lambda *sizes: DAGNN(*sizes, width=16))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_equals_the_twin_on_toys(encoder, seed):
    require_equal_to_the_twin(encoder, toy_table(6, seed=seed))


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
@pytest.mark.parametrize("space", [NASBench101(), NASBench201(), DARTS()], ids=lambda space: space.name)
def test_equals_the_twin_on_cells(space, form):
    table = space.sample(12, np.random.default_rng(0)).in_form(form)
    require_equal_to_the_twin(built(len(table.operations)), table)


@pytest.mark.parametrize("config", [{"layers": 1}, {"width": 1, "layers": 2}, {"dropout": 0.9}])
def test_other_sizes_give_embeddings_of_that_width(config):
    encoder = built(len(TOY_OPERATIONS), **config)
    batch = GraphBatch.of(toy_table(30, seed=1).columns)
    nodes, graphs = encoder(batch)
    assert nodes.shape == (batch.n_nodes, encoder.width)
    assert graphs.shape == (30, encoder.width)


def test_a_repeated_edge_counts_twice_beside_another(encoder):
    names = ("input", "conv", "pool", "output")
    edges = ((0, 1), (0, 2), (1, 3), (2, 3))
    rows = [Architecture(names, edges), Architecture(names, (*edges, (2, 3)))]
    _, (once, twice) = encoder(GraphBatch.of(ArchitectureTable.of(rows, TOY_OPERATIONS).columns))
    assert (once - twice).abs().max() > 1e-4


def test_dropout_acts_in_training_alone(encoder):
    batch = GraphBatch.of(toy_table(30, seed=1).columns)
    encoder.train()
    try:
        torch.manual_seed(1)
        first, second = encoder(batch)[1], encoder(batch)[1]
        torch.manual_seed(1)
        again = encoder(batch)[1]
    finally:
        encoder.eval()
    assert not torch.allclose(first, second)
    assert torch.equal(first, again)
    assert torch.equal(encoder(batch)[1], encoder(batch)[1])
