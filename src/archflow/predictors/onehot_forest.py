"""A random forest on the flattened one-hot encoding: the field's simplest baseline that learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestRegressor

from archflow.graphs import ArchitectureTable
from archflow.predictors.labels import Labels
from archflow.progress import Report, silent
from archflow.protocols import FloatArray

_TREES = 200
_BLOCK = 16_384  # architectures whose features are laid out at once


class OneHotForest:
    """A random forest that reads operations, attributes and the adjacency matrix of the graph as written.

    It has room for the nodes of the largest labelled architecture, and does not see what larger ones have
    beyond that: it could not have learnt what it means.

    Args:
        labels: What to fit.
        seed: Seed of the forest.
    """

    def __init__(self, labels: Labels, seed: int) -> None:
        self._slots = int(np.diff(labels.table.columns.node_offsets).max())
        features = onehot(labels.table, self._slots)
        self._used = np.unique(features.indices)  # the others are 0 for every labelled architecture
        self._forest = RandomForestRegressor(n_estimators=_TREES, random_state=seed)
        self._forest.fit(features[:, self._used].toarray(), labels.values)

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the mean over trees, (A,)."""
        parts = [self._forest.predict(block) for block in self._blocks(table)]
        return np.concatenate([np.zeros(0), *parts])

    def spread(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the standard deviation over trees, (A,)."""
        trees = self._forest.estimators_
        parts = [np.std([tree.predict(block) for tree in trees], axis=0) for block in self._blocks(table)]
        return np.concatenate([np.zeros(0), *parts])

    def _blocks(self, table: ArchitectureTable) -> Iterator[NDArray[np.float32]]:
        for begin in range(0, len(table), _BLOCK):
            yield onehot(table[begin : begin + _BLOCK], self._slots)[:, self._used].toarray()


def onehot(table: ArchitectureTable, slots: int) -> csr_array:
    """Encode graphs as flat vectors, node by node in their order as written.

    Args:
        table: A architectures over d operations and F attributes.
        slots: Nodes that the encoding has room for; nodes beyond it and their edges are left out.

    Returns:
        For each slot its one-hot operation, its attributes and its row of the adjacency matrix (edge
        multiplicities): (A, slots * (d + F + slots)) float32, sparse.
    """
    columns, n_operations, n_attributes = (
        table.columns,
        len(table.operations),
        len(table.operations.attributes),
    )
    width = n_operations + n_attributes + slots
    rows = columns.node_rows()
    places = np.arange(len(rows)) - columns.node_offsets[rows]
    has_room = places < slots
    numbered, named = np.nonzero(columns.attributes * has_room[:, None])

    edge_rows = np.repeat(np.arange(len(columns)), np.diff(columns.edge_offsets))
    edges = np.flatnonzero((columns.sources < slots) & (columns.targets < slots))
    parts = [  # row, place of the node, position among the node's features, value
        (rows[has_room], places[has_room], columns.operation_ids[has_room], np.ones(has_room.sum())),
        (rows[numbered], places[numbered], n_operations + named, columns.attributes[numbered, named]),
        (
            edge_rows[edges],
            columns.sources[edges],
            n_operations + n_attributes + columns.targets[edges],
            np.ones(len(edges)),
        ),
    ]
    row, place, position, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    encoded = csr_array(
        (value.astype(np.float32), (row, place.astype(np.int64) * width + position)),
        shape=(len(columns), slots * width),
    )
    encoded.sum_duplicates()  # parallel edges add up
    return encoded
