"""Does the top of a ranking hold what it promises? Higher is better for predictions and measurements."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archflow.errors import UsageError
from archflow.metrics.pairs import FloatArray, paired


def precision_at(predicted: ArrayLike, measured: ArrayLike, percent: float) -> float:
    """Return the share of the predicted top K percent that is in the measured top K percent.

    |top m by prediction AND top m by measurement| / m, with m = max(1, round(n K / 100)). Values tied at
    the boundary of a top share its last places evenly, which is the expected value when ties are broken
    at random; the order of the rows never matters.

    Args:
        predicted: Predictions, (n,), higher is better.
        measured: Measurements of the same architectures, (n,), higher is better.
        percent: K, above 0 and at most 100.

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: Different lengths, no rows, a value that is not finite, or K out of range.
    """
    x, y = paired(predicted=predicted, measured=measured)
    if not 0 < percent <= 100:
        raise UsageError(f"percent must be above 0 and at most 100; it is {percent}")
    m = max(1, round(len(x) * percent / 100))
    (x_in, x_tied, x_share), (y_in, y_tied, y_share) = _top(x, m), _top(y, m)
    common = (
        np.count_nonzero(x_in & y_in)
        + np.count_nonzero(x_in & y_tied) * y_share
        + np.count_nonzero(x_tied & y_in) * x_share
        + np.count_nonzero(x_tied & y_tied) * x_share * y_share
    )
    return float(common / m)


def regret(predicted: ArrayLike, measured: ArrayLike, top: int = 10) -> float:
    """Return how much is lost by measuring only the `top` best predictions and keeping the best of them.

    The best measurement of all minus the best among the `top` highest predictions. Ties are counted
    pessimistically: of the predictions tied for the last places the worst measured ones get them.

    Args:
        predicted: Predictions, (n,), higher is better.
        measured: Measurements of the same architectures, (n,), higher is better.
        top: How many of the highest predictions are looked at; beyond n, all of them.

    Returns:
        A number >= 0, in the units of the measurements.

    Raises:
        UsageError: Different lengths, no rows, a value that is not finite, or `top` below 1.
    """
    x, y = paired(predicted=predicted, measured=measured)
    if top < 1:
        raise UsageError(f"top must be at least 1; it is {top}")
    count = min(top, len(x))
    inside, tied, _ = _top(x, count)
    places = count - np.count_nonzero(inside)  # at least 1
    chosen = np.concatenate([y[inside], np.sort(y[tied])[:places]])
    return float(y.max() - chosen.max())


def _top(values: FloatArray, m: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """Return who is in the top m for sure, who ties for the last places, and the chance of each of those."""
    boundary = np.partition(values, len(values) - m)[len(values) - m]
    inside, tied = values > boundary, values == boundary
    return inside, tied, float((m - np.count_nonzero(inside)) / np.count_nonzero(tied))
