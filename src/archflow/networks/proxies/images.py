"""The images that zero-cost proxies show a network: noise, or handwritten digits."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from archflow.errors import UsageError, unknown_name

Images = Literal["noise", "digits"]
IMAGES: tuple[Images, ...] = get_args(Images)
"""Every kind of batch by name."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageBatch:
    """Some labelled images.

    Attributes:
        images: (B, C, H, W) float32, of mean 0 and deviation 1 over many batches.
        labels: The class of each, (B,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def draw(
        cls, kind: str, count: int, *, image_shape: tuple[int, int, int], classes: int, seed: int
    ) -> ImageBatch:
        """Draw a batch; the same for the same arguments on every machine.

        Args:
            kind: "noise", independent Gaussian pixels with labels drawn at random, or "digits",
                scikit-learn's 8x8 grey digits, standardised, each pixel repeated up to the size of the image.
            count: B, at least 2.
            image_shape: C, H and W; for digits H and W are multiples of 8.
            classes: K, above every label.
            seed: Fixes the draw.

        Raises:
            UnknownNameError: There is no such kind.
            UsageError: The count is below 2, or the digits do not fit the network.
        """
        if kind not in IMAGES:
            raise unknown_name("kind of images", kind, IMAGES)
        if count < 2:
            raise UsageError(f"a batch of {count} images orders nothing; give 2 or more")
        rng = np.random.default_rng(seed)
        if kind == "digits":
            return cls(*_digits(count, image_shape, classes, rng))
        images = rng.standard_normal((count, *image_shape), dtype=np.float32)
        return cls(torch.from_numpy(images), torch.from_numpy(rng.integers(classes, size=count)))


def _digits(
    count: int, image_shape: tuple[int, int, int], classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits  # here, because importing it takes longer than importing torch

    channels, height, width = image_shape
    if height % 8 or width % 8 or classes < 10:
        raise UsageError(
            f"digits are 8x8 pixels in 10 classes; they do not fit images of {height}x{width} pixels "
            f"in {classes} classes; take noise"
        )
    pixels, labels = load_digits(return_X_y=True)  # (1797, 64) in 0..16, (1797,)
    if count > len(labels):
        raise UsageError(f"there are {len(labels)} digits, not {count}; take a smaller batch, or noise")
    chosen = rng.choice(len(labels), size=count, replace=False)
    grey = torch.tensor((pixels - pixels.mean()) / pixels.std(), dtype=torch.float32)[chosen]
    grey = grey.reshape(count, 1, 8, 8).repeat_interleave(height // 8, dim=2)
    images = grey.repeat_interleave(width // 8, dim=3).expand(-1, channels, -1, -1).contiguous()
    return images, torch.tensor(labels[chosen], dtype=torch.int64)
