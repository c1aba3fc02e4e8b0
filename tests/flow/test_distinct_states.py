"""Sharing the states of equal cones: every distinct one once, and none taken for another."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.flow.distinct_states import _sum_up, simulate_cones
from archflow.flow.maps import Ends
from archflow.graphs import Architecture, ArchitectureTable
from archflow.graphs.columns import offsets_of
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables


@dataclasses.dataclass
class Chained:
    """Numbers that tell cones apart; every update is counted."""

    operations: object
    quiet: bool = False
    updated: int = 0
    start: np.ndarray = dataclasses.field(default_factory=lambda: np.array([1.0, 0.3]))

    @property
    def zero(self):
        return self.operations.mask(self.operations.zero)

    @property
    def passes(self):
        return self.operations.mask(self.operations.identity | {"output"})

    def update(self, operation_ids, attributes, messages):
        self.updated += len(messages)
        changed = ~self.passes[operation_ids, None]
        flows = messages.any(axis=1, keepdims=True) if self.quiet else True
        numbers = operation_ids + 1.3 + np.tanh(attributes.sum(axis=1, dtype=np.float64) / 1000)
        messages += changed * flows * np.outer(numbers, [0.7, 1.9]) * (1 + np.sin(messages[:, ::-1]))
        messages[self.zero[operation_ids]] = 0


def ends_of(table, forward, backward):
    """As the surrogate has them: from the inputs, or from the output where there is only the way back."""
    is_input, is_output = (
        table.columns.operation_ids == table.operations.id(name) for name in ("input", "output")
    )
    return Ends(is_input if forward else is_output, is_input if backward else is_output, forward, backward)


def cones(table, maps, *, forward=True):
    """The cone of every node in one pass, as nested tuples, with what `maps` says of operations."""
    found = []
    for architecture in table:
        names, n = architecture.operations, architecture.n_nodes
        edges = architecture.edges if forward else [(v, u) for u, v in architecture.edges]
        rows = architecture.attribute_rows(table.operations)
        own = {}
        for node in range(n) if forward else reversed(range(n)):
            senders = sorted((own[u] for u, v in edges if v == node), key=repr)
            flowing = [sender for sender in senders if sender != "zeros"]
            place = table.operations.id(names[node])
            if not senders:
                own[node] = "start" if names[node] == ("input" if forward else "output") else "zeros"
            elif maps.zero[place] or (maps.quiet and not flowing):
                own[node] = "zeros"
            elif maps.passes[place] and len(senders) == 1:
                own[node] = senders[0]
            else:
                kind = ("passes",) if maps.passes[place] else (names[node], *rows[node].tolist())
                own[node] = (kind, tuple(flowing))
        found += own.values()
    return found


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS], ids=["bare", "sized"])
@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("forward", [True, False])
def test_each_distinct_cone_is_computed_once(operations, quiet, forward):
    table = toy_table(150, seed=4, operations=operations)
    maps = Chained(operations, quiet)
    simulate_cones(table.columns, ends_of(table, forward, not forward), maps)
    assert maps.updated == len(set(cones(table, maps, forward=forward)) - {"start", "zeros"})


PASSES = [(True, False), (False, True), (True, True)]


@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.sampled_from(PASSES), st.booleans())
def test_no_row_depends_on_what_others_share(table, passes, quiet):
    maps = Chained(SIZED_TOY_OPERATIONS, quiet)
    together = simulate_cones(table.columns, ends_of(table, *passes), maps)
    alone = [
        simulate_cones(row.columns, ends_of(row, *passes), maps)
        for row in (table[[place]] for place in range(len(table)))
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-9)


def test_isomorphic_graphs_are_computed_once():
    table = toy_table(60, seed=5)
    rng = np.random.default_rng(0)
    twice = ArchitectureTable.of([*table, *(renumbered(a, rng)[0] for a in table)], TOY_OPERATIONS)
    counts = []
    for graphs in (table, twice):
        maps = Chained(TOY_OPERATIONS)
        simulate_cones(graphs.columns, ends_of(graphs, True, True), maps)
        counts.append(maps.updated)
    assert counts[0] == counts[1]


def test_parallel_edges_and_senders_that_are_zeros_count():
    """1, 2 and 3 edges from the input, and one beside an edge from a node where nothing arrives."""
    rows = [Architecture(("input", "conv", "output"), ((0, 2),) * n) for n in (1, 2, 3)]
    rows.append(Architecture(("input", "conv", "output"), ((0, 2), (1, 2))))
    table = ArchitectureTable.of(rows, TOY_OPERATIONS)
    states = simulate_cones(table.columns, ends_of(table, True, False), Chained(TOY_OPERATIONS))
    np.testing.assert_allclose(states[:, 0], [1, 2, 3, 1])


@pytest.mark.parametrize(
    "degrees", [[1], [3], [1, 1, 1], [3, 2, 1], [50, 3, 1], [50, 49, 3], [9] * 30, [40] * 5 + [1] * 90]
)
def test_sums_of_few_and_of_many_senders(degrees):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 3))
    senders, starts = rng.integers(20, size=sum(degrees)), offsets_of(np.array(degrees))
    messages = np.full((len(degrees), 3), np.nan)
    _sum_up(values, senders, starts, messages)
    expected = [values[senders[a:b]].sum(axis=0) for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(messages, expected, rtol=1e-12, atol=1e-12)
