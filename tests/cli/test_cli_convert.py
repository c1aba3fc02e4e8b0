"""`archflow data convert`."""

import json

import pytest
import typer
from typer.testing import CliRunner

from archflow.cli import convert
from archflow.datasets import read_table
from archflow.spaces import get

CODES = {"(4, 0, 3, 1, 4, 3)": 80.0, "(0, 2, 3, 2, 3, 1)": 86.0, "(4, 0, 4, 1, 2, 0)": 83.0}


@pytest.fixture
def run():
    app = typer.Typer(add_completion=False)
    app.command()(convert.run)

    def command(*arguments, code=0):
        result = CliRunner().invoke(app, [str(word) for word in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return command


@pytest.fixture
def official(tmp_path):
    """A small file of NAS-Bench-Suite-Zero, the first architecture of which is bad where `bad` is true."""

    def write(*, bad=False, tasks=("cifar10",), name="zc_nasbench201.json"):
        codes = {"(9,)": 1.0, **CODES} if bad else CODES
        entries = {
            code: {"snip": {"score": value / 2}, "val_accuracy": value} for code, value in codes.items()
        }
        (tmp_path / name).write_text(json.dumps(dict.fromkeys(tasks, entries)))
        return tmp_path / name

    return write


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_becomes_a_table(run, official, tmp_path, suffix):
    out = tmp_path / f"t{suffix}"
    result = run(official(), "--out", out)
    table = read_table(out, get("nasbench201"), "val_accuracy")
    assert table.values.tolist() == [80.0, 86.0, 83.0]
    assert table.columns["snip"].tolist() == [40.0, 43.0, 41.5]
    assert result.stderr == f"{out}: 3 architectures of nasbench201\n"
    assert result.stdout.splitlines() == ["column\tfilled", "arch\t3", "snip\t3", "val_accuracy\t3"]


def test_bad_entries_stop_or_are_counted(run, official, tmp_path):
    path, out = official(bad=True), tmp_path / "t.parquet"
    refusal = run(path, "--out", out, code=1)
    assert refusal.stderr.startswith(f"archflow: {path}: architecture '(9,)': ")
    assert refusal.stderr.count("\n") == 1
    assert not out.exists()
    result = run(path, "--out", out, "--skip-bad")
    assert "left out 1 bad entries; the first: architecture '(9,)'" in result.stderr
    assert len(read_table(out, get("nasbench201"))) == 3


def test_format_task_and_space_are_chosen(run, official, tmp_path):
    path, out = official(tasks=("cifar10", "cifar100"), name="scores.json"), tmp_path / "t.parquet"
    refusal = run(path, "--out", out, "--from", "zero_cost", "--space", "nasbench201", code=2)
    assert "choose one of its 2 tasks with --task" in refusal.stderr
    options = ("--from", "zero_cost", "--task", "cifar100", "--space", "nasbench201", "--json", "-")
    record = json.loads(run(path, "--out", out, *options).stdout)
    assert record == {
        "path": str(path),
        "format": "zero_cost",
        "task": "cifar100",
        "space": "nasbench201",
        "rows": 3,
        "columns": ["arch", "snip", "val_accuracy"],
        "skipped": 0,
        "out": str(out),
    }


def test_the_record_goes_to_a_file(run, official, tmp_path):
    result = run(official(), "--out", tmp_path / "t.csv", "--json", tmp_path / "r.json")
    record = json.loads((tmp_path / "r.json").read_text())
    assert (record["format"], record["task"], record["rows"]) == ("zero_cost", None, 3)
    assert "snip\t3" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (("--from", "nasbench102"), 2, "unknown format 'nasbench102'; choose from: nasbench101"),
        (("--task", "cifar11"), 2, "unknown task 'cifar11'"),
        (("--space", "dart"), 2, "unknown space 'dart'"),
        (("--space", "darts"), 1, "two cells were expected"),
        (("--from", "nasbench101", "--space", "darts"), 2, "the format nasbench101 has no option space"),
        (("--from", "nasbench101"), 1, "no TFRecord file"),
    ],
)
def test_bad_use(run, official, tmp_path, options, code, part):
    refusal = run(official(), "--out", tmp_path / "t.parquet", *options, code=code)
    assert refusal.stderr.startswith("archflow: ")
    assert part in refusal.stderr
    assert not (tmp_path / "t.parquet").exists()


def test_outputs_are_checked_before_the_work(run, official, tmp_path):
    path, out = official(), tmp_path / "t.parquet"
    run(path, "--out", out)
    assert "pass --overwrite" in run(path, "--out", out, code=2).stderr
    run(path, "--out", out, "--overwrite")
    refusal = run(tmp_path / "missing.json", "--out", tmp_path / "t.txt", code=1)
    assert "must end in .parquet or .csv" in refusal.stderr
    refusal = run(tmp_path / "missing.json", "--out", tmp_path / "u.csv", code=1)
    assert "missing.json: there is no such file or folder" in refusal.stderr
