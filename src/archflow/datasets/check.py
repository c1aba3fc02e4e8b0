"""What is in a table and what is wrong with it, for people to read before they train on it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.doctor import (
    Finding,
    Level,
    attribute_findings,
    column_findings,
    copy_findings,
    duplicate_findings,
    leak_findings,
    levels_of,
    reach_findings,
)
from archflow.datasets.doctor.findings import MOST_ROWS, in_order, row_list
from archflow.datasets.rows import BadRow, ParsedRows, parse_rows
from archflow.datasets.sources import NumberColumn, Source, read_source
from archflow.errors import TableError, plural, unknown_name
from archflow.graphs import Architecture, ArchitectureTable
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
        distinct: How many different finite numbers there are.
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
    distinct: int
    constant: bool
    differing: int


@dataclasses.dataclass(frozen=True)
class TableReport:
    """A table's rows, duplicates and columns, and what is worth knowing about them.

    Attributes:
        path: The file as it was named.
        space: Name of the space that the rows were parsed in.
        digest: SHA-256 of the file, 64 hexadecimal digits.
        against: The other table as it was named, if there is one.
        target: The column to predict, if one was named.
        rows: Data rows in the file.
        good_rows: Rows that hold an architecture of the space.
        bad: The other rows, with the reason.
        exact_duplicates: Good rows whose graph is structurally equal to that of an earlier row.
        exact_differing: Exact duplicates that differ from the first such row in a numeric column.
        isomorphic_duplicates: Good rows whose pruned graph is isomorphic to that of an earlier row, exact
            duplicates included.
        isomorphic_differing: Isomorphic duplicates that differ from the first such row in a numeric column.
        functional_duplicates: Good rows whose collapsed graph is isomorphic to that of an earlier row,
            isomorphic duplicates included.
        functional_differing: Functional duplicates that differ from the first such row in a numeric column.
        columns: The numeric columns.
        other_columns: The columns that are not numeric, each with what it holds.
        findings: What is wrong or worth knowing, the most severe first.
    """

    path: str
    space: str
    digest: str
    against: str | None
    target: str | None
    rows: int
    good_rows: int
    bad: tuple[BadRow, ...]
    exact_duplicates: int
    exact_differing: int
    isomorphic_duplicates: int
    isomorphic_differing: int
    functional_duplicates: int
    functional_differing: int
    columns: tuple[ColumnReport, ...]
    other_columns: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether a finding is a problem, so that the table cannot be used as it is."""
        return any(finding.severity == "problem" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists and numbers, all of them finite."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class _Opened:
    """A file and what came of its rows."""

    source: Source
    parsed: ParsedRows

    @property
    def bad(self) -> list[BadRow]:
        broken = [BadRow(row, message) for row, message in self.source.broken]
        return sorted([*broken, *self.parsed.bad], key=lambda bad: bad.row)

    @property
    def n_rows(self) -> int:
        return len(self.source.rows) + len(self.source.broken)

    @property
    def architectures(self) -> list[Architecture]:
        return self.parsed.architectures

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers of the good rows, (A,) int64."""
        return self.source.rows[self.parsed.kept]

    @property
    def texts(self) -> list[str]:
        """The `arch` cells of the good rows, A of them."""
        return [str(self.source.texts[position]) for position in self.parsed.kept]

    def values(self, name: str) -> NDArray[np.float64]:
        """A column at the good rows, (A,) float64."""
        return self.source.numbers[name].values[self.parsed.kept]


def check_table(
    path: str | os.PathLike[str],
    space: Space,
    against: str | os.PathLike[str] | None = None,
    target: str | None = None,
) -> TableReport:
    """Read a table and report every problem instead of stopping at the first.

    Args:
        path: A `.parquet` or `.csv` file.
        space: The space whose text format the `arch` column is in.
        against: Another table of the space, to look for shared architectures.
        target: The numeric column to predict. The findings are then about this one and about the columns
            that give it away, and what stops a fit to it is a problem; by default they are about every
            numeric column.

    Raises:
        TableError: A file is missing, empty, damaged, without an `arch` column of text or without rows; or
            there is no such target.
    """
    table = _open(path, space)
    numbers = table.source.numbers
    if target is not None and target not in numbers:
        raise TableError(f"{path}: {unknown_name('numeric column', target, numbers)}")
    other = None if against is None else _open(against, space)
    wanted = list(numbers) if target is None else [target]

    written = ArchitectureTable.of(table.architectures, space.operations)
    pruned, collapsed = written.pruned(), written.collapsed()
    levels = levels_of(table.architectures, pruned, collapsed)
    findings = _bad_rows(table)
    for name in wanted:
        findings += column_findings(name, numbers[name], table.source.rows, target=target is not None)
    if target is not None:
        findings += copy_findings(numbers, target)
    findings += duplicate_findings(
        levels, {name: table.values(name) for name in wanted}, table.rows, table.texts
    )
    findings += reach_findings(written, pruned, collapsed, table.rows)
    findings += attribute_findings(written)
    if other is not None:
        findings += _against(table, other, space, wanted)

    positions = np.arange(len(table.architectures))
    firsts = {level.kind: level.firsts() for level in levels}
    differing = {
        kind: {name: _differs(table.values(name), first) for name in numbers}
        for kind, first in firsts.items()
    }
    repeated = {kind: int(np.count_nonzero(first != positions)) for kind, first in firsts.items()}
    unlike = {
        kind: int(np.count_nonzero(np.logical_or.reduce([positions < 0, *columns.values()])))
        for kind, columns in differing.items()
    }
    return TableReport(
        path=str(path),
        space=space.name,
        digest=table.source.digest,
        against=None if against is None else str(against),
        target=target,
        rows=table.n_rows,
        good_rows=len(positions),
        bad=tuple(table.bad),
        exact_duplicates=repeated["exact"],
        exact_differing=unlike["exact"],
        isomorphic_duplicates=repeated["isomorphic"],
        isomorphic_differing=unlike["isomorphic"],
        functional_duplicates=repeated["functional"],
        functional_differing=unlike["functional"],
        columns=tuple(
            _column_report(name, column, int(np.count_nonzero(differing["isomorphic"][name])))
            for name, column in numbers.items()
        ),
        other_columns=dict(table.source.others),
        findings=in_order(findings),
    )


def _open(path: str | os.PathLike[str], space: Space) -> _Opened:
    source = read_source(path)
    return _Opened(source, parse_rows(source, space, np.arange(len(source.rows))))


def _bad_rows(table: _Opened) -> list[Finding]:
    if not table.bad:
        return []
    rows = [bad.row for bad in table.bad]
    message = f"{len(rows)} of {plural(table.n_rows, 'row')} are bad"
    return [Finding("bad-rows", "problem", message, count=len(rows), rows=tuple(rows[:MOST_ROWS]))]


def _against(table: _Opened, other: _Opened, space: Space, wanted: list[str]) -> list[Finding]:
    """Compare two tables; the other one's rows stand first, so that they are the first of every level."""
    name = str(other.source.path)
    architectures = [*other.architectures, *table.architectures]
    written = ArchitectureTable.of(architectures, space.operations)
    levels: tuple[Level, ...] = levels_of(architectures, written.pruned(), written.collapsed())
    columns = {
        column: np.concatenate([other.values(column), table.values(column)])
        for column in wanted
        if column in other.source.numbers
    }
    findings = leak_findings(
        levels,
        columns,
        np.concatenate([other.rows, table.rows]),
        [*other.texts, *table.texts],
        name,
        len(other.architectures),
    )
    if other.bad:
        message = (
            f"{name}: {len(other.bad)} of {plural(other.n_rows, 'row')} are bad and were not compared "
            f"({row_list([bad.row for bad in other.bad])})"
        )
        findings.append(Finding("bad-rows-against", "warning", message, count=len(other.bad)))
    return findings


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
        distinct=len(np.unique(finite)),
        constant=low is not None and low == high,
        differing=differing,
    )
