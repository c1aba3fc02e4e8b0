"""Rows of one architecture: how many there are, and how far their measurements differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.doctor.columns import FEW
from archflow.datasets.doctor.findings import (
    MOST_EXAMPLES,
    Finding,
    finite_numbers,
    first_rows,
    number,
    percent,
    scaled,
    spread,
)
from archflow.datasets.rows import equal_firsts
from archflow.datasets.sources import shorten
from archflow.errors import plural
from archflow.graphs import Architecture, ArchitectureTable
from archflow.metrics import spearman
from archflow.protocols import FloatArray

CERTAIN = 0.9995  # a ceiling that is written as 1.000 is none


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """One meaning of "the same architecture", weakest claim first in a list of them.

    Attributes:
        kind: "exact", "isomorphic" or "functional".
        words: What it means, to stand after "rows that are".
        seen: What a predictor sees to which they are the same.
        labels: Equal for rows that are the same, (A,) integers.
    """

    kind: str
    words: str
    seen: str
    labels: NDArray[np.integer]

    def firsts(self) -> NDArray[np.int64]:
        """Return for each row the position of the first that is the same, (A,) int64."""
        _, first, inverse = np.unique(self.labels, return_index=True, return_inverse=True)
        firsts: NDArray[np.int64] = first[inverse]
        return firsts


def levels_of(
    architectures: Sequence[Architecture], pruned: ArchitectureTable, collapsed: ArchitectureTable
) -> tuple[Level, Level, Level]:
    """Return the three meanings of "the same", each of which joins at least the rows that the last did.

    Args:
        architectures: A of them.
        pruned: The same in pruned form.
        collapsed: The same in collapsed form.
    """
    return (
        Level("exact", "equal node for node", "the graphs", equal_firsts(architectures)),
        Level("isomorphic", "isomorphic once pruned", "the pruned form", pruned.keys()),
        Level(
            "functional",
            "functionally equal (one graph once collapsed)",
            "the collapsed form",
            collapsed.keys(),
        ),
    )


def duplicate_findings(
    levels: Sequence[Level],
    columns: Mapping[str, FloatArray],
    rows: NDArray[np.int64],
    texts: Sequence[str],
) -> list[Finding]:
    """Report the rows that are the same architecture, and the columns in which they differ.

    A level that joins no more rows than the one before it is left out.

    Args:
        levels: What "the same" means, from `levels_of`.
        columns: The columns to compare, (A,) float64 each.
        rows: 1-based data row number of each architecture, (A,) int64.
        texts: The `arch` cell of each, A of them.

    Returns:
        For each level a finding "exact-duplicates" ("isomorphic-", "functional-") and, for each column in
        which they differ, one of the kind "exact-disagreement" (...).
    """
    findings = []
    before = 0
    for level in levels:
        firsts = level.firsts()
        repeats = np.flatnonzero(firsts != np.arange(len(firsts)))
        if len(repeats) == before:
            continue
        before = len(repeats)
        findings.append(_duplicates(level, firsts, repeats, rows, texts))
        compared = (_disagreement(level, name, values, rows, texts) for name, values in columns.items())
        findings += [finding for finding in compared if finding is not None]
    return findings


def _duplicates(
    level: Level,
    firsts: NDArray[np.int64],
    repeats: NDArray[np.int64],
    rows: NDArray[np.int64],
    texts: Sequence[str],
) -> Finding:
    heads = np.unique(firsts[repeats])
    examples = []
    for head in heads[:MOST_EXAMPLES]:
        group = np.flatnonzero(firsts == head)
        more = ", ..." if len(group) > MOST_EXAMPLES else ""
        numbers = ", ".join(str(row) for row in rows[group[:MOST_EXAMPLES]].tolist())
        examples.append(f"rows {numbers}{more}: {two_texts(texts[group[0]], texts[group[1]])}")
    message = (
        f"{plural(len(repeats), 'row')} repeat{'s' if len(repeats) == 1 else ''} an earlier one, "
        f"{level.words}: {plural(len(heads), 'architecture')} in {len(repeats) + len(heads)} rows"
    )
    return Finding(
        f"{level.kind}-duplicates",
        "note",
        message,
        count=len(repeats),
        rows=first_rows(rows[repeats]),
        examples=tuple(examples),
        numbers=finite_numbers(groups=len(heads), share=len(repeats) / len(firsts)),
    )


def _disagreement(
    level: Level, name: str, values: FloatArray, rows: NDArray[np.int64], texts: Sequence[str]
) -> Finding | None:
    """Compare each row with the last one before it that is the same and has a number."""
    filled = np.flatnonzero(np.isfinite(values))
    order = filled[np.argsort(level.labels[filled], kind="stable")]
    labels = level.labels[order]
    joined = np.flatnonzero(labels[1:] == labels[:-1])
    one, two = order[joined], order[joined + 1]
    differing = np.flatnonzero(values[one] != values[two])
    if not len(differing):
        return None
    numbers = values_apart(values[one], values[two], values[filled])
    differing = differing[np.argsort(two[differing], kind="stable")]  # by row, not by label
    second = two[differing]
    examples = tuple(
        f"rows {rows[a]} and {rows[b]}: {two_texts(texts[a], texts[b])}: "
        f"{number(values[a])} and {number(values[b])}"
        for a, b in zip(one[differing[:MOST_EXAMPLES]], second[:MOST_EXAMPLES], strict=True)
    )
    message = (
        f"{name}: {len(differing)} of {plural(len(one), 'pair')} of rows {level.words} differ"
        f"{'s' if len(differing) == 1 else ''}{apart_in_words(numbers)}"
    )
    # A group counts once here, so that a large one does not speak for all.
    heads = np.concatenate([[True], labels[joined[1:]] != labels[joined[:-1]]])
    ceiling = _ceiling(values[one[heads]], values[two[heads]])
    message += f"; to a predictor that sees {level.seen} this is noise"
    if ceiling is not None:
        numbers |= finite_numbers(ceiling=ceiling)
        if ceiling < CERTAIN:
            message += f", and on such rows it can hardly reach a Spearman above {ceiling:.3f}"
    return Finding(
        f"{level.kind}-disagreement",
        "warning" if level.kind == "exact" else "note",
        message,
        name,
        len(differing),
        first_rows(rows[second]),
        examples,
        numbers,
    )


def values_apart(ones: FloatArray, others: FloatArray, column: FloatArray) -> dict[str, float]:
    """Measure how far pairs of numbers differ.

    Args:
        ones: One number of each pair, (P,) float64, finite.
        others: The other, (P,) float64, finite.
        column: The numbers whose spread is the yardstick, finite.

    Returns:
        `pairs`, `differing`, and where any differ `difference`, the median size of the difference of those,
        and `relative`, the same as a share of the column's `spread`.
    """
    numbers: dict[str, float] = {"pairs": len(ones), "differing": int(np.count_nonzero(ones != others))}
    if not numbers["differing"]:
        return numbers
    both, size = scaled(np.concatenate([ones, others, column]))
    apart = np.abs(both[: len(ones)] - both[len(ones) : 2 * len(ones)])
    # Two numbers may differ by less than their share of the largest can tell.
    typical = float(np.median(apart[apart > 0])) if apart.any() else 0.0
    wide = spread(both[2 * len(ones) :])
    numbers |= finite_numbers(difference=typical * size)
    return numbers | (finite_numbers(relative=typical / wide) if wide else {})


def apart_in_words(numbers: Mapping[str, float]) -> str:
    """Return what `values_apart` measured as the end of a sentence."""
    words = f", by {number(numbers['difference'])} in the median" if "difference" in numbers else ""
    return words + (
        f", {percent(numbers['relative'])} of the column's spread" if "relative" in numbers else ""
    )


def two_texts(one: str, other: str) -> str:
    """Write two architectures for people, or one where they are written alike."""
    return shorten(one) if one == other else f"{shorten(one)} and {shorten(other)}"


def _ceiling(ones: FloatArray, others: FloatArray) -> float | None:
    """Estimate the best rank correlation with one measurement from that between two.

    If both are the true value and as much noise, they correlate with each other by r and with the truth by
    the square root of r (Spearman, American Journal of Psychology 1904); None where too few pairs tell.
    """
    if min(len(np.unique(ones)), len(np.unique(others))) < FEW:
        return None
    return math.sqrt(max(spearman(ones, others), 0.0))
