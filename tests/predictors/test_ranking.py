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


def test_with_several_targets_iterating_gives_vectors(table):
    rows, mean = np.array([4, 0]), np.array([[3.0, 30.0], [2.0, 20.0]])
    ranking = Ranking(rows, mean, mean / 10, table[rows], front=np.array([0, 1]))
    entries = list(ranking)
    assert len(ranking) == len(entries) == 2
    for (means, stds, architecture), row, expected in zip(entries, rows, mean, strict=True):
        assert means.tolist() == expected.tolist()
        assert stds.tolist() == (expected / 10).tolist()
        assert architecture == table[int(row)]


def test_without_fronts_there_are_none(table):
    ranking = Ranking(np.array([1]), np.array([3.0]), np.array([0.1]), table[[1]])
    assert ranking.front is None
    assert ranking.unlike is None
