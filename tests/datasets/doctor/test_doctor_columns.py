import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets.doctor import column_findings
from archflow.datasets.sources import NumberColumn

RNG = np.random.default_rng(0)
ACCURACY = RNG.normal(91, 2, size=400).clip(80, 96)
LATENCY = RNG.exponential(3.0, size=400) + 1


def column(values, unreadable=()):
    """Return a column in which None is a gap."""
    gaps = np.array([value is None for value in values], dtype=bool)
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return NumberColumn(numbers, gaps, dict(unreadable))


def findings(values, *, target=False, **extra):
    return column_findings("acc", column(values, **extra), np.arange(1, len(values) + 1), target=target)


def kinds(values):
    return [finding.kind for finding in findings(values)]


def only(values, kind, **options):
    found = findings(values, **options)
    assert [finding.kind for finding in found] == [kind]
    return found[0]


@pytest.mark.parametrize(
    "values",
    [
        ACCURACY,
        ACCURACY / 100,
        LATENCY,
        np.exp(RNG.normal(0, 0.7, size=2000)),  # skewed, as sizes and latencies are
        np.concatenate([RNG.normal(20, 1, 300), RNG.normal(60, 3, 300)]),  # two humps
        RNG.uniform(0, 1, size=50),
        RNG.normal(size=20_000),
        ACCURACY[:12],
        np.arange(10.0),
    ],
)
def test_a_clean_column_has_nothing_to_say(values):
    assert kinds(list(values)) == []


@pytest.mark.parametrize("count", [10, 30, 100, 1000])
def test_false_alarms_are_rare(count):
    rng = np.random.default_rng(count)
    assert not any(kinds(list(rng.normal(90, 2, size=count))) for _ in range(100))
    exponential = [bool(kinds(list(rng.exponential(size=count)))) for _ in range(100)]
    assert np.mean(exponential) < (0.15 if count == 10 else 0.06)  # quartiles of ten numbers are coarse
    uniform = [bool(kinds(list(rng.uniform(size=count)))) for _ in range(100)]
    assert np.mean(uniform) < 0.03


def test_gaps_are_a_note_and_an_empty_column_a_warning():
    gaps = only([91.5, None, *ACCURACY[:10], None], "gaps")
    assert (gaps.severity, gaps.count, gaps.rows) == ("note", 2, (2, 13))
    assert gaps.message == (
        "acc: 2 of 13 rows (15.4 %) have no value (rows 2, 13); they are left out where acc is the target"
    )
    assert only([None, None], "empty").severity == "warning"
    assert only([None, None], "empty", target=True).severity == "problem"


def test_cells_that_are_no_finite_number():
    values = [*ACCURACY[:10], np.nan, np.inf, np.nan]
    found = only(values, "not-finite", unreadable=[(12, "oops")])
    assert (found.severity, found.count, found.rows) == ("warning", 3, (11, 12, 13))
    assert found.examples == ("row 11: nan", "row 12: inf", "row 13: 'oops'")
    assert only(values, "not-finite", target=True).severity == "problem"


def test_constant():
    assert (
        only([7.0, 7.0, None, 7.0][:2], "constant").message
        == "acc: all 2 values are 7; a constant ranks nothing"
    )
    assert only([7.0] * 50, "constant", target=True).severity == "problem"
    assert kinds([7.0]) == []


def test_nearly_constant_by_ties_and_by_width():
    ties = only([90.0] * 80 + list(ACCURACY[:20]), "nearly-constant")
    assert "90 stands in 80 of 100 rows, and 63.8 % of the pairs of rows are tied" in ties.message
    assert ties.numbers["tied_pairs"] == pytest.approx(80 * 79 / (100 * 99))
    width = only(list(1e6 + np.linspace(0, 0.1, 50)), "nearly-constant")
    assert width.numbers["width"] == pytest.approx(1e-7)


def test_few_distinct_values():
    ties = only([float(value % 5) for value in range(100)], "ties")
    assert ties.severity == "note"
    assert ties.numbers == {"distinct": 5, "tied_pairs": pytest.approx(5 * 20 * 19 / (100 * 99))}


@pytest.mark.parametrize("value", [-1.0, 0.0, 999.0, 9999.0, -1e8, 2.0**31 - 1, -999.0])
def test_a_placeholder_even_once_and_no_outlier_as_well(value):
    found = only([*ACCURACY, value], "placeholder")
    assert (found.severity, found.count, found.rows) == ("warning", 1, (401,))
    assert found.numbers["value"] == value


def test_minus_one_is_a_placeholder_where_it_is_the_only_negative_number():
    wide = list(np.linspace(0.5, 500, 100))
    assert only([*wide, -1.0, -1.0], "placeholder").count == 2
    assert kinds([*np.linspace(-500, 500, 101), -1.0]) == []


def test_a_value_repeated_at_an_extreme():
    found = only([*ACCURACY, *[10.0] * 25], "placeholder")
    assert (found.count, found.rows[0]) == (25, 401)
    assert found.numbers["usual_count"] == 1
    assert (
        "25 rows hold exactly 10, the least value, where the next values are held by 1 each" in found.message
    )
    full = only([*ACCURACY, *[100.0] * 25], "placeholder")
    assert "the greatest value" in full.message
    assert kinds([float(value % 40) for value in range(4000)]) == []  # a grid repeats all its values


@pytest.mark.parametrize(
    ("factor", "words"), [(100, "a fraction and a percentage"), (1000, "its thousandth")]
)
def test_two_units_in_one_column(factor, words):
    values = ACCURACY.copy()
    values[[3, 7, 50]] /= factor
    found = only(list(values), "units")
    assert (found.severity, found.rows, found.numbers["factor"]) == ("warning", (4, 8, 51), factor)
    assert words in found.message


def test_the_rarer_unit_is_the_one_to_look_at():
    values = ACCURACY / 100
    values[[3, 7]] *= 100
    assert only(list(values), "units").rows == (4, 8)


@pytest.mark.parametrize("values", [[*ACCURACY, 10.0], [*ACCURACY, 40.0], [*ACCURACY, 1000.0, 1.2]])
def test_other_distances_are_no_units(values):
    assert "units" not in kinds(values)


def test_outliers_are_listed_farthest_first():
    found = only([*ACCURACY[:60], 31.0, 12.0, 50.0], "outliers")
    assert (found.severity, found.count, found.rows) == ("warning", 3, (62, 61, 63))
    assert found.numbers["bound"] == 50
    assert "3 rows far out, at 50 or less" in found.message
    assert only([*ACCURACY[:60], 300.0], "outliers").message.startswith("acc: 1 row far out, at 300 or more")


def test_a_heavy_tail_is_a_note_and_its_rows_are_no_outliers():
    values = [*ACCURACY, *np.linspace(20, 70, 12)]
    found = only(values, "heavy-tail")
    assert found.severity == "note"
    assert found.rows[0] == 401
    assert found.numbers["tail_weight"] > 5
    cauchy = np.random.default_rng(3).standard_cauchy(size=5000)
    assert kinds(list(cauchy)) == ["heavy-tail", "heavy-tail"]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=40),
    st.sampled_from([1, 5, 20]),
)
def test_any_column_can_be_described_in_finite_numbers(values, times):
    for finding in findings(values * times):
        json.dumps(dict(finding.numbers), allow_nan=False)
        assert finding.message.startswith("acc: ")
        assert len(finding.message.splitlines()) == 1
        assert all(1 <= row <= len(values) * times for row in finding.rows)


@given(st.lists(st.integers(-1000, 1000), min_size=10, max_size=60), st.integers(-20, 20))
def test_outliers_move_with_the_unit_and_turn_with_the_sign(values, power):
    def outliers(numbers):
        return {f.rows for f in findings(list(numbers)) if f.kind == "outliers"}

    irregular = np.array(values) + 0.37  # so that no number is a placeholder
    assert outliers(irregular) == outliers(-irregular)
    negative = -np.abs(irregular)  # where no units are looked for
    assert outliers(negative) == outliers(negative * 2.0**power)
