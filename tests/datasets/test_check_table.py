import json
import math

import pytest

from archflow.datasets import check_table, write_table
from archflow.errors import TableError


def cell(*names):
    a, b, c, d, e, f = names
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


C, N, S = "nor_conv_3x3", "none", "skip_connect"
ONE_PATH = cell(N, N, N, C, N, N)
SAME_PATH_WITH_A_DEAD_END = cell(C, N, N, C, N, N)
OTHER_PATH = cell(N, N, N, S, N, N)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_report_of_a_table_with_everything_wrong(tmp_path, space, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(
        path,
        {
            "arch": [ONE_PATH, "spam", SAME_PATH_WITH_A_DEAD_END, ONE_PATH, OTHER_PATH, None, ONE_PATH],
            "acc": [1.0, 2.0, 3.0, 1.5, None, math.nan, 1.0],
            "same": [7, 7, 7, 7, 7, 7, 7],
            "huge": [1e308, 1e308, -math.inf, math.inf, 1e308, 1e308, 1e308],
            "empty": [None] * 7,
            "note": list("abcdefg"),
        },
    )
    report = check_table(path, space)
    assert (report.rows, report.good_rows) == (7, 5)
    assert [bad.row for bad in report.bad] == [2, 6]
    assert "'spam'" in report.bad[0].message
    assert report.exact_duplicates == 2  # rows 4 and 7 repeat row 1
    assert report.exact_differing == 1  # row 4 in acc; row 7 is equal, huge aside
    assert report.isomorphic_duplicates == 3  # row 3 as well
    assert report.isomorphic_differing == 2
    columns = {column.name: column for column in report.columns}
    assert list(columns) == ["acc", "same", "huge", "empty"]
    acc = columns["acc"]
    assert (acc.count, acc.gaps, acc.nan, acc.infinite, acc.unreadable) == (5, 1, 1, 0, 0)
    assert (acc.minimum, acc.maximum, acc.mean, acc.constant) == (1.0, 3.0, pytest.approx(8.5 / 5), False)
    assert acc.differing == 2
    assert columns["same"].constant
    assert columns["same"].differing == 0
    assert (columns["huge"].infinite, columns["huge"].mean) == (2, pytest.approx(1e308))
    assert (columns["empty"].count, columns["empty"].minimum, columns["empty"].constant) == (0, None, False)
    assert list(report.other_columns) == ["note"]
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert plain["bad"][0]["row"] == 2
    assert plain["columns"][0]["name"] == "acc"
    assert plain["path"] == str(path)
    assert plain["space"] == "nasbench201"


def test_rows_that_are_no_rows(tmp_path, space):
    path = tmp_path / "t.csv"
    path.write_text(f"arch,acc\n{ONE_PATH},1\n{ONE_PATH}\n{OTHER_PATH},oops\n")
    report = check_table(path, space)
    assert (report.rows, report.good_rows) == (3, 2)
    assert [bad.row for bad in report.bad] == [2]
    assert report.columns[0].unreadable == 1
    assert report.columns[0].nan == 0


def test_a_table_without_a_good_row_is_still_reported(tmp_path, space):
    write_table(tmp_path / "t.csv", {"arch": ["spam", "eggs"], "acc": [1, 2]})
    report = check_table(tmp_path / "t.csv", space)
    assert (report.rows, report.good_rows, len(report.bad)) == (2, 0, 2)
    assert report.isomorphic_duplicates == 0


def test_a_file_that_is_no_table(tmp_path, space):
    with pytest.raises(TableError, match="no such file"):
        check_table(tmp_path / "t.csv", space)
