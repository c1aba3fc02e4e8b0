import json
import math

import numpy as np
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
    assert (acc.distinct, columns["same"].distinct, columns["empty"].distinct) == (4, 1, 0)
    assert (report.functional_duplicates, report.functional_differing) == (3, 2)
    assert list(report.other_columns) == ["note"]
    assert report.failed
    told = {(f.kind, f.column, f.severity): f.rows for f in report.findings}
    assert told == {
        ("bad-rows", None, "problem"): (2, 6),
        ("not-finite", "acc", "warning"): (6,),
        ("constant", "same", "warning"): (),
        ("not-finite", "huge", "warning"): (3, 4),
        ("constant", "huge", "warning"): (),
        ("empty", "empty", "warning"): (1, 2, 3, 4, 5, 6, 7),
        ("exact-disagreement", "acc", "warning"): (4, 7),
        ("gaps", "acc", "note"): (5,),
        ("exact-duplicates", None, "note"): (4, 7),
        ("isomorphic-duplicates", None, "note"): (3, 4, 7),
        ("isomorphic-disagreement", "acc", "note"): (3, 4, 7),
        ("zero-operations", None, "note"): (1, 3, 4, 5, 7),
        ("forms", None, "note"): (1, 3, 4, 5, 7),
    }
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert plain["bad"][0]["row"] == 2
    assert plain["columns"][0]["name"] == "acc"
    assert plain["findings"][0] == {
        "kind": "bad-rows",
        "severity": "problem",
        "message": "2 of 7 rows are bad",
        "column": None,
        "count": 2,
        "rows": [2, 6],
        "examples": [],
        "numbers": {},
    }
    assert (plain["path"], plain["against"], plain["target"]) == (str(path), None, None)
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


@pytest.fixture
def measured(tmp_path, space):
    """A table of twelve cells, and of six of those with four others."""
    cells = [space.format(cell) for cell in space.sample(16, np.random.default_rng(0))]
    values = np.random.default_rng(1).normal(90, 2, size=16)
    write_table(tmp_path / "one.csv", {"arch": cells[:12], "acc": values[:12], "loss": 100 - values[:12]})
    write_table(tmp_path / "two.csv", {"arch": [*cells[6:], "spam"], "acc": [*values[6:] + 1, 0.0]})
    return tmp_path / "one.csv", tmp_path / "two.csv"


def kinds(report):
    """Return (kind, column) of the findings, but for those on the forms of random cells."""
    graphs = ("cut-off", "forms", "zero-operations", "functional-duplicates", "functional-disagreement")
    return {(f.kind, f.column) for f in report.findings if f.kind not in graphs}


def test_the_target_alone_is_looked_at_and_what_gives_it_away(measured, space):
    report = check_table(measured[0], space, target="acc")
    assert kinds(report) == {("copy", "loss")}
    assert kinds(check_table(measured[0], space)) == set()
    with pytest.raises(TableError, match=r"one.csv: unknown numeric column 'ac'; .* Did you mean 'acc'\?"):
        check_table(measured[0], space, target="ac")


def test_a_target_that_cannot_be_fitted_is_a_problem(tmp_path, space):
    write_table(tmp_path / "t.csv", {"arch": [ONE_PATH, OTHER_PATH], "acc": [1.0, math.nan], "same": [1, 1]})
    assert not check_table(tmp_path / "t.csv", space).failed
    for target in ("acc", "same"):
        assert check_table(tmp_path / "t.csv", space, target=target).failed


def test_against_another_table(measured, space):
    one, two = measured
    report = check_table(one, space, two)
    assert kinds(report) == {
        ("shared-architectures", None),
        ("shared-values", "acc"),
        ("bad-rows-against", None),
    }
    findings = {f.kind: f for f in report.findings}
    assert findings["shared-architectures"].numbers["exact"] == 6
    assert findings["shared-values"].numbers["difference"] == pytest.approx(1)
    assert (
        findings["bad-rows-against"].message == f"{two}: 1 of 11 rows are bad and were not compared (row 11)"
    )
    assert (report.against, report.failed) == (str(two), False)
    with pytest.raises(TableError, match="no such file"):
        check_table(one, space, one.with_name("three.csv"))
