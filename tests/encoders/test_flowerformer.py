"""FlowerFormer against a twin that goes node by node, and the encoder suite."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.encoders import flow_attention
from archflow.encoders.embedding import embed
from archflow.encoders.flowerformer import FlowerFormer
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.spaces import DARTS, NASBench101, NASBench201
from archflow.testing import TOY_OPERATIONS, check_encoder, random_architecture, toy_table
from reference.flowerformer import flowerformer as slow

LAYERS = 3


def built(n_operations, **sizes):
    torch.manual_seed(0)
    return FlowerFormer(n_operations, **{"width": 16, "layers": LAYERS, "dropout": 0.3, **sizes}).eval()


@pytest.fixture(scope="module")
def encoder():
    return built(len(TOY_OPERATIONS))


def mixed_table():
    """Graphs of 2 to 45 nodes in no order of size."""
    rng = np.random.default_rng(0)
    sizes = [0, 40, 3, 12, 1, 43, 6, 25, 14, 0, 5, 9]
    return ArchitectureTable.of(
        [random_architecture(rng, max_inner=size) for size in sizes * 2], TOY_OPERATIONS
    )


def chains(count, n_nodes):
    """Chains with shortcuts, as imported networks are."""
    rng = np.random.default_rng(0)
    graphs = []
    for _ in range(count):
        names = ("input", *rng.choice(["conv", "pool"], size=n_nodes - 2).tolist(), "output")
        steps = [(node, node + 1) for node in range(n_nodes - 1)]
        graphs.append(Architecture(names, (*steps, *((node, node + 3) for node in range(0, n_nodes - 3, 5)))))
    return ArchitectureTable.of(graphs, TOY_OPERATIONS)


def require_equal_to_the_twin(encoder, table):
    batch = GraphBatch.of(table.columns)
    with torch.no_grad():
        nodes, graphs = encoder(batch)
        first = np.split(encoder.embedding(batch).double().numpy(), batch.node_offsets[1:-1].numpy())
    weights = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    heads = encoder.layers[0].attention.heads
    twins = [slow(graph, states, weights, LAYERS, heads) for graph, states in zip(table, first, strict=True)]
    for actual, expected in (
        (nodes, np.concatenate([twin[0] for twin in twins])),
        (graphs, np.stack([twin[1] for twin in twins])),
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_conforms():
    check_encoder(lambda *sizes: FlowerFormer(*sizes, width=16, layers=3))


@pytest.mark.slow
def test_conforms_at_its_published_size():
    check_encoder(FlowerFormer)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_equals_the_twin_on_toys(encoder, seed):
    for many in (1, 48):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(flow_attention, "_MANY", many)
            require_equal_to_the_twin(encoder, toy_table(4, seed=seed))


def test_equals_the_twin_on_graphs_of_many_sizes(encoder, monkeypatch):
    table = mixed_table()[:12]
    require_equal_to_the_twin(encoder, table)
    monkeypatch.setattr(flow_attention, "_PAIRS", 300)  # more groups
    require_equal_to_the_twin(encoder, table)
    monkeypatch.setattr(flow_attention, "_MANY", 1)  # stacks beside them
    require_equal_to_the_twin(encoder, table)


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
@pytest.mark.parametrize("space", [NASBench101(), NASBench201(), DARTS()], ids=lambda space: space.name)
def test_equals_the_twin_on_cells(space, form):
    table = space.sample(6, np.random.default_rng(0)).in_form(form)
    require_equal_to_the_twin(built(len(table.operations)), table)


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
def test_ranking_equals_training_without_dropout_on_nasbench201(form):
    """Ranking sorts graphs, stacks those of one size and keeps nothing; gradients need the plain path."""
    cells = NASBench201().sample(600, np.random.default_rng(1)).in_form(form)
    torch.manual_seed(0)
    encoder = FlowerFormer(len(cells.operations)).eval()
    with torch.enable_grad():
        plain = encoder(GraphBatch.of(cells.columns))[1].detach().numpy()
    np.testing.assert_allclose(embed(encoder, cells), plain, rtol=0, atol=1e-5)


def test_graphs_of_hundreds_of_nodes_train():
    table = ArchitectureTable.concatenate([chains(3, 300), toy_table(5)])
    encoder = built(len(TOY_OPERATIONS)).train()
    nodes, graphs = encoder(GraphBatch.of(table.columns))
    graphs.square().sum().backward()
    assert nodes.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


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
