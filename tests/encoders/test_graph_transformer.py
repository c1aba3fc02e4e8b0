"""The graph transformer against plain loops over one graph with the same weights, and the encoder suite."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from archflow.encoders.graph_transformer import (
    GraphTransformer,
    GraphTransformerLayer,
    by_size,
    positions,
    waves,
)
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, check_encoder, toy_table
from reference.graph_transformer import graph_transformer

TABLE = toy_table(30, seed=1)
BATCH = GraphBatch.of(TABLE.columns)


def built(**sizes):
    torch.manual_seed(0)
    return GraphTransformer(len(TOY_OPERATIONS), **{"width": 24, "dropout": 0.3, **sizes}).eval()


def batch_of(*architectures):
    return GraphBatch.of(ArchitectureTable.of(architectures, TOY_OPERATIONS).columns)


def test_conforms():
    check_encoder(lambda *sizes: GraphTransformer(*sizes, width=16))


@pytest.mark.parametrize(
    ("config", "heads"),
    [({}, 4), ({"layers": 1}, 4), ({"width": 6}, 2), ({"width": 1}, 1), ({"dropout": 0.9}, 4)],
)
def test_other_sizes_give_embeddings_of_that_width(config, heads):
    encoder = built(**config)
    nodes, graphs = encoder(BATCH)
    assert nodes.shape == (BATCH.n_nodes, encoder.width)
    assert graphs.shape == (30, encoder.width)
    assert encoder.layers[0].heads == heads


@pytest.mark.parametrize("config", [{"layers": 1}, {"layers": 3}, {"width": 18}])
def test_equals_the_loop_over_one_graph(config):
    encoder = built(**config)
    nodes, graphs = encoder(BATCH)
    weights, first = dict(encoder.state_dict()), encoder.embedding(BATCH)
    for row, architecture in enumerate(TABLE):
        own = slice(*TABLE.columns.node_offsets[row : row + 2])
        expected = graph_transformer(architecture, first[own], weights)
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
    rows = [graph_transformer(graph, own, weights) for graph, own in zip(TABLE, first, strict=True)]
    theirs = torch.autograd.grad((torch.cat(rows) * goals).sum(), list(weights.values()))
    for name, mine, other in zip(weights, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8, msg=name)


def test_attention_equals_torch_with_padding():
    """Three graphs of 2, 2 and 5 nodes, all padded to 5 for `nn.MultiheadAttention`."""
    torch.manual_seed(0)
    layer, twin = GraphTransformerLayer(8, 0.0), nn.MultiheadAttention(8, 4, batch_first=True)
    twin.in_proj_weight.data.copy_(layer.attention_maps.weight)
    twin.in_proj_bias.data.copy_(layer.attention_maps.bias)
    twin.out_proj.load_state_dict(layer.attention_output.state_dict())
    padded = torch.randn(3, 5, 8)
    real = torch.arange(5) < torch.tensor([[2], [2], [5]])
    expected, _ = twin(padded, padded, padded, key_padding_mask=~real)
    actual = layer.attention(padded[real], [2, 5], [2, 1])
    torch.testing.assert_close(actual, expected[real], rtol=1e-5, atol=1e-6)


def test_graphs_are_grouped_by_size():
    chains = [Architecture(("input", *["conv"] * inner, "output"), ()) for inner in (1, 0, 1, 2)]
    order, sizes, counts = by_size(batch_of(*chains))
    assert order.tolist() == [3, 4, 0, 1, 2, 5, 6, 7, 8, 9, 10, 11]
    assert (sizes, counts) == ([2, 3, 4], [1, 2, 1])


def test_positions_count_the_longest_paths():
    """Two inputs, a shortcut, a dead end and a lonely node."""
    names = ("input", "input", "conv", "pool", "conv", "pool", "output")
    edges = ((0, 2), (1, 3), (2, 3), (2, 4), (0, 6), (3, 6))
    expected = [[0, 3], [0, 2], [1, 2], [2, 1], [2, 0], [0, 0], [3, 0]]
    assert positions(batch_of(Architecture(names, edges))).tolist() == expected


def test_waves_tell_all_positions_apart():
    numbers = torch.arange(1000).unsqueeze(1)
    features = waves(numbers, torch.float64)
    assert features.shape == (1000, 20)
    assert features[1, [0, 9, 10, 19]].tolist() == pytest.approx(
        [1, math.sin(math.pi / 1024), 0, math.cos(math.pi / 1024)]
    )
    distances = torch.cdist(features, features).fill_diagonal_(math.inf)
    assert distances.min() > 0.5


def test_the_way_of_the_flow_matters():
    """Both graphs link the same pairs of nodes; between conv and pool the edge is the other way round."""
    edges = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3))
    names = (("input", "conv", "pool", "output"), ("input", "pool", "conv", "output"))
    _, (there, back) = built()(batch_of(*(Architecture(row, edges) for row in names)))
    assert (there - back).abs().max() > 1e-3


def test_a_repeated_edge_counts_twice():
    names, edges = ("input", "conv", "output"), ((0, 1), (1, 2))
    _, (once, twice) = built()(batch_of(Architecture(names, edges), Architecture(names, (*edges, (1, 2)))))
    assert (once - twice).abs().max() > 1e-3


def test_nodes_without_any_edge_between_them_see_each_other():
    names = ("input", "conv", "output")
    nodes, _ = built()(batch_of(Architecture(names, ()), Architecture(("input", "pool", "output"), ())))
    assert (nodes[2] - nodes[5]).abs().max() > 1e-4


def test_a_graph_of_300_nodes_trains_beside_small_ones():
    names = ("input", *["conv", "pool"] * 149, "output")
    large = Architecture(names, tuple((u, v) for v in range(300) for u in range(max(0, v - 3), v)))
    small = Architecture(("input", "output"), ((0, 1),))
    encoder = built()
    _, graphs = encoder(batch_of(small, large, small))
    torch.testing.assert_close(graphs[1], encoder(batch_of(large))[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(graphs[0], graphs[2], rtol=1e-6, atol=1e-6)
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
