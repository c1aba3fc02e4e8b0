"""The table that grows on the terminal while a benchmark runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from archflow.benchmark.jobs import EncoderJob, Job, RunJob
from archflow.benchmark.runner import Listener
from archflow.records import RunRecord
from archflow.workers import Done, Event, Failed, Under


class LiveTable(Listener):
    """Shows the mean Kendall tau of each method so far, what runs, and the time left.

    Where the console is no terminal, each finished or failed job is a line instead.

    Args:
        workers: Processes, for the time left.
        console: Where to draw; by default stderr.
    """

    def __init__(self, workers: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._workers = workers
        self._runs: Sequence[RunJob] = ()
        self._left: dict[str, Job] = {}
        self._taus: dict[tuple[str, str, str], list[float]] = {}
        self._failed = 0
        self._under: dict[str, _Progress] = {}
        self._seconds: dict[tuple[str, str], list[float]] = {}
        self._live = Live(
            console=self._console, get_renderable=self._drawn, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, runs: Sequence[RunJob], records: Mapping[str, RunRecord], jobs: Sequence[Job]) -> None:
        """Take what there is already."""
        self._runs, self._left = runs, {job.id: job for job in jobs}
        for run in runs:
            if run.id in records:
                self._take(run, records[run.id])
        encoders = sum(isinstance(job, EncoderJob) for job in jobs)
        self._say(f"{len(runs)} runs, {len(jobs) - encoders} left to do, {encoders} encoders to pre-train")

    def happened(self, event: Event) -> None:
        """Take one more."""
        job: Job = event.job
        if isinstance(event, Under):
            now = time.monotonic()
            first = self._under.get(job.id, _Progress(event, now, now, event.done))
            self._under[job.id] = dataclasses.replace(first, event=event, now=now)
            return
        self._left.pop(job.id, None)
        progress = self._under.pop(job.id, None)
        left = f"{len(self._left)} left"
        if isinstance(event, Failed):
            self._failed += 1
            self._say(f"failed: {job.title}: {event.reason} ({left})")
        elif isinstance(event, Done) and isinstance(job, RunJob):
            self._take(job, event.result)
            self._say(f"{job.title}: tau {event.result.scores['kendall_tau']:.4f} ({left})")
        else:
            if progress is not None and progress.rate is not None:
                self._seconds.setdefault(_kind(job), []).append(progress.rate * progress.event.total)
            self._say(f"{job.title}: done ({left})")

    def _take(self, run: RunJob, record: RunRecord) -> None:
        key = (run.config["method"], run.config["table"], run.config["labels"])
        self._taus.setdefault(key, []).append(record.scores["kendall_tau"])
        seconds = record.cost["fit_seconds"] + record.cost["predict_seconds"]
        self._seconds.setdefault(_kind(run), []).append(seconds)

    def _say(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _drawn(self) -> Group:
        columns = list(dict.fromkeys((run.config["table"], run.config["labels"]) for run in self._runs))
        methods = list(dict.fromkeys(run.config["method"] for run in self._runs))
        table = Table("method", *(f"{name}\n{labels}" for name, labels in columns))
        for method in methods:
            cells = []
            for column in columns:
                taus = self._taus.get((method, *column), [])
                cells.append(f"{np.mean(taus):.3f} ({len(taus)})" if taus else "")
            table.add_row(Text(method), *cells)
        done = sum(len(taus) for taus in self._taus.values())
        under = [progress.event for progress in list(self._under.values())]
        lines = [f"{event.job.title}: {event.done} of {event.total} {event.remark}" for event in under]
        status = f"{done} of {len(self._runs)} runs, {self._failed} failed, {self._time_left()}"
        return Group(table, *map(Text, lines), Text(status))

    def _time_left(self) -> str:
        """Guess from what jobs of the same kind took, or the ones that run would take at their pace."""
        took: dict[tuple[str, str], list[float]] = {kind: list(one) for kind, one in self._seconds.items()}
        begun: dict[str, float] = {}
        for name, progress in list(self._under.items()):
            if progress.rate is not None:
                took.setdefault(_kind(progress.event.job), []).append(progress.rate * progress.event.total)
                begun[name] = progress.rate * (progress.event.total - progress.event.done)
        seconds = 0.0
        for name, job in list(self._left.items()):
            of_its_kind = took.get(_kind(job)) or [
                one for (what, _), several in took.items() if what == _kind(job)[0] for one in several
            ]
            if name not in begun and not of_its_kind:
                return "time left unknown"
            seconds += begun[name] if name in begun else float(np.mean(of_its_kind))
        minutes = seconds / self._workers / 60
        left = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
        return f"about {left} left"


@dataclasses.dataclass(frozen=True)
class _Progress:
    """How far a job is, and since when it has said so."""

    event: Under
    began: float
    now: float
    first: int

    @property
    def rate(self) -> float | None:
        """Seconds a step, or None where one report is all there is."""
        steps = self.event.done - self.first
        return (self.now - self.began) / steps if steps > 0 else None


def _kind(job: Job) -> tuple[str, str]:
    """Say which jobs take about as long: those with the same first word do, more or less."""
    if isinstance(job, EncoderJob):
        return f"pre-training {job.settings['encoder']['name']}", job.table
    return job.config["settings"]["method"], f"{job.config['table']} {job.config['labels']}"
