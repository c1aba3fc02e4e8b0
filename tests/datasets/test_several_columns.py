"""Tables read for several targets at once: a row needs one of them, and gaps stay gaps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets import read_table, write_table
from archflow.errors import TableError, UsageError
from archflow.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
CELLS = [SPACE.format(SPACE.all()[row]) for row in (0, 700, 15_000)]
CELL = st.none() | st.integers(0, 2).map(float)


@pytest.fixture(params=[".parquet", ".csv"])
def path(tmp_path, request):
    return tmp_path / f"t{request.param}"


def test_rows_with_one_of_them_are_kept(path, space, cells):
    write_table(path, {"arch": cells[:5], "a": [1, None, 3, None, 5], "b": [None, 2.5, 3.5, None, None]})
    table = read_table(path, space, ("a", "b"))
    assert table.target == ("a", "b")
    assert table.rows.tolist() == [1, 2, 3, 5]
    assert table.texts == [cells[row] for row in (0, 1, 2, 4)]
    np.testing.assert_array_equal(table.values, [[1, math.nan], [math.nan, 2.5], [3, 3.5], [5, math.nan]])
    assert table.n_unlabelled == 1


def test_the_order_of_the_targets_is_the_order_of_the_values(path, space, cells):
    write_table(path, {"arch": cells[:2], "a": [1, 2], "b": [3, 4]})
    assert read_table(path, space, ["b", "a"]).values.tolist() == [[3, 1], [4, 2]]


@pytest.mark.parametrize("target", [["a"], ("a",)])
def test_one_in_a_list_is_one_target(path, space, cells, target):
    write_table(path, {"arch": cells[:2], "a": [1, None], "b": [3, 4]})
    table = read_table(path, space, target)
    assert table.target == "a"
    assert table.values.tolist() == [1]


def test_equal_architectures_fill_each_others_gaps(path, space, cells):
    write_table(
        path,
        {"arch": [cells[1], cells[2], cells[1]], "a": [None, 2, 1], "b": [7, None, 7], "other": [None, 1, 2]},
    )
    table = read_table(path, space, ("a", "b"))
    assert table.rows.tolist() == [1, 2]
    assert table.n_merged == 1
    np.testing.assert_array_equal(table.values, [[1, 7], [2, math.nan]])
    assert math.isnan(table.columns["other"][0])  # as with one target, others keep the first row's


def test_a_conflict_in_any_of_them_is_refused(path, space, cells):
    write_table(path, {"arch": [cells[1]] * 3, "a": [None, 1, 1], "b": [5, None, 6]})
    with pytest.raises(TableError, match=r"rows 1 and 3 hold the same .* different b, 5.0 and 6.0"):
        read_table(path, space, ("a", "b"))
    assert read_table(path, space, ("a", "b"), duplicates="mean").values.tolist() == [[1, 5.5]]


@given(st.lists(st.tuples(st.integers(0, 2), CELL, CELL), min_size=1, max_size=8))
def test_joining_equals_the_loop(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("joined") / "t.parquet"
    kinds, *columns = zip(*rows, strict=True)
    write_table(path, {"arch": [CELLS[kind] for kind in kinds], "a": columns[0], "b": columns[1]})
    expected, conflict = {}, False
    for kind, *values in rows:
        if values == [None, None]:
            continue
        joined = expected.setdefault(kind, [None, None])
        for place, value in enumerate(values):
            conflict |= None not in (value, joined[place]) and value != joined[place]
            joined[place] = value if joined[place] is None else joined[place]
    if conflict or not expected:
        with pytest.raises(TableError, match="different" if conflict else "columns a, b are empty in all"):
            read_table(path, SPACE, ("a", "b"))
        return
    table = read_table(path, SPACE, ("a", "b"))
    assert table.texts == [CELLS[kind] for kind in expected]
    np.testing.assert_array_equal(table.values, np.array(list(expected.values()), dtype=float))


@pytest.mark.parametrize("value", ["x", math.inf])
def test_a_bad_value_in_any_of_them_is_a_bad_row(tmp_path, space, cells, value):
    path = tmp_path / "t.csv"
    write_table(path, {"arch": cells[:4], "a": [1, 2, 3, 4], "b": ["5", "", str(value), "7"]})
    with pytest.raises(TableError, match=f"row 3: b is '?{value}'?; a target must be a finite number"):
        read_table(path, space, ("a", "b"))
    table = read_table(path, space, ("a", "b"), skip_bad=True)
    assert table.rows.tolist() == [1, 2, 4]
    assert len(table.skipped) == 1


def test_a_row_that_is_bad_twice_is_counted_once(tmp_path, space, cells):
    path = tmp_path / "t.csv"
    write_table(path, {"arch": cells[:3], "a": ["x", "2", "3"], "b": ["y", "5", "6"]})
    assert len(read_table(path, space, ("a", "b"), skip_bad=True).skipped) == 1


def test_one_that_is_not_there(path, space, cells):
    write_table(path, {"arch": cells[:2], "acc": [1, 2], "latency": [3, 4]})
    with pytest.raises(TableError, match=r"unknown numeric column 'latensy'; .*Did you mean 'latency'"):
        read_table(path, space, ("acc", "latensy"))


@pytest.mark.parametrize("target", [("acc", "acc"), ()])
def test_targets_that_are_none(path, space, cells, target):
    write_table(path, {"arch": cells[:2], "acc": [1, 2]})
    with pytest.raises(UsageError, match="targets of a table must be different columns, one or more"):
        read_table(path, space, target)
