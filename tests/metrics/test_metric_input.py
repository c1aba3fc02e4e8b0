"""Every metric refuses input that has no answer and says which argument is at fault."""

import functools

import numpy as np
import pytest

from archflow import metrics
from archflow.errors import UsageError

PAIR_METRICS = {
    "kendall_tau": metrics.kendall_tau,
    "spearman": metrics.spearman,
    "precision_at": functools.partial(metrics.precision_at, percent=10),
    "regret": metrics.regret,
    "scores": metrics.scores,
    "bootstrap": functools.partial(
        metrics.bootstrap_interval, metrics.spearman, rng=np.random.default_rng(0), draws=2
    ),
}


@pytest.mark.parametrize("metric", PAIR_METRICS.values(), ids=PAIR_METRICS)
@pytest.mark.parametrize(
    ("predicted", "measured", "message"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0], "predicted and measured .* 3 and 2"),
        ([1.0, np.nan], [1.0, 2.0], "predicted must be finite; entry 1 is nan"),
        ([1.0, 2.0], [-np.inf, 2.0], "measured must be finite; entry 0 is -inf"),
        ([[1.0, 2.0]], [1.0, 2.0], r"predicted must have one axis, \(n,\); it has shape \(1, 2\)"),
        (["a", "b"], [1.0, 2.0], "predicted must be numbers"),
        ([1.0, 2.0], [1.0, [2.0]], "measured must be numbers"),
        ([], [], "predicted has 0 rows"),
    ],
)
def test_bad_rows_are_refused(metric, predicted, measured, message):
    with pytest.raises(UsageError, match=message):
        metric(predicted, measured)


@pytest.mark.parametrize("name", ["kendall_tau", "spearman", "scores", "bootstrap"])
def test_one_row_has_no_order(name):
    with pytest.raises(UsageError, match="predicted has 1 rows; at least 2"):
        PAIR_METRICS[name]([1.0], [1.0])


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan")])
def test_percent_out_of_range(percent):
    with pytest.raises(UsageError, match="percent must be above 0 and at most 100"):
        metrics.precision_at([1, 2], [1, 2], percent)


def test_top_out_of_range():
    with pytest.raises(UsageError, match="top must be at least 1; it is 0"):
        metrics.regret([1, 2], [1, 2], top=0)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, float("nan")])
def test_level_out_of_range(level):
    with pytest.raises(UsageError, match="level must be between 0 and 1"):
        metrics.coverage([0], [1], [0], level)
    with pytest.raises(UsageError, match="level must be between 0 and 1"):
        metrics.bootstrap_interval(
            metrics.spearman, [1, 2], [1, 2], rng=np.random.default_rng(0), level=level
        )


def test_draws_out_of_range():
    with pytest.raises(UsageError, match="draws must be at least 1; it is 0"):
        metrics.bootstrap_interval(metrics.spearman, [1, 2], [1, 2], rng=np.random.default_rng(0), draws=0)


def test_negative_standard_deviation():
    with pytest.raises(UsageError, match=r"std must not be negative; entry 1 is -0\.5"):
        metrics.coverage([0, 0], [1, -0.5], [0, 0], 0.9)
    with pytest.raises(UsageError, match="std must be finite; entry 0 is nan"):
        metrics.calibration_error([0], [np.nan], [0])
