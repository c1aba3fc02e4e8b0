"""Rank correlations: do predictions and measurements put the architectures in the same order?"""

from __future__ import annotations

from numpy.typing import ArrayLike

from archflow.metrics.pairs import FloatArray, paired

# scipy.stats takes longer to import than the rest of archflow, so each function imports it when called.


def kendall_tau(predicted: ArrayLike, measured: ArrayLike) -> float:
    """Return Kendall's tau-b: concordant minus discordant pairs, corrected for ties.

    (C - D) / sqrt((C + D + P) (C + D + M)), with P and M the pairs tied in the predictions only and in
    the measurements only (Kendall, Biometrika 1945).

    Args:
        predicted: Predictions, (n,), n >= 2.
        measured: Measurements of the same architectures, (n,).

    Returns:
        A number in [-1, 1]; 0.0 if all predictions or all measurements are equal, where the formula is
        0 / 0: such a prediction orders nothing.

    Raises:
        UsageError: Different lengths, fewer than 2 rows, or a value that is not finite.
    """
    from scipy.stats import kendalltau

    x, y = paired(predicted=predicted, measured=measured, minimum=2)
    if _constant(x) or _constant(y):
        return 0.0
    return float(kendalltau(x, y).statistic)


def spearman(predicted: ArrayLike, measured: ArrayLike) -> float:
    """Return Spearman's rho: the linear correlation of the ranks, tied values sharing their mean rank.

    Args:
        predicted: Predictions, (n,), n >= 2.
        measured: Measurements of the same architectures, (n,).

    Returns:
        A number in [-1, 1]; 0.0 if all predictions or all measurements are equal.

    Raises:
        UsageError: Different lengths, fewer than 2 rows, or a value that is not finite.
    """
    from scipy.stats import spearmanr

    x, y = paired(predicted=predicted, measured=measured, minimum=2)
    if _constant(x) or _constant(y):
        return 0.0
    return float(spearmanr(x, y).statistic)


def _constant(values: FloatArray) -> bool:
    return bool((values == values[0]).all())
