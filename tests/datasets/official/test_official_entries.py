"""Bad entries, numbers and JSON."""

import math

import numpy as np
import pytest

from archflow.datasets.official import entries
from archflow.datasets.official.entries import BadEntries, BadEntryError
from archflow.errors import TableError


def test_the_first_bad_entry_stops_the_reading(tmp_path):
    bad = BadEntries(tmp_path / "f", skip_bad=False)
    with pytest.raises(TableError, match="f: record 3: it is bad; --skip-bad"):
        bad.add("record 3", "it is\nbad")


def test_bad_entries_are_counted_and_the_first_kept(tmp_path):
    bad = BadEntries(tmp_path / "f", skip_bad=True)
    for number in range(entries.MOST_MESSAGES + 5):
        bad.add(f"record {number}", "bad")
    table = bad.table("nasbench201", {"arch": ["x"]})
    assert (table.n_skipped, len(table.skipped), len(table)) == (105, 100, 1)
    assert table.skipped[0] == "record 0: bad"
    with pytest.raises(TableError, match="none of the 105 entries can be used; the first bad one is rec"):
        bad.table("nasbench201", {"arch": []})


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1), np.uint64(1)])
def test_numbers(value):
    number = entries.number(value, "x")
    assert number == 1.0
    assert type(number) is float


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 10**400, np.float64("nan")])
def test_numbers_that_are_gaps(value):
    assert entries.number(value, "x") is None


@pytest.mark.parametrize("value", ["1", b"1", [1], (1,), {}, True, np.bool_(True), np.ones(1), 1j])
def test_what_is_no_number(value):
    with pytest.raises(BadEntryError, match="a number was expected"):
        entries.number(value, "x")


def test_measurements_have_limits():
    assert [entries.measured(value, "x", 100) for value in (0, 50.5, 100, None)] == [0.0, 50.5, 100.0, None]
    for value in (-1e-9, 100.001, math.nan, math.inf, 10**400):
        with pytest.raises(BadEntryError, match="between 0 and 100"):
            entries.measured(value, "x", 100)
    with pytest.raises(BadEntryError, match="x is -1; it must be 0 or more"):
        entries.measured(-1, "x")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3"),
        (None, "None"),
        ("text", "'text'"),
        ("t" * 100, "'" + "t" * 55 + "...'"),
        pytest.param(10**5_000, "a huge whole number", id="huge"),
        ([1, 2], "a list"),
        (np.zeros(3), "a ndarray"),
        (b"bytes", "a bytes"),
    ],
)
def test_values_in_few_words(value, words):
    assert entries.brief(value) == words


def test_what_is_missing_is_named():
    assert entries.item({"a": 1}, "a", "it") == 1
    with pytest.raises(BadEntryError, match=r"it has no 'b'; it begins with 'a', 0, 1, 2, 3$"):
        entries.item({"a": 1, **dict.fromkeys(range(9))}, "b", "it")


def test_an_unreadable_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "f").write_text("1")
    assert entries.read_json(tmp_path / "f") == 1
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(BadEntryError, match="cannot be read"):
        entries.read_json(tmp_path / "f")
