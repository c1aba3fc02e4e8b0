"""What spaces of shapes and sizes share: choices in texts, attributes by name, sums over nodes."""

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UnknownNameError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.sizes import choose, node_sizes, sum_by_row

OPERATIONS = Operations.of(["conv", "pool"], attributes=["channels", "kernel"])
EDGES = ((0, 1), (1, 2))
CONV = Architecture(("input", "conv", "output"), EDGES, {"channels": (0, 8, 0), "kernel": (0, 3, 0)})
POOL = Architecture(("input", "pool", "output"), EDGES, {"kernel": (0, 5, 0)})


def test_a_choice_is_its_position():
    assert [choose("kernel", text, ("3", "5", "7")) for text in ("3", "5", "7")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4", "4"),
        ("-1", "-1"),
        ("3.0", "3.0"),
        ("a list", "a list"),
        ("", "''"),
        (" 3", "' 3'"),
        ("\u0663", "'\u0663'"),
        ("\ud800\n", r"'\ud800\n'"),
        ("9" * 1_000, f"'{'9' * 80}'..."),
    ],
)
def test_other_texts_are_quoted_where_they_are_not_plain(text, said):
    with pytest.raises(InvalidArchitectureError) as error:
        choose("block 3: kernel", text, ("3", "5", "7"))
    assert str(error.value) == f"block 3: kernel is {said}; it must be 3, 5 or 7"


def test_attributes_by_name_whatever_their_order():
    other = Operations.of(["conv", "pool"], attributes=["kernel"])
    table = ArchitectureTable.of([CONV, POOL], OPERATIONS)
    assert {name: values.tolist() for name, values in node_sizes(table, OPERATIONS).items()} == {
        "channels": [0, 8, 0, 0, 0, 0],
        "kernel": [0, 3, 0, 0, 5, 0],
    }
    few = node_sizes(ArchitectureTable.of([POOL], other), OPERATIONS)
    assert {name: values.tolist() for name, values in few.items()} == {
        "channels": [0, 0, 0],
        "kernel": [0, 5, 0],
    }


def test_foreign_vocabularies_are_refused():
    with pytest.raises(UnknownNameError, match="unknown operation 'conv'"):
        node_sizes(ArchitectureTable.of([CONV]), Operations.of(["pool"], attributes=["channels", "kernel"]))
    with pytest.raises(UnknownNameError, match="unknown attribute 'channels'; choose from: kernel"):
        node_sizes(ArchitectureTable.of([CONV]), Operations.of(["conv"], attributes=["kernel"]))


def test_sums_over_the_nodes_of_each_row():
    table = ArchitectureTable.of([CONV, POOL, CONV], OPERATIONS)
    sums = sum_by_row(table, np.arange(9.0))
    assert sums.tolist() == [3, 12, 21]
    empty = sum_by_row(table[:0], np.zeros(0))
    assert empty.shape == (0,)
    assert empty.dtype == np.float64
