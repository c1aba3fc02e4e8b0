"""How many channels each vertex of a NAS-Bench-101 cell has, for whole tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import ArchitectureTable

MAX_VERTICES = 7
FEWEST_CHANNELS = MAX_VERTICES - 2
"""Narrowest cell in which each inner vertex that feeds the output has a channel."""


def dense(table: ArchitectureTable) -> NDArray[np.int64]:
    """Return the adjacency matrices of a pruned table, (A, 7, 7).

    Each output is vertex 6, the other vertices keep their place.

    Raises:
        InvalidArchitectureError: An architecture has more than seven vertices.
    """
    columns = table.columns
    n_nodes = np.diff(columns.node_offsets)
    if n_nodes.max(initial=0) > MAX_VERTICES:
        row = int(n_nodes.argmax())
        raise InvalidArchitectureError(
            f"architecture {row} has {n_nodes[row]} vertices; a NAS-Bench-101 cell has at most {MAX_VERTICES}"
        )
    rows = np.repeat(np.arange(len(columns)), np.diff(columns.edge_offsets))
    targets = np.where(columns.targets == n_nodes[rows] - 1, MAX_VERTICES - 1, columns.targets)
    adjacency = np.zeros((len(columns), MAX_VERTICES, MAX_VERTICES), dtype=np.int64)
    adjacency[rows, columns.sources, targets] = 1
    return adjacency


def inner_vertices(table: ArchitectureTable, operation: str) -> NDArray[np.int64]:
    """Return 1 at the vertices with an inner operation and 0 elsewhere, (A, 7), placed as in `dense`."""
    columns = table.columns
    rows = columns.node_rows()
    chosen = np.array([name == operation for name in table.operations.names], dtype=np.int64)
    vertices = np.zeros((len(columns), MAX_VERTICES), dtype=np.int64)
    vertices[rows, np.arange(len(rows)) - columns.node_offsets[rows]] = chosen[columns.operation_ids]
    return vertices


def vertex_channels(adjacency: NDArray[np.int64], n_out: int) -> NDArray[np.int64]:
    """Return the channels of each vertex as published, (A, 7); the input's stay 0.

    The vertices that feed the output share its channels, the first ones with one more where they do not
    divide evenly; any other has as many as the widest vertex that it feeds.

    Args:
        adjacency: Matrices of `dense`, (A, 7, 7).
        n_out: Channels of the cell's output.

    Raises:
        UsageError: There are fewer than five channels, so that a vertex could be left without.
    """
    if n_out < FEWEST_CHANNELS:
        raise UsageError(
            f"a stage of {n_out} channels is too narrow for NAS-Bench-101, where up to {FEWEST_CHANNELS} "
            f"vertices of a cell share them; give {FEWEST_CHANNELS} or more"
        )
    feeds_output = adjacency[:, 1:-1, -1]  # (A, 5)
    sharing = np.maximum(feeds_output.sum(axis=1, keepdims=True), 1)
    one_more = np.cumsum(feeds_output, axis=1) <= n_out % sharing
    channels = np.zeros(adjacency.shape[:2], dtype=np.int64)
    channels[:, -1] = n_out
    channels[:, 1:-1] = feeds_output * (n_out // sharing + one_more)
    for vertex in range(MAX_VERTICES - 3, 0, -1):
        widest = (adjacency[:, vertex, 1:-1] * channels[:, 1:-1]).max(axis=1)
        channels[:, vertex] = np.where(feeds_output[:, vertex - 1], channels[:, vertex], widest)
    return channels
