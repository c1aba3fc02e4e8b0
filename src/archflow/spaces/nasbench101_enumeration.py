"""Every NAS-Bench-101 cell, one of each isomorphism class, by array operations alone.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019. A wiring of
n vertices is a bit pattern with one bit for each entry above the diagonal, column by column. Patterns are
tried in ascending order and labellings with the first vertex varying slowest, and the first of each class is
kept, as in the published enumeration; the cells therefore have the published vertex order.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from archflow.graphs import INPUT, OUTPUT, ArchitectureTable, Columns, Operations
from archflow.graphs.columns import IntArray, offsets_of


@functools.cache
def enumerate_cells(operations: Operations, max_vertices: int, max_edges: int) -> ArchitectureTable:
    """Return the cells whose vertices all lie on a path from the input to the output.

    Args:
        operations: The vocabulary; everything in it but input and output may label an inner vertex.
        max_vertices: Most vertices of a cell, input and output included.
        max_edges: Most edges of a cell.

    Returns:
        One cell of each isomorphism class, by number of vertices, then wiring, then labels. The table is made
        once a process and shared: treat its arrays as read-only.
    """
    return ArchitectureTable.concatenate(
        [_labelled(_wirings(n, max_edges), n, operations) for n in range(2, max_vertices + 1)]
    )


def _wirings(n: int, max_edges: int) -> Columns:
    """Return one representative of each class of unlabelled wirings of n vertices."""
    pairs = np.array([(source, target) for target in range(n) for source in range(target)], dtype=np.int32)
    bits = np.int64(1) << np.arange(len(pairs))
    patterns = np.arange(1 << len(pairs))
    for vertex in range(n):
        # With a vertex order, no loose end means that every vertex is on an input-output path.
        if vertex > 0:
            patterns = patterns[patterns & bits[pairs[:, 1] == vertex].sum() != 0]
        if vertex < n - 1:
            patterns = patterns[patterns & bits[pairs[:, 0] == vertex].sum() != 0]
    n_edges = np.zeros(len(patterns), dtype=np.int64)
    for bit in bits:
        n_edges += patterns & bit != 0
    present = patterns[n_edges <= max_edges, None] & bits != 0  # (wirings, pairs)

    unlabelled = Operations.of(["vertex"])
    ids = np.full((len(present), n), unlabelled.id("vertex"), dtype=np.int16)
    ids[:, 0], ids[:, -1] = unlabelled.id(INPUT), unlabelled.id(OUTPUT)
    edges = pairs[np.nonzero(present)[1]]  # by pattern, then target, then source
    columns = Columns(
        ids.reshape(-1),
        np.arange(len(present) + 1, dtype=np.int64) * n,
        np.ascontiguousarray(edges[:, 0]),
        np.ascontiguousarray(edges[:, 1]),
        offsets_of(present.sum(axis=1)),
        np.zeros((ids.size, 0), dtype=np.float32),
    )
    return columns.take(_first_of_each_class(ArchitectureTable(columns, unlabelled)))


def _labelled(wirings: Columns, n: int, operations: Operations) -> ArchitectureTable:
    """Return each wiring with each labelling of its inner vertices, one of each class."""
    choices = np.flatnonzero(~operations.mask([INPUT, OUTPUT]))
    count = len(choices) ** (n - 2)
    places = len(choices) ** np.arange(n - 3, -1, -1)
    labels = np.empty((count, n), dtype=np.int16)
    labels[:, 0], labels[:, -1] = operations.id(INPUT), operations.id(OUTPUT)
    labels[:, 1:-1] = choices[np.arange(count)[:, None] // places % len(choices)]

    columns = wirings.take(np.repeat(np.arange(len(wirings)), count))
    columns = dataclasses.replace(columns, operation_ids=np.tile(labels.reshape(-1), len(wirings)))
    table = ArchitectureTable(columns, operations)
    return table[_first_of_each_class(table)]


def _first_of_each_class(table: ArchitectureTable) -> IntArray:
    return np.sort(np.unique(table.keys(), return_index=True)[1])
