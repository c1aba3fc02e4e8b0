"""The numbers that nodes carry: those that tell nothing."""

from __future__ import annotations

import numpy as np

from archflow.datasets.doctor.findings import Finding, finite_numbers, number
from archflow.graphs import ArchitectureTable


def attribute_findings(table: ArchitectureTable) -> list[Finding]:
    """Find node attributes that no node of a table has, or that are equal in all nodes that have them.

    0 says that a node has none, so it is left out here.

    Returns:
        Findings of the kinds "attribute-absent" and "attribute-constant", one an attribute.
    """
    findings = []
    for name, values in zip(table.operations.attributes, table.columns.attributes.T, strict=True):
        held = values[values != 0]
        if not len(held):
            message = f"attribute {name}: no node of the table has it"
            findings.append(Finding("attribute-absent", "note", message, name))
        elif held.min() == held.max():
            message = (
                f"attribute {name}: {number(held[0])} in all {len(held)} nodes that have it; "
                f"it tells no two such nodes apart"
            )
            numbers = finite_numbers(value=float(held[0]), nodes=int(np.count_nonzero(values)))
            findings.append(Finding("attribute-constant", "note", message, name, numbers=numbers))
    return findings
