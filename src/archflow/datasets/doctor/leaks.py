"""Architectures of one table that another holds too, as a test set must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.doctor.duplicates import Level, apart_in_words, two_texts, values_apart
from archflow.datasets.doctor.findings import (
    MOST_EXAMPLES,
    Finding,
    finite_numbers,
    first_rows,
    number,
    row_list,
)
from archflow.errors import plural
from archflow.protocols import FloatArray


def leak_findings(
    levels: Sequence[Level],
    columns: Mapping[str, FloatArray],
    rows: NDArray[np.int64],
    texts: Sequence[str],
    other: str,
    n_others: int,
) -> list[Finding]:
    """Compare a table of A architectures with another of B.

    Args:
        levels: What "the same" means, with labels (B + A,) over the other table and then this one.
        columns: The numeric columns that both have, (B + A,) float64 each.
        rows: 1-based data row number of each architecture in its own table, (B + A,) int64.
        texts: The `arch` cells, B + A of them.
        other: What the other table is called.
        n_others: B.

    Returns:
        One finding "shared-architectures", and one "shared-values" for each column.
    """
    total = len(rows) - n_others
    matches = [_matches(level, n_others) for level in levels]
    found = [np.flatnonzero(match >= 0) for match in matches]
    widest = found[-1]
    if not len(widest):
        message = f"none of {plural(total, 'row')} holds an architecture of {other}"
        return [Finding("shared-architectures", "note", message)]
    counts = {level.kind: len(at) for level, at in zip(levels, found, strict=True)}
    parts = ", ".join(f"{counts[level.kind]} {level.words}" for level in levels)
    message = (
        f"{len(widest)} of {plural(total, 'row')} hold an architecture that {other} holds too: {parts}; "
        f"do not learn from one table and test on the other ({row_list(rows[n_others + widest])})"
    )
    examples: list[str] = []
    before = np.zeros(total, dtype=bool)
    for level, match in zip(levels, matches, strict=True):
        new = np.flatnonzero((match >= 0) & ~before)[: MOST_EXAMPLES // len(levels)]
        before |= match >= 0
        examples += [
            f"row {rows[at]} and row {rows[like]} of {other}, {level.words}: "
            f"{two_texts(texts[at], texts[like])}"
            for at, like in zip(n_others + new, match[new], strict=True)
        ]
    shared = Finding(
        "shared-architectures",
        "warning",
        message,
        count=len(widest),
        rows=first_rows(rows[n_others + widest]),
        examples=tuple(examples),
        numbers=finite_numbers(share=len(widest) / total, **counts),
    )
    here, there = n_others + widest, matches[-1][widest]
    compared = (_shared_values(name, values, here, there, rows, other) for name, values in columns.items())
    return [shared, *(finding for finding in compared if finding is not None)]


def _matches(level: Level, n_others: int) -> NDArray[np.int64]:
    """Return for each row the first position in the other table that is the same, -1 if none; (A,) int64."""
    firsts = level.firsts()[n_others:]
    return np.where(firsts < n_others, firsts, -1)


def _shared_values(
    name: str,
    values: FloatArray,
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    rows: NDArray[np.int64],
    other: str,
) -> Finding | None:
    both = np.isfinite(values[here]) & np.isfinite(values[there])
    here, there = here[both], there[both]
    if not len(here):
        return None
    numbers = values_apart(values[here], values[there], values[np.isfinite(values)])
    differing = np.flatnonzero(values[here] != values[there])
    if not len(differing):
        message = f"{name}: all {plural(len(here), 'shared row')} have the value that {other} has"
        return Finding("shared-values", "note", message, name, numbers=numbers)
    message = (
        f"{name}: {len(differing)} of {plural(len(here), 'shared row')} differ"
        f"{'s' if len(differing) == 1 else ''} from {other}{apart_in_words(numbers)}"
    )
    examples = tuple(
        f"row {rows[here[at]]}: {number(values[here[at]])}, "
        f"row {rows[there[at]]} of {other}: {number(values[there[at]])}"
        for at in differing[:MOST_EXAMPLES]
    )
    return Finding(
        "shared-values",
        "note",
        message,
        name,
        len(differing),
        first_rows(rows[here[differing]]),
        examples,
        numbers,
    )
