"""How states flow through whole tables of graphs: what the surrogate and the operation-aware flow share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.errors import UsageError
from archflow.graphs import INPUT, OUTPUT, ArchitectureTable, Columns, Operations, generations, rows_by_wiring
from archflow.graphs.columns import IntArray, ragged_positions

DEFAULT_CHUNK = 65_536
# Rows that are simulated at once: enough to hide the cost of a call, and small enough that the states of a
# block of cells stay in the processor's cache; of large graphs and wide states, what fits in so many numbers.
_BLOCK, _NUMBERS = 2048, 2**23
# From this many rows on, a wiring of their own is faster than the general simulation.
_SHARED_FROM = 64

Progress = Callable[[int, int], None]

Direction = Literal["both", "forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""Which passes a surrogate simulates; "both" is the paper's."""


class Maps(Protocol):
    """What a node makes of its message, in the precision of the simulation."""

    @property
    def start(self) -> NDArray[np.floating]:
        """The state of the nodes where a pass starts, (k,)."""

    def update(
        self, columns: Columns, nodes: IntArray, messages: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Return the states, (n, k), of n nodes that receive messages (n, k); it may overwrite these."""


Run = tuple[Direction, Maps]
"""A simulation: forward from the inputs to the output, backward from the output to the inputs, or both passes
one after the other from the inputs to the inputs."""


def simulate_table(
    table: ArchitectureTable,
    operations: Operations,
    runs: Sequence[Run],
    *,
    chunk: int = DEFAULT_CHUNK,
    progress: Progress | None = None,
) -> NDArray[np.floating]:
    """Simulate every architecture of a table.

    All states are zeros at first but those where a run starts. A node without incoming edges in a pass keeps
    its state in it; every other one gets `update` of the sum of the states at the other ends of these edges.

    Args:
        table: A architectures.
        operations: The vocabulary that the runs are for.
        runs: Simulations that know nothing of each other, of k numbers each.
        chunk: Architectures simulated at once; bounds the memory beyond the result.
        progress: Called with (architectures done, A) after each chunk.

    Returns:
        The sums of the states where each run ends, side by side, (A, sum of all k).

    Raises:
        UsageError: The table counts operations in another vocabulary, or chunk < 1.
    """
    own, other = operations, table.operations
    if (own.names, own.attributes) != (other.names, other.attributes):
        raise UsageError("this flow was drawn for another vocabulary than the table's")
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}")
    width = sum(len(maps.start) for _, maps in runs)
    result = np.empty((len(table), width), dtype=runs[0][1].start.dtype)
    for begin in range(0, len(table), chunk):
        rows = np.arange(begin, min(begin + chunk, len(table)))
        _simulate(table.columns.take(rows), operations, runs, result[begin : begin + chunk])
        if progress is not None:
            progress(len(rows) + begin, len(table))
    return result


def _simulate(
    columns: Columns, operations: Operations, runs: Sequence[Run], result: NDArray[np.floating]
) -> None:
    """Fill in the result of all rows, (rows, sum of all k)."""
    is_input, is_output = (columns.operation_ids == operations.id(end) for end in (INPUT, OUTPUT))
    ends = [_Ends.of(direction, is_input, is_output) for direction, _ in runs]
    maps = [own for _, own in runs]
    parts = np.split(result, np.cumsum([len(own.start) for own in maps])[:-1], axis=1)
    largest = int(np.diff(columns.node_offsets).max()) * max(len(own.start) for own in maps)
    size = min(max(_NUMBERS // largest, 1), _BLOCK)
    alone: list[IntArray] = []
    for rows in rows_by_wiring(columns, is_input):
        if len(rows) < _SHARED_FROM:
            alone.append(rows)
            continue
        for block in _blocks(rows, size):
            for part, own_ends, own in zip(parts, ends, maps, strict=True):
                part[block] = _simulate_shared(columns, block, own_ends, own)
    if alone:
        for block in _blocks(np.sort(np.concatenate(alone)), size):
            nodes = ragged_positions(columns.node_offsets[block], np.diff(columns.node_offsets)[block])
            graphs = columns.take(block)
            for part, own_ends, own in zip(parts, ends, maps, strict=True):
                part[block] = _simulate_mixed(graphs, own_ends.at(nodes), own)


def _blocks(rows: IntArray, size: int) -> list[IntArray]:
    return [rows[begin : begin + size] for begin in range(0, len(rows), size)]


@dataclasses.dataclass(frozen=True)
class _Ends:
    """The nodes where a run starts and those that are read, and the passes between."""

    starts: NDArray[np.bool_]  # (N,)
    reads: NDArray[np.bool_]  # (N,)
    forward: bool
    backward: bool

    @classmethod
    def of(cls, direction: Direction, is_input: NDArray[np.bool_], is_output: NDArray[np.bool_]) -> _Ends:
        return cls(
            is_output if direction == "backward" else is_input,
            is_output if direction == "forward" else is_input,
            direction != "backward",
            direction != "forward",
        )

    def at(self, nodes: IntArray) -> _Ends:
        """Return the same for some of the nodes."""
        return dataclasses.replace(self, starts=self.starts[nodes], reads=self.reads[nodes])


def _simulate_shared(columns: Columns, rows: IntArray, ends: _Ends, maps: Maps) -> NDArray[np.floating]:
    """Simulate rows of one wiring: node by node, all rows at once, (rows, k)."""
    first = rows[0]
    n_nodes = int(columns.node_offsets[first + 1] - columns.node_offsets[first])
    edges = slice(columns.edge_offsets[first], columns.edge_offsets[first + 1])
    before: list[list[int]] = [[] for _ in range(n_nodes)]
    after: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in zip(columns.sources[edges].tolist(), columns.targets[edges].tolist(), strict=True):
        before[target].append(source)
        after[source].append(target)
    places = columns.node_offsets[rows] + np.arange(n_nodes)[:, None]  # (n, rows)

    zeros = np.zeros((len(rows), len(maps.start)), dtype=maps.start.dtype)
    states = [zeros] * n_nodes
    for node, chosen in _marked(ends.starts[places]):
        states[node] = np.where(chosen, maps.start, zeros)
    nodes = range(n_nodes)
    for order, senders in [(nodes, before)] * ends.forward + [(nodes[::-1], after)] * ends.backward:
        for node in order:
            if senders[node]:
                messages = sum(states[sender] for sender in senders[node])
                states[node] = maps.update(columns, places[node], np.asarray(messages))
    return np.asarray(
        sum(np.where(chosen, states[node], zeros) for node, chosen in _marked(ends.reads[places]))
    )


def _marked(marks: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return the nodes that are marked in a row or more, with those rows, (rows, 1), for marks (n, rows)."""
    return [(node, marks[node, :, None]) for node in np.flatnonzero(marks.any(axis=1)).tolist()]


def _simulate_mixed(columns: Columns, ends: _Ends, maps: Maps) -> NDArray[np.floating]:
    """Simulate rows of any wirings: generation by generation, all rows at once, (rows, k)."""
    states = np.zeros((len(columns.operation_ids), len(maps.start)), dtype=maps.start.dtype)
    states[ends.starts] = maps.start
    sources, targets = columns.global_edges()
    for senders, receivers in [(sources, targets)] * ends.forward + [(targets, sources)] * ends.backward:
        for step in generations(senders, receivers, len(states)):
            ones = np.ones(len(step.senders), dtype=states.dtype)
            gather = csr_array((ones, step.senders, step.starts), shape=(len(step.nodes), len(states)))
            states[step.nodes] = maps.update(columns, step.nodes, np.asarray(gather @ states))

    result = np.zeros((len(columns), len(maps.start)), dtype=states.dtype)
    np.add.at(result, columns.node_rows()[ends.reads], states[ends.reads])
    return result
