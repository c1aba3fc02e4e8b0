"""A random forest on the flattened one-hot encoding: the field's simplest baseline that learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable
from archflow.predictors.labels import Labels
from archflow.progress import Report, silent
from archflow.protocols import FloatArray

_TREES = 200


class OneHotForest:
    """A random forest that reads the operations and the adjacency matrix of the graph as written.

    Args:
        labels: What to fit.
        seed: Seed of the forest.
    """

    def __init__(self, labels: Labels, seed: int) -> None:
        self._slots = int(np.diff(labels.table.columns.node_offsets).max())
        self._forest = RandomForestRegressor(n_estimators=_TREES, random_state=seed)
        self._forest.fit(onehot(labels.table, self._slots), labels.values)

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the mean over trees, (A,)."""
        if not len(table):  # scikit-learn refuses to predict nothing
            return np.zeros(0)
        return np.asarray(self._forest.predict(onehot(table, self._slots)), dtype=np.float64)

    def spread(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the standard deviation over trees, (A,)."""
        if not len(table):
            return np.zeros(0)
        features = onehot(table, self._slots)
        return np.asarray(np.std([tree.predict(features) for tree in self._forest.estimators_], axis=0))


def onehot(table: ArchitectureTable, slots: int) -> NDArray[np.float32]:
    """Encode graphs as flat vectors, node by node in their order as written.

    Args:
        table: A architectures over d operations.
        slots: Nodes that the encoding has room for.

    Returns:
        For each slot its one-hot operation and its row of the adjacency matrix (edge multiplicities):
        (A, slots * (d + slots)).

    Raises:
        UsageError: An architecture has more nodes than slots.
    """
    columns, n_operations = table.columns, len(table.operations)
    largest = int(np.diff(columns.node_offsets).max(initial=0))
    if largest > slots:
        raise UsageError(
            f"an architecture has {largest} nodes, but the largest labelled one has {slots}; "
            f"onehot-rf cannot rank larger ones, so label one of them or choose another method"
        )
    rows = columns.node_rows()
    places = np.arange(len(rows)) - columns.node_offsets[rows]
    operations = np.zeros((len(columns), slots, n_operations), dtype=np.float32)
    operations[rows, places, columns.operation_ids] = 1
    adjacency = np.zeros((len(columns), slots, slots), dtype=np.float32)
    edge_rows = np.repeat(np.arange(len(columns)), np.diff(columns.edge_offsets))
    np.add.at(adjacency, (edge_rows, columns.sources, columns.targets), 1)
    return np.concatenate([operations, adjacency], axis=2).reshape(
        len(columns), slots * (n_operations + slots)
    )
