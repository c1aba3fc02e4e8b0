"""The NAS-Bench-201 network against the published cell written out, the same in every form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.networks.nasbench201_network import NASBench201Network, Reduction
from archflow.spaces.counts import Skeleton
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing.strategies import architectures
from reference import nasbench201_network as slow

SPACE = NASBench201()
SMALL = Skeleton((2, 3, 5), cells=2, image=(3, 8, 4), classes=4)
ONE_CELL = Skeleton((3,), cells=1, image=(3, 4, 4), classes=4)


def images_of(skeleton, count=3, seed=0):
    shape = (count, *skeleton.image)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def randomise(network):
    """Give weights of one shape one value, whatever else the network holds; shifts of batch norms stay 0."""
    for name, weight in network.named_parameters():
        if name.endswith("bias") and "head" not in name:
            continue
        values = torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
        weight.data.copy_(values)
    return network.double()


@given(st.integers(0, SPACE.size - 1), st.integers(0, 2**32))
@settings(max_examples=25)
def test_scores_equal_those_of_the_published_network_written_out(row, seed):
    cell = SPACE.all()[row]
    torch.manual_seed(seed)
    network = NASBench201Network(cell, SMALL).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    images = images_of(SMALL)
    expected = slow.forward(
        SPACE.format(cell), [w.detach() for w in network.parameters()], SMALL.channels, SMALL.cells, images
    )
    torch.testing.assert_close(network(images).detach(), expected, rtol=1e-9, atol=1e-9)


@given(architectures(SPACE.operations, max_inner=6, max_edges=9))
@settings(max_examples=50)
def test_scores_are_the_same_in_every_form_of_the_graph(graph):
    table = ArchitectureTable.of([graph], SPACE.operations)
    images = images_of(ONE_CELL)
    written, *others = (
        randomise(NASBench201Network(table.in_form(form)[0], ONE_CELL))(images).detach() for form in FORMS
    )
    for other in others:
        torch.testing.assert_close(other, written, rtol=1e-6, atol=1e-6)


def test_a_collapsed_edge_counts_as_often_as_its_paths():
    text = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
    collapsed = SPACE.parse(text).collapsed(SPACE.operations)
    assert collapsed.edges.count((0, 2)) == 2
    images = images_of(ONE_CELL)
    scores = [
        randomise(NASBench201Network(cell, ONE_CELL))(images) for cell in (SPACE.parse(text), collapsed)
    ]
    torch.testing.assert_close(*scores)
    once = Architecture(collapsed.operations, tuple(dict.fromkeys(collapsed.edges)))
    assert not torch.allclose(randomise(NASBench201Network(once, ONE_CELL))(images), scores[0], rtol=1e-3)


def test_a_reduction_halves_the_resolution():
    assert Reduction(3, 5)(torch.randn(2, 3, 8, 6)).shape == (2, 5, 4, 3)


def test_weights_start_within_the_published_bounds():
    network = NASBench201Network(
        SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"), SMALL
    )
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer in [*convolutions, network.head]:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert 0.5 * bound < layer.weight.abs().max() <= bound
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)


@pytest.mark.parametrize("name", ["conv", "x" * 10_000])
def test_an_operation_of_another_space_is_named(name):
    graph = Architecture(("input", name, "output"), ((0, 1), (1, 2)))
    with pytest.raises(InvalidArchitectureError, match=r"node 1: unknown operation .*nor_conv_3x3") as caught:
        NASBench201Network(graph, SMALL)
    assert len(str(caught.value)) < 300


def test_what_nothing_reaches_learns_nothing_and_does_no_harm():
    cell = SPACE.parse("|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|none~2|")
    network = NASBench201Network(cell, SMALL)
    scores = network(images_of(SMALL).float())
    scores.sum().backward()
    assert torch.equal(scores, scores[:1].expand_as(scores))
    assert np.isfinite(scores.detach().numpy()).all()
    assert network.head.weight.grad is not None
