"""Pretext tasks: losses on graph embeddings that need no label."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.training import pairwise_hinge


def multilayer_perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Return linear maps of the given widths with a relu between any two."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class FlowReconstruction(nn.Module):
    """Reconstruct the flow surrogate: the mean squared L2 distance of decoder(z) to s(G) (FGP, L_flow).

    Args:
        width: D, the width of the embeddings.
        surrogates: s(G) of every row of the table, (A, k).
        layers: Linear maps in the decoder, 1 to 3 in the paper.
        hidden: Width of the decoder's hidden layers.
        standardize: Whether to standardise each of the k numbers over the table first.
    """

    targets: Tensor

    def __init__(
        self,
        width: int,
        surrogates: NDArray[np.floating],
        *,
        layers: int = 2,
        hidden: int = 128,
        standardize: bool = True,
    ) -> None:
        super().__init__()
        self.decoder = multilayer_perceptron([width, *[hidden] * (layers - 1), surrogates.shape[1]])
        if standardize:
            deviations = surrogates.std(axis=0, dtype=np.float64)
            means = surrogates.mean(axis=0, dtype=np.float64)
            varies = deviations > 1e-9 * np.abs(means)  # the rest is rounding
            surrogates = (surrogates - means) / np.where(varies, deviations, np.inf)
        self.register_buffer("targets", torch.from_numpy(surrogates.astype(np.float32)), persistent=False)

    def forward(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Return the loss, (), of embeddings (B, D) of the given table rows (B,)."""
        distances: Tensor = self.decoder(embeddings) - self.targets[rows]  # (B, k)
        return distances.square().sum(dim=1).mean()


class ProxyRanking(nn.Module):
    """Rank by a cheap column: the pairwise hinge of a scorer's output against its order (FGP, L_proxy).

    Args:
        width: D, the width of the embeddings.
        proxy: The column, higher is better, (A,).
        margin: How far apart the scores of a pair should be.
        hidden: Width of the scorer's hidden layer.
    """

    targets: Tensor

    def __init__(
        self, width: int, proxy: NDArray[np.floating], *, margin: float = 0.5, hidden: int = 64
    ) -> None:
        super().__init__()
        self.scorer = multilayer_perceptron([width, hidden, 1])
        self.margin = margin
        # Ranks, because counts in the millions lose their differences in float32.
        ranks = np.unique(proxy, return_inverse=True)[1].reshape(-1)
        self.register_buffer("targets", torch.from_numpy(ranks.astype(np.float32)), persistent=False)

    def forward(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Return the loss, (), of embeddings (B, D) of the given table rows (B,)."""
        return pairwise_hinge(self.scorer(embeddings).squeeze(1), self.targets[rows], self.margin)


class WeightedSum(nn.Module):
    """Several objectives at once.

    Args:
        objectives: The objectives by name.
        weights: The weight of each.
    """

    def __init__(self, objectives: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.objectives = nn.ModuleDict(objectives)
        self.weights = dict(weights)

    def forward(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Return the weighted sum, (), of all objectives' losses."""
        losses = [self.weights[name] * part(embeddings, rows) for name, part in self.objectives.items()]
        return torch.stack(losses).sum()
