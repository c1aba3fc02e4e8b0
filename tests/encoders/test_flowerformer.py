"""FlowerFormer against a twin that goes node by node, and the encoder suite."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.encoders import flowerformer
from archflow.encoders.asynchronous import Schedule
from archflow.encoders.flowerformer import FlowAttention, FlowerFormer, FlowPairs
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.spaces import DARTS, NASBench101, NASBench201
from archflow.testing import TOY_OPERATIONS, check_encoder, random_architecture, toy_table
from reference.flowerformer import flowerformer as slow
from reference.flowerformer import on_common_paths

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
    require_equal_to_the_twin(encoder, toy_table(4, seed=seed))


def test_equals_the_twin_on_graphs_of_many_sizes(encoder, monkeypatch):
    table = mixed_table()[:12]
    require_equal_to_the_twin(encoder, table)
    monkeypatch.setattr(flowerformer, "_PAIRS", 300)  # more groups
    require_equal_to_the_twin(encoder, table)


@pytest.mark.parametrize("form", ["as-written", "pruned", "collapsed"])
@pytest.mark.parametrize("space", [NASBench101(), NASBench201(), DARTS()], ids=lambda space: space.name)
def test_equals_the_twin_on_cells(space, form):
    table = space.sample(6, np.random.default_rng(0)).in_form(form)
    require_equal_to_the_twin(built(len(table.operations)), table)


@pytest.mark.parametrize("pairs", [1, 1 << 22])
def test_each_node_sees_its_common_paths_alone(pairs, monkeypatch):
    monkeypatch.setattr(flowerformer, "_PAIRS", pairs)
    table = mixed_table()
    batch = GraphBatch.of(table.columns)
    schedule = Schedule.of(batch)
    found = FlowPairs.of(batch, schedule)
    assert found.nodes[found.rows].tolist() == list(range(batch.n_nodes))
    assert sum(found.sizes) == len(found.nodes)
    seen = set()
    for begin, size, mask in zip(np.cumsum([0, *found.sizes]), found.sizes, found.masks, strict=False):
        rows = mask.shape[-1]
        assert mask.shape == (size // rows, 1, rows, rows)
        assert bool(mask.diagonal(dim1=2, dim2=3).all())
        block, _, row, column = mask.nonzero().T
        start = begin + block * rows
        seen |= set(zip((start + row).tolist(), (start + column).tolist(), strict=True))
    node_at = dict(zip(found.rows.tolist(), schedule.order.tolist(), strict=True))
    actual = {(node_at[row], node_at[column]) for row, column in seen if row in node_at and column in node_at}
    expected = {
        (offset + v, offset + u)
        for graph, offset in zip(table, batch.node_offsets.tolist(), strict=False)
        for v, u in on_common_paths(graph)
    }
    assert actual == expected
    assert not any((row in node_at) != (column in node_at) for row, column in seen)


def test_small_graphs_share_a_block():
    batch = GraphBatch.of(NASBench201().sample(32, np.random.default_rng(0)).columns)
    assert FlowPairs.of(batch, Schedule.of(batch)).masks[0].shape == (16, 1, 16, 16)


def test_the_number_of_heads_divides_the_width():
    assert [FlowAttention(width).heads for width in (1, 7, 11, 12, 16, 36, 64)] == [1, 7, 1, 6, 8, 6, 8]


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
