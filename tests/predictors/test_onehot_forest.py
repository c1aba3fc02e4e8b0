"""The one-hot forest: what it learns, and what it does not see."""

import numpy as np
import pytest

from archflow.graphs import Architecture, ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.labels import Labels
from archflow.predictors.onehot_forest import OneHotForest
from archflow.testing import TOY_OPERATIONS


def test_larger_architectures_than_the_labelled_are_ranked():
    small = [Architecture(("input", name, "output"), ((0, 1), (1, 2))) for name in ("conv", "pool")]
    forest = OneHotForest(
        Labels(ArchitectureTable.of(small * 4, TOY_OPERATIONS), np.array([1.0, 0.0] * 4)), 0
    )
    large = [
        Architecture(("input", name, "pool", "output"), ((0, 1), (1, 2), (2, 3))) for name in ("conv", "pool")
    ]
    better, worse = forest.mean(ArchitectureTable.of(large, TOY_OPERATIONS))
    assert better > worse


@pytest.fixture(scope="module")
def learnt(space):
    table = space.sample(200, np.random.default_rng(3))
    names = np.array([architecture.operations for architecture in table])
    target = (names == "nor_conv_3x3").sum(axis=1) - 2.0 * (names == "none").sum(axis=1)
    return table, target, OneHotForest(Labels(table[:100], target[:100]), seed=0)


def test_it_learns_what_operations_are_worth(learnt):
    table, target, forest = learnt
    assert kendall_tau(forest.mean(table[100:]), target[100:]) > 0.5
    assert kendall_tau(forest.mean(table[:100]), target[:100]) > 0.8


def test_predictions_stay_among_the_labels(learnt):
    table, target, forest = learnt
    mean = forest.mean(table)
    assert target[:100].min() <= mean.min() < mean.max() <= target[:100].max()


def test_the_spread_is_larger_where_nothing_was_labelled(learnt):
    table, _, forest = learnt
    spread = forest.spread(table)
    assert (spread >= 0).all()
    assert spread[100:].mean() > 1.2 * spread[:100].mean()


def test_the_seed_decides(learnt):
    table, target, forest = learnt
    again, other = (OneHotForest(Labels(table[:100], target[:100]), seed=seed) for seed in (0, 1))
    assert again.mean(table).tobytes() == forest.mean(table).tobytes()
    assert other.mean(table).tobytes() != forest.mean(table).tobytes()
