"""A random forest on the flattened one-hot encoding: the field's simplest baseline that learns."""

from __future__ import annotations

import functools

import numpy as np

from archflow.predictors.features import onehot
from archflow.predictors.forest import Forest
from archflow.predictors.labels import Labels


class OneHotForest(Forest):
    """A random forest that reads operations, attributes and the adjacency matrix of the graph as written.

    It has room for the nodes of the largest labelled architecture, and does not see what larger ones have
    beyond that: it could not have learnt what it means.

    Args:
        labels: What to fit.
        seed: Seed of the forest.
    """

    def __init__(self, labels: Labels, seed: int) -> None:
        slots = int(np.diff(labels.table.columns.node_offsets).max())
        super().__init__(labels, seed, functools.partial(onehot, slots=slots))
