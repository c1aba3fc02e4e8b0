"""The published network around a NAS-Bench-101 cell.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019, section 2.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

from archflow.graphs import Architecture, ArchitectureTable
from archflow.spaces.counts import Skeleton
from archflow.spaces.nasbench101 import CONV1X1, CONV3X3, NASBench101
from archflow.spaces.nasbench101_channels import dense, vertex_channels

_KERNELS = {CONV3X3: 3, CONV1X1: 1}
_CUT_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal distribution that is cut off at -2 and 2."""


class NASBench101Network(nn.Module):
    """An image classifier of NAS-Bench-101.

    Stem (3x3 convolution, batch norm, ReLU), stages of equal cells and between two stages 2x2 max pooling;
    then the mean over all positions and a linear layer. The first cell of a stage widens the feature maps.
    Weights start as published: those of a convolution normal with variance 1 / (inputs of a sum), cut off
    at two deviations; those of the linear layer uniform (Glorot), its bias 0; batch norms at 1 and 0, their
    running averages with momentum 0.003.

    Args:
        architecture: A cell; vertices off every path from input to output are dropped.
        skeleton: The number and width of the cells.

    Raises:
        InvalidArchitectureError: The architecture is no cell of NAS-Bench-101.
        UsageError: A stage is too narrow to be shared by five vertices.
    """

    def __init__(self, architecture: Architecture, skeleton: Skeleton) -> None:
        super().__init__()
        NASBench101().format(architecture)  # checks it
        cell = architecture.pruned(NASBench101.operations)
        channels = skeleton.channels[0]
        layers: list[nn.Module] = [_conv_norm_relu(skeleton.image[0], channels, kernel=3)]
        for stage, width in enumerate(skeleton.channels):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(skeleton.cells):
                layers.append(NASBench101Cell(cell, channels, width))
                channels = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(channels, skeleton.classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, image channels, H, W) to class scores (B, K)."""
        scores: Tensor = self.head(self.features(images).flatten(1))
        return scores


class NASBench101Cell(nn.Module):
    """A NAS-Bench-101 cell as a module.

    An inner vertex works on the sum of the vertices that feed it, each cut to its first channels where it
    has one too many, and of a projection of the cell's input where the input feeds it. The output joins
    the inner vertices that feed it side by side and adds a projection of the input where that feeds it too;
    a projection is a 1x1 convolution, batch norm and ReLU.

    Args:
        cell: A cell without vertices off every path, the input first and the output last.
        inputs: Channels that come in.
        outputs: Channels that go out, five or more.
    """

    def __init__(self, cell: Architecture, inputs: int, outputs: int) -> None:
        super().__init__()
        last = cell.n_nodes - 1
        adjacency = dense(ArchitectureTable.of([cell], NASBench101.operations))
        self.channels = (*vertex_channels(adjacency, outputs)[0, :last].tolist(), outputs)
        self.feeders = tuple(
            tuple(source for source, target in cell.edges if target == vertex and source != 0)
            for vertex in range(cell.n_nodes)
        )
        self.projections = nn.ModuleDict(
            {
                str(target): _conv_norm_relu(inputs, self.channels[target], kernel=1)
                for source, target in cell.edges
                if source == 0
            }
        )
        self.vertices = nn.ModuleList(
            _operation(name, channels)
            for name, channels in zip(cell.operations[1:-1], self.channels[1:-1], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        values = [x]
        for vertex, module in enumerate(self.vertices, start=1):
            arriving = [values[source][:, : self.channels[vertex]] for source in self.feeders[vertex]]
            values.append(module(self._with_input(x, vertex, arriving)))
        last = len(values)
        joined = [values[source] for source in self.feeders[last]]
        return self._with_input(x, last, [torch.cat(joined, dim=1)] if len(joined) > 1 else joined)

    def _with_input(self, x: Tensor, vertex: int, arriving: list[Tensor]) -> Tensor:
        if str(vertex) in self.projections:
            arriving = [*arriving, self.projections[str(vertex)](x)]
        return functools.reduce(torch.add, arriving)


def _operation(name: str, channels: int) -> nn.Module:
    if name in _KERNELS:
        return _conv_norm_relu(channels, channels, _KERNELS[name])
    return nn.MaxPool2d(3, stride=1, padding=1)


def _conv_norm_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    deviation = 1 / math.sqrt(inputs * kernel**2) / _CUT_DEVIATION
    nn.init.trunc_normal_(convolution.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, momentum=0.003), nn.ReLU())
