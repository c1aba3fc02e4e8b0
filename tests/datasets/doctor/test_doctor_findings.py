import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets.doctor.findings import (
    MOST_ROWS,
    Finding,
    finite_numbers,
    first_rows,
    in_order,
    percent,
    row_list,
    scaled,
    spread,
)
from archflow.errors import plural


def test_the_most_severe_come_first_and_equals_keep_their_order():
    findings = [
        Finding(name, severity, name) for name, severity in zip("abcd", "nwnp", strict=True) if severity
    ]
    named = {"n": "note", "w": "warning", "p": "problem"}
    findings = [Finding(f.kind, named[f.severity], f.message) for f in findings]
    assert [finding.kind for finding in in_order(findings)] == ["d", "b", "a", "c"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50 %"),
        (1e-9, "less than 0.1 %"),
        (1 - 1e-9, "more than 99.9 %"),
        (2.5, "250 %"),
    ],
)
def test_percent(share, text):
    assert percent(share) == text


def test_words_for_counts_and_rows():
    assert (plural(1, "row"), plural(2, "row")) == ("1 row", "2 rows")
    assert row_list([4]) == "row 4"
    assert row_list(np.array([4, 7, 9])) == "rows 4, 7, 9"
    assert row_list([4, 7, 9, 12]) == "rows 4, 7, 9, ..."
    rows = first_rows(np.arange(1000))
    assert rows == tuple(range(MOST_ROWS))
    assert type(rows[0]) is int


def test_numbers_that_are_not_finite_are_left_out():
    assert finite_numbers(a=1, b=np.float64(2.5), c=float("inf"), d=float("nan")) == {"a": 1, "b": 2.5}


def test_spread_is_the_standard_deviation_of_normal_numbers_and_ignores_failed_runs():
    normal = np.random.default_rng(0).normal(90, 2, size=20_000)
    assert spread(normal) == pytest.approx(2, rel=0.03)
    assert spread(np.concatenate([normal, np.full(500, 10.0)])) == pytest.approx(2, rel=0.1)
    assert spread(np.array([1.0] * 9 + [2.0])) == pytest.approx(0.3)  # equal quartiles
    assert spread(np.array([1.0])) == 0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_scaled_numbers_are_between_minus_one_and_one(values):
    numbers, size = scaled(np.array(values))
    assert np.abs(numbers).max() in (0, 1)
    assert size > 0
