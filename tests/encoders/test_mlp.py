"""The perceptron on counts against a loop over one graph, and the encoder suite."""

import pytest
import torch

from archflow.encoders.mlp import MLP
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, check_encoder, toy_table

TABLE = toy_table(30, seed=1)
BATCH = GraphBatch.of(TABLE.columns)


def built(**sizes):
    torch.manual_seed(0)
    return MLP(len(TOY_OPERATIONS), **{"width": 24, "dropout": 0.3, **sizes}).eval()


def embed(encoder, *architectures):
    return encoder(GraphBatch.of(ArchitectureTable.of(architectures, TOY_OPERATIONS).columns))


def test_conforms():
    check_encoder(lambda *sizes: MLP(*sizes, width=16))


@pytest.mark.parametrize("config", [{}, {"layers": 1}, {"width": 1, "layers": 2}, {"dropout": 0.9}])
def test_other_sizes_give_embeddings_of_that_width(config):
    encoder = built(**config)
    nodes, graphs = encoder(BATCH)
    assert nodes.shape == (BATCH.n_nodes, encoder.width)
    assert graphs.shape == (30, encoder.width)
    assert len(encoder.layers) == config.get("layers", 3)


@pytest.mark.parametrize("layers", [1, 3])
def test_equals_the_loop_over_one_graph(layers):
    encoder = built(layers=layers)
    nodes, graphs = encoder(BATCH)
    a, s, t = zip(encoder.maps.weight.split(24), encoder.maps.bias.split(24), strict=True)
    begin = 0
    for architecture, graph in zip(TABLE, graphs, strict=True):
        ids = [TOY_OPERATIONS.names.index(name) for name in architecture.operations]
        x = [encoder.embedding.weight[operation] for operation in ids]
        own = [a[0] @ state + a[1] for state in x]
        pairs = [(s[0] @ x[u] + s[1] + t[0] @ x[v] + t[1]).relu() for u, v in architecture.edges]
        mean = sum(pairs) / len(pairs) if pairs else torch.zeros(24)
        flat = [sum(own) / len(own), mean, torch.tensor([len(own), len(pairs)]).log1p()]
        expected = encoder.layers[0](torch.cat(flat))
        for layer in encoder.layers[1:]:
            expected = layer(expected.relu())
        torch.testing.assert_close(graph, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(nodes[begin : begin + len(x)], torch.stack(own), rtol=1e-5, atol=1e-5)
        begin += len(x)


def test_sees_which_operation_feeds_which_and_nothing_else():
    names = ("input", "conv", "conv", "conv", "pool", "output")
    straight = Architecture(names, ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)))
    # As many edges between the same operations, but the convolution before the pool has come before another.
    crossed = Architecture(names, ((0, 1), (1, 2), (1, 3), (3, 4), (4, 5)))
    other = Architecture(names, ((0, 1), (1, 2), (2, 3), (3, 5), (4, 5)))
    _, (first, second, third) = embed(built(), straight, crossed, other)
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)
    assert (first - third).abs().max() > 1e-3


def test_sees_sizes_where_the_mix_is_the_same():
    names = ("input", "conv", "output")
    _, (once, twice) = embed(
        built(), Architecture(names, ((0, 1), (1, 2))), Architecture(names, ((0, 1), (0, 1), (1, 2), (1, 2)))
    )
    assert (once - twice).abs().max() > 1e-3


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
