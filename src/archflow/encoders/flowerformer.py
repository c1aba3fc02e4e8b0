"""FlowerFormer: a graph transformer that knows how data flows (Hwang et al., CVPR 2024, arXiv 2403.12821)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders.asynchronous import AsynchronousPass, Schedule
from archflow.encoders.message_passing import NodeEmbedding
from archflow.graphs import GraphBatch
from archflow.graphs.columns import IntArray, ragged_positions

_MOST_HEADS = 8
# Rows of a block that small graphs share: the attention kernel does two halves slower than one such block.
_BLOCK = 16
# Rows of the block of a larger graph are a multiple of this, which suits vector instructions.
_ROUND = 8
# Largest ratio of the rows needed by blocks of a group: at most so much is padding.
_ALIKE = 1.5
# Pairs of rows of a group, unless a single block has more: bounds the memory of a mask.
_PAIRS = 1 << 22


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
        pairs = FlowPairs.of(batch, schedule)
        states = self.embedding(batch).index_select(0, schedule.order)  # (N, D)
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
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.flow_norm, self.attention_norm, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, schedule: Schedule, pairs: FlowPairs) -> Tensor:
        """Map node states (N, D), in the order of the schedule, to (N, D)."""
        flowed = self.forward_pass(states, schedule.forward)
        flowed = self.backward_pass(flowed, schedule.backward).relu()
        attended = self.attention(states, pairs)
        joined = self.flow_norm(states + self.dropout(flowed))
        joined = joined + self.attention_norm(states + self.dropout(attended))
        updated: Tensor = self.norm(joined + self.dropout(self.mlp(joined)))
        return updated


class FlowAttention(nn.Module):
    """Multi-head attention of each node to those that it reaches, those that reach it, and itself.

    Args:
        width: D, the width of input and output; its largest divisor up to 8 is the number of heads.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(heads for heads in range(1, _MOST_HEADS + 1) if width % heads == 0)
        # One product for queries, keys and values.
        self.maps = nn.Linear(width, 3 * width, bias=False)
        self.join = nn.Linear(width, width)

    def forward(self, states: Tensor, pairs: FlowPairs) -> Tensor:
        """Map node states (N, D), in the order of the schedule, to (N, D)."""
        width = states.shape[1]
        padded = self.maps(states).index_select(0, pairs.nodes)  # (P, 3 D)
        attended = [padded.new_empty(0, width)]
        for group, mask in zip(padded.split(pairs.sizes), pairs.masks, strict=True):
            heads = group.view(len(mask), mask.shape[-1], 3, self.heads, -1)
            queries, keys, values = heads.permute(2, 0, 3, 1, 4)  # (b, H, S, D / H) each
            values = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            attended.append(values.transpose(1, 2).reshape(-1, width))
        joined: Tensor = self.join(torch.cat(attended).index_select(0, pairs.rows))
        return joined


@dataclasses.dataclass(frozen=True)
class FlowPairs:
    """Which nodes lie on a common path, in blocks of the same number of rows S for their nodes and padding.

    Small graphs share a block, in which each sees itself alone. Blocks of about the same size are a group.

    Attributes:
        nodes: The place of the node in every row of every block in the order of the schedule, (P,) int64; 0
            in padding.
        rows: The row of each place's node, (N,) int64.
        sizes: The number b * S of rows of each group.
        masks: Whether two rows of a block see each other, (b, 1, S, S) bool for each group; padding
            sees itself.
    """

    nodes: Tensor
    rows: Tensor
    sizes: list[int]
    masks: list[Tensor]

    @classmethod
    def of(cls, batch: GraphBatch, schedule: Schedule) -> FlowPairs:
        """Find the pairs of a batch."""
        places, offsets = schedule.places.cpu().numpy(), batch.node_offsets.cpu().numpy()
        counts = np.diff(offsets)
        graphs = np.argsort(counts, kind="stable")
        counts = counts[graphs]  # ascending
        members = places[ragged_positions(offsets[graphs], counts)]  # (N,), graph by graph

        # As many graphs of one size share a block as fit in.
        shared = np.maximum(_BLOCK // np.maximum(counts, 1), 1)
        turn = (np.arange(len(counts)) - np.searchsorted(counts, counts)) % shared
        blocks = np.cumsum(turn == 0) - 1  # of each graph
        columns = ragged_positions(turn * counts, counts)  # of each member in its block
        needed = np.maximum(-(-counts[turn == 0] // _ROUND) * _ROUND, _BLOCK)  # rows of each block, ascending

        starts = np.empty(len(needed), dtype=np.int64)  # first row of each block
        groups: list[tuple[int, int, int]] = []
        begin = total = 0
        while begin < len(needed):
            end = int(np.searchsorted(needed, _ALIKE * needed[begin], "right"))
            size = int(needed[end - 1])
            end = min(end, begin + max(1, _PAIRS // size**2))
            starts[begin:end] = total + size * np.arange(end - begin)
            groups.append((end - begin, size, total))
            begin, total = end, total + size * (end - begin)

        at = np.repeat(starts[blocks], counts) + columns  # row of each member
        nodes, rows = np.zeros(total, dtype=np.int64), np.empty_like(places)
        nodes[at], rows[members] = members, at
        reached = _reached(members, columns, int(needed.max(initial=0)), schedule)
        device = batch.graph_ids.device
        masks = []
        for count, size, first in groups:
            own = slice(*np.searchsorted(at, [first, first + count * size]))
            mask = np.zeros((count, size, size), dtype=bool)
            mask.reshape(-1, size)[at[own] - first] = reached[members[own], :size]
            mask |= mask.transpose(0, 2, 1)
            mask |= np.eye(size, dtype=bool)
            masks.append(torch.from_numpy(mask).unsqueeze(1).to(device))
        sizes = [count * size for count, size, _ in groups]
        return cls(torch.from_numpy(nodes).to(device), torch.from_numpy(rows).to(device), sizes, masks)


def _reached(members: IntArray, columns: IntArray, width: int, schedule: Schedule) -> NDArray[np.uint8]:
    """Find what reaches each node.

    Args:
        members: The place of every node, (N,).
        columns: A number for each of them, (N,), that no other node of its graph has.
        width: W, a multiple of 8 above all numbers.
        schedule: The schedule of the batch.

    Returns:
        For each place, ones at the numbers of the nodes that reach it, its own among them, (N, W).
    """
    bits = np.zeros((len(members), width // 8), dtype=np.uint8)
    bits[members, columns // 8] = 1 << (columns % 8)
    begin = 0
    for size, senders in zip(schedule.forward.sizes, schedule.forward.senders, strict=True):
        if senders is not None:
            arriving = bits[senders.nodes.cpu().numpy()]
            starts = senders.offsets[:-1].cpu().numpy()
            bits[begin : begin + size] |= np.bitwise_or.reduceat(arriving, starts, axis=0)
        begin += size
    return np.unpackbits(bits, axis=1, bitorder="little")
