"""Each distinct state once: nodes of many graphs with equal cones share what a pass makes of them.

What a node emits in a pass depends on its cone alone: its operation and attributes, and the cones of its
senders. So nodes of any graphs with equal cones have equal states, up to the order in which floats are added.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.flow.maps import Ends, Maps
from archflow.graphs import Columns
from archflow.graphs.columns import IntArray, offsets_of, ragged_positions
from archflow.graphs.keys import UintArray, first_equal, mix, stable_order

_ZEROS, _START = np.uint64(0), np.uint64(0x5851F42D4C957F2D)  # keys of the two states that a run begins with


class _States(NamedTuple):
    """The distinct states at hand, and which of them every node has."""

    values: NDArray[np.floating]  # (n, k)
    keys: UintArray  # (n,)
    of_nodes: IntArray  # (N,)


def simulate_cones(columns: Columns, ends: Ends, maps: Maps) -> NDArray[np.floating]:
    """Simulate all rows at once, each distinct state once.

    Cones are compared as 64-bit hashes of themselves: two different ones are taken for one with a probability
    of about 1 in 2^64 a pair.

    Args:
        columns: The graphs of A architectures; A is at least 1.
        ends: Where the run starts, where it is read, and its passes.
        maps: What nodes make of their messages, k numbers each.

    Returns:
        The sum of the states that are read of each, (A, k).
    """
    first = np.stack([np.zeros_like(maps.start), maps.start])
    states = _States(first, np.array([_ZEROS, _START]), ends.starts.astype(np.int64))
    for backward in [False] * ends.forward + [True] * ends.backward:
        states = _pass(columns, maps, _Order.of(columns, backward=backward), states)
    read = np.flatnonzero(ends.reads)
    values = states.values.take(states.of_nodes[read], axis=0)
    if len(read) == len(columns):
        return values
    return np.add.reduceat(values, np.searchsorted(read, columns.node_offsets[:-1]), axis=0)


@dataclasses.dataclass(frozen=True)
class _Order:
    """The nodes of all graphs by their position in their graph, so that senders come before receivers.

    Attributes:
        nodes: The nodes in this order, (N,) int64.
        places: The place of each node in it, (N,) int64.
        begins: Where the nodes of each position start, and the last ones end, (positions + 1,) int64.
        senders: The places of the nodes that send to each node, (E,) int64, grouped by receiver in order.
        starts: Where each receiver's senders start, (N + 1,) int64.
    """

    nodes: IntArray
    places: IntArray
    begins: IntArray
    senders: IntArray
    starts: IntArray

    @classmethod
    def of(cls, columns: Columns, *, backward: bool) -> _Order:
        """Order the nodes from the first, or against the edges from the last."""
        counts = np.diff(columns.node_offsets)
        ranks = np.empty(len(counts), dtype=np.int64)
        ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))  # the largest have every position
        begins = offsets_of(len(counts) - np.cumsum(np.bincount(counts))[:-1])
        positions = ragged_positions(np.zeros_like(counts), counts)
        if backward:
            positions = np.repeat(counts - 1, counts) - positions
        places = begins[positions] + np.repeat(ranks, counts)
        nodes = np.empty_like(places)
        nodes[places] = np.arange(len(places))

        senders, receivers = columns.global_edges()
        degrees = np.bincount(receivers, minlength=len(nodes))
        starts = offsets_of(degrees)
        if backward:
            size = (len(nodes), len(nodes))
            edges = csr_array((np.ones(len(senders), dtype=bool), senders, starts), shape=size).tocsc()
            senders, starts = edges.indices.astype(np.int64), edges.indptr.astype(np.int64)
            degrees = np.diff(starts)
        degrees = degrees[nodes]
        senders = places[senders[ragged_positions(starts[nodes], degrees)]]
        return cls(nodes, places, begins, senders, offsets_of(degrees))


def _pass(columns: Columns, maps: Maps, order: _Order, before: _States) -> _States:
    """Simulate one pass; nodes without incoming edges keep the state that they have."""
    n_before, degrees = len(before.keys), np.diff(order.starts)
    keys = _keys(columns, maps, order, before)
    firsts = first_equal(keys)
    fresh = np.flatnonzero(firsts == np.arange(len(keys)))[n_before:] - n_before
    # By position, and within one those with most senders first.
    positions, largest = np.searchsorted(order.begins, fresh, side="right"), int(degrees.max())
    fresh = fresh[stable_order(positions * (largest + 1) + largest - degrees[fresh])]
    rows = np.arange(len(keys))
    rows[n_before + fresh] = n_before + np.arange(len(fresh))
    rows = rows[firsts]

    degrees = degrees[fresh]
    starts = offsets_of(degrees)
    senders = rows[n_before + order.senders[ragged_positions(order.starts[fresh], degrees)]]
    nodes = order.nodes[fresh]
    operation_ids = columns.operation_ids[nodes].astype(np.int64)
    attributes = columns.attributes[nodes]
    values = np.empty((n_before + len(fresh), len(maps.start)), dtype=maps.start.dtype)
    values[:n_before] = before.values
    ends = np.cumsum(np.bincount(positions)).tolist()
    for begin, end in zip([0, *ends], ends, strict=False):
        if begin < end:
            known, messages = values[: n_before + begin], values[n_before + begin : n_before + end]
            _sum_up(known, senders, starts[begin : end + 1], messages)
            maps.update(operation_ids[begin:end], attributes[begin:end], messages)
    distinct = np.concatenate([keys[:n_before], keys[n_before + fresh]])
    return _States(values, distinct, rows[n_before + order.places])


def _keys(columns: Columns, maps: Maps, order: _Order, before: _States) -> UintArray:
    """Hash the states at hand and the cone of every node in order, (n + N,); 0 where a state is zeros."""
    n_before = len(before.keys)
    keys = np.concatenate([before.keys, before.keys[before.of_nodes[order.nodes]]])
    operation_ids = columns.operation_ids[order.nodes]
    own = mix(np.arange(len(maps.passes), dtype=np.uint64), np.uint64(0))[operation_ids]
    for numbers in columns.attributes.T:
        bits = np.ascontiguousarray(numbers[order.nodes]).view(np.uint32).astype(np.uint64)
        own = mix(own ^ bits, np.uint64(1))
    passes, zero, degrees = maps.passes[operation_ids], maps.zero[operation_ids], np.diff(order.starts)
    own[passes] = 0  # whatever they are called, they do the same
    receives, unchanged = degrees > 0, passes & (degrees == 1)
    for begin, end in zip(order.begins[:-1].tolist(), order.begins[1:].tolist(), strict=True):
        starts = order.starts[begin : end + 1]
        running = np.zeros(starts[-1] - starts[0] + 1, dtype=np.uint64)  # wraps around, and back
        np.cumsum(keys[n_before + order.senders[starts[0] : starts[-1]]], out=running[1:])
        received = np.diff(running[starts - starts[0]])
        emitted = np.where(unchanged[begin:end], received, mix(received ^ own[begin:end], np.uint64(2)))
        silent = zero[begin:end] | (received == _ZEROS) if maps.quiet else zero[begin:end]
        emitted[silent] = _ZEROS
        np.copyto(keys[n_before + begin : n_before + end], emitted, where=receives[begin:end])
    return keys


def _sum_up(
    values: NDArray[np.floating], senders: IntArray, starts: IntArray, messages: NDArray[np.floating]
) -> None:
    """Fill in the messages, (n, k): sums of rows of values, of one sender or more, most first."""
    degrees = np.diff(starts)[::-1]  # rising
    np.take(values, senders[starts[:-1]], axis=0, out=messages, mode="clip")
    most = int(degrees[-1])
    for number in range(1, most):
        reached = len(degrees) - int(np.searchsorted(degrees, number, side="right"))
        if reached < most - number:  # few with many: row by row
            for row in range(reached):
                rest = senders[starts[row] + number : starts[row + 1]]
                messages[row] += values.take(rest, axis=0).sum(axis=0)
            return
        messages[:reached] += values.take(senders[starts[:reached] + number], axis=0, mode="clip")
