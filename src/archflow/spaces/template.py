"""Architectures of one wiring, each node of which is filled by one of its choices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Columns, Operations

MOST_LISTED = 5_000_000
"""Largest space that is listed whole; larger ones can be sampled."""

# Up to this size numbers of architectures are drawn without replacement; beyond it, choices node by node.
_NUMBERED = 2**24


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a node can be.

    Attributes:
        operation: Its operation.
        attributes: Its numbers by name; the others are 0.
    """

    operation: str
    attributes: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Template:
    """A wiring and the choices of each of its nodes: the product space that many benchmarks are.

    An architecture is a row of choice numbers, one a node; the choice of the first node varies slowest in
    `all`. Two choices of a node must differ in operation or attributes.

    Args:
        operations: The vocabulary.
        choices: What each node can be, in topological order; a node that is fixed has one choice.
        edges: (source, target) pairs over the nodes.
        what: What an architecture of the space is called in errors, such as "a NAS-Bench-201 cell".
    """

    def __init__(
        self,
        operations: Operations,
        choices: Sequence[Sequence[Choice]],
        edges: Iterable[tuple[int, int]],
        *,
        what: str = "an architecture of this space",
    ) -> None:
        self._what = what
        self.operations = operations
        self.edges = tuple(sorted(edges, key=lambda edge: (edge[1], edge[0])))
        self.counts = np.array([len(options) for options in choices], dtype=np.int64)
        self.size = math.prod(self.counts.tolist())
        shape = (len(choices), int(self.counts.max()))
        self._ids = np.zeros(shape, dtype=np.int16)
        self._attributes = np.zeros((*shape, len(operations.attributes)), dtype=np.float32)
        self._numbers: list[dict[tuple[object, ...], int]] = []
        for node, options in enumerate(choices):
            for number, choice in enumerate(options):
                self._ids[node, number] = operations.id(choice.operation)
                for name, value in choice.attributes.items():
                    self._attributes[node, number, operations.attributes.index(name)] = value
            keys = [
                (choice.operation, *self._attributes[node, number].tolist())
                for number, choice in enumerate(options)
            ]
            self._numbers.append({key: number for number, key in enumerate(keys)})

    def table(self, numbers: NDArray[np.integer]) -> ArchitectureTable:
        """Build architectures from choice numbers, (A, n_nodes)."""
        nodes = np.arange(len(self.counts))
        attributes = self._attributes[nodes, numbers]  # (A, n_nodes, F)
        columns = Columns.repeated(self._ids[nodes, numbers], self.edges, attributes)
        return ArchitectureTable(columns, self.operations)

    def architecture(self, numbers: Sequence[int]) -> Architecture:
        """Build one architecture from its choice numbers, n_nodes of them."""
        return self.table(np.asarray(numbers, dtype=np.int64).reshape(1, -1))[0]

    def numbers(self, architecture: Architecture) -> list[int]:
        """Return the choice numbers of an architecture as written, n_nodes of them.

        Raises:
            InvalidArchitectureError: It has another wiring, or a node is none of its choices.
        """
        if architecture.edges != self.edges or architecture.n_nodes != len(self.counts):
            raise InvalidArchitectureError(
                f"not {self._what} as written: those have {len(self.counts)} nodes and {len(self.edges)} "
                f"edges in a fixed wiring"
            )
        known = set(self.operations.attributes)
        foreign = [name for name, _ in architecture.attributes if name not in known]
        if foreign:
            raise InvalidArchitectureError(
                f"not {self._what} as written: there is no attribute {foreign[0][:80]!r}"
            )
        rows = architecture.attribute_rows(self.operations).tolist()
        numbers = []
        for node, (name, row) in enumerate(zip(architecture.operations, rows, strict=True)):
            number = self._numbers[node].get((name, *row))
            if number is None:
                raise InvalidArchitectureError(
                    f"not {self._what} as written: node {node} ({name[:80]}) is none of its choices"
                )
            numbers.append(number)
        return numbers

    def rows(self, first: int, last: int) -> NDArray[np.int64]:
        """Return choice numbers of architectures first to last - 1 in the order of `all`, (A, n_nodes)."""
        return self._digits(np.arange(first, last, dtype=np.int64))

    def all(self) -> ArchitectureTable:
        """Return every architecture.

        Raises:
            UsageError: There are more than `MOST_LISTED`.
        """
        if self.size > MOST_LISTED:
            raise UsageError(
                f"the space has {Decimal(self.size):.3g} architectures, too many to list; "
                "draw a sample (--sample)"
            )
        return self.table(self.rows(0, self.size))

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct architectures uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct architectures: the space has {self.size}")
        if self.size <= _NUMBERED:
            return self.table(self._digits(rng.choice(self.size, size=count, replace=False)))
        drawn = np.zeros((0, len(self.counts)), dtype=np.int64)
        while len(drawn) < count:
            more = rng.integers(0, self.counts, size=(count - len(drawn), len(self.counts)))
            drawn = np.concatenate([drawn, more])
            drawn = drawn[np.sort(np.unique(drawn, axis=0, return_index=True)[1])]
        return self.table(drawn)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one node another choice.

        Raises:
            InvalidArchitectureError: The architecture is not of this space, or is all there is.
        """
        numbers = self.numbers(architecture)
        free = np.flatnonzero(self.counts > 1)
        if not len(free):
            raise InvalidArchitectureError("the architecture has no neighbour: no node has another choice")
        node = int(rng.choice(free))
        shift = int(rng.integers(1, self.counts[node]))
        numbers[node] = (numbers[node] + shift) % int(self.counts[node])
        return self.architecture(numbers)

    def _digits(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the mixed-radix digits of positions in the order of `all`, (A, n_nodes)."""
        digits = np.empty((len(positions), len(self.counts)), dtype=np.int64)
        for node in range(len(self.counts) - 1, -1, -1):
            positions, digits[:, node] = np.divmod(positions, self.counts[node])
        return digits
