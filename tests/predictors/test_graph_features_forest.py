"""The forest on neural graph features: it learns from the wiring, and follows no numbering."""

import os
from pathlib import Path

import numpy as np
import pytest

from archflow.datasets import read_table
from archflow.graphs import Architecture, ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.features import path_statistics
from archflow.predictors.graph_features_forest import GraphFeaturesForest
from archflow.predictors.labels import Labels
from archflow.predictors.onehot_forest import OneHotForest
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table


def test_it_learns_what_the_one_hot_forest_cannot_see():
    """How long the longest path is."""
    table = toy_table(400, max_inner=8)
    target = path_statistics(table)[:, 0]
    known = Labels(table[:100], target[:100])
    own, other = (
        kendall_tau(method(known, seed=0).mean(table[100:]), target[100:])
        for method in (GraphFeaturesForest, OneHotForest)
    )
    assert own > 0.9
    assert own > other + 0.2


def test_renumbering_changes_no_prediction():
    table = toy_table(60, seed=5)
    target = path_statistics(table)[:, 3]
    forest = GraphFeaturesForest(Labels(table[:30], target[:30]), seed=0)
    rng = np.random.default_rng(0)
    other = ArchitectureTable.of([renumbered(graph, rng)[0] for graph in table[30:]], TOY_OPERATIONS)
    assert forest.mean(other).tobytes() == forest.mean(table[30:]).tobytes()
    assert len(np.unique(forest.mean(other))) > 5


def test_sizes_are_seen():
    chains = [
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2)), {"channels": (0, float(size), 0)})
        for size in range(8, 88)
    ]
    table = ArchitectureTable.of(chains, SIZED_TOY_OPERATIONS)
    target = np.arange(80.0)
    forest = GraphFeaturesForest(Labels(table[::2], target[::2]), seed=0)
    assert kendall_tau(forest.mean(table[1::2]), target[1::2]) > 0.9


def test_the_seed_decides(table, values, candidates):
    first, again, other = (GraphFeaturesForest(Labels(table, values), seed) for seed in (0, 0, 1))
    assert first.mean(candidates).tobytes() == again.mean(candidates).tobytes()
    assert first.mean(candidates).tobytes() != other.mean(candidates).tobytes()


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_real_accuracies_are_ranked_better_than_by_the_one_hot_forest(space):
    path = Path(os.environ["ARCHFLOW_DATA"]) / "nasbench201.parquet"
    measured = read_table(path, space, target="cifar10_test_acc", duplicates="mean")
    order = np.random.default_rng(0).permutation(len(measured.architectures))[:1078]
    table, target = measured.architectures[order], measured.values[order]
    known = Labels(table[:78], target[:78])
    own, other = (
        kendall_tau(method(known, seed=0).mean(table[78:]), target[78:])
        for method in (GraphFeaturesForest, OneHotForest)
    )
    assert own > 0.5
    assert own > other + 0.1
