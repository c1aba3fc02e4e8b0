"""Rows that share one wiring: work on them needs no indices, only slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archflow.graphs.columns import Columns, IntArray


def rows_by_wiring(columns: Columns, marked: NDArray[np.bool_]) -> list[IntArray]:
    """Group rows with the same number of nodes, the same edges and the same marked nodes.

    Args:
        columns: The graphs of A architectures.
        marked: Nodes that must stand in the same places, (N,) bool.

    Returns:
        Groups of rows, each ascending; every row is in one. Rows are compared by a 64-bit hash.
    """
    n_nodes = np.diff(columns.node_offsets)
    rng = np.random.default_rng(0)  # any fixed random weights will do
    as_source, as_target, as_marked, as_last = rng.integers(
        0, np.iinfo(np.uint64).max, size=(4, int(n_nodes.max(initial=0)) + 1), dtype=np.uint64
    )
    edge_hashes = as_source.take(columns.sources, mode="clip")  # which spares a check of each index
    edge_hashes *= as_target.take(columns.targets, mode="clip")
    positions = np.flatnonzero(marked)
    rows = columns.node_rows()[positions]
    hashes = as_last[n_nodes] + _sums(edge_hashes, columns.edge_offsets)
    np.add.at(hashes, rows, as_marked[positions - columns.node_offsets[rows]])

    order = np.argsort(hashes, kind="stable")
    changes = np.flatnonzero(np.diff(hashes[order])) + 1
    return np.split(order, changes) if len(order) else []


def _sums(values: NDArray[np.uint64], offsets: IntArray) -> NDArray[np.uint64]:
    running = np.zeros(len(values) + 1, dtype=np.uint64)  # wraps around, and differences wrap back
    np.cumsum(values, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]
