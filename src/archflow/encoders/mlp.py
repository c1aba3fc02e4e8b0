"""A multilayer perceptron on counts: the baseline that sees hardly any structure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.encoders.message_passing import NodeEmbedding
from archflow.graphs import GraphBatch


class MLP(nn.Module):
    """What an architecture is made of, flattened into one vector, through a multilayer perceptron.

    A one-hot encoding lists operations and links by node number, so it changes when nodes are renumbered.
    This flat vector holds what is left without numbers: with x_v the first state of node v, the mean of A x_v
    over nodes (which operations, and their attributes), the mean of relu(S x_u + T x_v) over edges u -> v
    (which operation feeds which; a repeated edge counts as often as it is there) and the logarithms of 1 +
    the numbers of nodes and edges. Graphs that agree in these are the same to it, however they are wired.
    Node embeddings, A x_v, see the node alone; the graph embedding is not their mean.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of node attributes.
        width: D, the width of every layer and of the embeddings.
        layers: Number of linear maps after the flat vector, relu and dropout between them.
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
        # One product for all three maps; its rows are A, S and T.
        self.maps = nn.Linear(width, 3 * width)
        widths = [2 * width + 2] + [width] * layers
        self.layers = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        nodes, sent, received = self.maps(self.embedding(batch)).split(self.width, dim=1)  # (N, D) each
        pairs = (
            sent.index_select(0, batch.sources) + received.index_select(0, batch.targets)
        ).relu()  # (E, D)
        edge_counts = torch.diff(batch.edge_offsets)
        graph_ids = torch.repeat_interleave(edge_counts, output_size=len(pairs))  # (E,)
        sums = pairs.new_zeros(batch.n_graphs, self.width).index_add(0, graph_ids, pairs)
        sizes = torch.stack([torch.diff(batch.node_offsets), edge_counts], dim=1).to(nodes.dtype)  # (B, 2)
        parts = [batch.mean_over_nodes(nodes), sums / sizes[:, 1:].clamp(min=1), sizes.log1p()]
        first, *others = self.layers
        states = first(torch.cat(parts, dim=1))  # (B, 2 D + 2) to (B, D)
        for layer in others:
            states = layer(self.dropout(states.relu()))
        return nodes, states
