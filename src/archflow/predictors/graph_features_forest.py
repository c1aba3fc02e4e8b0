"""A random forest on neural graph features (GRAF): little to compute, and hard to beat with few labels."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from archflow.graphs import ArchitectureTable
from archflow.predictors.features import graph_features
from archflow.predictors.forest import Forest
from archflow.predictors.labels import Labels


class GraphFeaturesForest(Forest):
    """A random forest on counts, path lengths and degrees of the graph as written (`graph_features`).

    The paper takes the same kind of forest. Zero operations are operations like others here: the forest has
    features of the paths that avoid them.

    Args:
        labels: What to fit.
        seed: Seed of the forest.
    """

    def __init__(self, labels: Labels, seed: int) -> None:
        super().__init__(labels, seed, _features)


def _features(table: ArchitectureTable) -> csr_array:
    return csr_array(graph_features(table).astype(np.float32))
