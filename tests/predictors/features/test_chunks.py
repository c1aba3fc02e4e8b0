"""Chunks: they cover the table in order, and none needs more than it may."""

import numpy as np
import pytest

from archflow.predictors.features import chunks, operation_counts
from archflow.testing import toy_table

TABLE = toy_table(50, seed=2)


def sizes_of_chunks(table, width=2, states=1):
    """Compute node counts chunk by chunk; return them and the rows of each chunk."""
    rows = []

    def compute(columns):
        rows.append(len(columns))
        return np.repeat(np.diff(columns.node_offsets)[:, None], width, axis=1).astype(float)

    return chunks.in_chunks(compute, table, width, states=states), rows


@pytest.mark.parametrize("numbers", [1, 30, 100, 10**6])
def test_every_row_is_computed_once_whatever_the_chunks(monkeypatch, numbers):
    monkeypatch.setattr(chunks, "_MOST_NUMBERS", numbers)
    features, rows = sizes_of_chunks(TABLE)
    assert features[:, 0].tolist() == features[:, 1].tolist() == [a.n_nodes for a in TABLE]
    assert sum(rows) == len(TABLE)
    assert {1: len(TABLE), 10**6: 1}.get(numbers, len(rows)) == len(rows)


@pytest.mark.parametrize(("width", "states"), [(2, 1), (2, 5), (20, 1)])
def test_chunks_are_as_large_as_they_may_be(monkeypatch, width, states):
    monkeypatch.setattr(chunks, "_MOST_NUMBERS", 200)
    _, rows = sizes_of_chunks(TABLE, width, states)
    needs = [(a.n_nodes + len(a.edges)) * states + width for a in TABLE]
    ends = np.cumsum(rows)
    for begin, end in zip(ends - rows, ends, strict=True):
        assert sum(needs[begin:end]) <= 200 or end == begin + 1
        assert end == len(TABLE) or sum(needs[begin : end + 1]) > 200


def test_chunks_have_a_largest_number_of_rows(monkeypatch):
    monkeypatch.setattr(chunks, "_MOST_ROWS", 20)
    assert sizes_of_chunks(TABLE)[1] == [20, 20, 10]


def test_chunks_change_nothing(monkeypatch):
    whole = operation_counts(TABLE)
    monkeypatch.setattr(chunks, "_MOST_NUMBERS", 60)
    assert operation_counts(TABLE).tobytes() == whole.tobytes()


def test_the_empty_table_has_no_chunk():
    features, rows = sizes_of_chunks(TABLE[:0])
    assert features.shape == (0, 2)
    assert rows == []
