"""The NAS-Bench-101 network against its cell written out vertex by vertex, and its weights at the start."""

import math

import numpy as np
import pytest
import torch

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.networks.nasbench101_network import NASBench101Cell, NASBench101Network
from archflow.spaces.counts import Skeleton
from archflow.spaces.nasbench101 import NASBench101
from reference import nasbench101_network as slow

SPACE = NASBench101()
CONV3, CONV1, POOL = SPACE.choices
SMALL = Skeleton((7, 9), cells=2, image=(3, 6, 4), classes=4)


def test_scores_equal_those_of_the_published_network_written_out():
    torch.manual_seed(0)
    images = torch.randn(3, *SMALL.image, dtype=torch.float64)
    for cell in slow.random_cells(SPACE, 60, np.random.default_rng(0)):
        network = NASBench101Network(cell, SMALL).double()
        for weight in network.parameters():
            torch.nn.init.normal_(weight)
        expected = slow.forward(
            cell.pruned(SPACE.operations),
            [w.detach() for w in network.parameters()],
            SMALL.channels,
            SMALL.cells,
            images,
        )
        torch.testing.assert_close(network(images).detach(), expected, rtol=1e-9, atol=1e-9)


def test_vertices_off_every_path_make_no_difference():
    images = torch.randn(2, *SMALL.image)
    dead = 0
    for cell in slow.random_cells(SPACE, 20, np.random.default_rng(1)):
        forms = ArchitectureTable.of([cell], SPACE.operations)
        dead += forms.pruned()[0].n_nodes < cell.n_nodes
        scores = []
        for form in FORMS:
            torch.manual_seed(0)
            scores.append(NASBench101Network(forms.in_form(form)[0], SMALL)(images))
        assert torch.equal(scores[0], scores[1])
        assert torch.equal(scores[0], scores[2])
    assert dead > 5


def test_a_cell_joins_its_vertices_and_adds_the_projected_input():
    cell = Architecture(("input", POOL, POOL, "output"), ((0, 1), (0, 2), (1, 3), (2, 3), (0, 3)))
    module = NASBench101Cell(cell, 3, 7).eval()
    assert module.channels == (0, 4, 3, 7)
    x = torch.randn(2, 3, 5, 5)
    pooled = [torch.nn.functional.max_pool2d(module.projections[v](x), 3, 1, 1) for v in ("1", "2")]
    torch.testing.assert_close(module(x), torch.cat(pooled, dim=1) + module.projections["3"](x))


def test_weights_start_as_published():
    torch.manual_seed(0)
    cell = Architecture(("input", CONV3, CONV1, "output"), ((0, 1), (1, 2), (2, 3)))
    network = NASBench101Network(cell, Skeleton((64, 64), cells=1, image=(3, 4, 4), classes=10))
    for layer in [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]:
        expected = 1 / math.sqrt(layer.weight[0].numel())
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.08)
        assert layer.weight.abs().max() <= 2 * expected / 0.879
    bound = math.sqrt(6 / (64 + 10))
    assert 0.95 * bound < network.head.weight.abs().max() <= bound
    assert (network.head.bias == 0).all()


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        (Architecture(("input", "conv", "output"), ((0, 1), (1, 2))), "node 1.*unknown operation 'conv'"),
        (Architecture(("input", CONV3, "output"), ((0, 1),)), "no path"),
        (Architecture(("input", *[POOL] * 6, "output"), tuple((i, i + 1) for i in range(7))), "8 vertices"),
        (Architecture(("input", "output"), ((0, 1), (0, 1))), "repeated"),
    ],
)
def test_what_is_no_cell_is_refused(architecture, reason):
    with pytest.raises(InvalidArchitectureError, match=reason):
        NASBench101Network(architecture, SMALL)


def test_a_stage_without_a_channel_for_each_vertex_is_refused():
    cell = Architecture(("input", CONV3, "output"), ((0, 1), (1, 2)))
    with pytest.raises(UsageError, match="a stage of 4 channels is too narrow"):
        NASBench101Network(cell, Skeleton((8, 4), cells=1, image=(3, 4, 4), classes=10))
