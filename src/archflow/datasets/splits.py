"""Which rows are labelled, which validate and which test."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from archflow.errors import UsageError

IntArray = NDArray[np.int64]

PROTOCOL_SEEDS = (21, 2021, 202121)
"""The paper's seeds, of permutations and of models; as a permutation seed 21 means no shuffle."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Row numbers, counted from 0, that never overlap.

    Attributes:
        labelled: Rows whose labels the method sees, (L,) int64.
        validation: Rows that choose among its epochs or settings, (V,) int64.
        test: Rows that its ranking is scored on, (T,) int64.
    """

    labelled: IntArray
    validation: IntArray
    test: IntArray


def paper_split(n: int, permutation_seed: int, fraction: float, validation: int = 40) -> Split:
    """Split n architectures as the FGP paper does.

    The pool is permuted by NumPy's legacy generator, except that seed 21 leaves it in order. The first
    half is the training pool, of which the first floor(fraction x half) are labelled; the rows right after
    the training pool validate, and all the rest test.

    Args:
        n: Number of architectures.
        permutation_seed: One of `PROTOCOL_SEEDS`, or any other seed.
        fraction: Labelled share of the training pool, above 0 and at most 1.
        validation: Number of validation rows.

    Raises:
        UsageError: The fraction is out of range, or n leaves no labelled or no test row.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"the labelled fraction must be above 0 and at most 1; it is {fraction}")
    pool = n // 2
    count = math.floor(pool * fraction + 1e-9)  # 0.29 x 100 is 28.999999999999996
    if count < 1 or validation < 0 or pool + validation >= n:
        raise UsageError(
            f"{n} architectures are too few for {validation} validation rows and {fraction:g} of the "
            f"training pool ({pool}) labelled"
        )
    if permutation_seed == PROTOCOL_SEEDS[0]:
        order = np.arange(n, dtype=np.int64)
    else:
        order = np.random.RandomState(permutation_seed).permutation(n).astype(np.int64)
    return Split(order[:count], order[pool : pool + validation], order[pool + validation :])


def draw_labels(n: int, count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows that get a label, uniformly and without replacement.

    Args:
        n: Number of rows.
        count: How many to draw, at least 1 and fewer than n.
        seed: Seed of NumPy's default generator.

    Returns:
        The labelled rows (count,) in the order drawn, and the rest (n - count,) ascending; int64.

    Raises:
        UsageError: `count` is out of range.
    """
    if not 1 <= count < n:
        raise UsageError(f"cannot label {count} of {n} rows; at least 1 and at most {n - 1} can be")
    labelled = np.random.default_rng(seed).choice(n, size=count, replace=False).astype(np.int64)
    return labelled, np.setdiff1d(np.arange(n, dtype=np.int64), labelled)
