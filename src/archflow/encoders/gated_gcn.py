"""Residual gated graph convolutional network (Bresson and Laurent, arXiv 1711.07553)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from archflow.encoders.message_passing import NodeEmbedding, sum_by_receiver, undirected_edges
from archflow.encoders.sharing import Reads, Sharing, gather
from archflow.graphs import Columns, GraphBatch

# How much of the first node states each layer's input keeps, as in FGP's reference implementation.
_KEPT = 0.2

# e to the power of this, times a value, is still a float32.
_LARGEST_EXPONENT = 40.0
_LOG2_E = math.log2(math.e)


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

    @torch.no_grad()
    def embed_distinct(self, columns: Columns, device: torch.device | str = "cpu") -> Tensor:
        """Return the graph embeddings of A graphs, (A, D), without dropout and gradients.

        Every distinct state is computed once (`Sharing`).
        """
        sharing = Sharing.of(columns, len(self.layers), device)
        states = self.embedding(sharing.starts)
        kept, starts = _KEPT * states, torch.arange(len(states), device=device)  # of every state: its start
        blocks: Iterable[tuple[slice, Tensor]] = [(slice(len(states)), states)]
        for layer, reads in zip(cast(Iterable[GatedGCNLayer], self.layers), sharing.layers, strict=True):
            mapped = layer.map_blocks(blocks, len(starts), states)
            starts = starts.index_select(0, reads.own)
            blocks = _keeping(kept, starts, layer.blocks(mapped, reads))
        return sharing.of_all(reads.mean_of_blocks(blocks, states))


def _keeping(
    kept: Tensor, starts: Tensor, blocks: Iterable[tuple[slice, Tensor]]
) -> Iterator[tuple[slice, Tensor]]:
    """Turn what a layer gives into the next states, block by block: each keeps a part of its start."""
    for rows, block in blocks:
        yield rows, kept.index_select(0, starts[rows]).add_(block.relu_(), alpha=1 - _KEPT)


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

    def map_blocks(
        self, blocks: Iterable[tuple[slice, Tensor]], count: int, like: Tensor
    ) -> tuple[Tensor, ...]:
        """Apply the four maps to blocks of m = `count` states, each while it is in the cache: (m, D) each."""
        maps = tuple(like.new_empty(count, like.shape[1]) for _ in range(4))
        parameters = self.maps.weight.chunk(4), self.maps.bias.chunk(4)
        for rows, block in blocks:
            for mapped, weight, bias in zip(maps, *parameters, strict=True):
                torch.addmm(bias, block, weight.T, out=mapped[rows])
        return maps

    def blocks(self, maps: tuple[Tensor, ...], reads: Reads) -> Iterator[tuple[slice, Tensor]]:
        """Compute the next layer's states (n, D), block by block, of the four maps, which it overwrites.

        The exponentials of the gates are taken of nodes, not of edges: e^q v / (e^q + e^-k) is
        sigmoid(k + q) v. A GPU, which has them to spare, would have to be asked whether they are finite.
        """
        keys, queries, values, kept = maps
        small = keys.device.type == "cpu" and _largest(keys, queries) < _LARGEST_EXPONENT
        if small:  # powers of two: those of e take three times as long
            keys.mul_(-_LOG2_E).exp2_()
            values.mul_(queries.mul_(_LOG2_E).exp2_())
        for rows, senders, starts, reach in reads.blocks():
            own = senders.index_select(0, starts[:-1])
            total, receiving = gather(kept, own), gather(keys, own)
            for number, some in enumerate(reach, 1):
                edges = senders.index_select(0, starts[:some] + number)
                sent, gates = gather(values, edges), gather(queries, edges).add_(receiving[:some])
                if small:
                    total[:some].addcdiv_(sent, gates)
                else:
                    total[:some].addcmul_(sent, gates.sigmoid_())
            yield rows, total


def _largest(*values: Tensor) -> float:
    """Return the largest absolute value."""
    ends = torch.stack([end for one in values for end in one.aminmax()])
    return float(ends.abs().amax())
