"""Who is beaten in nothing: the Pareto fronts of several targets."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archflow.errors import UsageError

IntArray = NDArray[np.int64]

_BLOCK = 64  # rows that are compared with all others at once


def pareto_fronts(values: ArrayLike, limit: int | None = None) -> IntArray:
    """Number the Pareto fronts: 0 is beaten by nobody, 1 only by rows of front 0, and so on.

    One row beats another if it is nowhere lower and somewhere higher; equal rows share a front (non-dominated
    sorting, Goldberg 1989). With one target the fronts are the dense ranks. Two targets take A log A steps;
    from three on a row is compared with those still on its front, A^2 T at worst.

    Args:
        values: A rows of T targets, (A, T), higher is better.
        limit: Stop after the first front with which so many rows are numbered; by default number all.

    Returns:
        The front of each row, (A,) int64; -1 on those beyond the limit.

    Raises:
        UsageError: The values are no finite numbers of two axes with at least one column, or `limit` is
            below 1.
    """
    ranks = _dense_ranks(values)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1; it is {limit}")
    order = np.lexsort(-ranks.T[::-1])  # first column first, best first
    ordered = ranks[order]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    distinct, group = ordered[new], np.cumsum(new) - 1
    if ranks.shape[1] == 1:
        of_distinct = np.arange(len(distinct))
    elif ranks.shape[1] == 2:
        of_distinct = _two(distinct)
    else:
        of_distinct = _peeled(distinct, np.bincount(group), limit)
    fronts = np.empty(len(ranks), dtype=np.int64)
    fronts[order] = of_distinct[group]
    if limit is not None and limit < len(fronts):
        numbered = np.cumsum(np.bincount(fronts[fronts >= 0]))
        fronts[fronts > np.searchsorted(numbered, limit)] = -1
    return fronts


def _dense_ranks(values: ArrayLike) -> IntArray:
    """Replace each value by its rank in its column, 0 the lowest, equal ones alike, (A, T)."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"values must be numbers ({error})") from error
    if array.ndim != 2 or not array.shape[1]:
        raise UsageError(f"values must have two axes, (A, T) with T >= 1; they have shape {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise UsageError(f"values must be finite; row {row} is {array[row].tolist()}")
    columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in array.T]
    return np.stack(columns, axis=1).astype(np.int64)


def _two(ranks: IntArray) -> IntArray:
    """Return the fronts of distinct rows in lexicographic order, best first, (D, 2) -> (D,).

    A row comes after all that beat it, and lies on the first front whose best second target is below its own.
    Each row needs the outcome of the one before, so this is a loop; peeling front after front is vectorised,
    but quadratic where the targets agree.
    """
    best: list[int] = []  # second target of each front's last row, which is its best; negated, so it ascends
    fronts = np.empty(len(ranks), dtype=np.int64)
    for row, second in enumerate((-ranks[:, 1]).tolist()):
        front = bisect_right(best, second)
        best[front : front + 1] = [second]
        fronts[row] = front
    return fronts


def _peeled(ranks: IntArray, counts: IntArray, limit: int | None) -> IntArray:
    """Return the fronts of distinct rows, (D, T) -> (D,), one after the other.

    Rows with the highest sum of ranks come first: none of them is beaten by a later one, and they beat many.

    Args:
        ranks: The distinct rows.
        counts: How many rows are equal to each, (D,).
        limit: As in `pareto_fronts`.
    """
    fronts = np.full(len(ranks), -1, dtype=np.int64)
    left = np.argsort(-ranks.sum(axis=1), kind="stable")
    front, numbered = 0, 0
    while len(left) and (limit is None or numbered < limit):
        unbeaten, size = left, 1
        while len(unbeaten):
            block, rest = unbeaten[:size], unbeaten[size:]
            below = _below(ranks[block], ranks[block])
            np.fill_diagonal(below, False)
            members = block[~below.any(axis=1)]
            fronts[members] = front
            numbered += int(counts[members].sum())
            unbeaten = rest[~_below(ranks[rest], ranks[members]).any(axis=1)]
            size = min(2 * size, _BLOCK)
        left = left[fronts[left] < 0]
        front += 1
    return fronts


def _below(rows: IntArray, others: IntArray) -> NDArray[np.bool_]:
    """Whether each row is nowhere above each of the others, (R, T), (O, T) -> (R, O)."""
    below = np.ones((len(rows), len(others)), dtype=bool)
    for row, other in zip(rows.T, others.T, strict=True):
        below &= row[:, None] <= other
    return below
