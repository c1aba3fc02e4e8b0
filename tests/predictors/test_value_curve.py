import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.predictors.value_curve import ValueCurve

LABELS = st.lists(st.integers(-50, 50), min_size=4, max_size=40).filter(lambda v: len(set(v)) > 1)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 99))
def test_curve_keeps_the_order_of_scores(values, seed):
    rng = np.random.default_rng(seed)
    curve = ValueCurve(rng.normal(size=len(values)), np.array(values, dtype=float))
    scores = np.sort(rng.normal(scale=3, size=100))
    assert (np.diff(curve(scores)) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=4, max_size=40, unique=True))
def test_curve_passes_through_the_labels(values):
    scores = np.arange(len(values), dtype=float)
    curve = ValueCurve(scores, np.array(values, dtype=float))
    np.testing.assert_allclose(curve(scores), np.sort(values), atol=1e-5)


def test_curve_levels_out_beyond_the_labels():
    scores = np.linspace(0, 1, 50)
    curve = ValueCurve(scores, 90 + scores)
    assert 91 < curve(np.array([100.0]))[0] < 91.1
    assert 89.9 < curve(np.array([-100.0]))[0] < 90


def test_tied_scores_are_one_knot():
    curve = ValueCurve(np.zeros(6), np.arange(6.0))
    assert np.isfinite(curve(np.array([-1.0, 0.0, 1.0]))).all()
    assert np.isfinite(curve.slopes(np.array([-1.0, 0.0, 1.0]))).all()


def test_slopes_are_those_of_the_values_around():
    scores = np.linspace(0, 1, 100)
    curve = ValueCurve(scores, np.where(scores < 0.5, scores, 0.5 + 10 * (scores - 0.5)))
    assert curve.slopes(np.array([0.25, 0.75])) == pytest.approx([1, 10], rel=1e-3)
