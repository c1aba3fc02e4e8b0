"""The benchmarks: all of them are run, and what is quoted of them comes from what they wrote."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable
from archflow.spaces import NASBench201

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SHARED = {"harness", "candidates", "everything", "report"}


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name, as the scripts import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__


def timing(name, count, *seconds):
    return {"name": name, "count": count, "seconds": list(seconds)}


def a_result(tables, **others):
    return {"hardware": {"processor": "Toy", "threads": "1 of 2"}, "results": tables, **others}


def test_every_script_is_run_or_left_out_for_a_reason(load):
    everything = load("everything")
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - SHARED
    run = {run.script for run in everything.RUNS.values()}
    assert run | set(everything.LEFT_OUT) == scripts
    assert not run & set(everything.LEFT_OUT)
    assert all(everything.LEFT_OUT.values())


def test_every_claim_has_a_run_that_writes_its_figure(load):
    everything, report = load("everything"), load("report")
    written = {name for name, run in everything.RUNS.items() if run.writes}
    assert {claim.result for claim in report.CLAIMS} <= written
    assert {claim.unit for claim in report.CLAIMS} <= set(report.UNITS)


def test_a_script_that_fails_is_named_and_the_others_go_on(load, tmp_path, monkeypatch, capfd):
    everything = load("everything")
    (tmp_path / "bad.py").write_text("import sys\nprint('half of it', flush=True)\nsys.exit(3)")
    (tmp_path / "good.py").write_text("import sys, pathlib\npathlib.Path(sys.argv[-1]).write_text('{}')")
    monkeypatch.setattr(everything, "HERE", tmp_path)
    monkeypatch.setattr(everything, "RUNS", {name: everything.Run(name) for name in ("bad", "good")})
    monkeypatch.setattr(sys, "argv", ["everything.py", "--results", str(tmp_path / "results")])
    assert everything.main() == 1
    out, err = capfd.readouterr()
    assert "half of it" in out
    assert err.strip() == "failed: bad"
    assert (tmp_path / "results" / "bad.txt").read_text() == "half of it\n"
    assert (tmp_path / "results" / "good.json").read_text() == "{}"


def test_an_unknown_benchmark_is_refused_with_the_nearest_name():
    command = [sys.executable, str(BENCHMARKS / "everything.py"), "--only", "scal"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "Did you mean 'scale'?" in result.stderr


@pytest.mark.parametrize(
    ("unit", "place", "reference", "figure"),
    [
        ("x", ("cells", "ours"), "loops", 40.0),  # 100 in 2 s against 10 in 8 s
        ("x quicker", ("cells", "ours"), "loops", 4.0),
        ("of the reference", ("cells", "ours"), "loops", 0.25),
        ("archs/s", ("cells", "ours"), "", 50.0),
        ("s", ("cells", "ours"), "", 2.0),
        ("GB", ("bytes", "ours"), "", 3.0),
        ("x sooner", (), "loops", 6.0),
    ],
)
def test_figures_are_computed_from_the_medians(load, unit, place, reference, figure):
    report = load("report")
    rows = [timing("ours", 100, 2, 1, 3), timing("ours, more", 100, 9), timing("loops, sample", 10, 8)]
    runs = [{"ratio": ratio} for ratio in (2, 6, 7)]
    result = a_result({"some cells": rows}, bytes={"ours": 3_000_000_000}, runs=runs)
    claim = report.Claim("work", 1, unit, "toy", place, reference)
    value, name, spread = report.measured(claim, result)
    assert value == figure
    assert name in ("", "loops, sample", "loops")
    assert spread == {"GB": None, "x sooner": 2.5}.get(unit, 2.0)


@pytest.mark.parametrize(
    ("place", "unit", "reason"),
    [
        (("edges", "ours"), "x", "0 tables have 'edges' in their title"),
        (("cells", "theirs"), "x", "0 rows of 'cells' begin with 'theirs'"),
        (("cells", "o"), "s", "2 rows of 'cells' begin with 'o'"),
        (("bytes", "ours"), "GB", "no figure bytes, ours"),
        ((), "x sooner", "no runs with a ratio"),
    ],
)
def test_what_a_result_lacks_is_named(load, monkeypatch, place, unit, reason):
    report = load("report")
    result = a_result({"some cells": [timing("ours", 100, 2), timing("other", 100, 2)]})
    monkeypatch.setattr(report, "CLAIMS", (report.Claim("work", 1, unit, "toy", place),))
    lines, missing = report.claims_table({"toy": result})
    assert missing == [f"toy.json: {reason}"]
    assert "| missing |" in lines[-1]


@pytest.mark.parametrize(
    ("unit", "aim", "answer"), [("x", 5, "no"), ("x", 4, "yes"), ("s", 2, "yes"), ("s", 1, "no")]
)
def test_ratios_are_aimed_at_from_below_and_seconds_from_above(load, monkeypatch, unit, aim, answer):
    report = load("report")
    result = a_result({"cells": [timing("ours", 10, 2), timing("loops", 10, 8)]})
    claim = report.Claim("work", aim, unit, "toy", ("cells", "ours"), "loops")
    monkeypatch.setattr(report, "CLAIMS", (claim,))
    lines, _ = report.claims_table({"toy": result})
    assert lines[-1].endswith(f"| - | {answer} |")


def test_the_figures_of_a_page_are_replaced_and_nothing_else(load, tmp_path, monkeypatch):
    report = load("report")
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{report.BEGIN}\nold\n\n{report.END}\nafter\n")
    scale = a_result({"gin": [timing("10", 10, 1.0), timing("100", 100, 10.0)]}, exponents={"gin": 1.0})
    (tmp_path / "scale.json").write_text(json.dumps(scale))
    monkeypatch.setattr(sys, "argv", ["report.py", "--results", str(tmp_path), "--page", str(page)])
    assert report.main() == 0
    once = page.read_text()
    assert once.startswith(f"before\n\n{report.BEGIN}")
    assert once.endswith(f"{report.END}\nafter\n")
    assert "old" not in once
    assert "| gin | 1.00, 100000.0 | 10.00, 100000.0 | 1.00 |" in once
    assert "    line [0.000, 1.000]" in once
    assert "processor Toy" in once
    assert report.main() == 0
    assert page.read_text() == once


def test_the_page_of_speeds_has_a_place_for_every_claim(load):
    report = load("report")
    page = report.PAGE.read_text()
    _, _, rest = page.partition(report.BEGIN)
    part, end, _ = rest.partition(report.END)
    assert end
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
    assert rows[: len(report.CLAIMS)] == [claim.work for claim in report.CLAIMS]


def test_renumbered_cells_are_the_same_cells(load):
    space, rng = NASBench201(), np.random.default_rng(0)
    candidates = load("candidates")
    table = space.all().in_form("pruned")[::7]
    columns = candidates.renumbered(table.columns, rng)
    columns.check(table.operations)
    other = ArchitectureTable(columns, table.operations)
    assert np.array_equal(other.keys(), table.keys())
    assert other.digest() != table.digest()


def test_a_folder_of_cells_is_whole_resumes_and_keeps_others_out(load, tmp_path, monkeypatch):
    candidates = load("candidates")
    monkeypatch.setattr(candidates, "SPACE", NASBench201())  # small: two files for 20,000 cells
    size = candidates.SPACE.size
    folder = candidates.write_folder(tmp_path / "cells", 20_000)
    paths = sorted(folder.iterdir())
    assert [pq.read_metadata(path).num_rows for path in paths] == [size, 20_000 - size]
    first = candidates.cells(0, size)
    assert len(np.unique(first.keys())) == len(np.unique(candidates.SPACE.all().keys()))
    seconds, in_memory = candidates.read_folder(folder)
    assert seconds > 0
    both = ArchitectureTable.concatenate([first, candidates.cells(1, 20_000 - size)]).columns
    arrays = (both.operation_ids, both.node_offsets, both.sources, both.targets, both.edge_offsets)
    assert in_memory == pytest.approx(sum(array.nbytes for array in arrays), rel=1e-4)

    times = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    candidates.write_folder(folder, 20_000)
    assert [path.stat().st_mtime_ns for path in paths[:1]] == times[:1]
    assert paths[1].exists()
    with pytest.raises(UsageError, match=r"cells-001\.parquet: is not of 100 cells"):
        candidates.write_folder(folder, 100)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_a_whole_family(load):
    ten_million = load("ten_million")
    child = "import sys; data = bytearray(60_000_000); print('up', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {child!r}]))"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", parent], **pipes) as process:
        assert process.stdout.readline() == b"up\n"
        memory = ten_million.Memory(process.pid)
        memory.look()
        process.stdin.close()
        process.wait()
    assert memory.processes == 2
    assert 60_000_000 < memory.peak < 300_000_000
    memory.look()  # of a process that has ended
    assert memory.processes == 2


def test_growth_is_an_exponent(load):
    scale, harness = load("scale"), load("harness")
    timings = [harness.Timing("cells", count, (3e-6 * count**1.5,)) for count in (10, 100, 1000)]
    assert scale.exponent(timings) == pytest.approx(1.5)


@pytest.mark.slow
def test_every_benchmark_works_on_small_sizes(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "everything.py"), "--quick", "--results", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
