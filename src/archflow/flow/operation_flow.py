"""Operation-aware flow: a random simulation that knows which operations pass, stop or change what flows."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archflow.errors import UsageError
from archflow.flow.simulation import Flow, Run
from archflow.graphs import (
    INPUT,
    LOGARITHM,
    OUTPUT,
    ArchitectureTable,
    AttributeScale,
    Operations,
)
from archflow.graphs.columns import IntArray

CAP = 1e6
"""The largest root mean square of a message; only path counts beyond those of ordinary cells reach it."""

_BLOCK = 1024  # nodes whose messages and states stay in the processor's cache
_FAINT = 1e-15  # root mean squares below it take care: float32 holds neither the squares nor the inverse

Pass = Literal["forward", "backward"]
PASSES: tuple[Pass, Pass] = ("forward", "backward")

_START, _SHARED, _ATTRIBUTES, _OPERATION = range(4)  # what a seed is for


@dataclasses.dataclass(frozen=True)
class OperationFlowConfig:
    """The settings of an operation-aware flow.

    Attributes:
        width: k, the length of a state; a feature vector is twice as long.
        alpha: How much of a node's message passes on unchanged, between 0 and 1.
        shared: How much of the variance of the operations' maps they share, between 0 and 1: what makes
            operations somewhat alike before anything is known of them.
    """

    width: int = 128
    alpha: float = 0.2
    shared: float = 0.5

    def __post_init__(self) -> None:
        whole = isinstance(self.width, int) and self.width >= 1
        if not (whole and 0 <= self.alpha <= 1 and 0 <= self.shared <= 1):
            raise UsageError(
                f"an operation-aware flow needs a whole width >= 1, alpha and shared in [0, 1], not {self}"
            )


@dataclasses.dataclass(frozen=True)
class OperationFlow(Flow):
    """Flow features that respect what operations mean, for tables of architectures.

    All states are zeros at first but those where a pass starts, which are r. In generation order
    m_v = sum of h_u over edges u -> v, parallel ones included, scaled down to the root mean square `CAP`
    where it is above; then a zero operation emits h_v = 0, an identity, input or output h_v = m_v, and any
    other operation o

        h_v = alpha m_v + (1 - alpha) relu(m_v W_o / rms(m_v) + x_v A), or 0 where m_v = 0,

    with W_o = sqrt(shared) W + sqrt(1 - shared) V_o and x_v the node's attributes on one scale. The forward
    pass starts at the inputs and is read at the output. The backward pass has reversed edges and a draw of
    its own, starts at the output, and is read as the sum over the inputs. Called with a table, the flow
    returns both readings side by side, (A, 2 k). Neither zero operations nor nodes on no path from an input
    to the output make a difference, nor, below the cap, does joining the neighbours of an identity.

    r = |N(0, 1)|, A ~ N(0, 1) and W, V_o ~ N(0, 2 / k) follow from the seed, and V_o from the operation's
    place in the vocabulary too, but not from what else a table holds; they are drawn when they are needed.

    The FGP paper's surrogate (`FlowSurrogate`) has one map for all operations; this variant is our own.

    Attributes:
        operations: The vocabulary, and which of its operations are identity and zero.
        config: Width, alpha and shared.
        seed: Seed of the draw.
        scale: The scale of the attributes.

    Raises:
        UsageError: The seed is negative.
    """

    operations: Operations
    config: OperationFlowConfig = OperationFlowConfig()
    seed: int = 0
    scale: AttributeScale = LOGARITHM

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed must be at least 0, not {self.seed}")

    @classmethod
    def draw(
        cls,
        operations: Operations,
        config: OperationFlowConfig = OperationFlowConfig(),
        seed: int = 0,
        scale: AttributeScale = LOGARITHM,
    ) -> OperationFlow:
        """Return the flow that a seed stands for.

        Args:
            operations: The vocabulary of the tables to come.
            config: Width, alpha and shared.
            seed: Seed of the draw.
            scale: The scale of the attributes; by default only their logarithm is taken.

        Raises:
            UsageError: The seed is negative.
        """
        return cls(operations, config, seed, scale)

    @property
    def width(self) -> int:
        """2 k, the length of a feature vector."""
        return 2 * self.config.width

    def start(self, direction: Pass) -> NDArray[np.float64]:
        """Return r of a pass, (k,)."""
        return np.abs(self._generator(direction, _START).normal(size=self.config.width))

    def operation_map(self, operation: int, direction: Pass) -> NDArray[np.float64]:
        """Return W_o of an operation, given by its id, in a pass, (k, k)."""
        width, shared = self.config.width, self.config.shared
        common = self._generator(direction, _SHARED).normal(size=(width, width))
        own = self._generator(direction, _OPERATION, operation).normal(size=(width, width))
        drawn: NDArray[np.float64] = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
        return drawn * math.sqrt(2 / width)

    def attribute_map(self, direction: Pass) -> NDArray[np.float64]:
        """Return A of a pass, (F, k)."""
        size = (len(self.operations.attributes), self.config.width)
        return self._generator(direction, _ATTRIBUTES).normal(size=size)

    def _runs(self, table: ArchitectureTable, dtype: type[np.floating]) -> list[Run]:
        for meaning in ("identity", "zero"):
            own, other = (getattr(operations, meaning) for operations in (self.operations, table.operations))
            if own != other:
                raise UsageError(
                    f"this flow takes {_listed(own)} for {meaning} operations, the table {_listed(other)}; "
                    "draw one for the table's operations"
                )
        return [(direction, _Maps(self, direction, dtype)) for direction in PASSES]

    def _generator(self, direction: Pass, *what: int) -> np.random.Generator:
        key = (PASSES.index(direction), *what)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


class _Maps:
    """The draw of one pass in the precision of the simulation; maps of operations once they occur."""

    quiet = costly = True

    def __init__(self, flow: OperationFlow, direction: Pass, dtype: type[np.floating]) -> None:
        operations = flow.operations
        self.flow, self.direction = flow, direction
        self.start: NDArray[np.floating] = flow.start(direction).astype(dtype)
        self.attribute_map: NDArray[np.floating] = flow.attribute_map(direction).astype(dtype)
        self.alpha = dtype(flow.config.alpha)
        self.zero = operations.mask(operations.zero)
        self.acts = ~(operations.mask(operations.identity | {INPUT, OUTPUT}) | self.zero)
        # Attributes may lift a state above the cap, and the next node does not pass it on unchanged.
        self.passes = ~(self.acts | self.zero) & (not operations.attributes)
        self.maps: dict[int, NDArray[np.floating]] = {}

    def update(
        self, operation_ids: IntArray, attributes: NDArray[np.float32], messages: NDArray[np.floating]
    ) -> None:
        """Turn messages, (n, k), into the states that n nodes emit, in place."""
        sizes = _root_mean_square(messages)
        if sizes.max() > CAP:
            messages *= CAP / np.maximum(sizes, CAP)
            sizes = np.minimum(sizes, CAP)
        order = np.argsort(operation_ids.astype(np.int16), kind="stable")
        changes = np.flatnonzero(np.diff(operation_ids[order])) + 1
        for rows in np.split(order, changes):
            operation = int(operation_ids[rows[0]])
            if self.zero[operation]:
                messages[rows] = 0
            elif self.acts[operation]:
                for begin in range(0, len(rows), _BLOCK):
                    block = rows[begin : begin + _BLOCK]
                    acting = messages.take(block, axis=0), sizes[block], attributes[block]
                    messages[block] = self._act(operation, *acting)

    def _act(
        self,
        operation: int,
        messages: NDArray[np.floating],
        sizes: NDArray[np.floating],
        attributes: NDArray[np.float32],
    ) -> NDArray[np.floating]:
        """Return what nodes of one operation emit, (n, k); overwrites their messages."""
        flows = sizes > 0
        sizes = np.where(flows, sizes, 1)
        if sizes.min() < _FAINT:
            mixed: NDArray[np.floating] = (messages / sizes) @ self._map(operation)
            mixed *= 1 - self.alpha
        else:  # one pass over all numbers less
            mixed = messages @ self._map(operation)
            mixed *= (1 - self.alpha) / sizes
        if len(self.attribute_map):
            sized = self.flow.scale(attributes).astype(mixed.dtype) @ self.attribute_map
            mixed += sized * np.where(flows, 1 - self.alpha, 0)
        np.maximum(mixed, 0, out=mixed)  # (1 - alpha) relu(z) is relu((1 - alpha) z)
        messages *= self.alpha
        mixed += messages
        return mixed

    def _map(self, operation: int) -> NDArray[np.floating]:
        if operation not in self.maps:
            drawn = self.flow.operation_map(operation, self.direction)
            self.maps[operation] = drawn.astype(self.start.dtype)
        return self.maps[operation]


def _root_mean_square(messages: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the root mean square of each row, (n, 1)."""
    squares = np.einsum("ij,ij->i", messages, messages)[:, None]
    sizes: NDArray[np.floating] = np.sqrt(squares / messages.shape[1])
    faint = np.flatnonzero(sizes < _FAINT)
    if len(faint):
        sizes[faint] = np.sqrt(np.square(messages[faint], dtype=np.float64).mean(axis=1, keepdims=True))
    return sizes


def _listed(names: frozenset[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
