"""Running a protocol: what is written, what is repeated, what a failure or a death does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from archflow.benchmark import run_benchmark, summarise
from archflow.benchmark.jobs import EncoderJob, RunJob
from archflow.benchmark.runner import Listener
from archflow.benchmark.work import work
from archflow.datasets import write_table
from archflow.errors import CheckpointError, TableError, UnknownNameError, UsageError
from archflow.records import RunRecord
from archflow.workers import Done, Failed

HERE = Path(__file__).parent


class Ear(Listener):
    """Remembers what it hears."""

    def __init__(self):
        self.jobs, self.records, self.events = [], {}, []

    def begin(self, runs, records, jobs):
        self.runs, self.records, self.jobs = runs, records, jobs

    def happened(self, event):
        if isinstance(event, Done | Failed):
            self.events.append(event)


@pytest.fixture
def run(protocol_file, tmp_path):
    """Run the tiny protocol; return what was done and what was heard."""

    def build(*replacements, out="out", **options):
        ear = Ear()
        path = protocol_file(*replacements)
        done = run_benchmark(path, tmp_path / out, device="cpu", listener=ear, **options)
        return done, ear

    return build


def scores_in(folder):
    records = {path.stem: json.loads(path.read_text()) for path in (folder / "runs").glob("*.json")}
    return {name: record["scores"] for name, record in records.items()}


def without_training(place, job, report):
    """Stand in for `work`, instantly; a run's scores tell its seeds."""
    if isinstance(job, EncoderJob):
        return None
    value = job.seeds["permutation"] / 10_000
    return RunRecord(
        config=job.config,
        seeds=job.seeds,
        data_digest=job.data_digest,
        scores={
            "kendall_tau": value,
            "spearman": value,
            "precision_at": dict.fromkeys(("1", "5", "10", "50"), value),
        },
        cost={"fit_seconds": 1.0, "predict_seconds": 1.0, "ranked_per_second": 1.0},
    )


def fails_sometimes(place, job, report):
    """Stand in for `work`: the gin of one split ends its process, random refuses, no encoder is trained."""
    if isinstance(job, EncoderJob):
        raise UsageError("cannot be pre-trained")
    if job.config["method"] == "gin" and job.seeds["permutation"] == 21:
        os._exit(9)
    return without_training(place, job, report)


def slow(place, job, report):
    """Stand in for `work`: all but random takes its time."""
    if isinstance(job, EncoderJob) or job.config["method"] != "random":
        time.sleep(60)
    return without_training(place, job, report)


def test_from_nothing_to_records_and_on_from_there(run, tmp_path, request):
    """One call after the other: the quick part, the whole, nothing left; another folder gives the same."""
    done, ear = run(quick=True)
    assert (done.total, done.restored, done.finished, done.failed) == (3, 0, 3, {})
    assert [type(job) for job in ear.jobs] == [RunJob, RunJob, EncoderJob, RunJob]
    (encoder,) = (tmp_path / "out" / "encoders").iterdir()
    quick = scores_in(tmp_path / "out")
    assert len(quick) == 3

    done, ear = run(workers=2)
    assert (done.total, done.restored, done.finished, done.failed) == (12, 3, 9, {})
    assert len(ear.jobs) == 9  # and no encoder
    assert set(ear.records) == set(quick)
    everything = scores_in(tmp_path / "out")
    assert {name: everything[name] for name in quick} == quick
    assert [path.name for path in (tmp_path / "out" / "encoders").iterdir()] == [encoder.name]

    done, ear = run()
    assert (done.total, done.restored, done.finished, ear.jobs) == (12, 12, 0, [])

    request.getfixturevalue("in_process")
    run(out="again")
    assert scores_in(tmp_path / "again") == everything
    assert summarise(tmp_path / "again").finished == 12


def test_a_failure_or_a_death_leaves_the_others_alone(run, tmp_path, request):
    done, ear = run(worker=fails_sometimes, workers=2)
    assert done.finished == 6
    assert len(done.failed) == 7  # the encoder and its 4 runs, and 2 runs whose process ended
    died = {name: reason for name, reason in done.failed.items() if "-gin-m21-p21-" in name}
    assert set(died.values()) == {"its worker process died (exit code 9)"}
    needed = {reason for name, reason in done.failed.items() if "flow" in name}
    assert needed == {"what it needs failed: cannot be pre-trained"}
    notes = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out" / "failed").iterdir()}
    assert {name: note["reason"] for name, note in notes.items()} == done.failed
    summary = summarise(tmp_path / "out")
    assert summary.status == "tiny: 6 of 12 runs, 6 failed"

    request.getfixturevalue("in_process")
    done, ear = run(worker=without_training)
    assert (done.restored, done.finished, done.failed) == (6, 6, {})
    assert len(ear.jobs) == 7
    assert list((tmp_path / "out" / "failed").iterdir()) == []


@pytest.mark.usefixtures("in_process")
def test_a_damaged_encoder_fails_its_runs(run, tmp_path):
    run(quick=True)
    (encoder,) = (tmp_path / "out" / "encoders").iterdir()
    next(encoder.glob("weights-*")).write_bytes(b"spam")
    done, _ = run(worker=without_training)
    assert done.finished == 12 - 3 - 3
    assert len(done.failed) == 1 + 3
    assert "is cut off or damaged" in done.failed[encoder.name]
    shutil.rmtree(encoder)
    assert run(worker=without_training)[0].failed == {}


@pytest.mark.usefixtures("in_process")
def test_a_damaged_record_stops_before_anything_runs(run, tmp_path):
    run(quick=True, worker=without_training)
    record = next((tmp_path / "out" / "runs").iterdir())
    record.write_text("{")
    with pytest.raises(CheckpointError, match=r"delete it"):
        run(worker=without_training)
    record.unlink()
    done, _ = run(worker=without_training)
    assert done.restored == 2


def test_bad_use_is_refused_before_anything_is_written(run, protocol_file, tmp_path):
    for error, replacements, options in (
        (UsageError, [("quick: {labels: [1%], permutations: [21]}\n", "")], {"quick": True}),
        (UsageError, [("labels: [1%, 30]", "labels: [1%, 601]")], {}),
        (UsageError, [], {"workers": 0}),
        (TableError, [("table: digits", "table: t.csv")], {}),
        (TableError, [("valid_acc}", "accuracy}")], {}),
    ):
        with pytest.raises(error):
            run(*replacements, **options)
    with pytest.raises(UsageError, match="device"):
        run_benchmark(protocol_file(), tmp_path / "out", device="gpu")
    with pytest.raises(UnknownNameError):
        run_benchmark("papre", tmp_path / "out")
    assert not (tmp_path / "out").exists()


SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, {here!r})
import test_runner
from archflow.benchmark import run_benchmark

if __name__ == "__main__":
    try:
        run_benchmark({protocol!r}, Path({out!r}), workers=2, device="cpu", worker=test_runner.slow)
    except KeyboardInterrupt as stop:
        sys.exit(str(stop))
"""


def test_ctrl_c_says_how_to_go_on_and_so_it_does(run, protocol_file, tmp_path, request):
    out = tmp_path / "out"
    (tmp_path / "script.py").write_text(
        SCRIPT.format(here=str(HERE), protocol=str(protocol_file()), out=str(out))
    )
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")], stderr=subprocess.PIPE, text=True
    )
    for _ in range(2400):
        if list((out / "runs").glob("*.json")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert message.splitlines()[-1] == (f"stopped; 1 of 12 runs are in {out}, the same command goes on")
    request.getfixturevalue("in_process")
    done, _ = run(worker=without_training)
    assert (done.restored, done.finished) == (1, 11)


def test_the_real_work_is_the_default():
    assert run_benchmark.__kwdefaults__["worker"] is work


def test_a_quick_part_needs_its_own_tables_only(run, in_process, tmp_path, measure):
    """And the rest joins it later, once its table is there."""
    two = "  digits: {space: nasbench201, table: digits, target: valid_acc}"
    other = "\n  other: {space: nasbench201, table: other.parquet, target: accuracy}"
    changes = ((two, two + other), ("quick: {", "quick: {spaces: [digits], "))
    done, _ = run(*changes, quick=True, worker=without_training)
    assert (done.total, done.finished) == (3, 3)
    with pytest.raises(TableError, match=r"no table other\.parquet"):
        run(*changes, worker=without_training)
    table = measure(1200)
    write_table(
        tmp_path / "other.parquet", {"arch": table.texts, "accuracy": np.asarray(table.values, dtype=float)}
    )
    done, _ = run(*changes, worker=without_training)
    assert (done.total, done.restored) == (24, 3)
    done, _ = run(*changes, quick=True, worker=without_training)
    assert (done.total, done.restored, done.finished) == (3, 3, 0)
