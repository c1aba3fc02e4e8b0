"""GIN against torch_geometric's layers with the same weights, and the encoder suite."""

import pytest
import torch
from torch import nn
from torch_geometric.nn import GINConv, global_mean_pool

from archflow.encoders import EncoderConfig
from archflow.encoders.gin import GIN, GINLayer
from archflow.encoders.message_passing import undirected_edges
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, check_encoder, toy_table

BATCH = GraphBatch.of(toy_table(30, seed=1).columns)
EDGES = torch.stack(undirected_edges(BATCH))  # the form of torch_geometric: (2, 2 E)


def convolution_like(layer, width):
    """Build torch_geometric's GIN convolution with the weights of ours."""
    convolution = GINConv(
        nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)), train_eps=True
    )
    convolution.nn.load_state_dict(layer.mlp.state_dict())
    convolution.eps.data.fill_(layer.epsilon.item())
    return convolution


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = GIN(len(TOY_OPERATIONS), width=24, layers=3, dropout=0.3).eval()
    for layer in encoder.layers:
        nn.init.normal_(layer.epsilon)  # it starts at 0, where a mistake would not show
    return encoder


def test_conforms():
    check_encoder(lambda *sizes: GIN(*sizes, width=16))


@pytest.mark.parametrize("config", [{"layers": 1}, {"width": 1, "layers": 2}, {"dropout": 0.9}])
def test_other_sizes_give_embeddings_of_that_width(config):
    encoder = EncoderConfig(name="gin", **{"width": 8, **config}).build(len(TOY_OPERATIONS))
    nodes, graphs = encoder(BATCH)
    assert nodes.shape == (BATCH.n_nodes, encoder.width)
    assert graphs.shape == (30, encoder.width)


def test_a_layer_equals_torch_geometric(encoder):
    states = torch.randn(BATCH.n_nodes, 24)
    for layer in encoder.layers:
        expected = convolution_like(layer, 24)(states, EDGES)
        torch.testing.assert_close(layer(states, *EDGES), expected, rtol=1e-5, atol=1e-5)


def test_the_encoder_equals_one_of_torch_geometric_layers(encoder):
    states, outputs = encoder.embedding.weight[BATCH.operation_ids], []
    for layer in encoder.layers:
        states = convolution_like(layer, 24)(states, EDGES).relu()
        outputs.append(states)
    expected = nn.functional.linear(torch.cat(outputs, dim=1), encoder.jump.weight, encoder.jump.bias)
    nodes, graphs = encoder(BATCH)
    torch.testing.assert_close(nodes, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(graphs, global_mean_pool(expected, BATCH.graph_ids), rtol=1e-5, atol=1e-5)


def test_gradients_equal_torch_geometric(encoder):
    states = torch.randn(BATCH.n_nodes, 24)
    layer = encoder.layers[0]
    twin = convolution_like(layer, 24)
    weights = torch.randn(BATCH.n_nodes, 24)
    ours = torch.autograd.grad(
        (layer(states, *EDGES) * weights).sum(), [layer.epsilon, *layer.mlp.parameters()]
    )
    theirs = torch.autograd.grad((twin(states, EDGES) * weights).sum(), [twin.eps, *twin.nn.parameters()])
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.reshape(mine.shape), rtol=1e-4, atol=1e-4)


def test_a_layer_passes_gradcheck():
    torch.manual_seed(1)
    layer = GINLayer(3).double()
    senders, receivers = torch.tensor([0, 1, 1, 3]), torch.tensor([1, 0, 2, 3])
    states = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: layer(values, senders, receivers), (states,))


def test_epsilon_starts_at_zero():
    assert all(layer.epsilon.item() == 0 for layer in GIN(4).layers)


def test_a_repeated_edge_counts_twice(encoder):
    names = ("input", "conv", "output")
    edges = ((0, 1), (1, 2))
    rows = [Architecture(names, edges), Architecture(names, (*edges, (1, 2)))]
    _, (once, twice) = encoder(GraphBatch.of(ArchitectureTable.of(rows, TOY_OPERATIONS).columns))
    assert (once - twice).abs().max() > 1e-3


def test_dropout_acts_in_training_alone(encoder):
    encoder.train()
    try:
        torch.manual_seed(1)
        first, second = encoder(BATCH)[1], encoder(BATCH)[1]
        torch.manual_seed(1)
        again = encoder(BATCH)[1]
    finally:
        encoder.eval()
    assert not torch.allclose(first, second)
    assert torch.equal(first, again)
    assert torch.equal(encoder(BATCH)[1], encoder(BATCH)[1])
