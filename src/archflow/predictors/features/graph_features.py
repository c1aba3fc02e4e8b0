"""Neural graph features: counts, path lengths and degrees for sets of operations.

Source: Kadlecová, Lukasik, Pilát, Vidnerová, Safari, Neruda and Hutter, "Surprisingly Strong Performance
Prediction with Neural Graph Features", ICML 2024, arXiv 2404.16551 (GRAF).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.graphs import INPUT, OUTPUT, ArchitectureTable, Columns, Operations
from archflow.graphs.columns import IntArray
from archflow.predictors.features.chunks import in_chunks
from archflow.predictors.features.paths import cones_of_operations, heaviest_paths, largest
from archflow.predictors.features.structure import attribute_sums
from archflow.protocols import FloatArray

LARGEST_WITH_ALL_SUBSETS = 5
"""Inner operations up to which every set of them has its features."""

MOST_SUBSETS = 128
"""Sets of operations that have features, at most."""

_PER_SUBSET = 10


def operation_subsets(operations: Operations) -> NDArray[np.bool_]:
    """Choose the sets of operations whose features are computed.

    The inner operations are all but input and output, zero and identity included. Of at most five all
    non-empty sets are taken, small ones first. Of more: all of them, each alone, all but each, each pair, in
    this order and the vocabulary's, until there are 128.

    Args:
        operations: The vocabulary, d operations.

    Returns:
        Which operations are in each set, (S, d).
    """
    inner = [place for place, name in enumerate(operations.names) if name not in (INPUT, OUTPUT)]
    few = len(inner) <= LARGEST_WITH_ALL_SUBSETS
    sizes = list(range(1, len(inner) + 1)) if few else [len(inner), 1, len(inner) - 1, 2]
    chosen = itertools.chain.from_iterable(itertools.combinations(inner, size) for size in sizes)
    subsets = list(itertools.islice(chosen, MOST_SUBSETS))
    member = np.zeros((len(subsets), len(operations)), dtype=bool)
    for row, subset in enumerate(subsets):
        member[row, list(subset)] = True
    return member


def graph_features(table: ArchitectureTable) -> FloatArray:
    """Compute GRAF for architectures of any space.

    For a set O of operations: the nodes with an operation in O; the fewest and the most operations on an
    input-output path that has no operation outside O, -1 where there is none; the most operations of O on any
    input-output path, -1 where there is none; the edges from O into the output, and the mean and the largest
    number of edges from O into an inner node; the edges from an input into O, and the mean and the largest
    number of edges from an inner node into O. Parallel edges count each.

    The paper describes cells with operations on edges and sums on nodes. Here operations are nodes, and an
    edge joins two operations that follow each other, so that the paper's edges are our inner nodes. Counts
    are the same. A path is as long as it has operations: the paper's edges, and one less than ours. The
    degrees of input and output are the same. The in-degree of a sum is that of every operation that it
    feeds, its out-degree that of every operation that feeds it; means are over operations, not over sums.

    Args:
        table: A architectures over d operations with F attributes, in the form that it has.

    Returns:
        (A, 10 S + 3 F) float64: the features in the order above, each for all S of `operation_subsets`, then
        `attribute_sums`.
    """
    operations = table.operations
    member = operation_subsets(operations).T.astype(np.float32)  # (d, S)
    n_subsets = member.shape[1]

    def compute(columns: Columns) -> FloatArray:
        counts = _tally(columns.node_rows(), columns.operation_ids, len(columns), member)
        paths = _path_features(columns, operations, member)
        return np.hstack([counts, paths, *_degrees(columns, operations, member)])

    features = in_chunks(compute, table, _PER_SUBSET * n_subsets, states=3 * n_subsets)
    return np.hstack([features, attribute_sums(table)]) if operations.attributes else features


def _path_features(columns: Columns, operations: Operations, member: NDArray[np.float32]) -> FloatArray:
    """Return the shortest and the longest path within each set, and the most of it on any path, (B, 3 S)."""
    outside = np.where(member > 0, np.float32(0), np.float32(-np.inf))
    outside[[operations.id(INPUT), operations.id(OUTPUT)]] = 0
    weights = np.hstack([outside - member, outside + member, member])
    heaviest = heaviest_paths(columns, operations, cones_of_operations(columns), weights)
    return np.where(np.isfinite(heaviest), np.abs(heaviest), -1)


def _degrees(
    columns: Columns, operations: Operations, member: NDArray[np.float32]
) -> list[NDArray[np.floating]]:
    """Return for edges in, then out, the degree of the end, the mean and the largest, (B, S) each."""
    ids, rows = columns.operation_ids, columns.node_rows()
    is_input, is_output = ids == operations.id(INPUT), ids == operations.id(OUTPUT)
    is_inner = ~(is_input | is_output)
    n_inner = np.maximum(np.bincount(rows[is_inner], minlength=len(columns)), 1)[:, None]
    sources, targets = columns.global_edges()
    features: list[NDArray[np.floating]] = []
    for near, far, is_end in ((targets, sources, is_output), (sources, targets, is_input)):
        at_end, at_inner = is_end[near], is_inner[near]
        features.append(_tally(rows[near[at_end]], ids[far[at_end]], len(columns), member))
        features.append(_tally(rows[near[at_inner]], ids[far[at_inner]], len(columns), member) / n_inner)
        degrees = _tally(near[at_inner], ids[far[at_inner]], len(ids), member)
        features.append(largest(degrees, np.arange(len(ids)), columns.node_offsets))
    return features


def _tally(
    places: IntArray, ids: NDArray[np.int16], count: int, member: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Count at each of `count` places the operations that are in each set, (count, S)."""
    ones = np.ones(len(places), dtype=np.float32)
    return np.asarray(csr_array((ones, (places, ids)), shape=(count, len(member))) @ member)
