"""Do predicted standard deviations say how wrong the predictions are?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from archflow.errors import UsageError
from archflow.metrics.pairs import paired

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def coverage(mean: ArrayLike, std: ArrayLike, measured: ArrayLike, level: float) -> float:
    """Return the share of measurements inside the central Gaussian interval of a level.

    The interval is mean +- z std with z the (1 + level) / 2 quantile of the standard Gaussian, ends
    included. A well calibrated predictor covers about `level`.

    Args:
        mean: Predicted means, (n,).
        std: Predicted standard deviations, (n,), >= 0.
        measured: Measurements of the same architectures, (n,).
        level: Probability of the interval, between 0 and 1.

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: Different lengths, no rows, a value that is not finite, a negative standard deviation
            or a level out of range.
    """
    centre, spread, y = paired(mean=mean, std=std, measured=measured)
    if not 0 < level < 1:
        raise UsageError(f"level must be between 0 and 1; it is {level}")
    if spread.min() < 0:
        row = int(np.argmin(spread))
        raise UsageError(f"std must not be negative; entry {row} is {spread[row]}")
    inside = np.abs(y - centre) <= float(ndtri((1 + level) / 2)) * spread
    return float(np.count_nonzero(inside) / len(y))


def calibration_error(mean: ArrayLike, std: ArrayLike, measured: ArrayLike) -> float:
    """Return the mean distance of the coverage from its level, over the levels 0.1, 0.2, ..., 0.9.

    Args:
        mean: Predicted means, (n,).
        std: Predicted standard deviations, (n,), >= 0.
        measured: Measurements of the same architectures, (n,).

    Returns:
        A number in [0, 0.5]; 0 is perfect.

    Raises:
        UsageError: As `coverage`.
    """
    return float(np.mean([abs(coverage(mean, std, measured, level) - level) for level in LEVELS]))
