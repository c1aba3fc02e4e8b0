"""Residual gated graph convolutional network (Bresson and Laurent, arXiv 1711.07553)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.encoders.message_passing import NodeEmbedding, sum_by_receiver, undirected_edges
from archflow.graphs import GraphBatch

# How much of the first node states each layer's input keeps, as in FGP's reference implementation.
_KEPT = 0.2


class GatedGCN(nn.Module):
    """Undirected residual gated GCN with its input kept: x <- 0.2 x0 + 0.8 dropout(relu(layer(x))).

    Node embeddings are the last states; the graph embedding is their mean over nodes.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of node attributes.
        width: D, the width of every layer and of the embeddings.
        layers: Number of layers.
        dropout: Share of activations dropped in training.
    """

    def __init__(
        self,
        n_operations: int,
        n_attributes: int = 0,
        *,
        width: int = 128,
        layers: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.layers = nn.ModuleList(GatedGCNLayer(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        senders, receivers = undirected_edges(batch)
        first = states = self.embedding(batch)  # (N, D)
        for layer in self.layers:
            updated = self.dropout(layer(states, senders, receivers).relu())
            states = _KEPT * first + (1 - _KEPT) * updated
        return states, batch.mean_over_nodes(states)


class GatedGCNLayer(nn.Module):
    """x_v <- U x_v + sum over edges u -> v of sigmoid(K x_v + Q x_u) * V x_u, with biases on K, Q, V, U.

    Args:
        width: D, the width of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # One product for all four maps; its rows are K, Q, V and U.
        self.maps = nn.Linear(width, 4 * width)

    def forward(self, states: Tensor, senders: Tensor, receivers: Tensor) -> Tensor:
        """Map node states (N, D) to (N, D) along edges senders -> receivers, (E,) each."""
        width = states.shape[1]
        keys, sent, kept = self.maps(states).split([width, 2 * width, width], dim=1)
        queries, values = sent.index_select(0, senders).split(width, dim=1)  # (E, D) each
        gates = torch.sigmoid(keys.index_select(0, receivers) + queries)
        updated: Tensor = kept + sum_by_receiver(gates * values, receivers, len(states))
        return updated
