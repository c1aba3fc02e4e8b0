"""The journal of a long run: one JSON line a finished piece, so that no work is lost."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from archflow.errors import TableError

Key = TypeVar("Key")
Row = TypeVar("Row")


class Journal(ABC, Generic[Key, Row]):
    """An open journal: what it held when opened, and a way to append.

    The first line says what is run; a journal that says something else is refused. A last line that was
    cut off is dropped.

    Args:
        path: The journal, created if absent.
        header: What is run (space, settings, seeds, versions), as plain JSON values.
        keys: Every piece that belongs to the run.

    Attributes:
        path: The journal.
        header: What is run.
        rows: What finished, by key.

    Raises:
        TableError: The journal belongs to another run, or a line before the last is damaged.
    """

    command: ClassVar[str]
    """The command whose journal it is."""
    piece: ClassVar[str]
    """What a line holds, such as "training"."""
    again: ClassVar[str]
    """What happens to the piece of a line that is deleted, such as "train that network again"."""

    def __init__(self, path: Path, header: Mapping[str, Any], keys: Collection[Key]) -> None:
        self.path = path
        self.header = header
        self.rows: dict[Key, Row] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            self._restore(frozenset(keys))
        except BaseException:
            self._file.close()
            raise

    @abstractmethod
    def encode(self, key: Key, row: Row) -> Mapping[str, Any]:
        """Turn a finished piece into plain JSON values."""

    @abstractmethod
    def decode(self, line: Any) -> tuple[Key, Row]:
        """Turn them back; anything else raises ValueError, TypeError or KeyError."""

    @abstractmethod
    def name(self, key: Key) -> str:
        """Say which piece it is, for a message."""

    def append(self, key: Key, row: Row) -> None:
        """Write one finished piece to the disk."""
        self.rows[key] = row
        self._write(self.encode(key, row))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _restore(self, keys: frozenset[Key]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1  # what follows is a torn last line
        first, *lines = content[:whole].splitlines() or [b""]
        if first or content[:1] not in (b"", b"{"):
            self._check_header(first)
        for number, line in enumerate(lines, start=2):
            key, row = self._read(number, line)
            if key not in keys:
                raise TableError(
                    f"{self.path}, line {number}: {self.name(key)} is not part of this run; "
                    f"repeat the command that began the journal, or delete the journal to start over"
                )
            self.rows[key] = row
        self._file.truncate(whole)
        if whole == 0:
            self._write(self.header)

    def _check_header(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            theirs = {name: found[name] for name in self.header}
        except (ValueError, TypeError, KeyError):
            raise TableError(
                f"{self.path}, line 1: not the first line of a {self.command} journal; "
                f"delete the file to start over"
            ) from None
        for name, value in self.header.items():
            if theirs[name] != value:
                raise TableError(
                    f"{self.path} holds {self.piece}s with {name} {theirs[name]}, not {value}; "
                    f"go on with the same settings, or delete the file to start over"
                )

    def _read(self, number: int, line: bytes) -> tuple[Key, Row]:
        try:
            return self.decode(json.loads(line))
        except (ValueError, TypeError, KeyError):
            raise TableError(
                f"{self.path}, line {number}: not a finished {self.piece} ({_excerpt(line)}); "
                f"delete the line to {self.again}"
            ) from None

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _excerpt(line: bytes) -> str:
    text = line.decode(errors="replace")
    return text if len(text) <= 40 else f"{text[:40]}..."
