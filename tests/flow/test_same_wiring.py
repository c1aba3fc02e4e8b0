"""Rows of one wiring, node by node."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.flow.maps import Ends
from archflow.flow.same_wiring import of_one_wiring, simulate_wiring
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.testing import TOY_OPERATIONS
from archflow.testing.strategies import tables

OPERATIONS = Operations(("input", "conv", "output"))


def starts_of(table):
    return table.columns.operation_ids == table.operations.id("input")


@given(tables(min_size=1, max_size=3), st.integers(1, 3))
def test_rows_of_one_wiring_are_recognised(table, repeats):
    rows = list(table) * repeats
    wirings = {(a.edges, a.n_nodes, tuple(name == "input" for name in a.operations)) for a in rows}
    again = ArchitectureTable.of(rows, TOY_OPERATIONS)
    assert of_one_wiring(again.columns, starts_of(again)) == (len(wirings) == 1)


@pytest.mark.parametrize(
    ("names", "edges"),
    [
        (("input", "conv", "output"), ((0, 1),)),
        (("input", "conv", "output"), ((0, 1), (0, 2))),
        (("input", "conv", "output"), ((0, 2), (1, 2))),
        (("input", "conv", "conv", "output"), ((0, 1), (1, 2))),
        (("input", "input", "output"), ((0, 2), (1, 2))),
    ],
)
def test_rows_that_differ_in_one_thing_are_not_of_one_wiring(names, edges):
    chain = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    table = ArchitectureTable.of([chain, chain, Architecture(names, edges)], OPERATIONS)
    assert of_one_wiring(table[:2].columns, starts_of(table[:2]))
    assert not of_one_wiring(table.columns, starts_of(table))


class Doubling:
    """A node emits twice what it receives."""

    start = np.array([1.0, 10.0])

    def update(self, operation_ids, attributes, messages):
        messages *= 2


def test_rows_that_read_other_nodes():
    """The second node is the output of one row, and of another no more than a dead end."""
    rows = [Architecture(("input", *names), ((0, 1), (0, 2), (0, 2))) for names in
            (("output", "conv"), ("conv", "output"))]  # fmt: skip
    table = ArchitectureTable.of(rows * 2, OPERATIONS)
    reads = table.columns.operation_ids == OPERATIONS.id("output")
    states = simulate_wiring(table.columns, Ends(starts_of(table), reads, True, False), Doubling())
    assert states.tolist() == [[2, 20], [4, 40]] * 2


def test_the_starts_are_left_alone():
    """An input that is read and sends: nothing that happens to its state changes r or the other rows."""
    bare = Architecture(("input", "output"), ((0, 1),))
    table = ArchitectureTable.of([bare] * 3, OPERATIONS)
    maps, starts = Doubling(), starts_of(table)
    states = simulate_wiring(table.columns, Ends(starts, starts, True, True), maps)
    assert states.tolist() == [[4, 40]] * 3
    assert maps.start.tolist() == [1, 10]
