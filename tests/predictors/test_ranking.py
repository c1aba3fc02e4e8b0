"""What a ranking holds."""

import numpy as np

from archflow.predictors import Ranking


def test_iterating_gives_mean_deviation_and_architecture(table):
    rows = np.array([4, 0, 2])
    ranking = Ranking(rows, np.array([3.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.3]), table[rows])
    assert len(ranking) == 3
    assert list(ranking) == [(3.0, 0.1, table[4]), (2.0, 0.2, table[0]), (1.0, 0.3, table[2])]
    assert all(type(mean) is float and type(std) is float for mean, std, _ in ranking)
    assert list(ranking) == list(ranking)  # not used up by the first reader


def test_an_empty_ranking_is_empty(table):
    none = np.zeros(0)
    ranking = Ranking(none.astype(np.int64), none, none, table[:0])
    assert len(ranking) == 0
    assert list(ranking) == []
