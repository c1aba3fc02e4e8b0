"""`archflow benchmark`."""

import json

import pytest

from archflow.cli import benchmark as command
from archflow.workers import Done, Failed

PROTOCOL = """
name: tiny
spaces:
  digits: {space: nasbench201, table: digits, target: valid_acc}
labels: [1%]
permutations: [21, 2021]
model_seeds: [21]
methods: [random, {encoder: gin, pretext: none}]
fine_tuning: {epochs: 1}
sizes: {width: 8, layers: 1}
quick: {permutations: [21], methods: [random]}
"""


@pytest.fixture
def protocol(tmp_path):
    def write(text=PROTOCOL, name="tiny.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture
def finished(run, protocol, tmp_path, monkeypatch):
    """The folder of a benchmark whose quick part is done, in this process."""
    monkeypatch.setattr(
        "archflow.benchmark.runner.work_through",
        lambda jobs, needs, work, place, workers: (Done(job, work(place, job)) for job in jobs),
    )
    run("benchmark", protocol(), "--out", tmp_path / "out", "--quick", "--device", "cpu")
    return tmp_path / "out"


def test_a_protocol_is_run_quick_whole_and_shown(run, protocol, tmp_path):
    out = tmp_path / "out"
    outcome = run("benchmark", protocol(), "--out", out, "--quick", "--device", "cpu")
    head, *rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert head[:4] == ["table", "labels", "method", "Kendall tau"]
    assert [row[2] for row in rows] == ["random", "gin"]
    assert [row[-1] for row in rows] == ["1 of 2", "0 of 2"]
    assert outcome.err.splitlines()[0] == "1 runs, 1 left to do, 0 encoders to pre-train"
    assert outcome.err.splitlines()[-1] == "tiny: 1 of 4 runs"

    whole = run("benchmark run", protocol(), "--out", out, "--device", "cpu", "--json", "-")
    record = json.loads(whole.out)
    assert (record["finished"], record["expected"]) == (4, 4)
    assert whole.err.splitlines()[0] == "4 runs, 3 left to do, 0 encoders to pre-train"

    shown = run("benchmark show", out, "--json", "-")
    assert json.loads(shown.out) == record
    files = {name: tmp_path / f"tables.{name}" for name in ("markdown", "csv", "latex")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    assert run("benchmark show", out, *options).out.count("\n") == 3
    assert files["markdown"].read_text().startswith("# tiny\n")
    assert files["csv"].read_text().startswith("table,target,labels,")
    assert "\\toprule" in files["latex"].read_text()


def test_failed_runs_are_exit_code_1(run, protocol, tmp_path, monkeypatch):
    def nothing_works(jobs, *rest):
        yield from (Failed(job, "out of luck") for job in jobs)

    monkeypatch.setattr("archflow.benchmark.runner.work_through", nothing_works)
    outcome = run("benchmark", protocol(), "--out", tmp_path / "out", "--device", "cpu", code=1)
    assert "out of luck" in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last == f"4 failed, see {tmp_path / 'out' / 'failed'}; the same command tries them again"
    assert len(list((tmp_path / "out" / "failed").iterdir())) == 4
    assert "4 failed" in run("benchmark show", tmp_path / "out").err


def test_bad_use(refused, protocol, tmp_path):
    out = ["--out", tmp_path / "out"]
    refused("benchmark papre", *out, code=2, parts=["'papre'", "Did you mean 'paper'?"])
    refused("benchmark", tmp_path / "no.yaml", *out, code=2, parts=["no.yaml", "no such file"])
    bad = protocol(PROTOCOL.replace("encoder: gin", "encoder: gni"))
    refused("benchmark", bad, *out, code=2, parts=[bad, "line 8", "unknown encoder 'gni'"])
    tagged = protocol(PROTOCOL.replace("name: tiny", "name: !!python/name:os.system tiny"))
    refused("benchmark", tagged, *out, code=2, parts=["line 2", "tag"])
    few = protocol(PROTOCOL.replace("[1%]", "[0.1%]"))
    refused("benchmark", few, *out, code=2, parts=[few, "table digits", "0.1% labels are 0"])
    lost = protocol(PROTOCOL.replace("table: digits", "table: lost.csv"))
    refused("benchmark", lost, *out, code=1, parts=["lost.csv", "--data"])
    slow = protocol(PROTOCOL.replace("quick", "# quick"))
    refused("benchmark", slow, *out, "--quick", code=2, parts=["has no quick part"])
    refused("benchmark", protocol(), *out, "--device", "gpu", code=2, parts=["device 'gpu'"])
    refused("benchmark", protocol(), code=2, parts=["--out"])
    refused("benchmark", protocol(), *out, "--worker", "2", code=2, parts=["--worker"])
    assert not (tmp_path / "out").exists()


def test_folders_that_are_not_this_protocols(refused, run, protocol, finished, tmp_path):
    other = protocol(PROTOCOL.replace("fine_tuning: {epochs: 1}", "fine_tuning: {epochs: 3}"))
    differs = "methods.gin.digits.fine_tuning.training.epochs is 1 there and 3 here"
    refused("benchmark", other, "--out", finished, code=2, parts=[finished, differs])
    refused("benchmark", protocol(), "--out", tmp_path, code=2, parts=["holds other files"])
    refused("benchmark show", tmp_path, code=2, parts=[tmp_path, "no benchmark here"])
    refused("benchmark show", tmp_path / "nowhere", code=2, parts=["no benchmark here"])
    record = next((finished / "runs").iterdir())
    record.write_text("{")
    refused("benchmark show", finished, code=1, parts=[record, "delete it"])
    refused("benchmark", protocol(), "--out", finished, "--device", "cpu", code=1, parts=[record])


def test_tables_do_not_overwrite(refused, run, finished, tmp_path):
    (tmp_path / "t.md").write_text("mine")
    refused("benchmark show", finished, "--markdown", tmp_path / "t.md", code=2, parts=["exists already"])
    assert (tmp_path / "t.md").read_text() == "mine"
    run("benchmark show", finished, "--markdown", tmp_path / "t.md", "--overwrite")
    assert (tmp_path / "t.md").read_text() != "mine"


def test_on_a_terminal_each_comparison_is_a_table(run, finished, monkeypatch):
    tables = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(command, "print_rows", lambda *rows, title: tables.append(title))
    run("benchmark show", finished)
    assert tables == ["digits, valid_acc, 1%, 6 labels"]


def test_help_tells_of_both(run):
    text = run("benchmark --help").out
    assert "run" in text
    assert "show" in text
    assert "PROTOCOL" in text
