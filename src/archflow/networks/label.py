"""Labelling architectures: train each with several seeds, resumably, and write a table."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from archflow.errors import UsageError
from archflow.graphs import Architecture
from archflow.networks.cell import OPERATIONS
from archflow.networks.journal import Journal
from archflow.networks.results import check_out, journal_path, write_results
from archflow.networks.tasks import Task
from archflow.networks.train import TrainedNetwork, train_network
from archflow.protocols import Space
from archflow.records import versions
from archflow.workers import JobError, run_jobs

Progress = Callable[[int, int], None]
"""Called with (trainings done, trainings in all) at the start and after each training."""

Trainer = Callable[[Architecture, Task, int], TrainedNetwork]
"""A module-level function (architecture, task, seed) -> what was measured; `train_network` is one."""

Job = tuple[str, Architecture, int]
"""An architecture's text, the architecture and a training seed."""

Training = tuple[str, int]
"""An architecture's text and a training seed."""


class TrainingError(JobError):
    """A network that could not be trained; names the architecture and the seed."""


class TrainingJournal(Journal[Training, TrainedNetwork]):
    """The journal of a labelling run: one line a finished training."""

    command = "label"
    piece = "training"
    again = "train that network again"

    def encode(self, key: Training, row: TrainedNetwork) -> Mapping[str, Any]:
        """Turn a finished training into plain JSON values."""
        return {
            "arch": key[0],
            "seed": key[1],
            "valid_acc": row.valid_accuracy,
            "train_seconds": row.train_seconds,
            "parameters": row.parameters,
        }

    def decode(self, line: Any) -> tuple[Training, TrainedNetwork]:
        """Turn them back."""
        key = str(line["arch"]), int(line["seed"])
        measured = float(line["valid_acc"]), float(line["train_seconds"]), int(line["parameters"])
        return key, TrainedNetwork(*measured)

    def name(self, key: Training) -> str:
        """Say which training it is."""
        return f"{key[0]} with seed {key[1]}"


@dataclasses.dataclass(frozen=True)
class LabelRun:
    """What a labelling run did.

    Attributes:
        out: The table it wrote.
        architectures: Rows of the table.
        trainings: Trainings of this call.
        restored: Trainings that the journal of an interrupted call held.
    """

    out: Path
    architectures: int
    trainings: int
    restored: int


def label(
    space: Space,
    architectures: Iterable[Architecture],
    task: Task,
    *,
    seeds: Sequence[int],
    out: Path,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
    trainer: Trainer = train_network,
) -> LabelRun:
    """Train every architecture with every seed and write what was measured as a table.

    Each finished training is at once on the disk, in `journal_path(out)`; the same call after an
    interruption goes on from there. The table has the columns `arch`, `valid_acc_seed<s>` for each seed
    (percent), `valid_acc` (their mean), `train_seconds` (the mean, processor seconds) and `parameters`
    (of the trained network). A Parquet table carries what was run, with versions, as JSON in its schema
    metadata under "archflow"; a CSV table does not.

    Args:
        space: Writes the architectures as text; its operations must have modules (NAS-Bench-201).
        architectures: Distinct architectures as written; rows keep their order.
        task: The data and the budget.
        seeds: Training seeds, at least one.
        out: The table, `.parquet` or `.csv`.
        workers: Processes, each on one core. They are spawned, so a script that calls this keeps the
            call under `if __name__ == "__main__":`.
        overwrite: Whether an existing `out` may be replaced.
        progress: Told how far the run is.
        trainer: What trains one network, a module-level function.

    Returns:
        What the run did.

    Raises:
        UsageError: Arguments out of their range, or a space without networks.
        InvalidArchitectureError: An architecture is not one of the space as written.
        OutputExistsError: `out` exists and `overwrite` is false.
        TableError: The journal belongs to another run or is damaged.
        TrainingError: A training failed; what finished before stays in the journal.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    _check(space, seeds, workers)
    pairs = [(space.format(architecture), architecture) for architecture in architectures]
    _check_distinct("architecture", [text for text, _ in pairs])
    jobs: list[Job] = [(text, graph, seed) for text, graph in pairs for seed in seeds]
    check_out(out, overwrite=overwrite)
    header = {
        "space": space.name,
        "task": task.to_json(),
        "seeds": list(seeds),
        "versions": versions("scikit-learn"),
    }
    keys = [(text, seed) for text, _, seed in jobs]
    with TrainingJournal(journal_path(out), header, keys) as journal:
        left = [job for job, key in zip(jobs, keys, strict=True) if key not in journal.rows]
        restored = len(jobs) - len(left)
        tell = progress or (lambda done, total: None)
        tell(restored, len(jobs))
        try:
            train = functools.partial(_train, task, trainer)
            with closing(
                run_jobs(left, train, workers=workers, name=_training, error=TrainingError)
            ) as finished:
                for (text, _, seed), trained in finished:
                    journal.append((text, seed), trained)
                    tell(len(journal.rows), len(jobs))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped with {len(journal.rows)} of {len(jobs)} trainings in {journal.path}; "
                f"the same command goes on from there"
            ) from None
        write_results(out, _table([text for text, _ in pairs], seeds, journal.rows), header)
    journal.path.unlink()
    return LabelRun(out=out, architectures=len(pairs), trainings=len(left), restored=restored)


def _check(space: Space, seeds: Sequence[int], workers: int) -> None:
    missing = sorted(set(space.operations.names) - set(OPERATIONS))
    if missing:
        raise UsageError(f"space {space.name!r} has no networks: no module for {', '.join(missing)}")
    _check_distinct("seed", seeds)
    if min(seeds) < 0:
        raise UsageError(f"seed {min(seeds)} is below 0; give seeds of 0 or more")
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be 1 or more")


def _check_distinct(kind: str, values: Sequence[str] | Sequence[int]) -> None:
    if not values:
        raise UsageError(f"no {kind} is given; give at least one")
    value, count = Counter(values).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{kind} {value} is given {count} times; give each {kind} once")


def _train(task: Task, trainer: Trainer, job: Job) -> TrainedNetwork:
    _, architecture, seed = job
    return trainer(architecture, task, seed)


def _training(job: Job) -> str:
    return f"training {job[0]} with seed {job[2]}"


def _table(
    texts: Sequence[str], seeds: Sequence[int], rows: dict[tuple[str, int], TrainedNetwork]
) -> dict[str, Any]:
    trained = [[rows[text, seed] for seed in seeds] for text in texts]
    accuracy = np.array([[run.valid_accuracy for run in runs] for runs in trained])  # (A, seeds)
    seconds = np.array([[run.train_seconds for run in runs] for runs in trained])
    by_seed = {f"valid_acc_seed{seed}": accuracy[:, place] for place, seed in enumerate(seeds)}
    numbers = {**by_seed, "valid_acc": accuracy.mean(axis=1), "train_seconds": seconds.mean(axis=1)}
    return {
        "arch": pa.array(texts),
        **{name: pa.array(values.astype(np.float32)) for name, values in numbers.items()},
        "parameters": pa.array([runs[0].parameters for runs in trained], type=pa.int32()),
    }
