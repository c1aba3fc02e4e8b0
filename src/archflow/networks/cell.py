"""A NAS-Bench-201 cell as a real network: stem, stages of one cell each, pooling and a linear head."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archflow.errors import UsageError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture

OPERATIONS = (INPUT, "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", OUTPUT)
"""Every operation that has a module."""


class Zero(nn.Module):
    """The operation `none`: zeros in the shape of what comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to zeros of the same shape."""
        return x.new_zeros(x.shape)


def operation(name: str, channels: int) -> nn.Module:
    """Build one operation of NAS-Bench-201; each keeps the shape (B, C, H, W).

    Args:
        name: "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3" (ReLU, convolution without bias,
            batch norm) or "avg_pool_3x3" (stride 1, the padding not counted); "input" and "output" pass
            their value on.
        channels: C, the width that comes in and goes out.

    Raises:
        UnknownNameError: There is no such operation.
    """
    if name in (INPUT, OUTPUT, "skip_connect"):
        return nn.Identity()
    if name == "none":
        return Zero()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if name in ("nor_conv_1x1", "nor_conv_3x3"):
        return relu_conv_norm(channels, channels, kernel=int(name[-1]))
    raise unknown_name("operation", name, OPERATIONS)


class Cell(nn.Module):
    """An architecture as a module: the value of a node is its operation on the sum of its predecessors.

    The input nodes hold the cell's input and the value of the output node is the cell's output; a node
    that nothing leads to works on zeros, and a repeated edge counts as often as it is written.

    Args:
        architecture: A cell of NAS-Bench-201 as written, or any graph over its operations.
        channels: C, the width of every feature map in the cell.

    Raises:
        UnknownNameError: A node's operation is not one of NAS-Bench-201.
    """

    def __init__(self, architecture: Architecture, channels: int) -> None:
        super().__init__()
        names = architecture.operations
        self.nodes = nn.ModuleList(operation(name, channels) for name in names)
        self.is_input = tuple(name == INPUT for name in names)
        self.output = names.index(OUTPUT)
        self.predecessors = tuple(
            tuple(source for source, target in architecture.edges if target == node)
            for node in range(architecture.n_nodes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        values: list[Tensor] = []
        for node, module in enumerate(self.nodes):
            arriving = [x] if self.is_input[node] else [values[source] for source in self.predecessors[node]]
            total = functools.reduce(torch.add, arriving) if arriving else x.new_zeros(x.shape)
            values.append(module(total))
        return values[self.output]


class CellNetwork(nn.Module):
    """A small image classifier around one cell.

    Stem (3x3 convolution, batch norm), one cell a stage, and between two stages a reduction (2x2 average
    pooling, ReLU, 1x1 convolution, batch norm); then batch norm, ReLU, the mean over all positions and a
    linear layer. The reductions mix channels but look at no neighbourhood, so that what the network
    can learn hangs on the cell.

    Args:
        architecture: The cell, the same in every stage.
        channels: The width of each stage, such as (4, 8, 16).
        image_channels: Channels of an image.
        classes: K, the number of classes.

    Raises:
        UsageError: There is no stage.
        UnknownNameError: A node's operation is not one of NAS-Bench-201.
    """

    def __init__(
        self, architecture: Architecture, channels: Sequence[int], *, image_channels: int, classes: int
    ) -> None:
        super().__init__()
        if not channels:
            raise UsageError("channels=() builds no network; name the width of at least one stage")
        layers: list[nn.Module] = [
            nn.Conv2d(image_channels, channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
        ]
        for stage, width in enumerate(channels):
            if stage > 0:
                layers += [nn.AvgPool2d(2), relu_conv_norm(channels[stage - 1], width, kernel=1)]
            layers.append(Cell(architecture, width))
        last = channels[-1]
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(last, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, image_channels, H, W) to class scores (B, K); H and W halve at each reduction."""
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits


def relu_conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Build ReLU, a convolution without bias that pads with zeros, and batch norm.

    Maps (B, inputs, H, W) to (B, outputs, H / stride, W / stride).
    """
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )
