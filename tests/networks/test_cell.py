"""A cell network against loops written out by hand, its shapes and its parameter count."""

import itertools

import numpy as np
import pytest
import torch

from archflow.errors import UnknownNameError, UsageError
from archflow.graphs import Architecture
from archflow.networks import Cell, CellNetwork
from archflow.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def slow_convolution(x, weight):
    """(B, C, H, W) and (D, C, k, k) -> (B, D, H, W), one product at a time, zeros around."""
    batch, channels, height, width = x.shape
    out = np.zeros((batch, len(weight), height, width))
    reach = weight.shape[-1] // 2
    for b, d, c, i, j in np.ndindex(batch, len(weight), channels, height, width):
        for di in range(-reach, reach + 1):
            for dj in range(-reach, reach + 1):
                if 0 <= i + di < height and 0 <= j + dj < width:
                    out[b, d, i, j] += weight[d, c, di + reach, dj + reach] * x[b, c, i + di, j + dj]
    return out


def slow_relu_convolution_norm(x, module):
    _, convolution, norm = module
    y = slow_convolution(np.maximum(x, 0), convolution.weight.detach().numpy())
    mean, variance, scale, shift = (
        values.detach().numpy()[:, None, None]
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (y - mean) / np.sqrt(variance + norm.eps) * scale + shift


def slow_average(x):
    out = np.zeros_like(x)
    height, width = x.shape[2:]
    for i, j in np.ndindex(height, width):
        window = x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        out[:, :, i, j] = window.mean(axis=(2, 3))
    return out


def test_cell_equals_the_computation_written_out():
    torch.manual_seed(0)
    cell = Cell(SPACE.parse(MIXED), 2).double().eval()
    for module in cell.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in (
                (module.running_mean, -1),
                (module.running_var, 0.5),
                (module.weight, 0.5),
                (module.bias, -1),
            ):
                torch.nn.init.uniform_(values, low, 1.5)
    x = torch.randn(2, 2, 4, 3, dtype=torch.float64)

    maps = [x.numpy()]  # the four feature maps of the published cell; nodes 1 to 6 are its edges
    maps.append(slow_relu_convolution_norm(maps[0], cell.nodes[1]))
    maps.append(slow_average(maps[0]) + maps[1])
    maps.append(
        slow_relu_convolution_norm(maps[0], cell.nodes[4])
        + 0 * maps[1]
        + slow_relu_convolution_norm(maps[2], cell.nodes[6])
    )

    np.testing.assert_allclose(cell(x).detach().numpy(), maps[3], rtol=1e-10, atol=1e-12)


def test_a_node_that_nothing_leads_to_works_on_zeros_and_a_repeated_edge_counts_twice():
    graph = Architecture(
        ("input", "skip_connect", "skip_connect", "output"), ((0, 1), (1, 3), (1, 3), (2, 3))
    )
    x = torch.randn(1, 3, 2, 2)
    torch.testing.assert_close(Cell(graph, 3)(x), 2 * x)


def test_cell_leaves_its_input_unchanged():
    x = torch.randn(2, 4, 8, 8)
    before = x.clone()
    Cell(SPACE.parse(MIXED), 4)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("batch", [1, 3])
def test_network_maps_images_to_class_scores(batch):
    network = CellNetwork(SPACE.parse(MIXED), (4, 8, 16), image_channels=1, classes=10)
    assert network(torch.randn(batch, 1, 8, 8)).shape == (batch, 10)


def test_without_a_path_every_image_gets_the_same_scores():
    network = CellNetwork(SPACE.parse(NONE), (4, 8), image_channels=1, classes=10).eval()
    scores = network(torch.randn(5, 1, 8, 8))
    assert torch.equal(scores, scores[:1].expand(5, 10))


@pytest.mark.parametrize("text", [MIXED, NONE, MIXED.replace("none", "nor_conv_1x1")])
@pytest.mark.parametrize("channels", [(4,), (4, 8, 16), (3, 3)])
def test_parameters_follow_from_the_operations(text, channels):
    taps = 9 * text.count("nor_conv_3x3") + text.count("nor_conv_1x1")
    convolutions = text.count("nor_conv")
    stem = 9 * channels[0] + 2 * channels[0]
    cells = sum(taps * c * c + convolutions * 2 * c for c in channels)
    reductions = sum(a * b + 2 * b for a, b in itertools.pairwise(channels))
    head = 2 * channels[-1] + 10 * channels[-1] + 10
    network = CellNetwork(SPACE.parse(text), channels, image_channels=1, classes=10)
    assert sum(weight.numel() for weight in network.parameters()) == stem + cells + reductions + head


def test_an_operation_without_a_module_is_named():
    graph = Architecture(("input", "nor_conv_7x7", "output"), ((0, 1), (1, 2)))
    with pytest.raises(
        UnknownNameError, match=r"unknown operation 'nor_conv_7x7'; choose from: .*nor_conv_3x3"
    ):
        Cell(graph, 4)


def test_a_network_without_a_stage_is_refused():
    with pytest.raises(UsageError, match="width of at least one stage"):
        CellNetwork(SPACE.parse(MIXED), (), image_channels=1, classes=10)
