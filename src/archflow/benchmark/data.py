"""The tables of a protocol: where they lie, what they hold, and what identifies them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archflow import spaces
from archflow.benchmark.protocol import Protocol, SpaceEntry, split_rows
from archflow.benchmark.protocol_file import EMBEDDED, SUFFIXES
from archflow.datasets import MeasuredTable, digits_table, read_table, read_texts, require_labels
from archflow.datasets.digits import TARGET
from archflow.datasets.fetch import cache_folder
from archflow.datasets.published import PUBLISHED
from archflow.errors import TableError, UsageError, short
from archflow.graphs import ArchitectureTable, Form
from archflow.protocols import FloatArray, Space

FOLDER = "ARCHFLOW_DATA"
"""Environment variable: a folder that tables are looked up in."""

_JOINED: tuple[Form, ...] = ("as-written", "pruned")  # pruned graphs compute the same, operation by operation


@dataclasses.dataclass(frozen=True, eq=False)
class SpaceData:
    """A table of a protocol, read.

    Attributes:
        space: Its search space.
        architectures: A graphs as written.
        values: The target, (A,) float64.
        proxy: The column that pre-training ranks by, (A,) float64, NaN in gaps; None for parameter counts.
        digest: SHA-256 of the table's file.
        graphs: SHA-256 of the graphs and the vocabulary.
    """

    space: Space
    architectures: ArchitectureTable
    values: FloatArray
    proxy: FloatArray | None
    digest: str
    graphs: str

    def identity(self) -> dict[str, Any]:
        """Return what tells this table from another, as plain values."""
        proxy = None if self.proxy is None else hashlib.sha256(self.proxy.astype("<f8").tobytes()).hexdigest()
        return {"rows": len(self.values), "table": self.digest, "graphs": self.graphs, "proxy": proxy}


def read_data(protocol: Protocol, file: Path, folder: Path | None) -> dict[str, SpaceData]:
    """Read all tables of a protocol and check that each amount of labels fits them.

    Args:
        protocol: The protocol.
        file: Its file; tables and space files may lie beside it.
        folder: Where to look first; by default in `$ARCHFLOW_DATA`.

    Raises:
        TableError: A table or a column is missing or bad.
        UsageError: An amount of labels leaves fewer than 4, or no row to test.
    """
    first = folder or (Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None)
    places = [place for place in (first, file.parent, cache_folder()) if place is not None]
    found = {}
    for name, entry in protocol.spaces.items():
        found[name] = data = _read(entry, file.parent, places)
        for labels in protocol.labels:
            try:
                split_rows(len(data.values), labels, protocol.permutations[0], protocol.validation)
            except UsageError as error:
                raise UsageError(f"{file}: table {name}: {error}") from error
    return found


def _read(entry: SpaceEntry, beside: Path, places: Sequence[Path]) -> SpaceData:
    space: Space
    if entry.table == EMBEDDED:
        table, where = digits_table(), EMBEDDED
        space = spaces.NASBench201()
        if entry.space != space.name:
            raise TableError(f"table {EMBEDDED} is of space {space.name}, not {entry.space}")
        if entry.target != TARGET:
            if entry.target not in table.columns:
                raise TableError(f"table {EMBEDDED} has no column {short(entry.target)}; take {TARGET}")
            table = dataclasses.replace(table, target=entry.target)
    else:
        path = _path_of(entry.table, places)
        where, space = str(path), _space_of(entry, beside, path)
        table = read_table(path, space, entry.target)
    require_labels(table.values, where=f"{where}, column {entry.target}")
    proxy = None if entry.proxy_table is None else _proxy(entry, space, table, places)
    architectures = table.architectures
    return SpaceData(space, architectures, table.values, proxy, table.digest, architectures.digest())


def _path_of(table: str, places: Sequence[Path]) -> Path:
    paths = [place / table for place in places]
    for path in paths:
        if path.is_file():
            return path
    name = Path(table).stem
    fetch = f"; `archflow data fetch {name}` brings it" if name in PUBLISHED else ""
    looked = ", ".join(str(place) for place in places)
    raise TableError(f"there is no table {table} in {looked}; pass its folder as --data{fetch}")


def _space_of(entry: SpaceEntry, beside: Path, table: Path) -> Space:
    if entry.space.lower().endswith(SUFFIXES):
        return spaces.get(str(beside / entry.space))
    if entry.space == spaces.Free.name:
        return spaces.Free.of_texts(read_texts(table, spaces.Free()))
    return spaces.get(entry.space)


def _proxy(entry: SpaceEntry, space: Space, table: MeasuredTable, places: Sequence[Path]) -> FloatArray:
    """Look the proxy of every architecture up: of the same graph, else the mean over equal pruned ones.

    An empty cell stays a gap, NaN; an architecture that the table of proxies lacks is refused.
    """
    path, column = _path_of(str(entry.proxy_table), places), str(entry.proxy_column)
    measured = read_table(path, space)
    if column not in measured.columns:
        read_table(path, space, column)  # says why
    proxies = measured.columns[column]
    if np.isinf(proxies).any():
        row = measured.rows[int(np.argmax(np.isinf(proxies)))]
        raise TableError(f"{path}: row {row}: {column} is infinite; a proxy is finite, or empty")
    known = ~np.isnan(proxies)
    values, missing = np.full(len(table), np.nan), np.ones(len(table), dtype=np.bool_)
    for form in _JOINED:
        keys, group = np.unique(
            measured.architectures.in_form(form).keys(), return_index=False, return_inverse=True
        )
        counts = np.bincount(group[known], minlength=len(keys))
        sums = np.bincount(group[known], proxies[known], minlength=len(keys))
        means = np.where(counts, sums / np.maximum(counts, 1), np.nan)
        wanted = table.architectures.in_form(form).keys()
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = missing & (keys[place] == wanted)
        values[found], missing = means[place[found]], missing & ~found
    if missing.any():
        example = short(table.texts[int(np.argmax(missing))])
        raise TableError(
            f"{path}: lacks {missing.sum()} of the {len(values)} architectures of {entry.table}, "
            f"such as {example}"
        )
    return np.asarray(values)
