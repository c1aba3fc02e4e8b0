"""Directed acyclic graph neural network (Thost and Chen, ICLR 2021, arXiv 2101.07965)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.encoders.asynchronous import AsynchronousPass, Schedule
from archflow.encoders.cones import Cones
from archflow.encoders.message_passing import NodeEmbedding
from archflow.graphs import Columns, GraphBatch


class DAGNN(nn.Module):
    """Layers of asynchronous passes, a stack along the edges and another one along the reversed edges.

    Node embeddings are a linear map of the last states of both stacks side by side; the graph embedding is
    their mean over nodes, as in the other encoders. The paper takes the maximum over end nodes, of the states
    of all layers.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of node attributes.
        width: D, the width of every layer and of the embeddings.
        layers: Number of layers of each stack.
        dropout: Share of activations dropped in training, after each layer.
    """

    def __init__(
        self,
        n_operations: int,
        n_attributes: int = 0,
        *,
        width: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.forward_layers = nn.ModuleList(AsynchronousPass(width) for _ in range(layers))
        self.backward_layers = nn.ModuleList(AsynchronousPass(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.join = nn.Linear(2 * width, width)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        schedule = Schedule.of(batch)
        first = self.embedding(batch).index_select(0, schedule.order)  # (N, D)
        last = []
        for layers, sweep in (
            (self.forward_layers, schedule.forward),
            (self.backward_layers, schedule.backward),
        ):
            states = first
            for layer in layers:
                states = self.dropout(layer(states, sweep))
            last.append(states)
        nodes = self.join(torch.cat(last, dim=1)).index_select(0, schedule.places)  # (N, 2 D) to (N, D)
        return nodes, batch.mean_over_nodes(nodes)

    @torch.no_grad()
    def embed_cones(self, columns: Columns, device: torch.device | str = "cpu") -> Tensor:
        """Return the graph embeddings of A graphs, (A, D), without dropout and gradients.

        Each stack computes every distinct state once (`Cones`), and the mean over nodes is taken before the
        last linear map, which it commutes with.
        """
        batch = GraphBatch.of(columns, device)
        first, means = self.embedding(batch), []
        for layers, backward in ((self.forward_layers, False), (self.backward_layers, True)):
            cones = Cones.of(batch, backward=backward)
            states = first.index_select(0, cones.first)
            for layer in layers:
                states = layer(states, cones.sweep)
            mean = nn.functional.embedding_bag(
                cones.places, states, batch.node_offsets, mode="mean", include_last_offset=True
            )
            means.append(mean)
        embeddings: Tensor = self.join(torch.cat(means, dim=1))
        return embeddings
