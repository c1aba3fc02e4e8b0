"""The paper's two pretext tasks, flow reconstruction and proxy ranking, and sums of any."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.protocols import View
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

    def forward(self, view: View) -> Tensor:
        """Return the loss, ()."""
        distances: Tensor = self.decoder(view.graphs) - self.targets[view.rows]  # (B, k)
        return distances.square().sum(dim=1).mean()


class ProxyRanking(nn.Module):
    """Rank by a cheap column: the pairwise hinge of a scorer's output against its order (FGP, L_proxy).

    Args:
        width: D, the width of the embeddings.
        proxy: The column, higher is better, (A,); a row where it is NaN forms no pair.
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
        ranks = np.unique(proxy, return_inverse=True)[1].reshape(-1).astype(np.float32)
        ranks[np.isnan(proxy)] = np.nan  # which is neither above nor below anything
        self.register_buffer("targets", torch.from_numpy(ranks), persistent=False)

    def forward(self, view: View) -> Tensor:
        """Return the loss, ()."""
        scores = self.scorer(view.graphs).squeeze(1)
        return pairwise_hinge(scores, self.targets[view.rows], self.margin)


class WeightedSum(nn.Module):
    """Several objectives at once, on one view.

    Args:
        objectives: The objectives by name.
        weights: The weight of each.
    """

    def __init__(self, objectives: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.objectives = nn.ModuleDict(objectives)
        self.weights = dict(weights)

    def forward(self, view: View) -> Tensor:
        """Return the weighted sum, (), of all objectives' losses."""
        losses = [self.weights[name] * part(view) for name, part in self.objectives.items()]
        return torch.stack(losses).sum()
