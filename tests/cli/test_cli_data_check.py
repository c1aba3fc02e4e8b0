"""`archflow data check`."""

import json
import math

import numpy as np

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"


def test_a_good_table(run, measured):
    outcome = run("data", "check", measured, "--space", "nasbench201")
    lines = outcome.out.splitlines()
    counts = dict(line.split("\t") for line in lines[1:9])
    assert counts["rows"] == counts["good rows"] == "16"
    assert counts["exact duplicates"] == "0"
    assert [line.split("\t")[0] for line in lines[-3:]] == ["name", "acc", "cost"]
    warnings = [line for line in lines[9:-3] if not line.startswith(("note: ", "  "))]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: 2 of 16 rows (12.5 %) let nothing through")
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


def test_findings_are_sentences_with_examples_between_the_counts_and_the_columns(run, table, cells):
    path = table("t.csv", arch=[cells[0], cells[1], cells[0]], acc=[90.0, 91.0, 93.5])
    lines = run("data", "check", path, "--space", "nasbench201").out.splitlines()
    said = lines.index(
        next(line for line in lines if line.startswith("warning: acc: 1 of 1 pair of rows equal"))
    )
    assert lines[said + 1].startswith("  rows 1 and 3: '|")
    assert lines[said + 1].endswith(": 90 and 93.5")
    assert lines[8].startswith("functional differing")
    assert lines[-2].startswith("name\t")


def test_a_target_that_cannot_be_fitted_exits_with_1(run, measured, table, cells):
    path = table("t.csv", arch=cells[:3], acc=[1.0, 1.0, 1.0])
    outcome = run("data", "check", path, "--space", "nasbench201", "--target", "acc", code=1)
    assert outcome.err == f"archflow: {path}: acc: all 3 values are 1; a constant ranks nothing\n"
    outcome = run("data", "check", measured, "--space", "nasbench201", "--target", "acc")
    assert "warning: cost: orders the rows as acc does (Spearman 1)" in outcome.out


def test_a_column_with_a_line_break_in_its_name_stays_on_one_line(run, table, cells):
    path = table("t.parquet", **{"arch": cells[:3], "a\nb": [1.0, 1.0, 1.0]})
    outcome = run("data", "check", path, "--space", "nasbench201")
    assert "warning: a b: all 3 values are 1; a constant ranks nothing\n" in outcome.out


def test_leaks_to_another_table(run, table, cells):
    train, test = table("a.csv", arch=cells[:6], acc=range(6)), table("b.csv", arch=cells[4:12], acc=range(8))
    outcome = run("data", "check", train, "--space", "nasbench201", "--against", test)
    assert f"of 6 rows hold an architecture that {test} holds too: 2 equal node for node" in outcome.out
    again = ("data", "check", train, "--space", "nasbench201", "--against", test, "--json", "-")
    record = json.loads(run(*again).out)
    assert record["against"] == str(test)
    shared = next(f for f in record["findings"] if f["kind"] == "shared-architectures")
    assert shared["numbers"]["exact"] == 2


def test_the_free_space_learns_its_vocabulary_from_both_tables(run, table):
    one = table("a.csv", arch=["input,conv,output;0>1,1>2"], acc=[1.0])
    two = table(
        "b.csv", arch=["input,skip,conv,output;0>1,1>2,2>3", "input,pool,output;0>1,1>2"], acc=[1.0, 2]
    )
    outcome = run("data", "check", one, "--space", "free", "--against", two)
    assert "1 of 1 row hold an architecture" in outcome.out
    assert "0 isomorphic once pruned, 1 functionally equal" in outcome.out


def test_errors(refused, tmp_path, measured):
    missing = tmp_path / "no.csv"
    refused(
        "data", "check", missing, "--space", "nasbench201", code=1, parts=[missing, "there is no such file"]
    )
    space = ("--space", "nasbench201")
    refused("data", "check", measured, *space, "--against", missing, code=1, parts=["no such file"])
    refused("data", "check", measured, *space, "--target", "ac", code=1, parts=[measured, "'acc'"])
    refused("data", "check", measured, "--space", "nasbench", code=2, parts=["unknown space 'nasbench'"])
    (tmp_path / "empty.csv").touch()
    refused("data", "check", tmp_path / "empty.csv", "--space", "nasbench201", code=1, parts=["empty"])
