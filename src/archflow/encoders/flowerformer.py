"""FlowerFormer: a graph transformer that knows how data flows (Hwang et al., CVPR 2024, arXiv 2403.12821)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.encoders.asynchronous import AsynchronousPass, Schedule
from archflow.encoders.flow_attention import FlowAttention, FlowPairs
from archflow.encoders.message_passing import NodeEmbedding
from archflow.graphs import GraphBatch


class FlowerFormer(nn.Module):
    """Asynchronous message passing and attention along common paths, side by side in every layer.

    Node embeddings are the last states; the graph embedding is their mean over nodes. Departures from the
    paper: layer instead of batch normalisation, so that graphs of a batch do not touch each other and weights
    can be averaged; and dropout on what each part returns, none within the parts.

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
        width: int = 64,
        layers: int = 9,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.layers = nn.ModuleList(FlowerFormerLayer(width, dropout) for _ in range(layers))

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        schedule = Schedule.of(batch)
        states = self.embedding(batch).index_select(0, schedule.order)  # (N, D)
        stacked = states.device.type == "cpu" and states.dtype.itemsize >= 4 and not torch.is_grad_enabled()
        pairs = FlowPairs.of(batch, schedule, stacked=stacked)
        for layer in self.layers:
            states = layer(states, schedule, pairs)
        nodes = states.index_select(0, schedule.places)
        return nodes, batch.mean_over_nodes(nodes)


class FlowerFormerLayer(nn.Module):
    """x <- norm(s + MLP(s)), s = norm(x + relu(backward(forward(x)))) + norm(x + attention(x)).

    Args:
        width: D, the width of input and output.
        dropout: Share of activations dropped in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.forward_pass, self.backward_pass = AsynchronousPass(width), AsynchronousPass(width)
        self.attention = FlowAttention(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(inplace=True), nn.Linear(2 * width, width)
        )
        self.flow_norm, self.attention_norm, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, schedule: Schedule, pairs: FlowPairs) -> Tensor:
        """Map node states (N, D), in the order of the schedule, to (N, D)."""
        flowed = self.forward_pass(states, schedule.forward)
        flowed = self.backward_pass(flowed, schedule.backward).relu()
        attended = self.attention(states, pairs)
        joined = self.flow_norm(states + self.dropout(flowed))
        joined += self.attention_norm(self.dropout(attended).add_(states))
        updated: Tensor = self.norm(self.dropout(self.mlp(joined)).add_(joined))
        return updated
