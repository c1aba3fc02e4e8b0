"""Graph transformer: local messages and attention between all nodes (Rampasek et al., NeurIPS 2022)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from archflow.encoders.gated_gcn import GatedGCNLayer
from archflow.encoders.message_passing import NodeEmbedding, undirected_edges
from archflow.graphs import GraphBatch, generations
from archflow.graphs.batch import on_device

_HEADS = 4
# Wave lengths of the position encoding: each twice the one before, up to longer than most paths.
_WAVE_LENGTHS = tuple(2.0**power for power in range(2, 12))


class GraphTransformer(nn.Module):
    """GraphGPS: each layer adds messages from neighbours and attention over all nodes of the graph.

    Layer, with n = layer norm: x <- x + drop(gated(n(x))) + drop(attention(n(x))), then
    x <- x + drop(W2 drop(relu(W1 n(x)))), W1 twice as wide. Messages are those of the gated GCN on undirected
    edges; attention has 4 heads, fewer where the width is no multiple of 4. Node embeddings are a layer norm
    of the last states; the graph embedding is their mean over nodes.

    Two departures from the paper. Norms are layer norms before each part, not batch norms after it, as the
    embedding of a graph must not depend on its batch. Positions are the longest path from a start and the
    longest path to an end, both as waves: unlike eigenvectors they leave no choice, of sign or else, follow
    a renumbering of nodes, and tell the way of the flow.

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
        self.position_map = nn.Linear(4 * len(_WAVE_LENGTHS), width, bias=False)
        self.layers = nn.ModuleList(GraphTransformerLayer(width, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        order, sizes, counts = by_size(batch)
        places = torch.empty_like(order)
        places[order] = torch.arange(len(order), device=order.device)
        senders, receivers = (places[ends] for ends in undirected_edges(batch))
        where = self.position_map(waves(positions(batch), self.embedding.weight.dtype))
        states = self.dropout(self.embedding(batch) + where)  # (N, D)
        states = states.index_select(0, order)  # graphs of one size side by side
        for layer in self.layers:
            states = layer(states, senders, receivers, sizes, counts)
        nodes = self.norm(states).index_select(0, places)
        return nodes, batch.mean_over_nodes(nodes)


class GraphTransformerLayer(nn.Module):
    """One layer of `GraphTransformer`: messages and attention side by side, then a feed-forward part.

    Args:
        width: D, the width of input and output.
        dropout: Share of activations dropped in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = math.gcd(_HEADS, width)
        self.norm = nn.LayerNorm(width)
        self.messages = GatedGCNLayer(width)
        self.attention_maps = nn.Linear(width, 3 * width)  # its rows are queries, keys and values
        self.attention_output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Tensor, senders: Tensor, receivers: Tensor, sizes: list[int], counts: list[int]
    ) -> Tensor:
        """Map node states (N, D) to (N, D).

        Args:
            states: Node states, (N, D), graph by graph, graphs of one size side by side.
            senders: Sending node of every edge, (E,).
            receivers: Receiving node of every edge, (E,).
            sizes: Each number of nodes that a graph has.
            counts: How many graphs have it.
        """
        normed = self.norm(states)
        local = self.dropout(self.messages(normed, senders, receivers))
        states = states + local + self.dropout(self.attention(normed, sizes, counts))
        updated: Tensor = states + self.feed_forward(states)
        return updated

    def attention(self, states: Tensor, sizes: list[int], counts: list[int]) -> Tensor:
        """Let each node attend to all nodes of its graph: (N, D) to (N, D); sizes, counts as in `forward`."""
        width = states.shape[1]
        parts = []
        lengths = [size * count for size, count in zip(sizes, counts, strict=True)]
        blocks = self.attention_maps(states).split(lengths)
        for block, size, count in zip(blocks, sizes, counts, strict=True):
            # (count * size, 3 D) to 3 of (count, heads, size, D / heads)
            split = block.view(count, size, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*split.unbind())
            parts.append(mixed.transpose(1, 2).reshape(count * size, width))
        output: Tensor = self.attention_output(torch.cat(parts) if parts else states)
        return output


def by_size(batch: GraphBatch) -> tuple[Tensor, list[int], list[int]]:
    """Group the graphs of a batch by their number of nodes, so that attention needs no padding.

    Returns:
        The nodes in the order of the groups, (N,) int64; the distinct sizes; the number of graphs of each.
    """
    lengths = np.diff(batch.host.node_offsets)
    sizes, counts = np.unique(lengths, return_counts=True)
    order = np.argsort(np.repeat(lengths, lengths), kind="stable")
    return on_device(order, batch.graph_ids.device), sizes.tolist(), counts.tolist()


def positions(batch: GraphBatch) -> Tensor:
    """Return the longest path from a node without incoming edges and to one without outgoing ones, (N, 2)."""
    ends = batch.host.sources, batch.host.targets
    found = np.zeros((batch.n_nodes, 2), dtype=np.int64)
    for column, (senders, receivers) in enumerate((ends, ends[::-1])):
        for generation, step in enumerate(generations(senders, receivers, batch.n_nodes), start=1):
            found[step.nodes, column] = generation
    return on_device(found, batch.sources.device)


def waves(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Return sine and cosine of numbers (N, k) at W = 10 wave lengths from 4 to 2048: (N, 2 k W)."""
    lengths = torch.tensor(_WAVE_LENGTHS, dtype=dtype, device=numbers.device)
    angles = (numbers.to(dtype).unsqueeze(2) * (2 * math.pi / lengths)).flatten(1)  # (N, k W)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
