"""From the cells of a file to architectures: which rows parse, which are bad, which are equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.sources import ARCH, Source, one_line, shorten
from archflow.errors import InvalidArchitectureError
from archflow.graphs import Architecture
from archflow.protocols import Space


@dataclasses.dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        row: 1-based data row number.
        message: The row, the value and the rule, in one line.
    """

    row: int
    message: str


@dataclasses.dataclass(frozen=True)
class ParsedRows:
    """What came of parsing some rows.

    Attributes:
        kept: Positions in the source of the rows that parsed, (A,) int64.
        architectures: The architecture of each of them, A of them.
        bad: The rows that did not parse.
    """

    kept: NDArray[np.int64]
    architectures: list[Architecture]
    bad: list[BadRow]


def parse_rows(source: Source, space: Space, positions: NDArray[np.int64]) -> ParsedRows:
    """Parse the `arch` cells at some positions of a source; equal texts are parsed once.

    Args:
        source: The file's columns.
        space: The space whose text format the cells are in.
        positions: Which rows of the source to parse, (P,) int64.
    """
    seen: dict[str, Architecture] = {}
    kept, architectures, bad = [], [], []
    for position in positions.tolist():
        text, row = source.texts[position], int(source.rows[position])
        if text is None:
            bad.append(BadRow(row, f"row {row}: {ARCH} is empty; every row must hold an architecture"))
            continue
        try:
            architecture = seen.get(text) or seen.setdefault(text, space.parse(text))
        except InvalidArchitectureError as error:
            bad.append(BadRow(row, f"row {row}: {ARCH} {shorten(text)}: {one_line(error)}"))
            continue
        kept.append(position)
        architectures.append(architecture)
    return ParsedRows(np.array(kept, dtype=np.int64), architectures, bad)


def equal_firsts(architectures: Sequence[Architecture]) -> NDArray[np.int64]:
    """Return for each architecture the position of the first that is structurally equal, (A,) int64."""
    first: dict[Architecture, int] = {}
    return np.array([first.setdefault(a, i) for i, a in enumerate(architectures)], dtype=np.int64)
