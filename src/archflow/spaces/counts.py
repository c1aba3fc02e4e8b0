"""What a cell is stacked into, and what the network then costs: weights or operations, layer by layer."""

from __future__ import annotations

import dataclasses
import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from archflow.errors import UsageError

Channels = TypeVar("Channels", int, NDArray[np.int64])  # of one layer, or of the same layer in many networks


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """The network around a cell: stages of equal cells, the resolution halved between two stages.

    Attributes:
        channels: The width of each stage.
        cells: Number of cells in each stage.
        image: (channels, height, width) of an image, the sides in pixels.
        classes: K, the number of classes.

    Raises:
        UsageError: A number is below 1, or the sides cannot be halved as often as needed.
    """

    channels: tuple[int, ...]
    cells: int
    image: tuple[int, int, int]
    classes: int

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, self.cells, *self.image, self.classes) < 1:
            raise UsageError(f"{self} builds no network; every number is 1 or more, and there is a stage")
        halved = 1 << (len(self.channels) - 1)
        if any(side % halved for side in self.image[1:]):
            raise UsageError(
                f"images of {self.image[1]}x{self.image[2]} pixels cannot be halved between "
                f"{len(self.channels)} stages; give sides that are multiples of {halved}"
            )

    def sides(self, stage: int) -> tuple[int, int]:
        """Return height and width of the feature maps in a stage, counted from 0."""
        return self.image[1] >> stage, self.image[2] >> stage

    def pixels(self, stage: int) -> int:
        """Return the number of positions of the feature maps in a stage, counted from 0."""
        return math.prod(self.sides(stage))


@dataclasses.dataclass(frozen=True)
class Measure:
    """What each kind of layer counts for one image; adding and joining feature maps counts nothing.

    Attributes:
        at_positions: Whether a layer counts once at each position of its output, as operations do, or once in
            all, as weights do.
        norm: What a batch norm counts for each channel.
        relu: What a ReLU counts for each channel.
        pool: What pooling counts for each channel and each position of its window.
        bias: What the bias of the linear layer counts for each class.
    """

    at_positions: bool
    norm: int
    relu: int
    pool: int
    bias: int

    def convolution(self, taps: int, pairs: Channels, pixels: int) -> Channels:
        """Count a convolution without bias.

        Args:
            taps: 9 for 3x3.
            pairs: Channels that come in, times channels that go out.
            pixels: Positions of its output.
        """
        return self._positions(pixels) * taps * pairs

    def norms(self, channels: Channels, pixels: int) -> Channels:
        """Count a batch norm of feature maps of so many pixels."""
        return self._positions(pixels) * self.norm * channels

    def relus(self, channels: Channels, pixels: int) -> Channels:
        """Count a ReLU of feature maps of so many pixels."""
        return self._positions(pixels) * self.relu * channels

    def pooling(self, taps: int, channels: Channels, pixels: int) -> Channels:
        """Count a pooling layer; `taps` is 9 for 3x3, `pixels` are those of its output."""
        return self._positions(pixels) * self.pool * taps * channels

    def head(self, skeleton: Skeleton) -> int:
        """Count the mean over all positions and the linear layer behind it."""
        height, width = skeleton.sides(len(skeleton.channels) - 1)
        n_in, n_out = skeleton.channels[-1], skeleton.classes
        return self.pool * (height + 1) * (width + 1) * n_in + n_in * n_out + self.bias * n_out

    def _positions(self, pixels: int) -> int:
        return pixels if self.at_positions else 1


PARAMETERS = Measure(at_positions=False, norm=2, relu=0, pool=0, bias=1)
"""Trainable weights: a batch norm has a scale and a shift, the linear layer a bias."""

FLOPS = Measure(at_positions=True, norm=2, relu=1, pool=1, bias=0)
"""Operations for one image, a multiplication and the addition behind it counted as one.

The rule of the `flops` column that NAS-Bench-Suite-Zero published for NAS-Bench-201 (Krishnakumar et al.,
NeurIPS 2022, measured with TensorWatch): a batch norm is 2 operations for each number, a ReLU 1, pooling 1
for each number of its window, and the mean over all H x W positions has a window of (H + 1) x (W + 1).
"""

MULTIPLY_ADDS = Measure(at_positions=True, norm=0, relu=0, pool=0, bias=0)
"""Multiply-adds of convolutions and the linear layer, half of what `torch.utils.flop_counter` counts."""
