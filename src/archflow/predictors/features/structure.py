"""What the wiring and the operations of graphs look like, in numbers, for tables of any length.

Each function sees the graphs in the form that the table has; `ArchitectureTable.in_form` gives another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.graphs import (
    INPUT,
    LOGARITHM,
    OUTPUT,
    ArchitectureTable,
    AttributeScale,
    Columns,
    Operations,
)
from archflow.graphs.columns import ragged_positions
from archflow.graphs.distinct_cones import DistinctCones
from archflow.graphs.keys import mix
from archflow.predictors.features.chunks import in_chunks
from archflow.predictors.features.paths import cones_of_operations, count_paths, heaviest_paths
from archflow.protocols import FloatArray

LARGEST_PAIRED = 32
"""Vocabularies up to this size have a column for each pair of operations in `edge_counts`."""

HASHED_COLUMNS = LARGEST_PAIRED**2
"""Columns of `edge_counts` that the pairs of a larger vocabulary share."""

_AT_ONCE = 64  # operations whose heaviest paths are found in one pass


def operation_counts(table: ArchitectureTable) -> FloatArray:
    """Count how often each operation occurs.

    Args:
        table: A architectures over d operations.

    Returns:
        (A, d) float64.
    """
    width = len(table.operations)

    def compute(columns: Columns) -> FloatArray:
        cells = columns.node_rows() * width + columns.operation_ids
        return np.bincount(cells, minlength=len(columns) * width).reshape(-1, width).astype(np.float64)

    return in_chunks(compute, table, width)


def edge_counts(table: ArchitectureTable) -> FloatArray:
    """Count edges by the operations that they join; parallel edges count each.

    Args:
        table: A architectures over d operations.

    Returns:
        (A, d * d) float64, the edges from operation s to operation t in column s * d + t. Where d is above
        32, (A, 1024): the number s * d + t is hashed (`archflow.graphs.keys.mix` with salt 0, modulo 1024),
        so that pairs may share a column, always the same ones.
    """
    size = len(table.operations)
    width = size**2 if size <= LARGEST_PAIRED else HASHED_COLUMNS

    def compute(columns: Columns) -> FloatArray:
        sources, targets = columns.global_edges()
        ids = columns.operation_ids.astype(np.int64)
        pairs = ids[sources] * size + ids[targets]
        if size > LARGEST_PAIRED:
            hashed = mix(pairs.astype(np.uint64), np.uint64(0)) % np.uint64(HASHED_COLUMNS)
            pairs = hashed.astype(np.int64)
        rows = np.repeat(np.arange(len(columns)), np.diff(columns.edge_offsets))
        cells = np.bincount(rows * width + pairs, minlength=len(columns) * width)
        return cells.reshape(-1, width).astype(np.float64)

    return in_chunks(compute, table, width)


def path_statistics(table: ArchitectureTable) -> FloatArray:
    """Describe the paths from an input to the output.

    Parallel edges make paths of their own. Shares are the mean number of nodes of an operation on a path:
    exact up to rounding the quotient while nodes times paths stay below 2^53, right to rounding beyond.

    Args:
        table: A architectures over d operations.

    Returns:
        (A, 4 + 2 d) float64: the longest and the shortest path in edges, -1 where there is none;
        log(1 + number of paths); the number of edges; for each operation, the paths through each of its nodes
        added up, divided by the number of paths, 0 where there is none; for each operation, the most nodes of
        it on one path, -1 where there is no path, and always 0 for input and output.
    """
    operations, size = table.operations, len(table.operations)

    def compute(columns: Columns) -> FloatArray:
        forward, backward = cones_of_operations(columns), cones_of_operations(columns, reverse=True)
        features = np.empty((len(columns), 4 + 2 * size))
        features[:, :2] = _path_lengths(columns, operations, forward)
        features[:, 2], features[:, 4 : 4 + size] = _path_shares(columns, operations, forward, backward)
        features[:, 3] = np.diff(columns.edge_offsets)
        features[:, 4 + size :] = _most_on_a_path(columns, operations, forward, features[:, 0] >= 0)
        return features

    return in_chunks(compute, table, 4 + 2 * size, states=_AT_ONCE)


def attribute_sequence(table: ArchitectureTable, slots: int, scale: AttributeScale = LOGARITHM) -> FloatArray:
    """Return the attributes of the nodes in their order as written.

    Args:
        table: A architectures with F attributes.
        slots: Nodes that there is room for; those beyond are left out.
        scale: The scale of the attributes; by default only their logarithm is taken.

    Returns:
        (A, slots * F) float64: the F scaled attributes of node 0, then of node 1, ...; 0 where there is no
        such node. (A, 0) without attributes.
    """
    n_attributes = len(table.operations.attributes)

    def compute(columns: Columns) -> FloatArray:
        sizes = np.minimum(np.diff(columns.node_offsets), slots)
        nodes = ragged_positions(columns.node_offsets[:-1], sizes)
        places = ragged_positions(np.arange(len(columns)) * slots, sizes)
        sequence = np.zeros((len(columns) * slots, n_attributes))
        sequence[places] = scale(columns.attributes[nodes])
        return sequence.reshape(len(columns), slots * n_attributes)

    return in_chunks(compute, table, slots * n_attributes, states=n_attributes)


def attribute_sums(table: ArchitectureTable, scale: AttributeScale = LOGARITHM) -> FloatArray:
    """Return the attributes of the nodes added up.

    Args:
        table: A architectures with F attributes.
        scale: The scale of the attributes; by default only their logarithm is taken.

    Returns:
        (A, 3 F) float64: for each attribute the sum of its scaled values over the nodes; for each
        log(1 + the sum of |a|); for each the number of nodes that have it. (A, 0) without attributes.
    """
    n_attributes = len(table.operations.attributes)

    def compute(columns: Columns) -> FloatArray:
        numbers = columns.attributes.astype(np.float64)
        terms = np.hstack([scale(columns.attributes), np.abs(numbers), numbers != 0])
        ones, nodes = np.ones(len(terms)), np.arange(len(terms))
        belongs = csr_array((ones, nodes, columns.node_offsets), shape=(len(columns), len(terms)))
        sums = np.asarray(belongs @ terms)
        totals = slice(n_attributes, 2 * n_attributes)
        sums[:, totals] = np.log1p(sums[:, totals])
        return sums

    return in_chunks(compute, table, 3 * n_attributes, states=3 * n_attributes)


def _path_lengths(columns: Columns, operations: Operations, forward: DistinctCones) -> FloatArray:
    """Return the longest and the shortest path in edges, (B, 2), -1 where there is none."""
    weights = np.array([[1, -1]] * len(operations), dtype=np.float32)
    weights[operations.id(INPUT)] = 0  # every other node of a path is at the end of one edge
    lengths = heaviest_paths(columns, operations, forward, weights)
    return np.where(np.isfinite(lengths), np.abs(lengths), -1)


def _path_shares(
    columns: Columns, operations: Operations, forward: DistinctCones, backward: DistinctCones
) -> tuple[FloatArray, FloatArray]:
    """Return log(1 + number of paths), (B,), and each operation's share of them, (B, d)."""
    ids, size = columns.operation_ids, len(operations)
    is_output = ids == operations.id(OUTPUT)
    fractions, powers = count_paths(forward, ids == operations.id(INPUT))
    fractions_left, powers_left = count_paths(backward, is_output)
    total, total_power = fractions[is_output], powers[is_output]  # (B,)

    rows = columns.node_rows()
    through = np.ldexp(fractions * fractions_left, powers + powers_left - total_power[rows])
    sums = np.bincount(rows * size + ids, weights=through, minlength=len(columns) * size).reshape(-1, size)
    shares = np.divide(sums, total[:, None], out=np.zeros_like(sums), where=total[:, None] > 0)
    logarithms = np.log(total, out=np.full(len(total), -np.inf), where=total > 0)
    return np.logaddexp(0, logarithms + total_power * np.log(2)), shares


def _most_on_a_path(
    columns: Columns, operations: Operations, forward: DistinctCones, has_path: NDArray[np.bool_]
) -> FloatArray:
    """Return the most nodes of each operation on one path, (B, d), -1 for rows without a path."""
    most = np.repeat(np.where(has_path, 0.0, -1.0)[:, None], len(operations), axis=1)
    occurring = np.unique(columns.operation_ids)
    for begin in range(0, len(occurring), _AT_ONCE):
        chosen = occurring[begin : begin + _AT_ONCE]
        weights = (np.arange(len(operations))[:, None] == chosen).astype(np.float32)
        most[:, chosen] = np.maximum(heaviest_paths(columns, operations, forward, weights), -1)
    most[:, [operations.id(INPUT), operations.id(OUTPUT)]] = 0
    return most
