"""Tables of measured architectures: an `arch` column in a space's text format, numbers beside it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from archflow.datasets.rows import BadRow, equal_firsts, parse_rows
from archflow.datasets.sources import ARCH, NumberColumn, Source, one_line, read_source, shorten, table_suffix
from archflow.errors import TableError, UsageError, unknown_name
from archflow.files import atomic_path
from archflow.graphs import ArchitectureTable
from archflow.protocols import FloatArray, Space

Duplicates = Literal["error", "mean"]


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredTable:
    """A architectures and what was measured of them.

    Attributes:
        architectures: The graphs.
        texts: The `arch` cells as they stand in the file, A of them.
        rows: 1-based data row number in the file (the header is none), (A,) int64.
        columns: The numeric columns beside `arch`, (A,) float64 each, NaN in gaps.
        target: The column that `values` returns, if one was asked for; the columns, if several were.
        skipped: A message for each bad row that was left out.
        n_unlabelled: How many rows were left out because their target, or each of several, is empty.
        n_merged: How many rows were joined into an earlier row of the same architecture.
        digest: SHA-256 of the file, 64 hexadecimal digits.
    """

    architectures: ArchitectureTable
    texts: list[str]
    rows: NDArray[np.int64]
    columns: dict[str, FloatArray]
    target: str | tuple[str, ...] | None
    skipped: tuple[str, ...]
    n_unlabelled: int
    n_merged: int
    digest: str

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def values(self) -> FloatArray:
        """The target, (A,) float64, in the file's units; T targets, (A, T), with NaN in gaps.

        Raises:
            UsageError: The table was read without a target.
        """
        if self.target is None:
            raise UsageError("the table was read without a target; pass target=COLUMN to read_table")
        if isinstance(self.target, str):
            return self.columns[self.target]
        return np.stack([self.columns[name] for name in self.target], axis=1)


def read_table(
    path: str | os.PathLike[str],
    space: Space,
    target: str | Sequence[str] | None = None,
    *,
    skip_bad: bool = False,
    duplicates: Duplicates = "error",
) -> MeasuredTable:
    """Read a Parquet or CSV table of architectures.

    With a target, rows whose target is empty are left out and counted, and rows with structurally equal
    architectures become one; without a target every good row is kept. With several targets a row needs one of
    them, and gaps in the others stay; equal architectures fill each other's gaps. A bad row has an `arch`
    cell that is empty or no architecture of the space, a target that is no finite number, or (in CSV) too few
    or too many fields.

    Args:
        path: A `.parquet` file, or a `.csv` file in UTF-8 with a header row.
        space: The space whose text format the `arch` column is in.
        target: The numeric column, or columns, that `values` returns.
        skip_bad: Leave bad rows out and list them in `skipped`, instead of stopping at the first.
        duplicates: What to do with equal architectures whose targets differ: "error", or "mean" to
            average every numeric column over them.

    Returns:
        The table, in the order of the file.

    Raises:
        TableError: The file cannot be used; one line that names the file, the row, the value and the rule.
        UnknownNameError: `duplicates` is neither "error" nor "mean".
        UsageError: A target is asked for twice, or none in a sequence.
    """
    targets = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    if target is not None and (not targets or len(set(targets)) < len(targets)):
        raise UsageError(f"the targets of a table must be different columns, one or more, not {target!r}")
    if duplicates not in get_args(Duplicates):
        raise unknown_name("way to treat duplicates", duplicates, get_args(Duplicates))
    source = read_source(path)
    bad = [BadRow(row, message) for row, message in source.broken]
    labels = {name: _target_column(source, name) for name in targets}
    wanted, n_unlabelled = np.arange(len(source.rows)), 0
    if labels:
        bad_targets = _bad_targets(source, labels)
        bad += bad_targets
        unlabelled = np.all([label.gaps for label in labels.values()], axis=0)
        good = ~np.isin(source.rows, [row.row for row in bad_targets])
        wanted, n_unlabelled = np.flatnonzero(good & ~unlabelled), int(np.count_nonzero(unlabelled))
    parsed = parse_rows(source, space, wanted)
    bad = sorted([*bad, *parsed.bad], key=lambda row: row.row)
    if bad and not skip_bad:
        more = f" ({len(bad) - 1} more rows are bad)" if len(bad) > 1 else ""
        raise TableError(
            f"{source.path}: {bad[0].message}{more}; --skip-bad (skip_bad=True) leaves bad rows out"
        )
    if not len(parsed.kept):
        empty = f"column {targets[0]!r} is" if len(targets) == 1 else f"columns {', '.join(targets)} are"
        first = f"; the first bad one is {bad[0].message}" if bad else f": {empty} empty in all"
        raise TableError(
            f"{source.path}: none of the {len(source.rows) + len(source.broken)} rows can be used{first}"
        )

    texts = [str(source.texts[position]) for position in parsed.kept]
    rows = source.rows[parsed.kept]
    columns = {
        name: column.values[parsed.kept]
        for name, column in source.numbers.items()
        if name in targets or not column.unreadable
    }
    architectures = ArchitectureTable.of(parsed.architectures, space.operations)
    n_merged = 0
    if targets:
        firsts = equal_firsts(parsed.architectures)
        if duplicates == "error":
            for name in targets:
                columns[name] = _joined(source.path, name, columns[name], firsts, rows, texts)
        elif len(np.unique(firsts)) < len(firsts):
            columns = {name: _group_means(values, firsts) for name, values in columns.items()}
        keep = np.flatnonzero(firsts == np.arange(len(firsts)))
        n_merged = len(firsts) - len(keep)
        if n_merged:
            architectures, rows, texts = architectures[keep], rows[keep], [texts[i] for i in keep]
            columns = {name: values[keep] for name, values in columns.items()}
    return MeasuredTable(
        architectures=architectures,
        texts=texts,
        rows=rows,
        columns=columns,
        target=targets[0] if len(targets) == 1 else targets or None,
        skipped=tuple(row.message for row in bad),
        n_unlabelled=n_unlabelled,
        n_merged=n_merged,
        digest=source.digest,
    )


def read_texts(path: str | os.PathLike[str], space: Space | None = None) -> list[str]:
    """Return the filled `arch` cells of a table, in order.

    The free space learns its vocabulary from them: `Free.of_texts(read_texts(path, Free()))`; `read_table`
    then reports the bad rows.

    Args:
        path: A `.parquet` or `.csv` file.
        space: Leave out the texts that this space cannot parse; by default nothing is parsed.

    Raises:
        TableError: The file cannot be used; one line that names the file and the rule.
    """
    source = read_source(path)
    positions = [position for position, text in enumerate(source.texts) if text is not None]
    if space is not None:
        positions = parse_rows(source, space, np.array(positions, dtype=np.int64)).kept.tolist()
    return [str(source.texts[position]) for position in positions]


def write_table(path: str | os.PathLike[str], columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Write columns as a Parquet or CSV file, by suffix; the file appears whole or not at all.

    Args:
        path: A path that ends in `.parquet` or `.csv`; a file that is there is replaced.
        columns: Text or numbers by column name, all of one length; None is a gap.

    Raises:
        TableError: The path ends otherwise.
        UsageError: There is no column, the lengths differ, or a column mixes text and numbers.
    """
    path = Path(path)
    suffix = table_suffix(path)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise UsageError(f"{path}: the columns of a table must have one length; they have {lengths}")
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UsageError(f"{path}: column {name!r} cannot be written ({one_line(error)})") from error
    with atomic_path(path) as temporary:
        if suffix == ".parquet":
            pq.write_table(pa.table(arrays), temporary, write_page_checksum=True)
        else:
            rows = zip(*(array.to_pylist() for array in arrays.values()), strict=True)
            lines = [_csv_line(list(arrays)), *(_csv_line(row) for row in rows)]
            temporary.write_text("".join(lines), encoding="utf-8", newline="")


def _csv_line(cells: Sequence[Any]) -> str:
    """Write one row; unlike the csv module of Python 3.11, quote a lone carriage return too."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    quoted = ['"{}"'.format(t.replace('"', '""')) if set(t) & set(',"\r\n') else t for t in texts]
    return (",".join(quoted) or '""') + "\n"  # a blank line would be no row


def _target_column(source: Source, target: str) -> NumberColumn:
    if target in source.numbers:
        return source.numbers[target]
    if target in source.others or target == ARCH:
        holds = source.others.get(target, "architectures")
        raise TableError(f"{source.path}: column {target!r} is not numeric; it holds {holds}")
    if not source.numbers:
        raise TableError(f"{source.path}: there is no column {target!r}, nor any other numeric column")
    raise TableError(f"{source.path}: {unknown_name('numeric column', target, source.numbers)}")


def _bad_targets(source: Source, labels: Mapping[str, NumberColumn]) -> list[BadRow]:
    """Report each row with a target that is filled but no finite number, once."""
    bad: dict[int, BadRow] = {}
    for target, label in labels.items():
        for position in np.flatnonzero(~label.gaps & ~np.isfinite(label.values)).tolist():
            value = shorten(label.unreadable.get(position, float(label.values[position])))
            row = int(source.rows[position])
            rule = "a target must be a finite number, or empty where nothing was measured"
            bad.setdefault(row, BadRow(row, f"row {row}: {target} is {value}; {rule}"))
    return list(bad.values())


def _joined(
    path: Path,
    target: str,
    values: FloatArray,
    firsts: NDArray[np.int64],
    rows: NDArray[np.int64],
    texts: list[str],
) -> FloatArray:
    """Put the value of equal architectures in the place of the first; refuse two different ones."""
    filled = np.flatnonzero(~np.isnan(values))
    joined, first_filled = values.copy(), np.full(len(values), -1)
    # Written backwards, so that of equal architectures the first filled one stays.
    first_filled[firsts[filled][::-1]] = filled[::-1]
    reference = first_filled[firsts[filled]]
    conflicts = np.flatnonzero(values[filled] != values[reference])
    if len(conflicts):
        second, first = int(filled[conflicts[0]]), int(reference[conflicts[0]])
        raise TableError(
            f"{path}: rows {rows[first]} and {rows[second]} hold the same architecture "
            f"{shorten(texts[first])} with different {target}, {values[first]} and {values[second]}; "
            f"duplicates='mean' averages them"
        )
    joined[firsts[filled]] = values[reference]
    return joined


def _group_means(values: FloatArray, firsts: NDArray[np.int64]) -> FloatArray:
    """Put the mean over equal architectures, gaps left out, in the place of the first of them."""
    means = values.copy()
    counts = np.bincount(firsts, minlength=len(firsts))
    for first in np.flatnonzero(counts > 1):
        group = values[firsts == first]
        group = group[~np.isnan(group)]
        if len(group) and (group != group[0]).any():
            means[first] = (group / len(group)).sum()
        elif len(group):
            means[first] = group[0]
    return means
