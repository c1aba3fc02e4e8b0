"""A random forest on feature vectors of architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.graphs import ArchitectureTable
from archflow.predictors.labels import Labels
from archflow.progress import Report, silent
from archflow.protocols import FloatArray

_TREES = 200
_BLOCK = 16_384  # architectures whose features are laid out at once


class Forest:
    """A random forest of 200 trees.

    Args:
        labels: What to fit.
        seed: Seed of the forest.
        features: From A architectures as written to their features, (A, n) float32.
    """

    def __init__(self, labels: Labels, seed: int, features: Callable[[ArchitectureTable], csr_array]) -> None:
        from sklearn.ensemble import RandomForestRegressor  # here, because importing it is slow

        self._features = features
        known = features(labels.table)
        self._used = np.unique(known.indices)  # the others are 0 for every labelled architecture
        self._forest = RandomForestRegressor(n_estimators=_TREES, random_state=seed)
        self._forest.fit(known[:, self._used].toarray(), labels.values)

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
            # Column by column: a node of a tree reads one number of every row that reaches it.
            yield self._features(table[begin : begin + _BLOCK])[:, self._used].toarray(order="F")
