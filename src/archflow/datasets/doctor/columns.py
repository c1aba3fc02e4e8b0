"""One column of numbers: what is missing, what repeats, what lies far out, what is in another unit."""

from __future__ import annotations

import dataclasses
import math
import sys

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.doctor.findings import (
    MOST_EXAMPLES,
    Finding,
    Severity,
    finite_numbers,
    first_rows,
    number,
    percent,
    row_list,
    scaled,
)
from archflow.datasets.sources import NumberColumn, shorten
from archflow.errors import plural
from archflow.protocols import FloatArray

FEW = 10
"""Fewer numbers than this say nothing about how they are distributed."""

NEARLY_CONSTANT_TIES = 0.5  # two rows drawn at random are tied more often than not
MANY_TIES = 0.05
SINGLE_PRECISION = 1e-6  # ten steps of a float32: a spread below this share of the size is rounding

REPEATS = 10  # an extreme value occurs this often, and this many times as often as its neighbours

# Tail weight: how far the last hundredth lies beyond its quartile, in interquartile ranges. It is 1.2 in a
# normal, 2.9 in an exponential, 5.7 in a standard lognormal and 15 in a Cauchy distribution.
TAIL = 0.01
HEAVY_TAIL = 5.0
TAIL_ROWS = 100  # fewer have no last hundredth

UNITS = {
    100.0: "a fraction and a percentage",
    1e3: "a unit and its thousandth",
    1e6: "a unit and its millionth",
}
_PLACEHOLDERS = frozenset(
    [-1.0, 0.0, -(2.0**31), 2.0**31 - 1, 65504.0, float(np.finfo(np.float32).max), sys.float_info.max]
    + [sign * (10.0**digits - less) for sign in (1, -1) for digits in range(3, 16) for less in (0, 1)]
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Sample:
    """The finite numbers of a column, and the 1-based row number of each, (n,) both."""

    name: str
    values: FloatArray
    rows: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> _Sample:
        return _Sample(self.name, self.values[chosen], self.rows[chosen])


def column_findings(
    name: str, column: NumberColumn, rows: NDArray[np.int64], *, target: bool = False
) -> list[Finding]:
    """Look at one column by itself.

    Rows that one finding explains are left out of the later ones: a placeholder is no outlier as well.

    Args:
        name: The column's name.
        column: Its R cells.
        rows: 1-based data row number of each cell, (R,) int64.
        target: Whether it is the column to predict: what stops fitting is a problem then, not a warning.

    Returns:
        Findings of the kinds "gaps", "empty", "not-finite", "constant", "nearly-constant", "ties",
        "placeholder", "units", "outliers" and "heavy-tail".
    """
    worst: Severity = "problem" if target else "warning"
    findings = [*_gaps(name, column, rows, worst), *_not_finite(name, column, rows, worst)]
    finite = np.isfinite(column.values)
    sample = _Sample(name, column.values[finite], rows[finite])
    if len(sample.values) < 2:
        return findings
    distinct, counts = np.unique(sample.values, return_counts=True)
    if len(distinct) == 1:
        message = (
            f"{name}: all {len(sample.values)} values are {number(distinct[0])}; a constant ranks nothing"
        )
        return [
            *findings,
            Finding("constant", worst, message, name, numbers=finite_numbers(value=distinct[0])),
        ]
    if len(sample.values) < FEW:
        return findings
    findings += _ties(name, distinct, counts)
    for rule in (_placeholders, _units, _far_out):
        found, sample = rule(sample)
        findings += found
    return findings


def _gaps(name: str, column: NumberColumn, rows: NDArray[np.int64], worst: Severity) -> list[Finding]:
    gaps = rows[column.gaps]
    if not len(gaps):
        return []
    numbers = finite_numbers(share=len(gaps) / len(rows))
    if len(gaps) == len(rows):
        message = f"{name}: the column is empty"
        return [Finding("empty", worst, message, name, len(gaps), first_rows(gaps), numbers=numbers)]
    message = (
        f"{name}: {len(gaps)} of {plural(len(rows), 'row')} ({percent(len(gaps) / len(rows))}) "
        f"have no value ({row_list(gaps)}); they are left out where {name} is the target"
    )
    return [Finding("gaps", "note", message, name, len(gaps), first_rows(gaps), numbers=numbers)]


def _not_finite(name: str, column: NumberColumn, rows: NDArray[np.int64], worst: Severity) -> list[Finding]:
    positions = np.flatnonzero(~column.gaps & ~np.isfinite(column.values))
    if not len(positions):
        return []
    examples = tuple(
        f"row {rows[at]}: {shorten(column.unreadable.get(at, float(column.values[at])))}"
        for at in positions[:MOST_EXAMPLES].tolist()
    )
    message = (
        f"{name}: {plural(len(positions), 'cell')} hold text, NaN or infinity ({row_list(rows[positions])}); "
        f"such rows are bad where {name} is the target"
    )
    return [
        Finding("not-finite", worst, message, name, len(positions), first_rows(rows[positions]), examples)
    ]


def _ties(name: str, distinct: FloatArray, counts: NDArray[np.int64]) -> list[Finding]:
    total = int(counts.sum())
    tied = float((counts * (counts - 1.0)).sum() / (total * (total - 1.0)))
    numbers = finite_numbers(distinct=len(distinct), tied_pairs=tied)
    values, size = scaled(distinct)
    width = float(values[-1] - values[0])
    if tied >= NEARLY_CONSTANT_TIES:
        message = (
            f"{name}: nearly constant; {number(distinct[counts.argmax()])} stands in {counts.max()} "
            f"of {total} rows, and {percent(tied)} of the pairs of rows are tied"
        )
        return [Finding("nearly-constant", "warning", message, name, numbers=numbers)]
    if width < SINGLE_PRECISION:
        message = (
            f"{name}: nearly constant; the values differ by {width:.1g} of their size ({number(size)}) at "
            f"most, which single precision can hardly tell apart"
        )
        return [
            Finding(
                "nearly-constant", "warning", message, name, numbers=numbers | finite_numbers(width=width)
            )
        ]
    if tied >= MANY_TIES:
        message = (
            f"{name}: {plural(len(distinct), 'distinct value')} in {total} rows; {percent(tied)} of the "
            f"pairs of rows are tied, and no ranking can put those in order"
        )
        return [Finding("ties", "note", message, name, numbers=numbers)]
    return []


def _placeholders(sample: _Sample) -> tuple[list[Finding], _Sample]:
    """Find an extreme value that is repeated as no other near it, or that programs write for "nothing"."""
    findings = []
    for end, side in ((0, "least"), (-1, "greatest")):
        distinct, counts = np.unique(sample.values, return_counts=True)
        if len(distinct) <= FEW:
            break
        value, count = float(distinct[end]), int(counts[end])
        near = counts[1 : 1 + FEW] if end == 0 else counts[-1 - FEW : -1]
        usual = float(np.median(near))
        repeated = count >= REPEATS * max(usual, 1.0)
        at = sample.values == value
        if not repeated and not (value in _PLACEHOLDERS and _apart(sample.values[~at], value)):
            continue
        numbers = finite_numbers(value=value, count=count, usual_count=usual)
        rows = sample.rows[at]
        often = f", where the next values are held by {number(usual)} each" if repeated else ""
        message = (
            f"{sample.name}: {plural(count, 'row')} hold{'s' if count == 1 else ''} exactly "
            f"{number(value)}, the {side} value{often} ({row_list(rows)}); failed runs, or a placeholder "
            f"for a missing value?"
        )
        findings.append(
            Finding("placeholder", "warning", message, sample.name, count, first_rows(rows), numbers=numbers)
        )
        sample = sample.where(~at)
    return findings, sample


def _apart(rest: FloatArray, value: float) -> bool:
    """Whether a value is -1 among non-negative numbers, or an interquartile range away from the rest."""
    if value == -1 and rest.min() >= 0:
        return True
    size = max(float(np.abs(rest).max()), abs(value)) or 1.0
    low, high = np.quantile(rest / size, [0.25, 0.75])
    return bool(np.abs(rest / size - value / size).min() > high - low)


def _units(sample: _Sample) -> tuple[list[Finding], _Sample]:
    """Find two groups of numbers with a gap between them that become one when one is scaled."""
    positive = sample.where(sample.values > 0)
    if len(positive.values) < FEW or (sample.values < 0).any():
        return [], sample
    order = np.argsort(positive.values, kind="stable")
    logarithms = np.log(positive.values[order])
    steps = np.diff(logarithms)
    cut = int(np.argmax(steps)) + 1
    parts = logarithms[:cut], logarithms[cut:]
    small, large = sorted(parts, key=len)
    # Numbers that reach down to 0 have wide gaps there too, the widest below the least of them.
    wide = (large[-1] - large[0]) * (2 if len(small) == 1 else 1)
    if steps[cut - 1] < wide or len(large) < FEW:
        return [], sample
    apart = abs(float(np.median(small) - np.median(large)))
    factor = min(UNITS, key=lambda unit: abs(math.log(unit) - apart))
    moved = float(np.median(small)) + math.copysign(math.log(factor), float(large[0] - small[0]))
    if not large[0] <= moved <= large[-1] or (factor == 100 and positive.values[order[cut - 1]] > 1):
        return [], sample
    low, high = positive.values[order[:cut]], positive.values[order[cut:]]
    odd = order[:cut] if parts[0] is small else order[cut:]
    rows = np.sort(positive.rows[odd])
    message = (
        f"{sample.name}: {plural(len(low), 'value')} from {number(low[0])} to {number(low[-1])} and "
        f"{len(high)} from {number(high[0])} to {number(high[-1])}, with none between; are "
        f"{UNITS[factor]} mixed ({row_list(rows)})?"
    )
    numbers = finite_numbers(factor=factor, below=len(low), above=len(high))
    finding = Finding("units", "warning", message, sample.name, len(rows), first_rows(rows), numbers=numbers)
    return [finding], sample.where(~np.isin(sample.rows, rows))


def _far_out(sample: _Sample) -> tuple[list[Finding], _Sample]:
    """Find tails heavier than an exponential one, and single rows that no such tail would hold."""
    if len(sample.values) < FEW:
        return [], sample
    values, size = scaled(sample.values)
    last, low, high, first = np.quantile(values, [TAIL, 0.25, 0.75, 1 - TAIL])
    width = float(high - low)
    if not width:
        return [], sample
    # A quarter of an exponential tail's rows lie beyond its quartile, and a third of those are left after
    # each interquartile range; past the reach, one such row is expected in a hundred tables.
    reach = math.log(25 * len(values), 3)
    findings = []
    with np.errstate(over="ignore"):  # one huge number leaves the quartiles a hair apart
        sides = (
            ("low", (low - values) / width, (low - last) / width),
            ("high", (values - high) / width, (first - high) / width),
        )
    for side, excess, weight in sides:
        heavy = len(values) >= TAIL_ROWS and weight > HEAVY_TAIL
        far = excess > (weight if heavy else reach)
        if not far.any():
            continue
        order = np.flatnonzero(far)[np.argsort(-excess[far], kind="stable")]
        rows = sample.rows[order]
        bound = float(sample.values[order[-1]])
        numbers = finite_numbers(
            bound=bound,
            farthest=float(excess.max()),
            tail_weight=float(weight),
            lower_quartile=float(low) * size,
            upper_quartile=float(high) * size,
        )
        beyond = f"{number(bound)} or {'less' if side == 'low' else 'more'}"
        quartiles = f"quartiles {number(float(low) * size)} and {number(float(high) * size)}"
        if heavy:
            message = (
                f"{sample.name}: a heavy {side} tail; the outermost hundredth, {beyond}, begins "
                f"{weight:.3g} interquartile ranges beyond the quartile, where a normal "
                f"distribution has 1.2 ({row_list(rows)}); it will dominate squared errors"
            )
        else:
            message = (
                f"{sample.name}: {plural(len(rows), 'row')} far out, at {beyond} "
                f"({quartiles}; {row_list(rows)})"
            )
        findings.append(
            Finding(
                "heavy-tail" if heavy else "outliers",
                "note" if heavy else "warning",
                message,
                sample.name,
                len(rows),
                first_rows(rows),
                numbers=numbers,
            )
        )
    return findings, sample
