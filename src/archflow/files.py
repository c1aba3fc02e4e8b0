"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archflow.errors import OutputExistsError, UsageError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it onto `path` when the block ends without error.

    Args:
        path: The final path; its folder is created.

    Yields:
        The temporary path to write to; it is removed if the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; give ours the user's usual mode
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_absent(path: Path, *, overwrite: bool = False, way_out: str = "allow overwriting") -> None:
    """Refuse an output path that exists.

    Args:
        path: The file or folder about to be written.
        overwrite: Whether the user allowed replacing it.
        way_out: What else the user can do than to choose another path.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists already; choose another path or {way_out}")


@contextlib.contextmanager
def locked(folder: Path, who: str) -> Iterator[None]:
    """Keep other processes from working in a folder; the lock goes with the process, however it ends.

    Args:
        folder: It exists; the lock is a file in it.
        who: What works there, for the message.

    Raises:
        UsageError: Another process works there.
    """
    try:
        import fcntl
    except ImportError:  # Windows has none; two processes at once would do work twice
        yield
        return
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another {who} works in {folder}; wait for it") from None
        yield
