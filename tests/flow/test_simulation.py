"""The simulation that all flows share, with maps simple enough to know the answer."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from archflow.errors import UsageError
from archflow.flow import simulation as module
from archflow.flow.simulation import Flow
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables

NEVER = np.zeros(len(TOY_OPERATIONS), dtype=bool)


@dataclasses.dataclass
class Adding:
    """A node emits what it receives, plus what its operation adds."""

    start: np.ndarray
    extra: float = 0.0
    costly: bool = False
    zero: np.ndarray = dataclasses.field(default_factory=lambda: NEVER)
    passes: np.ndarray = dataclasses.field(default_factory=lambda: NEVER)
    quiet: bool = False

    def update(self, operation_ids, attributes, messages):
        messages += self.extra * operation_ids[:, None]


@dataclasses.dataclass
class Runs(Flow):
    """Any runs, in their own precision."""

    runs: list
    operations: Operations = TOY_OPERATIONS

    def _runs(self, table, dtype):
        return [
            (direction, dataclasses.replace(maps, start=maps.start.astype(dtype)))
            for direction, maps in self.runs
        ]


ONES = Adding(np.ones(1))
SEVERAL = [
    ("forward", Adding(np.array([1.0, 2.0, 3.0]))),
    ("both", Adding(np.array([0.5]), extra=0.1)),
    ("backward", Adding(np.array([4.0, 7.0]), extra=1.0, costly=True)),
    ("both", Adding(np.array([0.5]), extra=0.3, costly=True)),
]


def n_paths(architecture):
    """The number of paths from the inputs to the output, node by node."""
    paths = [float(name == "input") for name in architecture.operations]
    for source, target in sorted(architecture.edges, key=lambda edge: edge[1]):
        paths[target] += paths[source]
    return paths[architecture.operations.index("output")]


@settings(deadline=None, max_examples=150)
@given(tables(max_size=20), st.sampled_from([1, 2, 10**9]), st.booleans())
def test_states_that_add_up_count_paths(table, wiring_from, costly):
    """Every operation passes its message on, so that nodes of one sender need not be computed."""
    maps = Adding(np.ones(1), costly=costly, passes=~NEVER, quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WIRING_FROM", wiring_from)
        counts = Runs([("forward", maps), ("backward", maps)])(table)
    expected = [n_paths(architecture) for architecture in table]
    assert counts.shape == (len(table), 2)
    assert counts[:, 0].tolist() == counts[:, 1].tolist() == expected


@pytest.mark.parametrize("costly", [False, True])
def test_both_passes_follow_each_other(costly):
    """input -> conv -> output and input -> output: 2 paths forward, on which 2 more lead back."""
    diamond = Architecture(("input", "conv", "output"), ((0, 1), (1, 2), (0, 2)))
    table = ArchitectureTable.of([diamond], TOY_OPERATIONS)
    assert Runs([("both", dataclasses.replace(ONES, costly=costly))])(table).tolist() == [[4.0]]


@pytest.mark.parametrize("costly", [False, True])
def test_all_that_is_read_adds_up(costly):
    """Backward two inputs are read, one of them with two paths: 3 starts, and 2 for each node in between."""
    graph = Architecture(("input", "input", "conv", "output"), ((0, 2), (1, 2), (1, 3), (2, 3)))
    table = ArchitectureTable.of([graph] * 70, TOY_OPERATIONS)
    maps = Adding(np.ones(1), costly=costly)
    assert Runs([("backward", maps)])(table).tolist() == [[3.0]] * 70


@pytest.mark.parametrize("wiring_from", [1, 64, 10**9])
def test_runs_know_nothing_of_each_other(wiring_from, monkeypatch):
    monkeypatch.setattr(module, "_WIRING_FROM", wiring_from)
    table = toy_table(300, seed=1)
    apart = [Runs([run])(table) for run in SEVERAL]
    assert [part.shape for part in apart] == [(300, 3), (300, 1), (300, 2), (300, 1)]
    np.testing.assert_array_equal(Runs(SEVERAL)(table), np.hstack(apart))


@pytest.mark.parametrize(
    ("block", "nodes", "numbers"),
    [(1, 10**9, 10**9), (7, 10**9, 10**9), (10**9, 1, 10**9), (10**9, 10**9, 1), (10**9, 50, 50)],
)
@pytest.mark.parametrize("costly", [False, True])
def test_the_size_of_blocks_changes_nothing(block, nodes, numbers, costly, monkeypatch):
    monkeypatch.setattr(module, "_WIRING_FROM", 2)
    table, flow = toy_table(60, seed=2), Runs([("both", Adding(np.ones(3), 1.0, costly))])
    whole = flow(table)
    for name, value in (("_BLOCK", block), ("_NODES", nodes), ("_NUMBERS", numbers)):
        monkeypatch.setattr(module, name, value)
    np.testing.assert_array_equal(flow(table), whole)


@pytest.mark.parametrize(("numbers", "most"), [(2**24, 100), (400, 25 + 8)])
def test_rows_that_share_states_are_bounded_by_nodes_and_by_numbers(numbers, most, monkeypatch):
    """Of states of 16 numbers 400 numbers are 25 nodes; the last row of a block may reach beyond."""
    monkeypatch.setattr(module, "_NODES", 100 - 8)
    monkeypatch.setattr(module, "_NUMBERS", numbers)
    sizes, simulate = [], module.simulate_cones
    monkeypatch.setattr(
        module,
        "simulate_cones",
        lambda columns, *rest: (sizes.append(columns.node_offsets[-1]), simulate(columns, *rest))[1],
    )
    table = toy_table(50, seed=3)
    Runs([("forward", Adding(np.ones(16), costly=True))])(table)
    assert sum(sizes) == table.columns.node_offsets[-1]
    assert 0.5 * most < max(sizes) <= most


def test_the_work_is_shared_between_as_many_threads_as_pytorch_has(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 10)
    monkeypatch.setattr(module, "_WIRING_FROM", 1)
    table, expected = toy_table(300, seed=4), Runs(SEVERAL)(toy_table(300, seed=4))
    at_work, meeting = set(), threading.Barrier(3)
    fill = module._fill

    def meet(blocks):
        if threading.get_ident() not in at_work:
            at_work.add(threading.get_ident())
            meeting.wait(timeout=30)  # for the two others
        fill(blocks)

    monkeypatch.setattr(module, "_fill", meet)
    torch.set_num_threads(3)
    try:
        np.testing.assert_array_equal(Runs(SEVERAL)(table), expected)
    finally:
        torch.set_num_threads(1)
    assert len(at_work) == 3


def test_matrix_products_have_their_threads_again():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before, within = threads(), []
    Runs([("forward", ONES)])(toy_table(5), progress=lambda *_: within.append(threads()))
    assert within == [[1] * len(before)]
    assert threads() == before


def test_an_error_in_a_thread_is_raised(monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(module, "simulate_cones", fail)
    torch.set_num_threads(2)
    try:
        with pytest.raises(MemoryError, match="no room"):
            Runs([("forward", Adding(np.ones(1), costly=True))])(toy_table(5))
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_is_that_of_the_maps(dtype):
    assert Runs([("both", ONES)])(toy_table(9), dtype=dtype).dtype == dtype


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(UsageError, match="chunk must be at least 1, not 0"):
        Runs([("both", ONES)])(toy_table(3), chunk=0)


def test_a_table_of_another_vocabulary_is_refused():
    with pytest.raises(UsageError, match="drawn for another vocabulary"):
        Runs([("both", ONES)])(toy_table(3, operations=Operations((*TOY_OPERATIONS.names, "gelu"))))
