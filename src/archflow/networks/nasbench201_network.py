"""The published network around a NAS-Bench-201 cell.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
ICLR 2020, section 2.1.
"""

from __future__ import annotations

from torch import Tensor, nn

from archflow.errors import InvalidArchitectureError, unknown_name
from archflow.graphs import Architecture
from archflow.networks.cell import OPERATIONS, Cell, relu_conv_norm
from archflow.spaces.counts import Skeleton


class NASBench201Network(nn.Module):
    """An image classifier of NAS-Bench-201.

    Stem (3x3 convolution, batch norm), stages of equal cells and between two stages a residual block that
    halves the resolution; then batch norm, ReLU, the mean over all positions and a linear layer. Weights
    start as PyTorch sets them, as they do in the published training: uniform within 1 / sqrt(inputs of a
    sum), batch norms at 1 and 0.

    Args:
        architecture: A cell in any form of its graph, or any graph over the operations of NAS-Bench-201.
        skeleton: The number and width of the cells.

    Raises:
        InvalidArchitectureError: A node's operation is not one of NAS-Bench-201.
    """

    def __init__(self, architecture: Architecture, skeleton: Skeleton) -> None:
        super().__init__()
        for node, name in enumerate(architecture.operations):
            if name not in OPERATIONS:
                raise InvalidArchitectureError(
                    f"node {node}: {unknown_name('operation', name[:80], OPERATIONS)}"
                )
        channels = skeleton.channels
        layers: list[nn.Module] = [
            nn.Conv2d(skeleton.image[0], channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
        ]
        for stage, width in enumerate(channels):
            if stage > 0:
                layers.append(Reduction(channels[stage - 1], width))
            layers += [Cell(architecture, width) for _ in range(skeleton.cells)]
        last = channels[-1]
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(last, skeleton.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, image channels, H, W) to class scores (B, K)."""
        scores: Tensor = self.head(self.features(images).flatten(1))
        return scores


class Reduction(nn.Module):
    """The residual block between two stages: two ReLU-convolution-norm, beside them a pooled projection.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            relu_conv_norm(inputs, outputs, kernel=3, stride=2), relu_conv_norm(outputs, outputs, kernel=3)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / 2, W / 2); H and W are even."""
        total: Tensor = self.shortcut(x) + self.residual(x)
        return total
