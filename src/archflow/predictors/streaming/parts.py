"""The work on a folder of Parquet files as a list of parts: a file, some of its row groups."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from archflow.datasets.sources import ARCH, one_line
from archflow.errors import TableError, UsageError
from archflow.graphs.arrow import holds_graphs

PART_ROWS = 262_144
"""Row groups are joined into parts of at least so many rows; what is finished is remembered part by part."""

_SUFFIX = ".parquet"
_TAIL = 8  # the last bytes of a Parquet file: the length of its footer and a mark


@dataclasses.dataclass(frozen=True)
class CandidateFile:
    """A Parquet file of architectures, as far as its footer tells.

    Attributes:
        name: Its name in the folder.
        groups: Number of rows of each row group.
        digest: SHA-256 over its size, its time of change and its footer, which holds the places and
            statistics of all columns; 64 hexadecimal digits.
        texts: Whether it has an `arch` column of text; else it holds graphs, in the columns of `to_arrow`.
    """

    name: str
    groups: tuple[int, ...]
    digest: str
    texts: bool

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.groups)

    def whole(self) -> Part:
        """Return the file as one part."""
        return Part(self.name, self.digest, 0, len(self.groups), 0, self.rows)

    def parts(self, rows: int | None = None) -> Iterator[Part]:
        """Yield row groups that follow each other, joined until they have at least so many rows.

        Args:
            rows: Fewest rows of a part, by default `PART_ROWS`; only the last of a file may have fewer.
        """
        rows = rows or PART_ROWS
        first_group = first_row = row = 0
        for group, count in enumerate(self.groups, start=1):
            row += count
            if row - first_row >= rows or (group == len(self.groups) and row > first_row):
                yield Part(self.name, self.digest, first_group, group, first_row, row - first_row)
                first_group, first_row = group, row


@dataclasses.dataclass(frozen=True)
class Part:
    """A piece of work, small enough to send anywhere.

    Attributes:
        file: Name of the file in the folder.
        digest: What identifies the file, `CandidateFile.digest`.
        first_group: The first row group.
        stop_group: The row group after the last.
        first_row: Number of rows of the file before the part.
        rows: Number of rows of the part.
    """

    file: str
    digest: str
    first_group: int
    stop_group: int
    first_row: int
    rows: int

    @property
    def id(self) -> str:
        """24 hexadecimal digits that no other part of any file has."""
        return digest_of(dataclasses.asdict(self))[:24]

    def __str__(self) -> str:
        return f"{self.file}, rows {self.first_row + 1} to {self.first_row + self.rows}"


def digest_of(value: Any) -> str:
    """Return the SHA-256 of plain JSON values, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def files_in(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder by name; not those of folders in it, nor hidden ones.

    Raises:
        TableError: There is no such folder.
        UsageError: There is no such file in it.
    """
    if not folder.is_dir():
        raise TableError(f"{folder}: there is no such folder")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == _SUFFIX and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise UsageError(f"{folder}: no file in it ends with {_SUFFIX}")
    return found


def inspect(path: Path) -> CandidateFile:
    """Read the footer of a Parquet file.

    Raises:
        TableError: The file is empty or damaged, or holds no architectures; one line that names it.
    """
    try:
        status = path.stat()
        if status.st_size == 0:
            raise TableError(f"{path}: the file is empty (0 bytes)")
        with open_parquet(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
            groups = tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        footer = _footer(path, status.st_size)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise damaged(path, error) from error
    graphs = holds_graphs(schema)
    if not graphs:
        _check_texts(path, schema)
    seen = f"{status.st_size} {status.st_mtime_ns} ".encode()
    return CandidateFile(path.name, groups, hashlib.sha256(seen + footer).hexdigest(), not graphs)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file so that reading a row group in batches never holds a whole column."""
    return pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False, page_checksum_verification=True)


def damaged(path: Path, error: Exception) -> TableError:
    """Return the error for a file that Arrow cannot read."""
    return TableError(f"{path}: not a whole Parquet file ({one_line(error)})")


def leave_out(message: str) -> TableError:
    """Return the error for a bad row or file that stops the work, with the way out."""
    return TableError(f"{message}; --skip-bad (skip_bad=True) leaves bad rows and damaged files out")


def _footer(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        length = int.from_bytes(file.read(_TAIL)[:4], "little") + _TAIL
        file.seek(max(0, size - length))
        return file.read()


def _check_texts(path: Path, schema: pa.Schema) -> None:
    """Refuse a file without one column of texts."""
    count = schema.names.count(ARCH)
    if count > 1:
        raise TableError(f"{path}: column {ARCH!r} occurs {count} times")
    if not count:
        raise TableError(f"{path}: there is no column {ARCH!r}; the columns are: {', '.join(schema.names)}")
    kind = schema.field(ARCH).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(test(kind) for test in tests):
        raise TableError(f"{path}: column {ARCH!r} holds {kind}, where text was expected")
