"""Every metric against its plain-loop twin, hand-computed answers and the laws it must obey."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow import metrics
from reference import metrics as slow

SMALL = st.integers(-3, 3).map(float)  # few values, so that most examples have ties


@st.composite
def rows(draw, minimum=2, maximum=9):
    count = draw(st.integers(minimum, maximum))
    column = st.lists(SMALL, min_size=count, max_size=count)
    return np.array(draw(column)), np.array(draw(column))


PAIR_METRICS = {
    "kendall_tau": metrics.kendall_tau,
    "spearman": metrics.spearman,
    "precision_at_20": functools.partial(metrics.precision_at, percent=20),
    "precision_at_50": functools.partial(metrics.precision_at, percent=50),
    "regret_1": functools.partial(metrics.regret, top=1),
    "regret_3": functools.partial(metrics.regret, top=3),
}


@given(rows())
def test_kendall_tau_equals_the_loop_over_pairs(pair):
    assert metrics.kendall_tau(*pair) == pytest.approx(slow.kendall_tau(*pair), abs=1e-12)


@given(rows())
def test_spearman_equals_the_correlation_of_mean_ranks(pair):
    assert metrics.spearman(*pair) == pytest.approx(slow.spearman(*pair), abs=1e-12)


@given(rows(minimum=1), st.floats(0.5, 100))
def test_precision_is_the_mean_over_all_ways_to_break_ties(pair, percent):
    assert metrics.precision_at(*pair, percent) == pytest.approx(slow.precision_at(*pair, percent), abs=1e-12)


@given(rows(minimum=1), st.integers(1, 12))
def test_regret_is_the_worst_over_all_ways_to_break_ties(pair, top):
    assert metrics.regret(*pair, top) == slow.regret(*pair, top)


@given(st.lists(st.tuples(SMALL, st.floats(0.1, 3) | st.just(0.0), SMALL), min_size=1), st.floats(0.01, 0.99))
def test_coverage_equals_the_loop(triples, level):
    mean, std, measured = (np.array(column) for column in zip(*triples, strict=True))
    assert metrics.coverage(mean, std, measured, level) == slow.coverage(mean, std, measured, level)


@pytest.mark.parametrize("metric", PAIR_METRICS.values(), ids=PAIR_METRICS)
@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(metric, pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    assert metric(pair[0][order], pair[1][order]) == pytest.approx(metric(*pair), abs=1e-12)


@pytest.mark.parametrize("metric", PAIR_METRICS.values(), ids=PAIR_METRICS)
@given(rows())
def test_only_the_order_of_predictions_matters(metric, pair):
    assert metric(np.exp(pair[0]) * 7 - 2, pair[1]) == pytest.approx(metric(*pair), abs=1e-12)


@pytest.mark.parametrize("name", ["kendall_tau", "spearman", "precision_at_20", "precision_at_50"])
@given(rows())
def test_only_the_order_of_measurements_matters(name, pair):
    metric = PAIR_METRICS[name]
    assert metric(pair[0], pair[1] ** 3 + pair[1]) == pytest.approx(metric(*pair), abs=1e-12)


@pytest.mark.parametrize("metric", [metrics.kendall_tau, metrics.spearman])
@given(rows())
def test_correlations_are_symmetric_and_change_sign_with_direction(metric, pair):
    assert metric(pair[1], pair[0]) == pytest.approx(metric(*pair), abs=1e-12)
    assert metric(-pair[0], pair[1]) == pytest.approx(-metric(*pair), abs=1e-12)


def test_a_perfect_and_a_reversed_ranking():
    measured = np.arange(200.0)
    assert metrics.scores(measured / 9, measured) == {
        "kendall_tau": pytest.approx(1),
        "spearman": pytest.approx(1),
        "precision_at": {"1": 1.0, "5": 1.0, "10": 1.0},
    }
    assert metrics.regret(measured, measured, top=1) == 0
    assert metrics.kendall_tau(-measured, measured) == pytest.approx(-1)
    assert metrics.precision_at(-measured, measured, 10) == 0
    assert metrics.regret(-measured, measured, top=10) == 199 - 9


def test_tau_b_of_a_case_computed_by_hand():
    # 5 concordant, 0 discordant, one pair tied in the predictions only: 5 / sqrt(5 * 6).
    assert metrics.kendall_tau([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(30))


@pytest.mark.parametrize("metric", [metrics.kendall_tau, metrics.spearman])
def test_a_constant_orders_nothing(metric):
    assert metric([5, 5, 5], [1, 2, 3]) == 0.0
    assert metric([1, 2, 3], [5, 5, 5]) == 0.0
    assert metric([5, 5], [1, 1]) == 0.0


def test_constant_predictions_have_the_precision_of_chance():
    assert metrics.precision_at(np.zeros(100), np.arange(100), 10) == pytest.approx(0.1)


def test_precision_never_looks_at_less_than_one_row():
    assert metrics.precision_at([3, 2, 1], [3, 2, 1], 1) == 1.0
    assert metrics.precision_at([3, 2, 1], [1, 2, 3], 1) == 0.0


def test_scores_have_the_documented_keys_and_plain_floats():
    rng = np.random.default_rng(3)
    result = metrics.scores(rng.normal(size=50).astype(np.float32), rng.normal(size=50))
    assert list(result) == ["kendall_tau", "spearman", "precision_at"]
    assert list(result["precision_at"]) == ["1", "5", "10"]
    numbers = [result["kendall_tau"], result["spearman"], *result["precision_at"].values()]
    assert all(type(number) is float for number in numbers)


def test_coverage_of_true_gaussians_is_the_level():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=40_000), rng.uniform(0.1, 2, size=40_000)
    measured = mean + std * rng.normal(size=40_000)
    for level in (0.5, 0.683, 0.95):
        assert metrics.coverage(mean, std, measured, level) == pytest.approx(level, abs=0.01)
    assert metrics.calibration_error(mean, std, measured) < 0.01
    assert metrics.calibration_error(mean, std / 100, measured) > 0.4  # far too sure
    assert metrics.calibration_error(mean, std * 100, measured) > 0.4  # far too unsure


def test_bootstrap_interval_holds_the_value_and_repeats():
    rng = np.random.default_rng(1)
    measured = rng.normal(size=80)
    predicted = measured + rng.normal(size=80)
    for metric in PAIR_METRICS.values():
        low, high = metrics.bootstrap_interval(
            metric, predicted, measured, rng=np.random.default_rng(2), draws=100
        )
        assert low <= metric(predicted, measured) <= high
        assert (low, high) == metrics.bootstrap_interval(
            metric, predicted, measured, rng=np.random.default_rng(2), draws=100
        )


def test_bootstrap_interval_covers_a_mean_as_often_as_it_says():
    """A metric with a known answer: the mean difference of 40 rows, true value 1, 80 % intervals."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(200):
        x = rng.normal(size=40)
        low, high = metrics.bootstrap_interval(
            lambda p, m: float((m - p).mean()),
            x,
            x + rng.normal(1, 1, size=40),
            rng=rng,
            level=0.8,
            draws=200,
        )
        hits += low <= 1 <= high
    assert hits / 200 == pytest.approx(0.8, abs=0.09)  # three standard errors
