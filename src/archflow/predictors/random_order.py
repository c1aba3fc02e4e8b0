"""The method that every other one must beat: a random order."""

from __future__ import annotations

import numpy as np

from archflow.graphs import ArchitectureTable
from archflow.graphs.keys import mix
from archflow.predictors.labels import Labels
from archflow.progress import Report, silent
from archflow.protocols import FloatArray


class RandomOrder:
    """Predict a random quantile of the labelled values, always the same one for the same architecture.

    Args:
        labels: The labels that the quantiles are of.
        seed: Seed of the order.
    """

    def __init__(self, labels: Labels, seed: int) -> None:
        self._values = labels.values
        self._salt = np.uint64(seed)

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the drawn values, (A,)."""
        uniform = mix(table.keys(), self._salt) / 2.0**64
        return np.asarray(np.quantile(self._values, uniform), dtype=np.float64)

    def spread(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the labels' standard deviation for each architecture, (A,)."""
        return np.full(len(table), self._values.std())
