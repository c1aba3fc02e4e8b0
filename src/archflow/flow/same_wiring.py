"""Narrow states of rows that share one wiring: node by node, all rows at once, without an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archflow.flow.maps import Ends, Maps
from archflow.graphs import Columns


def of_one_wiring(columns: Columns, starts: NDArray[np.bool_]) -> bool:
    """Return whether all rows have equally many nodes, the same edges and the same starts, (N,)."""
    counts = np.diff(columns.node_offsets), np.diff(columns.edge_offsets)
    if not all((count == count[0]).all() for count in counts):
        return False
    n_nodes, n_edges = (int(count[0]) for count in counts)
    each = (columns.sources, n_edges), (columns.targets, n_edges), (starts, n_nodes)
    return all(_rows_agree(values, size) for values, size in each)


def simulate_wiring(columns: Columns, ends: Ends, maps: Maps) -> NDArray[np.floating]:
    """Simulate all rows at once, node by node.

    Args:
        columns: The graphs of A architectures of one wiring that start in the same places; A is at least 1.
        ends: Where the run starts, where it is read, and its passes.
        maps: What nodes make of their messages, k numbers each.

    Returns:
        The sum of the states that are read of each, (A, k).
    """
    count, n_nodes = len(columns), int(columns.node_offsets[1])
    edges = slice(columns.edge_offsets[1])
    before: list[list[int]] = [[] for _ in range(n_nodes)]
    after: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in zip(columns.sources[edges].tolist(), columns.targets[edges].tolist(), strict=True):
        before[target].append(source)
        after[source].append(target)
    operation_ids = columns.operation_ids.reshape(count, n_nodes).T.astype(np.int64, order="C")
    attributes = columns.attributes.reshape(count, n_nodes, columns.attributes.shape[1]).swapaxes(0, 1)

    zeros = np.zeros((count, len(maps.start)), dtype=maps.start.dtype)
    states = [zeros] * n_nodes
    for node in _marked(ends.starts[:n_nodes]):
        states[node] = maps.start[None].repeat(count, axis=0)
    nodes = range(n_nodes)
    for order, senders in [(nodes, before)] * ends.forward + [(nodes[::-1], after)] * ends.backward:
        for node in order:
            if senders[node]:
                states[node] = _summed([states[sender] for sender in senders[node]])
                maps.update(operation_ids[node], attributes[node], states[node])
    reads = ends.reads.reshape(count, n_nodes)
    if _rows_agree(ends.reads, n_nodes):
        return _summed([states[node] for node in _marked(reads[0])])
    return _summed([state * read[:, None] for state, read in zip(states, reads.T, strict=True)])


def _rows_agree(values: NDArray[np.generic], size: int) -> bool:
    """Return whether rows of that size, one after the other, are all the same."""
    return bool((values[size:] == values[: len(values) - size]).all())


def _marked(few: NDArray[np.bool_]) -> list[int]:
    """Return where a few nodes are marked; NumPy's way takes longer than a small wiring's simulation."""
    return [node for node, marked in enumerate(few.tolist()) if marked]


def _summed(states: list[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Add up one or more states, (B, k) each, into new ones."""
    if len(states) == 1:
        return states[0].copy()
    summed = states[0] + states[1]
    for state in states[2:]:
        summed += state
    return summed
