"""What the table check has to say: one sentence each, with the rows to look at and the numbers behind it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from archflow.protocols import FloatArray

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

MOST_ROWS = 100
"""Most rows that a finding lists; `Finding.count` counts all of them."""

MOST_EXAMPLES = 3
"""Most examples that a finding spells out."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing about a table that its reader should know.

    Attributes:
        kind: What it is, in a fixed word such as "outliers".
        severity: "problem" stops work with the table, "warning" is worth a look, "note" is good to know.
        message: One sentence.
        column: The column or node attribute that it is about, None if it is about architectures.
        count: How many rows it is about.
        rows: 1-based data row numbers of the first `MOST_ROWS` of them, most telling first.
        examples: A few of them in words.
        numbers: The figures in the message and those behind it, by name; all finite.
    """

    kind: str
    severity: Severity
    message: str
    column: str | None = None
    count: int = 0
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)


def first_rows(rows: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the first `MOST_ROWS` row numbers as Python integers."""
    return tuple(rows[:MOST_ROWS].tolist())


def finite_numbers(**numbers: float) -> dict[str, float]:
    """Return plain numbers by name, without those that are not finite."""
    plain = {name: value if isinstance(value, int) else float(value) for name, value in numbers.items()}
    return {name: value for name, value in plain.items() if math.isfinite(value)}


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings, the most severe first."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def number(value: float) -> str:
    """Write a number for people, with at most five significant digits."""
    return f"{value:.5g}"


def percent(share: float) -> str:
    """Write a share for people; one that is not 0 or 1 is never written as 0 or 100 %."""
    if 0 < share < 0.001:
        return "less than 0.1 %"
    if 0.999 < share < 1:
        return "more than 99.9 %"
    return f"{100 * share:.3g} %"


def row_list(rows: Sequence[int] | NDArray[np.int64]) -> str:
    """Write row numbers for people, such as "row 3" and "rows 3, 7, 9, ..."; rows holds at least one."""
    shown = ", ".join(str(int(row)) for row in rows[:MOST_EXAMPLES])
    more = ", ..." if len(rows) > MOST_EXAMPLES else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"


def scaled(values: FloatArray) -> tuple[FloatArray, float]:
    """Return finite numbers divided by the greatest size among them, and that size (1 where all are 0).

    Differences of the scaled numbers never overflow.
    """
    size = float(np.abs(values).max(initial=0.0)) or 1.0
    return values / size, size


def spread(values: FloatArray) -> float:
    """Return how widely the middle half of some finite numbers lies, as a standard deviation.

    The interquartile range over that of a standard normal distribution, 1.349, which a few failed runs do
    not move as they do the standard deviation; the latter where the quartiles coincide, 0 where there are
    fewer than two numbers.
    """
    if len(values) < 2:
        return 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349 or float(values.std())
