"""The simulation that all flows share, with maps simple enough to know the answer."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import UsageError
from archflow.flow import simulation as module
from archflow.flow.simulation import simulate_table
from archflow.graphs import Architecture, ArchitectureTable
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables


@dataclasses.dataclass
class Adding:
    """A node emits what it receives, plus what its operation adds."""

    start: np.ndarray
    extra: float = 0.0

    def update(self, columns, nodes, messages):
        messages += self.extra * columns.operation_ids[nodes, None]
        return messages


ONES = Adding(np.ones(1))


def n_paths(architecture):
    """The number of paths from the inputs to the output, node by node."""
    paths = [float(name == "input") for name in architecture.operations]
    for source, target in sorted(architecture.edges, key=lambda edge: edge[1]):
        paths[target] += paths[source]
    return paths[architecture.operations.index("output")]


@settings(deadline=None, max_examples=150)
@given(tables(max_size=20), st.sampled_from([1, 2, 10**9]))
def test_states_that_add_up_count_paths(table, shared_from):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SHARED_FROM", shared_from)
        counts = simulate_table(table, TOY_OPERATIONS, [("forward", ONES), ("backward", ONES)])
    expected = [n_paths(architecture) for architecture in table]
    assert counts.shape == (len(table), 2)
    assert counts[:, 0].tolist() == counts[:, 1].tolist() == expected


def test_both_passes_follow_each_other():
    """input -> conv -> output and input -> output: 2 paths forward, on which 2 more lead back."""
    diamond = Architecture(("input", "conv", "output"), ((0, 1), (1, 2), (0, 2)))
    table = ArchitectureTable.of([diamond], TOY_OPERATIONS)
    assert simulate_table(table, TOY_OPERATIONS, [("both", ONES)]).tolist() == [[4.0]]


@pytest.mark.parametrize("shared_from", [1, 64, 10**9])
def test_runs_know_nothing_of_each_other(shared_from, monkeypatch):
    monkeypatch.setattr(module, "_SHARED_FROM", shared_from)
    table = toy_table(300, seed=1)
    runs = [
        ("forward", Adding(np.array([1.0, 2.0, 3.0]))),
        ("both", Adding(np.array([0.5]), extra=0.1)),
        ("backward", Adding(np.array([4.0, 7.0]), extra=1.0)),
    ]
    apart = [simulate_table(table, TOY_OPERATIONS, [run]) for run in runs]
    assert [part.shape for part in apart] == [(300, 3), (300, 1), (300, 2)]
    np.testing.assert_array_equal(simulate_table(table, TOY_OPERATIONS, runs), np.hstack(apart))


@pytest.mark.parametrize(("block", "numbers"), [(1, 10**9), (7, 10**9), (10**9, 1), (10**9, 50)])
@pytest.mark.parametrize("shared_from", [1, 10**9])
def test_the_size_of_blocks_changes_nothing(block, numbers, shared_from, monkeypatch):
    monkeypatch.setattr(module, "_SHARED_FROM", shared_from)
    table, runs = toy_table(60, seed=2), [("both", Adding(np.ones(3), extra=1.0))]
    whole = simulate_table(table, TOY_OPERATIONS, runs)
    monkeypatch.setattr(module, "_BLOCK", block)
    monkeypatch.setattr(module, "_NUMBERS", numbers)
    np.testing.assert_array_equal(simulate_table(table, TOY_OPERATIONS, runs), whole)


def test_the_precision_is_that_of_the_maps():
    for dtype in (np.float32, np.float64):
        result = simulate_table(toy_table(9), TOY_OPERATIONS, [("both", Adding(np.ones(2, dtype)))])
        assert result.dtype == dtype


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(UsageError, match="chunk must be at least 1, not 0"):
        simulate_table(toy_table(3), TOY_OPERATIONS, [("both", ONES)], chunk=0)
