"""Tiny networks that the proxies are computed for by hand."""

import torch
from torch import nn

from archflow.networks import ImageBatch

BATCH = ImageBatch.draw("noise", 6, image_shape=(2, 4, 4), classes=3, seed=0)


def small_network(seed=0):
    """Two convolutions with batch norm and ReLU behind them, a linear head with a bias."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


class Blind(nn.Module):
    """A network that ignores its images, as a cell of `none` alone does."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 1, bias=False)
        self.norm, self.relu, self.pool = nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(3, 3)

    def forward(self, images):
        return self.head(self.pool(self.relu(self.norm(self.stem(images) * 0))).flatten(1))
