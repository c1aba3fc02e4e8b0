"""How commands are told of columns that were measured beside the target, and where these are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archflow.cli.common import candidates_of, tell_skipped
from archflow.errors import TableError, UsageError, unknown_name

if TYPE_CHECKING:
    from archflow.datasets import MeasuredTable
    from archflow.graphs import ArchitectureTable
    from archflow.protocols import FloatArray, Space

ColumnNames = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="Column to predict from that candidates have too, such as a zero-cost proxy (repeatable).",
    ),
]


def choose_columns(words: Sequence[str] | None, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to predict from.

    Raises:
        UsageError: One is given twice, or is a target.
    """
    names = tuple(words or ())
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--column {name} is given twice; leave one out")
        if name in targets:
            raise UsageError(f"--column {name} is the target itself, which candidates lack; leave it out")
    return names


def columns_of(table: MeasuredTable, names: Sequence[str], path: Path) -> FloatArray | None:
    """Return columns of a table, (A, C) with NaN in gaps, or None where none is wanted.

    Raises:
        TableError: The table has no such numeric column, or one holds an infinite number.
    """
    import numpy as np

    for name in names:
        if name not in table.columns:
            raise TableError(f"{path}: {unknown_name('numeric column', name, table.columns)}")
        endless = np.isinf(table.columns[name])
        if endless.any():
            place = int(np.argmax(endless))
            raise TableError(
                f"{path}: row {table.rows[place]}: {name} is {table.columns[name][place]}; a column must be "
                "finite, or empty where nothing was measured"
            )
    return np.stack([table.columns[name] for name in names], axis=1) if names else None


def require_table(names: Sequence[str], candidates: Path | None) -> None:
    """Refuse candidates that cannot have columns.

    Raises:
        UsageError: They are the whole space, a sample of it or a folder.
    """
    if names and (candidates is None or candidates.is_dir()):
        raise UsageError(
            f"the columns {', '.join(names)} of candidates can only be read from a table; "
            "pass it with --candidates"
        )


def candidates_with(
    names: Sequence[str], space: Space, table: Path | None, sample: int | None, seed: int, skip_bad: bool
) -> tuple[ArchitectureTable, list[str] | None, FloatArray | None]:
    """Return what `candidates_of` does, and the columns of the candidates where any are wanted, (A, C).

    Raises:
        TableError: The table is missing or bad, or lacks a column.
        UsageError: The space has no end, or fewer architectures than the sample.
    """
    from archflow.datasets import read_table

    if not names or table is None:
        return *candidates_of(space, table, sample, seed, skip_bad), None
    read = read_table(table, space, skip_bad=skip_bad)
    tell_skipped(read)
    return read.architectures, read.texts, columns_of(read, names, table)
