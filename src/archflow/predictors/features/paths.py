"""Sums and maxima over all input-output paths of many graphs, without walking any of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import INPUT, OUTPUT, Columns, Operations, Step
from archflow.protocols import FloatArray


def heaviest_paths(
    columns: Columns, operations: Operations, steps: Sequence[Step], weights: NDArray[np.float32]
) -> FloatArray:
    """Return the weight of the heaviest input-output path, for several ways to weigh operations at once.

    A path weighs as much as its nodes together. Weights of 1 give the longest path, weights of -1 the
    shortest, and a weight of minus infinity forbids an operation.

    Args:
        columns: The graphs of B architectures.
        operations: The vocabulary, d operations.
        steps: Their generations from the inputs on.
        weights: Weight of every operation in each of K ways, (d, K), whole numbers or minus infinity.

    Returns:
        (B, K) float64; minus infinity where no path is allowed.
    """
    ids = columns.operation_ids
    is_input = ids == operations.id(INPUT)
    best = np.full((len(ids), weights.shape[1]), -np.inf, dtype=np.float32)
    best[is_input] = weights[operations.id(INPUT)]
    for step in steps:
        before = np.maximum.reduceat(best[step.senders], step.starts[:-1])
        best[step.nodes] = before + weights[ids[step.nodes]]
    at_outputs: FloatArray = best[ids == operations.id(OUTPUT)].astype(np.float64)  # one a row
    return at_outputs


def count_paths(steps: Sequence[Step], starts: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.int32]]:
    """Count the paths from the starting nodes to every node, however many there are.

    A graph of a few thousand nodes has more paths than a float64 can say, so that a count is kept as
    fraction * 2^power, as `numpy.frexp` gives it. Counts below 2^53 are exact, larger ones right to rounding.

    Args:
        steps: The generations of the graphs from the starting nodes on.
        starts: Which of the N nodes start a path, (N,) bool.

    Returns:
        Fractions, (N,) float64, from 0.5 to 1, or 0 where no path leads; powers of two, (N,) int32.
    """
    fractions, powers = np.frexp(starts.astype(np.float64))
    for step in steps:
        largest = np.maximum.reduceat(powers[step.senders], step.starts[:-1])
        shift = powers[step.senders] - np.repeat(largest, np.diff(step.starts))
        sums = np.add.reduceat(np.ldexp(fractions[step.senders], shift), step.starts[:-1])
        fractions[step.nodes], excess = np.frexp(sums)
        powers[step.nodes] = largest + excess
    return fractions, powers
