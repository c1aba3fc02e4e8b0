"""How sure a metric is, given the rows it was computed on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from archflow.errors import UsageError
from archflow.metrics.pairs import FloatArray, paired


def bootstrap_interval(
    metric: Callable[[FloatArray, FloatArray], float],
    predicted: ArrayLike,
    measured: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 1000,
) -> tuple[float, float]:
    """Return the percentile interval of a metric over resampled rows.

    Each draw takes n rows with replacement, predictions and measurements together (Efron, Annals of
    Statistics 1979). Repeated rows are ties, which pull tau-b and rho slightly towards those of fewer rows.

    Args:
        metric: Any function of predictions and measurements, (n,) each, such as `kendall_tau` or
            `functools.partial(precision_at, percent=5)`.
        predicted: Predictions, (n,), n >= 2.
        measured: Measurements of the same architectures, (n,).
        rng: Source of the resamples.
        level: Probability of the interval, between 0 and 1.
        draws: Number of resamples.

    Returns:
        The lower and the upper end, in the metric's units.

    Raises:
        UsageError: Different lengths, fewer than 2 rows, a value that is not finite, a level out of range
            or fewer than 1 draw.
    """
    x, y = paired(predicted=predicted, measured=measured, minimum=2)
    if not 0 < level < 1:
        raise UsageError(f"level must be between 0 and 1; it is {level}")
    if draws < 1:
        raise UsageError(f"draws must be at least 1; it is {draws}")
    values = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(len(x), size=len(x))
        values[draw] = metric(x[rows], y[rows])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
