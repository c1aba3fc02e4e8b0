"""A part of a Parquet file as batches of architectures, of which one at a time is in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from archflow.datasets.rows import parse_rows
from archflow.datasets.sources import ARCH, Source, one_line
from archflow.errors import CheckpointError, TableError
from archflow.graphs import ArchitectureTable
from archflow.graphs.arrow import LISTS, from_arrow, operations_of
from archflow.predictors.streaming.parts import CandidateFile, Part, damaged, inspect, open_parquet
from archflow.pretrain.encoder import require_vocabulary
from archflow.protocols import Space

DEFAULT_CHUNK = 65_536
"""Rows read at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Some consecutive rows of a file.

    Attributes:
        rows: 1-based row number in the file of each architecture, (A,) int64.
        architectures: The A architectures.
        texts: Their `arch` cells; None where the file holds graphs.
        skipped: A message for each bad row that was left out.
        stop: Number of rows of the file up to the end of the batch, bad ones too.
    """

    rows: NDArray[np.int64]
    architectures: ArchitectureTable
    texts: list[str] | None
    skipped: tuple[str, ...]
    stop: int


def read_part(
    path: Path, part: Part, space: Space, *, chunk: int = DEFAULT_CHUNK, skip_bad: bool = False
) -> Iterator[Batch]:
    """Read a part of a file.

    Args:
        path: The file.
        part: Which of its row groups.
        space: The space whose text format the `arch` column is in, or whose vocabulary the graphs count in.
        chunk: Most rows of a batch.
        skip_bad: Leave rows that are no architecture of the space out, instead of stopping at the first.

    Yields:
        The rows in their order.

    Raises:
        TableError: The file is damaged, was changed since the part was cut, counts in another vocabulary, or
            has a bad row; one line that names the file, and the row and its text.
    """
    file = inspect(path)
    if file.digest != part.digest:
        raise TableError(f"{path}: was changed while it was worked on; run the command again")
    row = part.first_row
    for table in _tables(path, file, part, chunk):
        read = _parsed if file.texts else _graphs
        yield (batch := read(path, table, row, space, skip_bad))
        row = batch.stop
    if row != part.first_row + part.rows:
        raise TableError(f"{path}: has {row - part.first_row} rows where its footer says {part.rows}")


def _tables(path: Path, file: CandidateFile, part: Part, chunk: int) -> Iterator[pa.Table]:
    """Yield the needed columns of at most `chunk` rows at a time."""
    groups = list(range(part.first_group, part.stop_group))
    if not groups:
        return
    try:
        with open_parquet(path) as parquet:
            names = [ARCH]
            if not file.texts:
                extra = operations_of(parquet.schema_arrow).attributes and ["attributes"]
                names = [*LISTS, *extra]
            # One thread: with more, batches are decoded ahead and memory grows with the row group.
            batches = parquet.iter_batches(chunk, row_groups=groups, columns=names, use_threads=False)
            for batch in batches:
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                yield table.replace_schema_metadata(parquet.schema_arrow.metadata)
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def _parsed(path: Path, table: pa.Table, row: int, space: Space, skip_bad: bool) -> Batch:
    """Parse the texts; equal ones once."""
    texts = [text if text is not None and text.strip() else None for text in table.column(ARCH).to_pylist()]
    numbers = np.arange(row + 1, row + 1 + len(texts))
    source = Source(path, numbers, texts, {}, {}, [], "")
    parsed = parse_rows(source, space, np.arange(len(texts)))
    if parsed.bad and not skip_bad:
        raise TableError(f"{path}: {parsed.bad[0].message}")
    return Batch(
        numbers[parsed.kept],
        ArchitectureTable.of(parsed.architectures, space.operations),
        [str(texts[position]) for position in parsed.kept],
        tuple(bad.message for bad in parsed.bad),
        row + len(texts),
    )


def _graphs(path: Path, table: pa.Table, row: int, space: Space, skip_bad: bool) -> Batch:
    """Take the graphs over; one that breaks a rule makes the file a damaged one."""
    stop = row + table.num_rows
    try:
        columns, operations = from_arrow(table)
        require_vocabulary(operations, space.operations, f"{path}")
    except CheckpointError as error:
        reason = str(error).replace("trained for", "counts operations in", 1)
        raise TableError(reason) from error
    except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise TableError(f"{path}: rows {row + 1} to {stop} are no graphs ({one_line(error)})") from error
    return Batch(np.arange(row + 1, stop + 1), ArchitectureTable(columns, operations), None, (), stop)
