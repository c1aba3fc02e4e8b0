"""In-place calls: a module that writes into tensors gives the graph of its twin that does not."""

import pytest
import torch

from archflow.graphs import Architecture
from archflow.importers import read_module
from importers.networks import Function

X, Y = torch.rand(2, 5, 8), torch.rand(2, 5, 8)


def through_view(x):
    y = x * x
    y.view(-1).relu_()
    return y.tanh()


def through_two_views(x):
    y = x * x
    y.view(10, 8).transpose(0, 1).sigmoid_()
    return y.tanh()


def into_piece(x, y):
    z = x * x
    z[:, :2] = y[:, :2]
    return z.tanh()


def added_to_piece(x, y):
    z = x * x
    z[:, :2] += y[:, :2]
    return z.tanh()


def added_and_put_back(x, y):
    """What Python does for `+=` of a piece: it adds in place, and puts the piece back where it is already."""
    z = x * x
    added = z[:, :2] + y[:, :2]
    return torch.slice_scatter(torch.slice_scatter(z, added, 1, 0, 2), added, 1, 0, 2).tanh()


def into_piece_of_piece(x, y):
    z = x * x
    z[:, :2][:, :, :4] = y[:, :2, :4]
    return z.tanh()


def into_one_of_chunks(x):
    z = x * x
    z.chunk(2, -1)[0].relu_()
    return z.tanh()


def twice(x):
    y = x * x
    y += x
    y *= x
    return y


def copied(x, y):
    z = x * x
    z.copy_(y)
    return z.tanh() + x


def filled(x):
    y = x * x
    y[:, 0] = 0.0
    return y.tanh()


def overwritten(x):
    y = x * x
    y.zero_()
    return x + y


def metadata(x):
    y = x * x
    y.unsqueeze_(0).squeeze_(0).detach_()
    return y.tanh()


# (in place, not in place)
TWINS = {
    "relu_": (lambda x: (x * x).relu_().tanh(), lambda x: (x * x).relu().tanh()),
    "twice": (twice, lambda x: (x * x + x) * x),
    "through a view": (through_view, lambda x: (x * x).relu().tanh()),
    "through two views": (through_two_views, lambda x: (x * x).sigmoid().tanh()),
    "into a piece": (into_piece, lambda x, y: torch.slice_scatter(x * x, y[:, :2], 1, 0, 2).tanh()),
    "added to a piece": (added_to_piece, added_and_put_back),
    "into a chunk": (
        into_one_of_chunks,
        lambda x: torch.slice_scatter(z := x * x, z[..., :4].relu(), -1, 0, 4).tanh(),
    ),
    "copied": (copied, lambda x, y: y.tanh() + x),
    "filled": (filled, lambda x: torch.select_scatter(x * x, torch.zeros(2, 8), 1, 0).tanh()),
    "overwritten": (overwritten, lambda x: x + torch.zeros(2, 5, 8)),
    "metadata": (metadata, lambda x: (x * x).tanh()),
    "hardtanh_": (lambda x: torch.nn.functional.hardtanh_(x * x, 0, 6), lambda x: (x * x).clamp(0, 6)),
}


WITH_ITEM_ASSIGNMENT = {"into a piece", "added to a piece", "filled"}  # which torch.fx cannot trace


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *((name, "torch.export") for name in TWINS),
        *((name, "torch.fx") for name in TWINS if name not in WITH_ITEM_ASSIGNMENT),
    ],
)
def test_in_place_and_not(name, way, monkeypatch):
    written, twin = TWINS[name]
    inputs = (X, Y)[: written.__code__.co_argcount]
    expected = read_module(Function(twin), inputs).architecture
    if way == "torch.fx":
        monkeypatch.setattr(torch.export, "export", lambda *_, **__: 1 / 0)
    imported = read_module(Function(written), inputs)
    assert way in imported.report.source
    got, wanted = (Architecture(graph.operations, graph.edges) for graph in (imported.architecture, expected))
    assert got.key() == wanted.key(), (got, wanted)


def test_a_piece_of_a_piece():
    """The inner piece goes into the outer one, and that into the whole."""
    imported = read_module(Function(into_piece_of_piece), (X, Y))
    assert imported.architecture.operations.count("scatter") == 2


def test_a_buffer_that_is_written_is_data_from_then_on():
    class Cache(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.zeros(2, 5, 8))

        def forward(self, x):
            self.kept[:, :2] = x[:, :2]
            return self.kept * x

    imported = read_module(Cache(), X)
    assert imported.architecture.operations == ("input", "slice", "scatter", "multiply", "output")
    assert imported.architecture.edges == ((0, 1), (1, 2), (0, 3), (2, 3), (3, 4))
