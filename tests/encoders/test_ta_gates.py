"""TA-GATES against plain loops over one graph with the same weights, and the encoder suite."""

import numpy as np
import pytest
import torch

from archflow.encoders.asynchronous import Schedule
from archflow.encoders.ta_gates import TAGATES, Flow
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, check_encoder, toy_table
from reference.ta_gates import ta_gates

TABLE = toy_table(30, seed=1)
BATCH = GraphBatch.of(TABLE.columns)


def built(**sizes):
    torch.manual_seed(0)
    return TAGATES(len(TOY_OPERATIONS), **{"width": 24, "dropout": 0.3, **sizes}).eval()


def embed(encoder, *architectures):
    return encoder(GraphBatch.of(ArchitectureTable.of(architectures, TOY_OPERATIONS).columns))


def test_conforms():
    check_encoder(lambda *sizes: TAGATES(*sizes, width=16))


@pytest.mark.parametrize("config", [{}, {"layers": 1}, {"layers": 4}, {"width": 1}, {"dropout": 0.9}])
def test_other_sizes_give_embeddings_of_that_width(config):
    encoder = built(**config)
    nodes, graphs = encoder(BATCH)
    assert nodes.shape == (BATCH.n_nodes, encoder.width)
    assert graphs.shape == (30, encoder.width)
    assert len(encoder.layers) == config.get("layers", 2)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_equals_the_loop_over_one_graph(layers, gradients):
    encoder = built(layers=layers)
    with torch.set_grad_enabled(gradients):
        nodes, graphs = encoder(BATCH)
    weights = dict(encoder.state_dict())
    first = encoder.embedding(BATCH)
    for row, architecture in enumerate(TABLE):
        own = slice(*TABLE.columns.node_offsets[row : row + 2])
        expected = ta_gates(architecture, first[own], weights)
        torch.testing.assert_close(nodes[own], expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(graphs[row], expected.mean(0), rtol=1e-5, atol=1e-5)


def test_gradients_equal_those_of_the_loop():
    encoder = built().double()
    weights = {name: value.detach().requires_grad_() for name, value in encoder.named_parameters()}
    goals = torch.randn(BATCH.n_nodes, 24, dtype=torch.float64)
    ours = torch.autograd.grad((encoder(BATCH)[0] * goals).sum(), list(encoder.parameters()))
    first = weights["embedding.weight"][BATCH.operation_ids].split(
        np.diff(TABLE.columns.node_offsets).tolist()
    )
    rows = [ta_gates(architecture, own, weights) for architecture, own in zip(TABLE, first, strict=True)]
    theirs = torch.autograd.grad((torch.cat(rows) * goals).sum(), list(weights.values()))
    for name, mine, other in zip(weights, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_flow_passes_gradcheck(way):
    torch.manual_seed(1)
    batch = GraphBatch.of(toy_table(5, seed=3).columns)
    flow, sweep = Flow(3).double(), getattr(Schedule.of(batch), way)
    operations, start = (
        torch.randn(batch.n_nodes, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    inputs = (operations, start, *flow.parameters())
    assert torch.autograd.gradcheck(lambda *values: flow(*values[:2], sweep), inputs)


def test_a_repeated_edge_counts_twice():
    names, edges = ("input", "conv", "pool", "output"), ((0, 1), (1, 2), (2, 3))
    _, (once, twice) = embed(built(), Architecture(names, edges), Architecture(names, (*edges, (1, 2))))
    assert (once - twice).abs().max() > 1e-3


def test_time_steps_let_nodes_see_what_comes_after_them():
    chains = [
        Architecture(("input", "conv", name, "output"), ((0, 1), (1, 2), (2, 3))) for name in ("conv", "pool")
    ]
    for layers, seen in ((1, False), (2, True)):
        nodes, _ = embed(built(layers=layers), *chains)
        assert torch.equal(nodes[1], nodes[5]) is not seen


@pytest.mark.parametrize("ways", [1, 2, 299])
def test_graphs_of_300_nodes_stay_finite(ways):
    """Each node feeds the next 1, 2 or all nodes, so that up to 2^298 paths reach the output."""
    names = ("input", *["conv", "pool"] * 149, "output")
    edges = tuple((u, v) for v in range(300) for u in range(max(0, v - ways), v))
    encoder = built().train()
    nodes, graphs = embed(encoder, Architecture(names, edges))
    assert nodes.isfinite().all()
    gradients = torch.autograd.grad(graphs.square().sum(), list(encoder.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_dropout_acts_in_training_alone():
    encoder = built().train()
    torch.manual_seed(1)
    first, second = encoder(BATCH)[1], encoder(BATCH)[1]
    torch.manual_seed(1)
    again = encoder(BATCH)[1]
    encoder.eval()
    assert not torch.allclose(first, second)
    assert torch.equal(first, again)
    assert torch.equal(encoder(BATCH)[1], encoder(BATCH)[1])
