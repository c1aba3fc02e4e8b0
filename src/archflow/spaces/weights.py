"""Counting weights operation by operation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from archflow.graphs import ArchitectureTable, Operations
from archflow.protocols import FloatArray


def weights_of(table: ArchitectureTable, operations: Operations, weights: Mapping[str, float]) -> FloatArray:
    """Add up the weights of each architecture's nodes.

    Args:
        table: A architectures, in any form.
        operations: The vocabulary of the space, of which the table's may be a part.
        weights: The weights of an operation by its name; the others have none.

    Returns:
        (A,) float64.

    Raises:
        UnknownNameError: The table's vocabulary has an operation that is not of this space.
    """
    for name in table.operations.names:
        operations.id(name)
    by_id = np.array([weights.get(name, 0.0) for name in table.operations.names])
    columns = table.columns
    rows, own = columns.node_rows(), by_id[columns.operation_ids]
    return np.bincount(rows, own, minlength=len(columns)).astype(np.float64)
