"""What is in a table and what is wrong with it, for people to read before they train on it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.rows import BadRow, equal_firsts, parse_rows
from archflow.datasets.sources import NumberColumn, read_source
from archflow.graphs import ArchitectureTable
from archflow.protocols import Space


@dataclasses.dataclass(frozen=True)
class ColumnReport:
    """One numeric column, over all readable rows.

    Attributes:
        name: Its name.
        count: Cells with a finite number.
        gaps: Empty cells.
        nan: Cells that say NaN.
        infinite: Cells that say plus or minus infinity.
        unreadable: Cells that hold something else than a number.
        minimum: Least finite number, None if there is none.
        maximum: Greatest finite number, None if there is none.
        mean: Mean of the finite numbers, None if there is none.
        constant: Whether there are finite numbers and all are equal.
        differing: Isomorphic duplicates whose number is not that of the first such row.
    """

    name: str
    count: int
    gaps: int
    nan: int
    infinite: int
    unreadable: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    constant: bool
    differing: int


@dataclasses.dataclass(frozen=True)
class TableReport:
    """A table's rows, duplicates and columns.

    Attributes:
        path: The file as it was named.
        space: Name of the space that the rows were parsed in.
        digest: SHA-256 of the file, 64 hexadecimal digits.
        rows: Data rows in the file.
        good_rows: Rows that hold an architecture of the space.
        bad: The other rows, with the reason.
        exact_duplicates: Good rows whose graph is structurally equal to that of an earlier row.
        exact_differing: Exact duplicates that differ from the first such row in a numeric column.
        isomorphic_duplicates: Good rows whose pruned graph is isomorphic to that of an earlier row, exact
            duplicates included.
        isomorphic_differing: Isomorphic duplicates that differ from the first such row in a numeric column.
        columns: The numeric columns.
        other_columns: The columns that are not numeric, each with what it holds.
    """

    path: str
    space: str
    digest: str
    rows: int
    good_rows: int
    bad: tuple[BadRow, ...]
    exact_duplicates: int
    exact_differing: int
    isomorphic_duplicates: int
    isomorphic_differing: int
    columns: tuple[ColumnReport, ...]
    other_columns: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists and numbers, all of them finite."""
        return dataclasses.asdict(self)


def check_table(path: str | os.PathLike[str], space: Space) -> TableReport:
    """Read a table and report every problem instead of stopping at the first.

    Args:
        path: A `.parquet` or `.csv` file.
        space: The space whose text format the `arch` column is in.

    Raises:
        TableError: The file is missing, empty, damaged, without an `arch` column of text or without rows.
    """
    source = read_source(path)
    parsed = parse_rows(source, space, np.arange(len(source.rows)))
    bad = sorted(
        [*(BadRow(row, message) for row, message in source.broken), *parsed.bad], key=lambda r: r.row
    )
    exact = equal_firsts(parsed.architectures)
    isomorphic = exact
    if len(exact):
        keys = ArchitectureTable.of(parsed.architectures, space.operations).pruned().keys()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        isomorphic = first[inverse]
    positions = np.arange(len(exact))
    exact_differing = np.zeros(len(exact), dtype=bool)
    isomorphic_differing = exact_differing.copy()
    reports = []
    for name, column in source.numbers.items():
        values = column.values[parsed.kept]
        exact_differing |= _differs(values, exact)
        differing = _differs(values, isomorphic)
        isomorphic_differing |= differing
        reports.append(_column_report(name, column, int(np.count_nonzero(differing))))
    return TableReport(
        path=str(path),
        space=space.name,
        digest=source.digest,
        rows=len(source.rows) + len(source.broken),
        good_rows=len(parsed.kept),
        bad=tuple(bad),
        exact_duplicates=int(np.count_nonzero(exact != positions)),
        exact_differing=int(np.count_nonzero(exact_differing)),
        isomorphic_duplicates=int(np.count_nonzero(isomorphic != positions)),
        isomorphic_differing=int(np.count_nonzero(isomorphic_differing)),
        columns=tuple(reports),
        other_columns=dict(source.others),
    )


def _differs(values: NDArray[np.float64], firsts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which values are not those of their first row, where both are there; (A,) bool."""
    first_values = values[firsts]
    differs: NDArray[np.bool_] = (values != first_values) & ~np.isnan(values) & ~np.isnan(first_values)
    return differs


def _column_report(name: str, column: NumberColumn, differing: int) -> ColumnReport:
    finite = column.values[np.isfinite(column.values)]
    gaps, unreadable = int(np.count_nonzero(column.gaps)), len(column.unreadable)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    return ColumnReport(
        name=name,
        count=len(finite),
        gaps=gaps,
        nan=int(np.count_nonzero(np.isnan(column.values))) - gaps - unreadable,
        infinite=int(np.count_nonzero(np.isinf(column.values))),
        unreadable=unreadable,
        minimum=low,
        maximum=high,
        mean=float((finite / len(finite)).sum()) if len(finite) else None,
        constant=low is not None and low == high,
        differing=differing,
    )
