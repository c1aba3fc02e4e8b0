"""How states flow through whole tables of graphs: what the surrogate and the operation-aware flow share."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from archflow.errors import UsageError
from archflow.flow.distinct_states import simulate_cones
from archflow.flow.maps import Ends, Maps
from archflow.flow.same_wiring import of_one_wiring, simulate_wiring
from archflow.graphs import INPUT, OUTPUT, ArchitectureTable, Columns, Operations, rows_by_wiring
from archflow.graphs.columns import IntArray, ragged_positions

DEFAULT_CHUNK = 65_536
# Rows that share states at once have about so many nodes at most, and states of so many numbers if none were
# shared: enough to find most of what can be, and what bounds the memory.
_NODES, _NUMBERS = 2**17, 2**24
# States that are not shared are computed for rows of one wiring, if there are so many, and of at most so many
# at once: enough to hide the cost of a call, few enough for the processor's cache.
_WIRING_FROM, _BLOCK = 64, 2048
_HANDS = 4  # shares a thread of the work, so that none waits long for another

Progress = Callable[[int, int], None]

Direction = Literal["both", "forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""Which passes a surrogate simulates; "both" is the paper's."""

Run = tuple[Direction, Maps]
"""A simulation: forward from the inputs to the output, backward from the output to the inputs, or both passes
one after the other from the inputs to the inputs."""


class Flow(abc.ABC):
    """A simulation of architectures over a vocabulary: one run or several that know nothing of each other.

    All states are zeros at first but those where a run starts. A node without incoming edges in a pass keeps
    its state in it; every other one gets `Maps.update` of the sum of the states at the other ends of these
    edges. What a run gives is the sum of the states where it ends.

    Attributes:
        operations: The vocabulary of the tables to come.
    """

    operations: Operations

    @abc.abstractmethod
    def _runs(self, table: ArchitectureTable, dtype: type[np.floating]) -> Sequence[Run]:
        """Return what to simulate, in the precision of the simulation."""

    def __call__(
        self,
        table: ArchitectureTable,
        *,
        dtype: type[np.float32] | type[np.float64] = np.float32,
        chunk: int = DEFAULT_CHUNK,
        progress: Progress | None = None,
    ) -> NDArray[np.floating]:
        """Simulate every architecture of a table.

        Wide states use PyTorch's number of threads (`torch.set_num_threads`); no result depends on it.

        Args:
            table: A architectures over this vocabulary.
            dtype: Precision of the simulation and of the result.
            chunk: Architectures simulated at once; bounds the memory beyond the result.
            progress: Called with (architectures done, A) after each chunk.

        Returns:
            What each run gives for every architecture, side by side, (A, width) of `dtype`.

        Raises:
            UsageError: The table counts operations in another vocabulary, means other things by them than a
                flow that knows their meaning, or chunk < 1.
        """
        own, other = self.operations, table.operations
        if (own.names, own.attributes) != (other.names, other.attributes):
            raise UsageError("this flow was drawn for another vocabulary than the table's")
        if chunk < 1:
            raise UsageError(f"chunk must be at least 1, not {chunk}")
        runs = self._runs(table, dtype)
        widths = [len(maps.start) for _, maps in runs]
        result = np.empty((len(table), sum(widths)), dtype=dtype)
        # Narrow states are many short calls, which would wait for each other.
        threads = torch.get_num_threads() if any(maps.costly for _, maps in runs) else 1
        with _blas().limit(limits=1), ThreadPoolExecutor(threads) as pool:
            for begin in range(0, len(table), chunk):
                end = min(begin + chunk, len(table))
                columns = table.columns.slice(begin, end)
                parts = np.split(result[begin:end], np.cumsum(widths)[:-1], axis=1)
                blocks = [
                    block
                    for part, (direction, maps) in zip(parts, runs, strict=True)
                    for block in _blocks(columns, _ends(columns, own, direction), maps, part)
                ]
                hands = _HANDS * threads if threads > 1 else 1
                shares = [blocks[first::hands] for first in range(hands)]
                list((pool.map if threads > 1 else map)(_fill, shares))
                if progress is not None:
                    progress(end, len(table))
        return result


@functools.cache
def _blas() -> ThreadpoolController:
    """Return what sets the threads of a matrix product: one, as whole blocks are computed side by side."""
    return ThreadpoolController().select(user_api="blas")


class _Block(NamedTuple):
    """Rows that are simulated at once, among all rows of a chunk, and how."""

    simulate: Callable[[Columns, Ends, Maps], NDArray[np.floating]]
    columns: Columns
    ends: Ends
    maps: Maps
    rows: IntArray
    result: NDArray[np.floating]  # of all rows, (A, k)


def _blocks(columns: Columns, ends: Ends, maps: Maps, result: NDArray[np.floating]) -> Iterator[_Block]:
    """Divide a simulation of all rows."""
    width, lengths = len(maps.start), np.diff(columns.node_offsets)
    alone = groups = [np.arange(len(lengths))]
    if not maps.costly:
        if not of_one_wiring(columns, ends.starts):
            groups = rows_by_wiring(columns, ends.starts)
        alone = [rows for rows in groups if len(rows) < _WIRING_FROM]
        for rows in groups:
            size = min(max(_NUMBERS // (int(lengths[rows[0]]) * width), 1), _BLOCK)
            for begin in range(0, len(rows) if len(rows) >= _WIRING_FROM else 0, size):
                yield _Block(simulate_wiring, columns, ends, maps, rows[begin : begin + size], result)
    if alone:
        left = np.sort(np.concatenate(alone))
        pieces = np.cumsum(lengths[left]) // max(min(_NODES, _NUMBERS // width), 1)
        for rows in np.split(left, np.flatnonzero(np.diff(pieces)) + 1):
            yield _Block(simulate_cones, columns, ends, maps, rows, result)


def _fill(blocks: Sequence[_Block]) -> None:
    """Fill in the results of some blocks."""
    for simulate, columns, ends, maps, rows, result in blocks:
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first == len(rows):  # what is in one piece need not be copied
            nodes = slice(int(columns.node_offsets[first]), int(columns.node_offsets[last]))
            result[first:last] = simulate(columns.slice(first, last), ends.at(nodes), maps)
        else:
            places = ragged_positions(columns.node_offsets[rows], np.diff(columns.node_offsets)[rows])
            result[rows] = simulate(columns.take(rows), ends.at(places), maps)


def _ends(columns: Columns, operations: Operations, direction: Direction) -> Ends:
    is_input, is_output = (columns.operation_ids == operations.id(end) for end in (INPUT, OUTPUT))
    return Ends(
        is_output if direction == "backward" else is_input,
        is_output if direction == "forward" else is_input,
        direction != "backward",
        direction != "forward",
    )
