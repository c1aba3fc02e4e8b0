"""The random order: a fixed draw for each architecture, with nothing to do with the truth."""

import numpy as np
import pytest
from scipy import stats

from archflow.metrics import kendall_tau
from archflow.predictors.labels import Labels
from archflow.predictors.random_order import RandomOrder


@pytest.fixture(scope="module")
def labels(table, values):
    return Labels(table, values)


def test_predictions_are_quantiles_of_the_labels(space, labels):
    predicted = RandomOrder(labels, seed=0).mean(space.all())
    assert predicted.min() >= labels.values.min()
    assert predicted.max() <= labels.values.max()
    positions = np.interp(predicted, np.sort(labels.values), np.linspace(0, 1, len(labels.values)))
    assert stats.kstest(positions, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_order_says_nothing_about_the_truth(space, labels, seed):
    whole = space.all()
    predicted = RandomOrder(labels, seed).mean(whole)
    assert abs(kendall_tau(predicted, space.parameters(whole))) < 0.03
    assert abs(kendall_tau(predicted, RandomOrder(labels, seed + 1).mean(whole))) < 0.03
    assert abs(kendall_tau(predicted, np.arange(len(whole)))) < 0.03


def test_an_architecture_keeps_its_prediction_in_any_company(labels, candidates):
    order = RandomOrder(labels, seed=0)
    together = order.mean(candidates)
    assert len(np.unique(together)) > 30
    alone = np.concatenate([order.mean(candidates[row : row + 1]) for row in range(len(candidates))])
    assert alone.tobytes() == together.tobytes()
    assert order.mean(candidates[::-1]).tobytes() == together[::-1].tobytes()


def test_the_spread_is_that_of_the_labels(labels, candidates):
    spread = RandomOrder(labels, seed=0).spread(candidates)
    assert spread.tolist() == [np.std(labels.values)] * len(candidates)
