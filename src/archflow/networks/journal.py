"""The journal of a labelling run: one JSON line a finished training, so that no training is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archflow.errors import TableError
from archflow.networks.train import TrainedNetwork

Key = tuple[str, int]
"""An architecture's text and a training seed."""


class Journal:
    """An open journal: what it held when opened, and a way to append.

    The first line says what is trained; a journal that says something else is refused. A last line
    that was cut off is dropped.

    Args:
        path: The journal, created if absent.
        header: What is trained (space, task, seeds, versions), as plain JSON values.
        keys: Every training that belongs to the run.

    Attributes:
        path: The journal.
        rows: What finished, by architecture text and seed.

    Raises:
        TableError: The journal belongs to another run, or a line before the last is damaged.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], keys: Collection[Key]) -> None:
        self.path = path
        self.rows: dict[Key, TrainedNetwork] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            self._restore(header, frozenset(keys))
        except BaseException:
            self._file.close()
            raise

    def append(self, key: Key, trained: TrainedNetwork) -> None:
        """Write one finished training to the disk."""
        self.rows[key] = trained
        self._write({"arch": key[0], "seed": key[1], **_to_json(trained)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _restore(self, header: Mapping[str, Any], keys: frozenset[Key]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1  # what follows is a torn last line
        first, *lines = content[:whole].splitlines() or [b""]
        if first or content[:1] not in (b"", b"{"):
            self._check_header(first, header)
        for number, line in enumerate(lines, start=2):
            key, trained = self._row(number, line)
            if key not in keys:
                raise TableError(
                    f"{self.path}, line {number}: {key[0]} with seed {key[1]} is not part of this run; "
                    f"repeat the command that began the journal, or delete the journal to start over"
                )
            self.rows[key] = trained
        self._file.truncate(whole)
        if whole == 0:
            self._write(header)

    def _check_header(self, line: bytes, header: Mapping[str, Any]) -> None:
        try:
            found = json.loads(line)
            theirs = {name: found[name] for name in header}
        except (ValueError, TypeError, KeyError):
            raise TableError(
                f"{self.path}, line 1: not the first line of a label journal; delete the file to start over"
            ) from None
        for name, value in header.items():
            if theirs[name] != value:
                raise TableError(
                    f"{self.path} holds trainings with {name} {theirs[name]}, not {value}; "
                    f"go on with the same settings, or delete the file to start over"
                )

    def _row(self, number: int, line: bytes) -> tuple[Key, TrainedNetwork]:
        try:
            row = json.loads(line)
            key = (str(row["arch"]), int(row["seed"]))
            trained = TrainedNetwork(
                float(row["valid_acc"]), float(row["train_seconds"]), int(row["parameters"])
            )
        except (ValueError, TypeError, KeyError):
            raise TableError(
                f"{self.path}, line {number}: not a finished training ({_excerpt(line)}); delete the line to "
                f"train that network again"
            ) from None
        return key, trained

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _to_json(trained: TrainedNetwork) -> dict[str, Any]:
    return {
        "valid_acc": trained.valid_accuracy,
        "train_seconds": trained.train_seconds,
        "parameters": trained.parameters,
    }


def _excerpt(line: bytes) -> str:
    text = line.decode(errors="replace")
    return text if len(text) <= 40 else f"{text[:40]}..."
