"""Sums of weights by operation."""

import numpy as np
import pytest

from archflow.errors import UnknownNameError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.weights import weights_of

KNOWN = Operations.of(["conv", "pool", "skip"])
CHAIN = tuple((node, node + 1) for node in range(3))


def test_every_node_counts():
    rows = [
        Architecture(("input", "conv", "conv", "output"), CHAIN),
        Architecture(("input", "pool", "skip", "output"), CHAIN),
    ]
    counts = weights_of(ArchitectureTable.of(rows), KNOWN, {"conv": 10, "pool": 0.5, "dense": 99})
    assert counts.tolist() == [20, 0.5]
    assert counts.dtype == np.float64
    assert weights_of(ArchitectureTable.of(rows)[:0], KNOWN, {}).shape == (0,)


def test_an_operation_of_another_space_is_named():
    table = ArchitectureTable.of([Architecture(("input", "lstm", "skip", "output"), CHAIN)])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        weights_of(table, KNOWN, {})
