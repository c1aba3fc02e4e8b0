"""Running a protocol: resumably, with several processes, one record a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from archflow.benchmark.data import read_data
from archflow.benchmark.folder import BenchmarkFolder
from archflow.benchmark.jobs import EncoderJob, Job, RunJob, plan
from archflow.benchmark.protocol import Selection
from archflow.benchmark.protocol_file import protocol_path, read_protocol
from archflow.benchmark.work import Workplace, finished_encoder, work
from archflow.errors import CheckpointError, UsageError
from archflow.records import RunRecord
from archflow.training import resolve_device
from archflow.workers import Done, Event, Failed, Work, work_through


@dataclasses.dataclass(frozen=True)
class BenchmarkRun:
    """What a call of `run_benchmark` did.

    Attributes:
        folder: Where the records are.
        total: Runs of the protocol, or of its quick part.
        restored: Runs that earlier calls had finished.
        finished: Runs that this call finished.
        failed: Why runs and pre-trainings failed, by their id.
    """

    folder: Path
    total: int
    restored: int
    finished: int
    failed: Mapping[str, str]


class Listener:
    """Hears how a benchmark goes; does nothing about it."""

    def begin(self, runs: Sequence[RunJob], records: Mapping[str, RunRecord], jobs: Sequence[Job]) -> None:
        """Hear all runs, the records of those that are finished, and the jobs that are left."""

    def happened(self, event: Event) -> None:
        """Hear what happened to a job."""


def run_benchmark(
    protocol: str | Path,
    out: Path,
    *,
    data: Path | None = None,
    workers: int = 1,
    device: str = "auto",
    quick: bool = False,
    listener: Listener | None = None,
    worker: Work = work,
) -> BenchmarkRun:
    """Run a protocol; what is finished in `out` is not repeated.

    A run is fitted on the labelled rows of the paper's split, chooses its epoch by the validation rows and is
    scored on the test rows. Encoders are pre-trained once for all runs that differ in labels and split alone.
    The processes are spawned, so a script keeps this call under `if __name__ == "__main__":`.

    Args:
        protocol: A YAML file, or the name of a shipped one.
        out: Folder of records and encoders; of this protocol, or new.
        data: Folder of the tables; by default `$ARCHFLOW_DATA`.
        workers: Processes, each on one thread.
        device: "auto", "cpu", "cuda" and the like.
        quick: Only the runs that the protocol calls quick.
        listener: Told how it goes.
        worker: What does one job, a module-level function.

    Returns:
        What was done. Failed jobs are in it; they raise nothing, and the next call tries them again.

    Raises:
        UsageError: The protocol says something wrong, or `out` belongs to another one.
        TableError: A table or a column is missing or bad.
        CheckpointError: A record in `out` is damaged.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    resolve_device(device)
    path = protocol_path(protocol)
    the_protocol = read_protocol(path)
    if quick and the_protocol.quick is None:
        raise UsageError(f"{path}: has no quick part; leave --quick out")
    wanted = ((the_protocol.quick if quick else None) or Selection()).of(the_protocol)
    tables = read_data(wanted, path, data)  # a quick part needs its own tables only
    identities = {name: table.identity() for name, table in tables.items()}
    folder = BenchmarkFolder.create(out, the_protocol, identities)
    names = {run.id for run in plan(wanted, identities)}
    runs = [run for run in folder.plan() if run.id in names]  # planned as a whole, for shares of encoders
    with folder.locked():
        return _run(folder, runs, Workplace(tables, folder.encoders, device), workers, worker, listener)


def _run(
    folder: BenchmarkFolder,
    runs: Sequence[RunJob],
    place: Workplace,
    workers: int,
    worker: Work,
    listener: Listener | None,
) -> BenchmarkRun:
    records = folder.records()
    left = [run for run in runs if run.id not in records]
    restored, finished = len(runs) - len(left), 0
    jobs, failed = _with_encoders(left, place)
    folder.forgive(jobs)
    for job, reason in failed.items():
        folder.fail(job, reason)
    reasons = {job.id: reason for job, reason in failed.items()}
    tell = listener or Listener()
    tell.begin(runs, records, jobs)
    try:
        with closing(work_through(jobs, _needs, worker, place, workers)) as events:
            for event in events:
                if isinstance(event, Done) and isinstance(event.job, RunJob):
                    folder.finish(event.job, event.result)
                    finished += 1
                elif isinstance(event, Failed):
                    folder.fail(event.job, event.reason)
                    reasons[event.job.id] = event.reason
                tell.happened(event)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {restored + finished} of {len(runs)} runs are in {folder.path}, "
            "the same command goes on"
        ) from None
    return BenchmarkRun(folder.path, len(runs), restored, finished, reasons)


def _needs(job: Job) -> EncoderJob | None:
    return job.encoder if isinstance(job, RunJob) else None


def _with_encoders(runs: Sequence[RunJob], place: Workplace) -> tuple[list[Job], dict[Job, str]]:
    """Return what is to be done, each encoder before the first run that needs it, and what cannot be."""
    jobs: list[Job] = []
    failed: dict[Job, str] = {}
    checked: set[str] = set()
    for run in runs:
        encoder = run.encoder
        if encoder is not None and encoder.id not in checked:
            checked.add(encoder.id)
            try:
                if not finished_encoder(place, encoder):
                    jobs.append(encoder)
            except CheckpointError as error:
                failed[encoder] = str(error)
        if encoder is not None and encoder in failed:
            failed[run] = f"what it needs failed: {failed[encoder]}"
        else:
            jobs.append(run)
    return jobs, failed
