"""Pareto fronts against a double loop, and the laws they obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UsageError
from archflow.metrics import pareto, pareto_fronts
from reference.pareto import pareto_fronts as slow

SMALL = st.integers(-2, 2).map(float)  # few values, so that most examples have ties and equal rows


@st.composite
def tables(draw, most=4):
    width = draw(st.integers(1, most))
    return np.array(draw(st.lists(st.lists(SMALL, min_size=width, max_size=width), min_size=1, max_size=14)))


limits = st.none() | st.integers(1, 16)


@given(tables(), limits)
def test_fronts_equal_the_double_loop(values, limit):
    fronts = pareto_fronts(values, limit)
    assert fronts.dtype == np.int64
    assert fronts.tolist() == slow(values.tolist(), limit)


@pytest.mark.parametrize("targets", [2, 3, 5])
@pytest.mark.parametrize("limit", [None, 40])
def test_more_rows_than_a_block_holds(targets, limit):
    values = np.random.default_rng(targets).normal(size=(4 * pareto._BLOCK, targets))
    values[::7] = values[1::7][: len(values[::7])]
    assert pareto_fronts(values, limit).tolist() == slow(values.tolist(), limit)


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_targets_does_not_matter(values, random):
    rows, columns = list(range(len(values))), list(range(values.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    assert (pareto_fronts(values[rows][:, columns]) == pareto_fronts(values)[rows]).all()


@given(tables())
def test_only_the_order_within_a_target_matters(values):
    assert (pareto_fronts(np.exp(values) * [3.0] * values.shape[1]) == pareto_fronts(values)).all()


@given(tables(most=3))
def test_a_target_twice_is_a_target_once(values):
    assert (pareto_fronts(np.hstack([values, values])) == pareto_fronts(values)).all()


@given(tables(), limits)
def test_a_limit_only_leaves_later_fronts_out(values, limit):
    whole, some = pareto_fronts(values), pareto_fronts(values, limit)
    assert (some[some >= 0] == whole[some >= 0]).all()
    assert np.count_nonzero(some >= 0) >= min(limit or len(values), len(values))
    assert some.max() < whole[some < 0].min(initial=len(values))


def test_by_hand():
    values = [[3, 1], [1, 3], [2, 2], [2, 1], [1, 1], [2, 2]]
    assert pareto_fronts(values).tolist() == [0, 0, 0, 1, 2, 0]
    assert pareto_fronts(values, limit=2).tolist() == [0, 0, 0, -1, -1, 0]
    assert pareto_fronts(values, limit=5).tolist() == [0, 0, 0, 1, -1, 0]


def test_one_target_gives_dense_ranks():
    assert pareto_fronts([[5.0], [7.0], [5.0], [1.0]]).tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_no_rows_have_no_fronts(targets):
    assert pareto_fronts(np.zeros((0, targets))).tolist() == []


@pytest.mark.parametrize("targets", [2, 3])
def test_targets_that_agree_make_as_many_fronts_as_rows(targets):
    values = np.random.default_rng(0).permutation(2000)
    fronts = pareto_fronts(np.repeat(values[:, None], targets, axis=1))
    assert (fronts == 1999 - values).all()


def test_a_whole_large_space():
    """A million rows: every front descends where the first target ascends, and each row has a reason."""
    values = np.random.default_rng(0).normal(size=(1_000_000, 2))
    fronts = pareto_fronts(values)
    order = np.lexsort((values[:, 0], fronts))
    same = fronts[order][1:] == fronts[order][:-1]
    assert (np.diff(values[order, 1])[same] < 0).all()
    best = np.full(fronts.max() + 1, -np.inf)
    np.maximum.at(best, fronts, values[:, 0])
    assert (np.diff(best) < 0).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"two axes, \(A, T\) with T >= 1; they have shape \(2,\)"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        ([[1.0, 2.0], [np.nan, 1.0]], r"must be finite; row 1 is \[nan, 1\.0\]"),
        ([[np.inf, 1.0]], r"must be finite; row 0"),
        ([["high", "low"]], "must be numbers"),
        ([[1.0], [1.0, 2.0]], "must be numbers"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(UsageError, match=message):
        pareto_fronts(values)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_out_of_range(limit):
    with pytest.raises(UsageError, match=f"limit must be at least 1; it is {limit}"):
        pareto_fronts([[1.0, 2.0]], limit)
