"""What of the graphs takes part in the computation: dead nodes, cut-off outputs, zero operations."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.doctor.findings import Finding, Severity, finite_numbers, first_rows, percent, row_list
from archflow.errors import plural
from archflow.graphs import ArchitectureTable


def reach_findings(
    table: ArchitectureTable,
    pruned: ArchitectureTable,
    collapsed: ArchitectureTable,
    rows: NDArray[np.int64],
) -> list[Finding]:
    """Count what pruning and collapsing take away.

    Args:
        table: A architectures as written.
        pruned: The same, pruned.
        collapsed: The same, collapsed.
        rows: 1-based data row number of each, (A,) int64.

    Returns:
        Findings of the kinds "cut-off" (the output is reached from no input), "dead-nodes" (nodes on no
        input-output path, whatever their operation), "zero-operations" and "forms" (rows that the pruned and
        the collapsed form change).
    """
    if not len(table):
        return []
    cut = np.diff(pruned.columns.edge_offsets) == 0
    operations = table.operations
    wired = dataclasses.replace(table, operations=dataclasses.replace(operations, zero=frozenset())).pruned()
    missing = _nodes(table) - _nodes(wired)
    is_zero = operations.mask(operations.zero)[table.columns.operation_ids]
    zeros = np.bincount(table.columns.node_rows()[is_zero], minlength=len(table))
    findings = []
    if cut.any():
        chosen = rows[cut]
        message = (
            f"{_of(len(chosen), len(rows))} let nothing through: no path of operations other than zero leads "
            f"from an input to the output ({row_list(chosen)})"
        )
        findings.append(_finding("cut-off", "warning", message, chosen, len(rows)))
    if missing.any():
        chosen = rows[missing > 0]
        message = (
            f"{_of(len(chosen), len(rows))} have nodes that are on no path from an input to the output, "
            f"{missing.sum()} such nodes in all ({row_list(chosen)}); the pruned form drops them"
        )
        findings.append(_finding("dead-nodes", "note", message, chosen, len(rows), nodes=int(missing.sum())))
    if zeros.any():
        chosen = rows[zeros > 0]
        message = (
            f"{_of(len(chosen), len(rows))} hold zero operations ({', '.join(sorted(operations.zero))}), "
            f"{zeros.sum()} in all"
        )
        findings.append(
            _finding("zero-operations", "note", message, chosen, len(rows), nodes=int(zeros.sum()))
        )
    by_pruning = _nodes(table) + _edges(table) != _nodes(pruned) + _edges(pruned)
    joined = _nodes(pruned) != _nodes(collapsed)
    if (by_pruning | joined).any():
        message = (
            f"{percent(by_pruning.mean())} of the rows change when they are pruned, and "
            f"{percent((by_pruning | joined).mean())} when they are collapsed too"
        )
        findings.append(
            _finding(
                "forms", "note", message, rows[by_pruning | joined], len(rows), pruned=int(by_pruning.sum())
            )
        )
    return findings


def _nodes(table: ArchitectureTable) -> NDArray[np.int64]:
    return np.diff(table.columns.node_offsets)


def _edges(table: ArchitectureTable) -> NDArray[np.int64]:
    return np.diff(table.columns.edge_offsets)


def _of(count: int, total: int) -> str:
    return f"{count} of {plural(total, 'row')} ({percent(count / total)})"


def _finding(
    kind: str, severity: Severity, message: str, chosen: NDArray[np.int64], total: int, **numbers: float
) -> Finding:
    shares = finite_numbers(share=len(chosen) / total, **numbers)
    return Finding(kind, severity, message, count=len(chosen), rows=first_rows(chosen), numbers=shares)
