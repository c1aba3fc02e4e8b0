"""The scores that commands and records report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from numpy.typing import ArrayLike

from archflow.metrics.ranks import kendall_tau, spearman
from archflow.metrics.top import precision_at

PERCENTS = (1, 5, 10)


class Scores(TypedDict):
    """The scores of one ranking, each a plain float."""

    kendall_tau: float
    spearman: float
    precision_at: dict[str, float]


def scores(predicted: ArrayLike, measured: ArrayLike, *, percents: Sequence[int] = PERCENTS) -> Scores:
    """Return the scores of a ranking; where lower is better, negate both arguments.

    Args:
        predicted: Predictions, (n,), n >= 2, higher is better.
        measured: Measurements of the same architectures, (n,), higher is better.
        percents: Each K of Precision@K.

    Returns:
        `{"kendall_tau": ..., "spearman": ..., "precision_at": {"1": ..., "5": ..., "10": ...}}`, the keys
        of `precision_at` in percent.

    Raises:
        UsageError: Different lengths, fewer than 2 rows, or a value that is not finite.
    """
    return {
        "kendall_tau": kendall_tau(predicted, measured),
        "spearman": spearman(predicted, measured),
        "precision_at": {str(percent): precision_at(predicted, measured, percent) for percent in percents},
    }
