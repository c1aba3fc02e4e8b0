"""Columns that say the same as the target: a leak for whoever feeds them to a predictor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from archflow.datasets.doctor.columns import FEW
from archflow.datasets.doctor.findings import Finding, finite_numbers, number
from archflow.datasets.sources import NumberColumn
from archflow.metrics import spearman

SAME_ORDER = 0.999
"""A column that orders the rows as the target does to this rank correlation is no other measurement."""


def copy_findings(columns: Mapping[str, NumberColumn], target: str) -> list[Finding]:
    """Find the columns that order the rows as the target does.

    Columns of fewer than ten distinct numbers, or with fewer than ten rows beside the target's, are not
    compared.

    Args:
        columns: Every numeric column by name, (R,) cells each.
        target: The name of one of them.

    Returns:
        Findings of the kind "copy", one a column.
    """
    findings = []
    values = columns[target].values
    for name, column in columns.items():
        both = np.isfinite(values) & np.isfinite(column.values)
        ours, theirs = values[both], column.values[both]
        if name == target or min(len(np.unique(ours)), len(np.unique(theirs))) < FEW:
            continue
        correlation = spearman(theirs, ours)
        if abs(correlation) < SAME_ORDER:
            continue
        if np.array_equal(ours, theirs):
            what = f"holds the same numbers as {target}"
        else:
            order = "orders" if correlation > 0 else "orders, backwards,"
            what = f"{order} the rows as {target} does (Spearman {number(correlation)})"
        message = (
            f"{name}: {what}; it is no separate measurement, and a predictor that is given it has the answer"
        )
        numbers = finite_numbers(spearman=correlation, rows=len(ours))
        findings.append(Finding("copy", "warning", message, name, len(ours), numbers=numbers))
    return findings
