"""The folder of a benchmark: what was asked, one record a finished run, one note a failed one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from archflow.benchmark.jobs import Job, JsonDict, RunJob, digest_of, plan, run_id
from archflow.benchmark.protocol import Protocol
from archflow.errors import CheckpointError, UsageError
from archflow.files import locked, write_json
from archflow.records import RunRecord, utc_now

_PROTOCOL = "protocol.json"
_FORMAT = 1
_SCORES = ("kendall_tau", "spearman")


@dataclasses.dataclass(frozen=True)
class BenchmarkFolder:
    """An opened folder.

    Attributes:
        path: The folder.
        protocol: What is compared in it.
        data: What identifies each table that was read so far.
    """

    path: Path
    protocol: Protocol
    data: Mapping[str, JsonDict]

    @classmethod
    def create(cls, path: Path, protocol: Protocol, data: Mapping[str, JsonDict]) -> Self:
        """Open the folder of a protocol, or make it.

        A protocol may have grown since: tables, labels, methods and seeds may be added, nothing may differ.

        Raises:
            UsageError: The folder holds something else, or results of another protocol or other tables.
            CheckpointError: Its protocol.json is damaged.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: a file, where a folder was expected; choose another --out")
        if (path / _PROTOCOL).exists():
            old = cls.open(path)
            data = {**old.data, **data}
            found = [
                *_differences(old.protocol.to_json(), protocol.to_json(), ""),
                *_differences(dict(old.data), data, "data."),
            ]
            if found:
                more = f" ({len(found) - 1} more differences)" if len(found) > 1 else ""
                raise UsageError(
                    f"{path} holds runs of another protocol or other tables: {found[0]}{more}; "
                    "choose another --out"
                )
        elif path.is_dir() and any(path.iterdir()):
            raise UsageError(f"{path} holds other files and no {_PROTOCOL}; choose another --out")
        body = {"format": _FORMAT, "protocol": protocol.to_json(), "data": dict(data)}
        write_json(path / _PROTOCOL, {**body, "digest": digest_of(body)})
        return cls(path, protocol, data)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder that holds a benchmark.

        Raises:
            UsageError: It holds none.
            CheckpointError: Its protocol.json is damaged or was edited.
        """
        file = path / _PROTOCOL
        if not file.is_file():
            raise UsageError(f"{path}: no benchmark here ({_PROTOCOL} is missing)")
        body = _read_json(file)
        digest = body.pop("digest", None)
        if digest != digest_of(body):
            raise CheckpointError(f"{file}: is damaged or was edited; restore it or start a new folder")
        if body.get("format") != _FORMAT:
            raise CheckpointError(f"{file}: has format {body.get('format')}; this archflow reads {_FORMAT}")
        return cls(path, Protocol.from_json(body["protocol"]), body["data"])

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing here; the lock goes with the process, however it ends.

        Raises:
            UsageError: Another process works here.
        """
        with locked(self.path, "archflow benchmark"):
            yield

    @property
    def encoders(self) -> Path:
        """Where the pre-trained encoders lie, a folder each."""
        return self.path / "encoders"

    def plan(self) -> list[RunJob]:
        """Return all runs of the protocol on the tables that were read so far."""
        return plan(self.protocol, self.data)

    def records(self) -> dict[str, RunRecord]:
        """Return the finished runs by their id.

        Raises:
            CheckpointError: A record is damaged, edited or of another protocol.
        """
        found = {}
        for file in sorted((self.path / "runs").glob("*.json")):
            found[file.stem] = _record(file)
        known = {run.id for run in self.plan()}
        strangers = sorted(set(found) - known)
        if strangers:
            raise CheckpointError(
                f"{self.path / 'runs' / strangers[0]}.json: not a run of this protocol; move it away"
            )
        return found

    def failures(self) -> dict[str, str]:
        """Return the reasons of the jobs that failed last time, by the job's id.

        Raises:
            CheckpointError: A note is damaged.
        """
        found = {}
        for file in sorted((self.path / "failed").glob("*.json")):
            found[file.stem] = str(_read_json(file).get("reason"))
        return found

    def finish(self, run: RunJob, record: RunRecord) -> None:
        """Write the record of a run, atomically."""
        write_json(self.path / "runs" / f"{run.id}.json", record.to_json())
        self.forgive([run])

    def fail(self, job: Job, reason: str) -> None:
        """Note why a job failed; the next call tries it again."""
        note = {"job": job.title, "reason": reason, "created": utc_now()}
        write_json(self.path / "failed" / f"{job.id}.json", note)

    def forgive(self, jobs: Iterable[Job]) -> None:
        """Forget that jobs failed."""
        for job in jobs:
            (self.path / "failed" / f"{job.id}.json").unlink(missing_ok=True)


def _record(file: Path) -> RunRecord:
    try:
        record = RunRecord.from_json(_read_json(file))
        numbers = [record.scores[key] for key in _SCORES]
        numbers += [*record.scores["precision_at"].values(), *record.cost.values()]
        good = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        own = run_id(record.config, record.seeds, record.data_digest)
    except (CheckpointError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{file}: not a whole record ({error}); delete it to repeat that run") from None
    if not good or own != file.stem:
        raise CheckpointError(f"{file}: was edited or renamed; delete it to repeat that run")
    return record


def _read_json(file: Path) -> JsonDict:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); delete it") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: must hold a JSON object, not {type(value).__name__}")
    return value


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    """Yield what of the old plain values is not in the new ones, in words."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key, value in old.items():
            if key in new:
                yield from _differences(value, new[key], f"{where}{key}.")
            else:
                yield f"it has {where}{key}, which the protocol lacks"
        return
    name = where.rstrip(".")
    if isinstance(old, list) and isinstance(new, list):
        missing = [one for one in old if one not in new]
        if missing:
            yield f"it has {name} {', '.join(map(str, missing))}, which the protocol lacks"
    elif old != new:
        yield f"{name} is {old} there and {new} here"
