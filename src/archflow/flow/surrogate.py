"""The paper's flow surrogate: a fixed random simulation of how data flows through an architecture.

Source: Kim, Hwang and Shin, "Learning to Flow from Generative Pretext Tasks for Neural Architecture
Encoding", NeurIPS 2025, arXiv 2510.18360 (FGP).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.errors import UsageError, unknown_name
from archflow.graphs import (
    INPUT,
    LOGARITHM,
    OUTPUT,
    ArchitectureTable,
    AttributeScale,
    Columns,
    Operations,
    generations,
    rows_by_wiring,
)
from archflow.graphs.columns import IntArray, ragged_positions

DEFAULT_CHUNK = 65_536
# Rows that are simulated at once: enough to hide the cost of a call, and small enough that the states of a
# block of cells stay in the processor's cache.
_BLOCK = 2048
# From this many rows on, a wiring of their own is faster than the general simulation.
_SHARED_FROM = 64

Progress = Callable[[int, int], None]

Direction = Literal["both", "forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""Which passes a surrogate simulates; "both" is the paper's."""


@dataclasses.dataclass(frozen=True)
class SurrogateConfig:
    """The settings of a surrogate.

    Attributes:
        width: k, the length of the surrogate vector.
        std: Standard deviation of the random maps P and W.
        alpha: How much of a node's message passes on unchanged, between 0 and 1.
    """

    width: int = 7
    std: float = 0.1
    alpha: float = 0.5

    def __post_init__(self) -> None:
        whole = isinstance(self.width, int) and self.width >= 1
        if not (whole and 0 < self.std < float("inf") and 0 <= self.alpha <= 1):
            raise UsageError(
                f"a surrogate needs a whole width >= 1, a finite std > 0 and alpha in [0, 1], not {self}"
            )


PUBLISHED = {
    "nasbench101": SurrogateConfig(width=4, std=1.0),
    "nasbench201": SurrogateConfig(width=7, std=0.1),
    "darts": SurrogateConfig(width=12, std=0.1),
}
"""The paper's settings by search space; DARTS is the space of NAS-Bench-301."""


@dataclasses.dataclass(frozen=True)
class FlowSurrogate:
    """FGP's flow surrogate s(G) in R^k, for tables of architectures.

    Start with h_v = 0, and h_i = r at every input node i. Forward, generation by generation,
    m_v = sum of h_u over edges u -> v and h_v <- alpha m_v + (1 - alpha) relu([x_v P ; m_v] W); then
    backward the same on reversed edges, starting from the forward states; s(G) is the sum of h_i over the
    input nodes. A node without incoming edges in a pass keeps its state in that pass: the output in the
    backward one, as published, and likewise dead ends of graphs as written, on which the paper is silent.
    Where nodes have attributes, x_v is the one-hot operation followed by them, on one scale.

    In one direction alone, s(G) is the output node's state after the forward pass, or, where r starts at the
    output node and h_v = 0 at all others, the sum of h_i over the input nodes after the backward pass.

    Attributes:
        operations: The vocabulary, d operations and F attributes.
        start: r, (k,) float64.
        operation_map: P, (d + F, k) float64.
        state_map: W, (2 k, k) float64.
        alpha: How much of a message passes on unchanged.
        scale: The scale of the attributes.
        direction: Which passes to simulate, one of `DIRECTIONS`.

    Raises:
        UnknownNameError: There is no such direction.
    """

    operations: Operations
    start: NDArray[np.float64]
    operation_map: NDArray[np.float64]
    state_map: NDArray[np.float64]
    alpha: float
    scale: AttributeScale = LOGARITHM
    direction: Direction = "both"

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown_name("direction", self.direction, DIRECTIONS)

    @classmethod
    def draw(
        cls,
        operations: Operations,
        config: SurrogateConfig,
        seed: int = 0,
        scale: AttributeScale = LOGARITHM,
    ) -> FlowSurrogate:
        """Draw r ~ U(0, 1), P ~ N(0, std^2) and W ~ N(0, std^2) once, to be kept with the model.

        Args:
            operations: The vocabulary of the tables to come.
            config: Width, standard deviation and alpha.
            seed: Seed of the draw.
            scale: The scale of the attributes; by default only their logarithm is taken.
        """
        rng = np.random.default_rng(seed)
        width, rows = config.width, len(operations) + len(operations.attributes)
        return cls(
            operations,
            rng.uniform(size=width),
            rng.normal(scale=config.std, size=(rows, width)),
            rng.normal(scale=config.std, size=(2 * width, width)),
            config.alpha,
            scale,
        )

    @property
    def width(self) -> int:
        """k, the length of the surrogate vector."""
        return len(self.start)

    def __call__(
        self,
        table: ArchitectureTable,
        *,
        dtype: type[np.float32] | type[np.float64] = np.float32,
        chunk: int = DEFAULT_CHUNK,
        progress: Progress | None = None,
    ) -> NDArray[np.floating]:
        """Simulate every architecture of a table.

        Args:
            table: A architectures over this surrogate's vocabulary.
            dtype: Precision of the simulation and of the result.
            chunk: Architectures simulated at once; bounds the memory beyond the result.
            progress: Called with (architectures done, A) after each chunk.

        Returns:
            s(G) of every architecture, (A, k) of `dtype`.

        Raises:
            UsageError: The table counts operations in another vocabulary, or chunk < 1.
        """
        own, other = self.operations, table.operations
        if (own.names, own.attributes) != (other.names, other.attributes):
            raise UsageError("this surrogate was drawn for another vocabulary than the table's")
        if chunk < 1:
            raise UsageError(f"chunk must be at least 1, not {chunk}")
        result = np.empty((len(table), self.width), dtype=dtype)
        for begin in range(0, len(table), chunk):
            rows = np.arange(begin, min(begin + chunk, len(table)))
            result[rows] = self._simulate(table.columns.take(rows), dtype)
            if progress is not None:
                progress(len(rows) + begin, len(table))
        return result

    def _simulate(self, columns: Columns, dtype: type[np.floating]) -> NDArray[np.floating]:
        width = self.width
        # [x P ; m] W = x (P W_top) + m W_bottom, and x picks a row: one small table instead of a product.
        node_map = (self.operation_map @ self.state_map[:width]).astype(dtype)
        maps = _Maps(
            self.start.astype(dtype),
            node_map[: len(self.operations)],
            node_map[len(self.operations) :],
            self.state_map[width:].astype(dtype),
            self.scale,
            dtype(self.alpha),
        )
        is_input, is_output = (columns.operation_ids == self.operations.id(end) for end in (INPUT, OUTPUT))
        ends = _Ends(
            is_output if self.direction == "backward" else is_input,
            is_output if self.direction == "forward" else is_input,
            self.direction != "backward",
            self.direction != "forward",
        )
        result = np.empty((len(columns), width), dtype=dtype)
        alone: list[IntArray] = []
        for rows in rows_by_wiring(columns, is_input):
            if len(rows) < _SHARED_FROM:
                alone.append(rows)
                continue
            for begin in range(0, len(rows), _BLOCK):
                block = rows[begin : begin + _BLOCK]
                result[block] = _simulate_shared(columns, block, ends, maps)
        if alone:
            rows = np.sort(np.concatenate(alone))
            for begin in range(0, len(rows), _BLOCK):
                block = rows[begin : begin + _BLOCK]
                nodes = ragged_positions(columns.node_offsets[block], np.diff(columns.node_offsets)[block])
                result[block] = _simulate_mixed(columns.take(block), ends.of(nodes), maps)
        return result


@dataclasses.dataclass(frozen=True)
class _Ends:
    """The nodes where r starts and those that are read, and the passes between."""

    starts: NDArray[np.bool_]  # (N,)
    reads: NDArray[np.bool_]  # (N,)
    forward: bool
    backward: bool

    def of(self, nodes: IntArray) -> _Ends:
        """Return the same for some of the nodes."""
        return dataclasses.replace(self, starts=self.starts[nodes], reads=self.reads[nodes])


@dataclasses.dataclass(frozen=True)
class _Maps:
    """The surrogate's matrices in the form and precision that the simulation uses."""

    start: NDArray[np.floating]  # (k,)
    operation_terms: NDArray[np.floating]  # (d, k)
    attribute_map: NDArray[np.floating]  # (F, k)
    message_map: NDArray[np.floating]  # (k, k)
    scale: AttributeScale
    alpha: np.floating

    def update(
        self, columns: Columns, nodes: IntArray, messages: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Return alpha m + (1 - alpha) relu([x P ; m] W), (n, k), for messages m (n, k) of n nodes."""
        states: NDArray[np.floating] = messages @ self.message_map
        states += self.operation_terms[columns.operation_ids[nodes]]
        if len(self.attribute_map):
            states += self.scale(columns.attributes[nodes]).astype(states.dtype) @ self.attribute_map
        np.maximum(states, 0, out=states)
        states *= 1 - self.alpha
        states += self.alpha * messages
        return states


def _simulate_shared(columns: Columns, rows: IntArray, ends: _Ends, maps: _Maps) -> NDArray[np.floating]:
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


def _simulate_mixed(columns: Columns, ends: _Ends, maps: _Maps) -> NDArray[np.floating]:
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
