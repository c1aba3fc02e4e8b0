"""The state folder of a run over parts: what run it is of, and a result file for each finished part."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from archflow.errors import CheckpointError, TableError, UsageError, plural
from archflow.files import locked, sha256_of, write_json
from archflow.predictors.streaming.parts import CandidateFile, Part, digest_of, inspect, leave_out
from archflow.training import load_checkpoint

_RUN = "run.json"
_FORMAT = 1
_HISTORY = ("versions", "pretraining", "provenance")  # how a model came about; it is the same model without


@dataclasses.dataclass(frozen=True)
class State:
    """An opened state folder; plain data, so that it can be sent to a worker.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Make the folder if need be and keep other processes out; the lock goes with the process.

        Raises:
            UsageError: There is another folder or file, or another process works there.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: a file, where the folder of finished parts was expected; move it away")
        if path.is_dir() and any(path.iterdir()) and not (path / ".lock").exists():
            raise UsageError(f"{path}: holds other files; move them away or choose another --out")
        path.mkdir(parents=True, exist_ok=True)
        with locked(path, "archflow"):
            for partial in path.glob(".*.partial"):  # what a kill left of a file half written
                partial.unlink(missing_ok=True)
            yield cls(path)

    def require_run(self, run: Mapping[str, Any]) -> None:
        """Write down what run this is, or refuse the parts of another one.

        Args:
            run: What decides the results, as plain JSON values.

        Raises:
            UsageError: The folder holds parts of another run; names the first difference.
            CheckpointError: What is written down is damaged.
        """
        file, content = self.path / _RUN, {"format": _FORMAT, **run}
        if not file.exists():
            write_json(file, content)
            return
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            other = next((name for name in content if found[name] != content[name]), None)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"{file}: is damaged ({error}); delete {self.path} to start over"
            ) from error
        if other is not None:
            values = "" if _is_digest(content[other]) else f" ({found[other]} there, {content[other]} here)"
            raise UsageError(
                f"{self.path} holds finished parts of a run with another {other}{values}; "
                "repeat that command, or delete the folder to start over"
            )

    def result(self, part: Part) -> dict[str, Any] | None:
        """Return what came of a part, or None where it is not finished; a damaged result is not finished."""
        try:
            content = json.loads(self._file(part).read_text(encoding="utf-8"))
            whole = content["part"] == dataclasses.asdict(part) and content["digest"] == digest_of(
                content["result"]
            )
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return dict(content["result"]) if whole else None

    def require_result(self, part: Part) -> dict[str, Any]:
        """Return what came of a finished part.

        Raises:
            CheckpointError: There is no whole result.
        """
        if (result := self.result(part)) is None:
            raise CheckpointError(
                f"{self.path}: the result of {part} is gone or damaged; run the command again"
            )
        return result

    def finish(self, part: Part, result: Mapping[str, Any]) -> None:
        """Write down what came of a part, atomically.

        Args:
            part: The part.
            result: Plain JSON values.
        """
        content = {"part": dataclasses.asdict(part), "result": dict(result), "digest": digest_of(result)}
        write_json(self._file(part), content)

    def forget_others(self, parts: Sequence[Part]) -> int:
        """Delete the results of all other parts, which are of files that changed or went, and count them."""
        own = {self._file(part) for part in parts}
        others = [file for file in self.path.glob("part-*.json") if file not in own]
        for file in others:
            file.unlink()
        return len(others)

    def forget_run(self) -> None:
        """Delete what is written down, so that another run can begin."""
        (self.path / _RUN).unlink(missing_ok=True)
        self.forget_others([])

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path)

    def _file(self, part: Part) -> Path:
        return self.path / f"part-{part.id}.json"


def survey(paths: Sequence[Path], *, skip_bad: bool) -> tuple[list[CandidateFile], dict[str, str]]:
    """Read the footers of files.

    Args:
        paths: The files.
        skip_bad: Leave damaged ones out, instead of stopping at the first.

    Returns:
        The good files, and what is wrong with the others by name.

    Raises:
        TableError: A file is damaged or holds no architectures.
    """
    files, bad = [], {}
    for path in paths:
        try:
            files.append(inspect(path))
        except TableError as error:
            if not skip_bad:
                raise leave_out(str(error)) from error
            bad[path.name] = str(error)
    return files, bad


def unfinished(
    state: State,
    parts: Sequence[Part],
    *,
    skip_bad: bool,
    tell: Callable[[str], None],
    whole: Callable[[Part, Mapping[str, Any]], bool] = lambda part, result: True,
) -> list[Part]:
    """Return the parts that are left to do, and say what was found of an earlier call.

    A part of which bad rows were left out is not finished for a call that must stop at them.

    Args:
        state: Where results are; those of parts that are no longer wanted are deleted.
        parts: All parts.
        skip_bad: Whether bad rows are left out.
        tell: Told in a sentence.
        whole: Whether what a result speaks of is still there.
    """
    changed = state.forget_others(parts)
    if changed:
        tell(f"{plural(changed, 'finished part')} of files that changed since or are gone: done again")

    def finished(part: Part) -> bool:
        result = state.result(part)
        return result is not None and (skip_bad or not result["skipped"]) and whole(part, result)

    left = [part for part in parts if not finished(part)]
    if len(left) < len(parts):
        tell(f"{len(parts) - len(left)} of {plural(len(parts), 'part')} finished already, by {state.path}")
    return left


def model_digest(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint without the story of how it was made, 64 hexadecimal digits.

    Args:
        folder: Of a predictor or an encoder.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    _, content = load_checkpoint(folder)
    (weights,) = folder.glob("weights-*.safetensors")
    kept = {name: value for name, value in content.items() if name not in _HISTORY}
    return digest_of([kept, sha256_of(weights)])


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64
