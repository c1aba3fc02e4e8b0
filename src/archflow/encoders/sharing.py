"""Nodes that look alike share their states: message passing over a table, each distinct state once.

After l layers a node's state depends on its view alone: its own start, and, with every edge both ways, the
views that its neighbours had a layer before. Two nodes of any two graphs with equal views have equal states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from archflow.graphs import Columns, GraphBatch
from archflow.graphs.batch import on_device
from archflow.graphs.columns import IntArray, offsets_of, ragged_positions
from archflow.graphs.keys import distinct_rows, mix, stable_order

UintArray = NDArray[np.uint64]

NODES = 131_072
"""Nodes of the graphs that share states with each other: 16,384 cells of eight. They bound the memory."""

_BLOCK = 2048  # nodes whose messages and states fit a core's cache together

# With more distinct nodes than this in the last layer, finding equal ones costs more than it saves: each node
# is then computed with the others of its graph, and added to its graph's mean while it is in the cache.
_WORTH_SHARING = 0.75


class Block(NamedTuple):
    """Some states of a layer, those with most senders first.

    Attributes:
        rows: Which of the layer's states.
        senders: The states that each is made of, itself first, then one an edge, (s,) int64.
        starts: Where each state's senders start, and the last ones end, (b + 1,) int64.
        reach: How many of the states have one edge or more, two or more, and so on: the first so many.
    """

    rows: slice
    senders: Tensor
    starts: Tensor
    reach: list[int]


@runtime_checkable
class SharesStates(Protocol):
    """An encoder whose states depend on views alone, one layer of `layers` a step of the view.

    `embed` prefers `embed_distinct` to calling it: a subclass with another `forward` needs another of both.
    """

    layers: nn.ModuleList

    def embed_distinct(self, columns: Columns, device: torch.device | str) -> Tensor:
        """Return what the encoder gives as graph embeddings, (A, D), without dropout or gradients."""
        ...


@dataclasses.dataclass(frozen=True)
class Reads:
    """What a layer computes and from what: n states, from those of the layer before.

    Attributes:
        senders: The states that each state is made of, itself first, then one an edge, (n + e,) int64.
        offsets: Where each state's senders start, (n + 1,) int64; within a block their number never rises.
        size: States of a block.
        places: The state of every node of the graphs, (N,) int64; without meaning if `graphs` is there.
        node_offsets: Where each graph's nodes start, (A + 1,) int64.
        graphs: The graph of each state, (n,) int64, where each node has one of its own.
    """

    senders: Tensor
    offsets: IntArray
    size: int
    places: Tensor
    node_offsets: Tensor
    graphs: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def own(self) -> Tensor:
        """The state of the layer before that each state belongs to, (n,) int64."""
        return self.senders.index_select(0, on_device(self.offsets[:-1], self.senders.device))

    def blocks(self) -> Iterator[Block]:
        """Yield all states block by block."""
        for begin in range(0, len(self), self.size):
            rows = slice(begin, min(begin + self.size, len(self)))
            offsets = self.offsets[begin : rows.stop + 1]
            edges = np.bincount(np.diff(offsets) - 1)
            reach = np.cumsum(edges[::-1])[-2::-1].tolist()
            starts = on_device(offsets - offsets[0], self.senders.device)
            yield Block(rows, self.senders[offsets[0] : offsets[-1]], starts, reach)

    def collect(self, blocks: Iterable[tuple[slice, Tensor]], like: Tensor) -> Tensor:
        """Put blocks of states together, (n, D), of the type of `like`, (m, D)."""
        states = like.new_empty(len(self), like.shape[1])
        for rows, block in blocks:
            states[rows] = block
        return states

    def mean_over_nodes(self, states: Tensor) -> Tensor:
        """Average states (n, D) over the nodes of each graph: (A, D)."""
        return nn.functional.embedding_bag(
            self.places, states, self.node_offsets, mode="mean", include_last_offset=True
        )

    def mean_of_blocks(self, blocks: Iterable[tuple[slice, Tensor]], like: Tensor) -> Tensor:
        """Average blocks of states over the nodes of each graph, (A, D), of the type of `like`, (m, D)."""
        if self.graphs is None:
            return self.mean_over_nodes(self.collect(blocks, like))
        sums = like.new_zeros(len(self.node_offsets) - 1, like.shape[1])
        for rows, block in blocks:
            sums.index_add_(0, self.graphs[rows], block)
        return sums.div_(torch.diff(self.node_offsets).unsqueeze(1))


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Which nodes of A graphs share their states, layer by layer; graphs that look alike are one.

    Attributes:
        starts: A node for each distinct start, as graphs of one node and no edge.
        layers: What each layer reads, of the B distinct graphs.
        graphs: The distinct graph of each graph, (A,) int64.
    """

    starts: GraphBatch
    layers: tuple[Reads, ...]
    graphs: Tensor

    def __len__(self) -> int:
        return len(self.layers[0].node_offsets) - 1

    def of_all(self, embeddings: Tensor) -> Tensor:
        """Return the embedding of each graph, (A, D), from those of the distinct ones, (B, D)."""
        return embeddings if len(self) == len(self.graphs) else embeddings.index_select(0, self.graphs)

    @classmethod
    def of(cls, columns: Columns, layers: int, device: torch.device | str = "cpu") -> Self:
        """Group the nodes of A graphs by their views, of none to so many layers.

        Views are compared as 64-bit hashes of themselves: two different ones are taken for one with a
        probability of about 1 in 2^64 a pair.
        """
        adjacency = _adjacency(columns)
        colours = list(_colours(columns, adjacency, layers))
        kept, graphs = distinct_rows(_row_keys(colours[-1], columns))
        lengths = np.diff(columns.node_offsets)[kept]
        node_offsets, members = offsets_of(lengths), ragged_positions(columns.node_offsets[kept], lengths)

        # A device with memory of its own gets everything at once.
        size = _BLOCK if torch.device(device).type == "cpu" else max(len(members), 1)

        def moved(*arrays: IntArray) -> list[Tensor]:
            return [on_device(array, device) for array in arrays]

        counts = np.diff(adjacency.indptr).astype(np.int64)  # scipy may narrow them
        nodes, places = _grouped(colours[0], counts, members)
        starts = _alone(columns, nodes)
        reads = []
        for layer, refined in enumerate(colours[1:], 1):
            before, owners = places, None
            if layer == layers and _distinct_at_least(refined[members]) > _WORTH_SHARING * len(members):
                nodes, owners = _by_block(members, counts, lengths, size)
            else:
                nodes, places = _grouped(refined, counts, members)
            edges = adjacency.indices[ragged_positions(adjacency.indptr[nodes], counts[nodes])]
            senders, own_places, ends = moved(before[edges], places[members], node_offsets)
            own_graphs = None if owners is None else moved(owners)[0]
            reads.append(Reads(senders, offsets_of(counts[nodes]), size, own_places, ends, own_graphs))
        return cls(GraphBatch.of(starts, device), tuple(reads), *moved(graphs))


def gather(states: Tensor, rows: Tensor) -> Tensor:
    """Return rows, (n,), of states (m, D): `index_select`, but on a CPU the next rows are fetched ahead."""
    return nn.functional.embedding_bag(rows.unsqueeze(1), states, mode="sum")


def view_keys(columns: Columns, layers: int) -> UintArray:
    """Hash every graph by the views of its nodes: equal where so many layers give equal node states.

    Args:
        columns: Any number A of graphs; handled `NODES` nodes at a time.
        layers: Steps that a view reaches.

    Returns:
        (A,) uint64; isomorphic graphs agree, and so do graphs that the layers cannot tell apart.
    """
    keys = [np.zeros(0, dtype=np.uint64)]
    for rows in chunks(columns, np.arange(len(columns))):
        part = columns.take(rows)
        *_, last = _colours(part, _adjacency(part), layers)
        keys.append(_row_keys(last, part))
    return np.concatenate(keys)


def chunks(columns: Columns, rows: IntArray) -> Iterator[IntArray]:
    """Cut rows, (B,), into pieces of at most `NODES` nodes, or of one row."""
    ends = np.cumsum(np.diff(columns.node_offsets)[rows])
    begin = 0
    while begin < len(rows):
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + NODES, side="right")), begin + 1)
        yield rows[begin:end]
        begin = end


def _adjacency(columns: Columns) -> sparse.csr_array:
    """Return ones from each node to itself, first, and to its neighbours, one an edge either way."""
    sources, targets = columns.global_edges()
    every = np.arange(len(columns.operation_ids))
    receivers = np.concatenate([every, targets, sources])
    senders = np.concatenate([every, sources, targets])[np.argsort(receivers, kind="stable")]
    starts = offsets_of(np.bincount(receivers, minlength=len(every)))
    ones = np.ones(len(senders), dtype=np.uint64)
    return sparse.csr_array((ones, senders, starts), shape=(len(every), len(every)))


def _colours(columns: Columns, adjacency: sparse.csr_array, layers: int) -> Iterator[UintArray]:
    """Yield a hash of each node's view, (N,), of no layer, then of one more each time."""
    colours = start_colours(columns.operation_ids, columns.attributes)
    yield colours
    for _ in range(layers):
        # The sum holds the node itself too, which is known: what is left are its neighbours.
        colours = mix(colours ^ mix(adjacency @ mix(colours, np.uint64(2)), np.uint64(3)), np.uint64(4))
        yield colours


def start_colours(operation_ids: NDArray[np.integer], attributes: NDArray[np.float32]) -> UintArray:
    """Hash what each node starts from, (N,): its operation, (N,), and its attributes, (N, F)."""
    colours = mix(operation_ids.astype(np.uint64), np.uint64(0))
    for numbers in attributes.T:
        bits = np.ascontiguousarray(numbers).view(np.uint32).astype(np.uint64)
        colours = mix(colours ^ bits, np.uint64(1))
    return colours


def _row_keys(colours: UintArray, columns: Columns) -> UintArray:
    if not len(columns):
        return colours
    return np.add.reduceat(mix(colours, np.uint64(5)), columns.node_offsets[:-1])


def _distinct_at_least(colours: UintArray) -> int:
    """Return how many slots of a large table the colours take: their number, or a few per cent less."""
    bits = (16 * len(colours)).bit_length()
    taken = np.zeros(1 << bits, dtype=bool)
    taken[colours >> np.uint64(64 - bits)] = True
    return int(np.count_nonzero(taken))


def _grouped(colours: UintArray, counts: IntArray, members: IntArray) -> tuple[IntArray, IntArray]:
    """Return a node of each distinct colour, those with most senders first, and the place of every member."""
    kept, groups = distinct_rows(colours[members])
    order = _by_falling(counts[members[kept]])
    nodes = members[kept[order]]
    places = np.zeros(len(colours), dtype=np.int64)
    places[nodes] = np.arange(len(nodes))
    places[members] = places[members[kept]][groups]
    return nodes, places


def _by_block(members: IntArray, counts: IntArray, lengths: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """Return all members, in each block of that size those with most senders first, and their graphs."""
    order = _by_falling(counts[members], np.arange(len(members)) // size)
    return members[order], np.repeat(np.arange(len(lengths)), lengths)[order]


def _by_falling(counts: IntArray, blocks: IntArray | int = 0) -> IntArray:
    """Return positions, (n,), that put counts in falling order, one block after the other; ties stay."""
    fewer = counts.max(initial=0) - counts
    return stable_order(blocks * (fewer.max(initial=0) + 1) + fewer)


def _alone(columns: Columns, nodes: IntArray) -> Columns:
    nothing = np.zeros(0, dtype=np.int32)
    offsets = np.arange(len(nodes) + 1), np.zeros(len(nodes) + 1, dtype=np.int64)
    return Columns(
        columns.operation_ids[nodes], offsets[0], nothing, nothing, offsets[1], columns.attributes[nodes]
    )
