"""Attention between nodes on a common path, of all graphs of a batch at once."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders.asynchronous import Schedule
from archflow.graphs import GraphBatch
from archflow.graphs.batch import on_device
from archflow.graphs.columns import IntArray, ragged_positions
from archflow.graphs.generations import Step

_MOST_HEADS = 8
# Rows of a block that small graphs share: the attention kernel does two halves slower than one such block.
_BLOCK = 16
# Rows of the block of a larger graph are a multiple of this, which suits vector instructions.
_ROUND = 8
# Largest ratio of the rows needed by blocks of a group: at most so much is padding.
_ALIKE = 1.5
# Pairs of rows of a group, unless a single block has more: bounds the memory of a mask.
_PAIRS = 1 << 22
# Graphs of one size are a stack if they are so many, and no larger than this: the kernel is faster otherwise.
_MANY = 48
_SMALL = 16


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
        blocks = self._in_blocks(states, pairs)
        if not pairs.stacks:
            joined: Tensor = self.join(blocks.index_select(0, pairs.rows))
            return joined
        stacks = (self._in_stack(states.index_select(0, stack.nodes), stack.mask) for stack in pairs.stacks)
        return torch.cat([self.join(blocks), *stacks]).index_select(0, pairs.rows)

    def _in_blocks(self, states: Tensor, pairs: FlowPairs) -> Tensor:
        """Attend within blocks: (N, D) to (P, D), before they are joined."""
        width = states.shape[1]
        attended = [states.new_empty(0, width)]
        if pairs.sizes:
            padded = self.maps(states).index_select(0, pairs.nodes)  # (P, 3 D)
            for group, mask in zip(padded.split(pairs.sizes), pairs.masks, strict=True):
                heads = group.view(len(mask), mask.shape[-1], 3, self.heads, -1)
                queries, keys, values = heads.permute(2, 0, 3, 1, 4)  # (b, H, S, D / H) each
                values = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
                attended.append(values.transpose(1, 2).reshape(-1, width))
        return torch.cat(attended)

    def _in_stack(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend within graphs of S nodes, (S G, D) to (S G, D), given a mask (S, S, 1, G).

        Graphs are the last dimension, the one that vector instructions run along: a graph of few nodes has
        products too small for anything else. The maps before and after transpose on the way.
        """
        size, _, _, count = mask.shape
        mapped = torch.mm(self.maps.weight, states.t()).view(3, self.heads, -1, size, count)
        queries, keys, values = mapped.permute(0, 3, 1, 2, 4)  # (S, H, D / H, G) each
        queries = (queries * queries.shape[2] ** -0.5).unsqueeze(1)
        scores = torch.addcmul(mask.to(states.dtype), queries[:, :, :, 0], keys[:, :, 0])  # (S, S, H, G)
        for place in range(1, keys.shape[2]):
            scores.addcmul_(queries[:, :, :, place], keys[:, :, place])
        shares = scores.softmax(1).unsqueeze(3)
        attended = torch.empty_like(mapped[0])  # (H, D / H, S, G)
        sums = attended.permute(2, 0, 1, 3)
        torch.mul(shares[:, 0], values[0], out=sums)
        for sender in range(1, size):
            sums.addcmul_(shares[:, sender], values[sender])
        joined: Tensor = self.join(attended.view(-1, size * count).t())
        return joined


@dataclasses.dataclass(frozen=True)
class Stack:
    """Which nodes lie on a common path, in G graphs of S nodes each.

    Attributes:
        nodes: The place of every node in the order of the schedule, (S G,) int64: first nodes first.
        mask: What is added to the score of two nodes, (S, S, 1, G): 0, or minus infinity where no path joins
            them.
    """

    nodes: Tensor
    mask: Tensor


@dataclasses.dataclass(frozen=True)
class FlowPairs:
    """Which nodes lie on a common path, in blocks of the same number of rows S for their nodes and padding.

    Small graphs share a block, in which each sees itself alone. Blocks of about the same size are a group.
    Many small graphs of one size may be a stack instead, which takes half the time, without gradients.

    Attributes:
        nodes: The place of the node in every row of every block in the order of the schedule, (P,) int64; 0
            in padding.
        rows: The row of each place's node, (N,) int64; those of stacks follow on those of blocks.
        sizes: The number b * S of rows of each group.
        masks: Whether two rows of a block see each other, (b, 1, S, S) bool for each group; padding
            sees itself.
        stacks: The stacks, in the order of their rows.
    """

    nodes: Tensor
    rows: Tensor
    sizes: list[int]
    masks: list[Tensor]
    stacks: list[Stack] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, batch: GraphBatch, schedule: Schedule, stacked: bool = False) -> Self:
        """Find the pairs of a batch; `stacked` allows stacks."""
        places, offsets, device = schedule.host_places, batch.host.node_offsets, batch.graph_ids.device
        counts = np.diff(offsets)
        many = np.flatnonzero(np.bincount(counts)[: _SMALL + 1] >= _MANY) if stacked else counts[:0]
        piles = [offsets[:-1][counts == size] + np.arange(size)[:, None] for size in many]  # (S, G) each
        graphs = np.argsort(counts, kind="stable")
        graphs = graphs[~np.isin(counts[graphs], many)]
        counts = counts[graphs]  # ascending
        members = ragged_positions(offsets[graphs], counts)  # graph by graph

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
        nodes, rows, numbers = np.zeros(total, dtype=np.int64), np.empty_like(places), np.empty_like(places)
        nodes[at], rows[places[members]], numbers[members] = places[members], at, columns
        for pile in piles:
            rows[places[pile]] = total + np.arange(pile.size).reshape(pile.shape)
            numbers[pile] = np.arange(len(pile))[:, None]
            total += pile.size

        reached = _reached(numbers, int(needed.max(initial=_BLOCK)), schedule.generations)
        masks = []
        for count, size, first in groups:
            own = slice(*np.searchsorted(at, [first, first + count * size]))
            mask = np.zeros((count, size, size), dtype=bool)
            mask.reshape(-1, size)[at[own] - first] = reached[members[own], :size]
            mask |= mask.transpose(0, 2, 1)
            mask |= np.eye(size, dtype=bool)
            masks.append(on_device(mask, device).unsqueeze(1))
        stacks = []
        for pile in piles:
            joined = reached[pile, : len(pile)].transpose(0, 2, 1)  # (S, S, G)
            apart = (joined | joined.transpose(1, 0, 2)) == 0
            hidden = np.where(apart, np.float32(-np.inf), np.float32(0))[:, :, None]
            stacks.append(Stack(on_device(places[pile].ravel(), device), on_device(hidden, device)))
        sizes = [count * size for count, size, _ in groups]
        return cls(on_device(nodes, device), on_device(rows, device), sizes, masks, stacks)


def _reached(numbers: IntArray, width: int, generations: list[Step]) -> NDArray[np.uint8]:
    """Find what reaches each node.

    Args:
        numbers: A number for each node, (N,), that no other node of its graph has.
        width: W, a multiple of 8 above all numbers.
        generations: The generations from the second on.

    Returns:
        For each node, ones at the numbers of the nodes that reach it, its own among them, (N, W).
    """
    bits = np.zeros((len(numbers), width // 8), dtype=np.uint8)
    bits[np.arange(len(numbers)), numbers // 8] = 1 << (numbers % 8)
    for step in generations:
        bits[step.nodes] |= np.bitwise_or.reduceat(bits[step.senders], step.starts[:-1], axis=0)
    return np.unpackbits(bits, axis=1, bitorder="little")
