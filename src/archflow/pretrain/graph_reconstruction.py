"""Reconstructing graphs from noisy node latents, as arch2vec does (Yan et al., NeurIPS 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.pretrain.pair_prediction import PairScores, edges_between, pair_loss
from archflow.protocols import View


class GraphReconstruction(nn.Module):
    """A variational graph autoencoder: node embeddings to latents, latents to operations and edges.

    The cross-entropy of each node's operation, the binary cross-entropy of each ordered pair's edge, and a
    small share of the latents' Kullback-Leibler divergence from a standard normal distribution, each a mean.
    arch2vec treats edges as undirected and scores them by the latents' inner products; here two maps of the
    latents tell the direction.

    Args:
        width: D, the width of the embeddings.
        n_operations: d, the size of the vocabulary.
        latent: Numbers in a node's latent; 16 in arch2vec.
        divergence_weight: Weight of the divergence; 0.005 in arch2vec.
    """

    def __init__(
        self, width: int, n_operations: int, *, latent: int = 16, divergence_weight: float = 0.005
    ) -> None:
        super().__init__()
        self.moments = nn.Linear(width, 2 * latent)
        self.operations = nn.Linear(latent, n_operations)
        self.scores = PairScores(latent, latent)
        self.divergence_weight = divergence_weight

    def forward(self, view: View) -> Tensor:
        """Return the loss, (); it draws from torch's generator while training."""
        mean, log_variance = self.moments(view.nodes).chunk(2, dim=1)  # (N, latent) each
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        latents = mean + noise * (log_variance / 2).exp()
        of_operations = nn.functional.cross_entropy(self.operations(latents), view.batch.operation_ids)
        of_edges = pair_loss(self.scores(view.batch, latents), edges_between(view.batch), view.batch)
        divergences = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2  # (N,)
        loss: Tensor = of_operations + of_edges + self.divergence_weight * divergences.mean()
        return loss
