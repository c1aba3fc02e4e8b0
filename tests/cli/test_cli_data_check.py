"""`archflow data check`."""

import json
import math

import numpy as np

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"


def test_a_good_table(run, measured):
    outcome = run("data", "check", measured, "--space", "nasbench201")
    counts = dict(line.split("\t") for line in outcome.out.splitlines()[1:7])
    assert counts["rows"] == counts["good rows"] == "16"
    assert counts["exact duplicates"] == "0"
    assert [line.split("\t")[0] for line in outcome.out.splitlines()[7:]] == ["name", "acc", "cost"]
    assert outcome.err == ""


def test_bad_rows_are_told_one_by_one_and_exit_with_1(run, table, cells):
    path = table("t.csv", arch=[*cells[:3], "spam", cells[4], None], acc=np.arange(6.0))
    outcome = run("data", "check", path, "--space", "nasbench201", code=1)
    told = outcome.err.splitlines()
    assert len(told) == 3
    assert told[0].startswith("row 4: arch 'spam': not a NAS-Bench-201 string")
    assert told[1] == "row 6: arch is empty; every row must hold an architecture"
    assert told[2] == f"archflow: {path}: 2 of 6 rows are bad"
    assert "good rows\t4" in outcome.out


def test_many_bad_rows_are_told_in_part_and_counted_in_full(run, table, cells):
    path = table("t.csv", arch=["spam"] * 500 + cells[:1], acc=np.arange(501.0))
    outcome = run("data", "check", path, "--space", "nasbench201", code=1)
    assert len(outcome.err.splitlines()) < 30
    assert outcome.err.endswith(f"archflow: {path}: 500 of 501 rows are bad\n")


def test_json_alone_on_stdout_even_for_a_bad_table(run, table, cells):
    path = table("t.parquet", arch=[cells[0], "spam", cells[0]], acc=[1.0, math.nan, math.inf])
    record = json.loads(run("data", "check", path, "--space", "nasbench201", "--json", "-", code=1).out)
    assert (record["rows"], record["good_rows"], record["exact_duplicates"]) == (3, 2, 1)
    assert record["bad"][0]["row"] == 2
    assert record["columns"][0]["infinite"] == 1


def test_json_to_a_file_leaves_the_tables_for_people(run, measured, tmp_path):
    outcome = run("data", "check", measured, "--space", "nasbench201", "--json", tmp_path / "r.json")
    assert "good rows\t16" in outcome.out
    assert json.loads((tmp_path / "r.json").read_text())["good_rows"] == 16


def test_the_free_space_and_its_meanings(run, table):
    a, b = "input,blank,conv,output;0>1,1>3,0>2,2>3", "input,conv,output;0>1,1>2"
    path = table("t.csv", arch=[a, b], acc=[1.0, 2.0])
    plain = json.loads(run("data", "check", path, "--space", "free", "--json", "-").out)
    meant = json.loads(run("data", "check", path, "--space", "free", "--zero", "blank", "--json", "-").out)
    assert plain["isomorphic_duplicates"] == 0
    assert meant["isomorphic_duplicates"] == 1  # without its zero operation the first is the second


def test_errors(refused, tmp_path, measured):
    missing = tmp_path / "no.csv"
    refused(
        "data", "check", missing, "--space", "nasbench201", code=1, parts=[missing, "there is no such file"]
    )
    refused("data", "check", measured, "--space", "nasbench", code=2, parts=["unknown space 'nasbench'"])
    (tmp_path / "empty.csv").touch()
    refused("data", "check", tmp_path / "empty.csv", "--space", "nasbench201", code=1, parts=["empty"])
