"""Architectures as vectors of numbers, for forests and kernels; nothing here is learnt."""

from archflow.predictors.features.graph_features import graph_features, operation_subsets
from archflow.predictors.features.onehot import onehot
from archflow.predictors.features.structure import (
    attribute_sequence,
    attribute_sums,
    edge_counts,
    operation_counts,
    path_statistics,
)

__all__ = [
    "attribute_sequence",
    "attribute_sums",
    "edge_counts",
    "graph_features",
    "onehot",
    "operation_counts",
    "operation_subsets",
    "path_statistics",
]
