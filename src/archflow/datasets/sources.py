"""Parquet and CSV files as columns of text and numbers; no architecture is parsed here."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from archflow.errors import TableError
from archflow.files import sha256_of
from archflow.protocols import FloatArray

ARCH = "arch"
SUFFIXES = (".parquet", ".csv")


@dataclasses.dataclass(frozen=True, eq=False)
class NumberColumn:
    """A column of numbers as it stands in the file.

    Attributes:
        values: (R,) float64, NaN in gaps and where the cell is no number.
        gaps: Which cells are empty (null in Parquet), (R,) bool; a NaN that is written out is no gap.
        unreadable: Text of the cells that are no number, by position; only CSV can have any.
    """

    values: FloatArray
    gaps: NDArray[np.bool_]
    unreadable: dict[int, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """The R readable rows of a file.

    Attributes:
        path: The file.
        rows: 1-based data row number of each row, (R,) int64.
        texts: The `arch` cells, None where empty.
        numbers: The numeric columns by name.
        others: The columns beside `arch` that are not numeric, each with what it holds instead.
        broken: Row number and message of the rows that could not be told apart into cells.
        digest: SHA-256 of the file, 64 hexadecimal digits.
    """

    path: Path
    rows: NDArray[np.int64]
    texts: list[str | None]
    numbers: dict[str, NumberColumn]
    others: dict[str, str]
    broken: list[tuple[int, str]]
    digest: str


def table_suffix(path: Path) -> str:
    """Return ".parquet" or ".csv".

    Raises:
        TableError: The path ends otherwise.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(f"{path}: a table's name must end in {' or '.join(SUFFIXES)}, not {suffix!r}")
    return suffix


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read a Parquet file, or a CSV file in UTF-8 with a header row.

    Raises:
        TableError: The file is missing, empty, damaged or of another kind, has no `arch` column of text or
            no rows; one line that names the file.
    """
    path = Path(path)
    suffix = table_suffix(path)
    if not path.exists():
        raise TableError(f"{path}: there is no such file")
    if not path.is_file():
        raise TableError(f"{path}: a directory or device, where a table file was expected")
    if path.stat().st_size == 0:
        raise TableError(f"{path}: the file is empty (0 bytes)")
    try:
        source = _read_parquet(path) if suffix == ".parquet" else _read_csv(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({one_line(error)})") from error
    if not len(source.rows) and not source.broken:
        raise TableError(f"{path}: the table has no rows")
    return source


def one_line(value: object) -> str:
    """Return a text without line breaks."""
    return " ".join(str(value).split())


def shorten(value: object, width: int = 60) -> str:
    """Return the repr of a value, cut to a width that fits a message."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 4]}...{text[0]}"


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{path}: column {twice[0]!r} occurs {names.count(twice[0])} times")
    if ARCH not in names:
        raise TableError(f"{path}: there is no column {ARCH!r}; the columns are: {', '.join(names)}")


def _read_parquet(path: Path) -> Source:
    digest = sha256_of(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        table.validate(full=True)
        names = table.column_names
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a damaged column name
        raise TableError(f"{path}: not a whole Parquet file ({one_line(error)})") from error
    _check_names(path, names)
    numbers, others = {}, {}
    for name in names:
        column, kind = table.column(name), table.schema.field(name).type
        if name == ARCH:
            texts = _texts(path, column)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            numbers[name] = NumberColumn(_floats(column.to_numpy()), column.is_null().to_numpy(), {})
        elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
            as_floats = column.cast(pa.float64(), safe=False).to_numpy()
            numbers[name] = NumberColumn(_floats(as_floats), column.is_null().to_numpy(), {})
        else:
            others[name] = str(kind)
    return Source(path, np.arange(1, table.num_rows + 1), texts, numbers, others, [], digest)


def _floats(values: NDArray[np.generic]) -> FloatArray:
    return np.array(values, dtype=np.float64)  # a copy, because arrays from Arrow are read-only


def _texts(path: Path, column: pa.ChunkedArray) -> list[str | None]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(test(kind) for test in tests):
        filled = ((row, value) for row, value in enumerate(column.to_pylist(), start=1) if value is not None)
        row, value = next(filled, (0, None))
        example = f" (row {row}: {shorten(value)})" if row else ""
        raise TableError(f"{path}: column {ARCH!r} holds {kind}, where text was expected{example}")
    return [text if text is not None and text.strip() else None for text in column.to_pylist()]


def _read_csv(path: Path) -> Source:
    digest = sha256_of(path)
    content = path.read_bytes()
    records: list[list[str]] = []
    try:
        text = content.decode().removeprefix("\ufeff")  # the mark that Excel begins UTF-8 files with
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        records.extend(record for record in reader if record)  # a blank line is no row
    except csv.Error as error:
        hint = "; Parquet has no such limit" if "field limit" in str(error) else ""
        raise TableError(f"{path}: row {len(records)} is not CSV: {error}{hint}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{content[error.start]:02x})"
        ) from error
    if not records:
        raise TableError(f"{path}: there is no header row")
    names = [name.strip() for name in records[0]]
    _check_names(path, names)
    whole, rows, broken = [], [], []
    for row, record in enumerate(records[1:], start=1):
        if len(record) == len(names):
            whole.append(record)
            rows.append(row)
        else:
            broken.append((row, f"row {row}: {len(record)} fields, where the header has {len(names)}"))
    numbers, others = {}, {}
    texts: list[str | None] = []
    for name, cells in zip(names, zip(*whole, strict=True) if whole else [()] * len(names), strict=True):
        if name == ARCH:
            texts = [cell if cell.strip() else None for cell in cells]
            continue
        column = _number_column(cells)
        if 2 * len(column.unreadable) > len(cells) - np.count_nonzero(column.gaps):
            others[name] = f"text such as {shorten(next(iter(column.unreadable.values())))}"
        else:
            numbers[name] = column
    return Source(path, np.array(rows, dtype=np.int64), texts, numbers, others, broken, digest)


def _number_column(cells: Sequence[str]) -> NumberColumn:
    """Read cells as numbers; a column counts as numeric if at least half of its filled cells are."""
    values = np.full(len(cells), np.nan)
    gaps = np.zeros(len(cells), dtype=bool)
    unreadable = {}
    for position, cell in enumerate(cells):
        if not cell.strip():
            gaps[position] = True
            continue
        try:
            values[position] = float(cell)
        except ValueError:
            unreadable[position] = cell
    return NumberColumn(values, gaps, unreadable)
