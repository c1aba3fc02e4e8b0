"""The suite refuses encoders with one thing wrong; that it passes good ones, tests/encoders shows."""

import dataclasses

import pytest
import torch
from torch import nn

from archflow.encoders import NodeEmbedding
from archflow.testing import check_encoder


class Plain(nn.Module):
    """The smallest encoder that does everything right: two rounds of sums over the edges."""

    def __init__(self, n_operations, n_attributes, width=6):
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.linear = nn.Linear(width, width)

    def nodes(self, batch):
        states = self.embedding(batch)
        for _ in range(2):
            arriving = torch.zeros_like(states).index_add(0, batch.targets, states[batch.sources])
            states = torch.tanh(self.linear(states + arriving))
        return states

    def forward(self, batch):
        nodes = self.nodes(batch)
        return nodes, batch.mean_over_nodes(nodes)


def test_a_plain_encoder_conforms():
    check_encoder(Plain)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_encoder(lambda *sizes: _without_randomness(Plain, *sizes))
    assert torch.equal(torch.rand(2), expected)


def _without_randomness(kind, *sizes):
    with torch.random.fork_rng(devices=[]):
        return kind(*sizes)


class Anonymous(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        del self.width


class Narrow(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes[:, 1:], graphs


class Summing(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs.sum(dim=0, keepdim=True)


class Doubled(Plain):
    def forward(self, batch):
        return tuple(values.double() for values in super().forward(batch))


class Dividing(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs / torch.diff(batch.edge_offsets).unsqueeze(1)


class Scribbling(Plain):
    def forward(self, batch):
        result = super().forward(batch)
        batch.operation_ids.zero_()
        return result


class Training(Plain):
    """Writes to its batch, but only in training."""

    def forward(self, batch):
        result = super().forward(batch)
        if self.training:
            batch.graph_ids.zero_()
        return result


class Noisy(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs + torch.rand_like(graphs)


class Secretive(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.secret = torch.rand(self.width)  # no buffer, so no part of the state dict

    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs * self.secret


class Sociable(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs - graphs.mean(dim=0)


class Leaking(Plain):
    """Every node also hears from the node before it, whichever graph that is in."""

    def nodes(self, batch):
        nodes = super().nodes(batch)
        return nodes + 0.1 * torch.cat([nodes.new_zeros(1, self.width), nodes[:-1]])


class Numbered(Plain):
    def nodes(self, batch):
        nodes = super().nodes(batch)
        first = batch.node_offsets[batch.graph_ids]
        return nodes * (1 + torch.arange(len(nodes)) - first).unsqueeze(1)


class Blind(Plain):
    def nodes(self, batch):
        return torch.tanh(self.linear(self.embedding(batch)))


class Dull(Plain):
    def nodes(self, batch):
        plain = dataclasses.replace(batch, operation_ids=torch.zeros_like(batch.operation_ids))
        return super().nodes(plain) + 0 * self.embedding(batch)


class Sizeless(Plain):
    """Hears of attributes only in theory."""

    def nodes(self, batch):
        plain = dataclasses.replace(batch, attributes=torch.zeros_like(batch.attributes))
        return super().nodes(plain) + 0 * self.embedding(batch)


class Wasteful(Plain):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.unused = nn.Linear(2, 2)


class Detached(Plain):
    """One of two ways from the weights to the answer carries no gradient."""

    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        return nodes, graphs + graphs.detach() ** 2


class Normalising(Plain):
    def forward(self, batch):
        nodes, graphs = super().forward(batch)
        if self.training:
            graphs = (graphs - graphs.mean(dim=0)) / graphs.std(dim=0)
        return nodes, graphs


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Anonymous, "width must be an integer, not None"),
        (Narrow, r"node embeddings must have shape \(\d+, 6\), not \(\d+, 5\)"),
        (Summing, r"graph embeddings must have shape \(24, 6\), not \(1, 6\)"),
        (Doubled, "node embeddings must be float32, not torch.float64"),
        (Dividing, "graph embeddings must be finite"),
        (Scribbling, "the encoder changed its batch's operation_ids"),
        (Training, "the encoder changed its batch's graph_ids"),
        (Noisy, "in evaluation mode an encoder must answer the same twice"),
        (Secretive, "the state dict must hold all that the answer depends on"),
        (Sociable, r"embedding of graph 0 alone and batched differ by"),
        (Leaking, r"node embeddings of graph \d+ alone and batched differ by"),
        (Numbered, r"graph \d+ renumbered differ by"),
        (Blind, "graph embeddings must depend on the wiring"),
        (Dull, "graph embeddings must depend on the operations"),
        (Sizeless, "graph embeddings must depend on the attribute channels"),
        (Wasteful, r"no gradient reaches unused\.weight"),
        (Detached, "the gradient along a random direction is .*, the difference quotients are"),
        (Normalising, "a graph without edges must give finite embeddings in training"),
    ],
)
@pytest.mark.filterwarnings("ignore:std")
def test_one_thing_wrong_is_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_encoder(broken)
