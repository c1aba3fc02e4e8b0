"""Sums and maxima over all input-output paths of many graphs, without walking any of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import INPUT, OUTPUT, Columns, Operations
from archflow.graphs.columns import IntArray
from archflow.graphs.distinct_cones import DistinctCones
from archflow.graphs.keys import mix
from archflow.protocols import FloatArray


def cones_of_operations(columns: Columns, *, reverse: bool = False) -> DistinctCones:
    """Return the distinct cones of the graphs' operations, of reversed edges if `reverse`."""
    sources, targets = columns.global_edges()
    ends = (targets, sources) if reverse else (sources, targets)
    return DistinctCones.of(mix(columns.operation_ids.astype(np.uint64), np.uint64(0)), *ends)


def largest(values: NDArray[np.float32], members: IntArray, starts: IntArray) -> NDArray[np.float32]:
    """Return the column-wise maxima of groups of rows.

    What `np.maximum.reduceat` does column after column, here a member of all groups after the other, and the
    last groups by themselves where they have more members left than there are groups.

    Args:
        values: The rows, (m, K).
        members: The rows in each group, one group after the other, (e,).
        starts: Where each group's members start, and the last ones end, (n + 1,); none is empty.

    Returns:
        (n, K).
    """
    counts, groups = np.diff(starts), np.arange(len(starts) - 1)
    maxima = values.take(members[starts[:-1]], axis=0)
    most = int(counts.max(initial=0))
    for number in range(1, most):
        groups = groups[counts[groups] > number]
        if len(groups) < most - number:
            for group in groups.tolist():
                rest = values.take(members[starts[group] + number : starts[group + 1]], axis=0)
                maxima[group] = np.maximum(maxima[group], rest.max(axis=0))
            break
        others = values.take(members[starts[groups] + number], axis=0)
        maxima[groups] = np.maximum(maxima[groups], others)
    return maxima


def heaviest_paths(
    columns: Columns, operations: Operations, cones: DistinctCones, weights: NDArray[np.float32]
) -> FloatArray:
    """Return the weight of the heaviest input-output path, for several ways to weigh operations at once.

    A path weighs as much as its nodes together. Weights of 1 give the longest path, weights of -1 the
    shortest, and a weight of minus infinity forbids an operation.

    Args:
        columns: The graphs of B architectures.
        operations: The vocabulary, d operations.
        cones: Their cones, along the edges.
        weights: Weight of every operation in each of K ways, (d, K), whole numbers or minus infinity.

    Returns:
        (B, K) float64; minus infinity where no path is allowed.
    """
    ids = columns.operation_ids[cones.first]
    is_input = ids == operations.id(INPUT)
    best = np.full((len(ids), weights.shape[1]), -np.inf, dtype=np.float32)
    best[is_input] = weights[operations.id(INPUT)]
    for step in cones.steps:
        best[step.nodes] = largest(best, step.senders, step.starts) + weights[ids[step.nodes]]
    outputs = cones.places[columns.operation_ids == operations.id(OUTPUT)]  # one a row
    at_outputs: FloatArray = best[outputs].astype(np.float64)
    return at_outputs


def count_paths(cones: DistinctCones, starts: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.int32]]:
    """Count the paths from the starting nodes to every node, however many there are.

    A graph of a few thousand nodes has more paths than a float64 can say, so that a count is kept as
    fraction * 2^power, as `numpy.frexp` gives it. Counts below 2^53 are exact, larger ones right to rounding.

    Args:
        cones: The cones of the N nodes, seen from the starting nodes on.
        starts: Which of the nodes start a path, (N,) bool; of nodes with equal cones all or none.

    Returns:
        Fractions, (N,) float64, from 0.5 to 1, or 0 where no path leads; powers of two, (N,) int32.
    """
    fractions, powers = np.frexp(starts[cones.first].astype(np.float64))
    for step in cones.steps:
        largest = np.maximum.reduceat(powers[step.senders], step.starts[:-1])
        shift = powers[step.senders] - np.repeat(largest, np.diff(step.starts))
        sums = np.add.reduceat(np.ldexp(fractions[step.senders], shift), step.starts[:-1])
        fractions[step.nodes], excess = np.frexp(sums)
        powers[step.nodes] = largest + excess
    return fractions[cones.places], powers[cones.places]
