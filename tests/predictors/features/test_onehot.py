"""The one-hot encoding, written out."""

import numpy as np
import pytest

from archflow.graphs import Architecture, ArchitectureTable
from archflow.predictors.features import onehot as sparse_onehot
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table

# input, conv, pool, skip, none, output are the operations 0 to 5.
TWO = ArchitectureTable.of(
    [
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2), (0, 2), (0, 2))),
        Architecture(("input", "output"), ((0, 1),)),
    ],
    TOY_OPERATIONS,
)


def onehot(table, slots):
    return sparse_onehot(table, slots).toarray()


def test_two_graphs_written_out():
    encoded = onehot(TWO, 3)
    assert encoded.dtype == np.float32
    assert encoded.shape == (2, 3 * (6 + 3))
    slots = encoded.reshape(2, 3, 6 + 3)
    operations, adjacency = slots[:, :, :6], slots[:, :, 6:]
    assert operations.argmax(axis=2).tolist() == [[0, 1, 5], [0, 5, 0]]
    assert operations.sum(axis=2).tolist() == [[1, 1, 1], [1, 1, 0]]  # no node, no operation
    assert adjacency.tolist() == [
        [[0, 1, 2], [0, 0, 1], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]],
    ]


def test_more_slots_pad_with_zeros():
    wide, narrow = onehot(TWO, 5), onehot(TWO, 3)
    assert wide.shape == (2, 5 * 11)
    assert wide.sum() == narrow.sum()
    assert wide.reshape(2, 5, 11)[:, :3, :9].tolist() == narrow.reshape(2, 3, 9).tolist()


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS])
def test_the_encoding_is_invertible(operations):
    """Different graphs as written have different vectors, with lonely nodes and repeated edges among them."""
    table = toy_table(40, operations=operations)
    encoded = onehot(table, 8)
    assert encoded.shape == (40, 8 * (6 + len(operations.attributes) + 8))
    assert len(np.unique(encoded, axis=0)) == len(set(table))


def test_attributes_follow_the_operation():
    sized = Architecture(
        ("input", "conv", "output"), ((0, 1), (1, 2)), {"kernel": (0, 3, 0), "channels": (8, 16, 0)}
    )
    encoded = onehot(ArchitectureTable.of([sized], SIZED_TOY_OPERATIONS), 3).reshape(3, 6 + 2 + 3)
    assert encoded[:, 6:8].tolist() == [[8, 0], [16, 3], [0, 0]]


def test_what_has_no_room_is_left_out():
    assert onehot(TWO, 2).reshape(2, 2, 6 + 2).tolist() == [
        [[1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]],
        [[1, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0, 0]],
    ]


def test_no_graph_is_no_vector():
    assert onehot(TWO[:0], 3).shape[0] == 0
