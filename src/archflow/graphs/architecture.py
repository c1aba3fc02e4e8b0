"""One neural architecture: an immutable directed acyclic graph with an operation on each node."""

from __future__ import annotations

import dataclasses
import heapq
import operator
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, unknown_name
from archflow.graphs.columns import Columns
from archflow.graphs.forms import collapse, prune
from archflow.graphs.keys import isomorphism_keys
from archflow.graphs.operations import INPUT, OUTPUT, Operations

Attributes = tuple[tuple[str, tuple[float, ...]], ...]

_TARGET_FIRST = operator.itemgetter(1, 0)  # how edges are sorted


@dataclasses.dataclass(frozen=True, slots=True)
class Architecture:
    """A labelled DAG whose nodes carry operations and whose edges point the way the data flows.

    Nodes are in topological order, at least one is "input" and exactly one "output". Equality is
    structural; `key` is the same for every renumbering of the same graph. A repeated edge means that
    the data arrives that many times (the collapsed form makes such edges).

    Attributes:
        operations: The operation of each node, (n_nodes,).
        edges: (source, target) pairs, kept sorted by target, then source.
        attributes: Numbers that nodes carry beside their operation, such as channels: (name, one number a
            node) pairs, kept sorted by name; a mapping is taken too. Numbers are rounded to float32; 0 says
            that a node has none, and an attribute that no node has is left out.

    Raises:
        InvalidArchitectureError: A rule is broken; the message names the node or edge and the rule.
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    attributes: Attributes = ()

    def __post_init__(self) -> None:
        operations = tuple(self.operations)
        edges = tuple(sorted([(int(u), int(v)) for u, v in self.edges], key=_TARGET_FIRST))
        object.__setattr__(self, "operations", operations)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "attributes", _checked(self.attributes, operations))
        _check_ends(operations)
        count, output = len(operations), operations.index(OUTPUT)
        for source, target in edges:
            if not 0 <= source < target < count or source == output or operations[target] == INPUT:
                _check_edge(operations, source, target)
                raise InvalidArchitectureError(
                    f"edge {source}>{target} runs against the node order; nodes must be in topological order "
                    f"(Architecture.from_graph sorts them and reports cycles)"
                )

    @classmethod
    def from_graph(
        cls,
        operations: Sequence[str],
        edges: Iterable[tuple[int, int]],
        attributes: Mapping[str, Sequence[float]] | Attributes = (),
    ) -> Architecture:
        """Build an architecture from nodes in any order.

        Args:
            operations: The operation of each node, (n_nodes,).
            edges: (source, target) pairs over the given numbering.
            attributes: Numbers of the nodes in the given numbering, by name.

        Returns:
            The architecture; nodes keep their order wherever the edges allow it.

        Raises:
            InvalidArchitectureError: The graph has a cycle or breaks another rule.
        """
        pairs = [(int(u), int(v)) for u, v in edges]
        numbers = _checked(attributes, operations)
        _check_ends(operations)
        successors: list[list[int]] = [[] for _ in operations]
        waiting = [0] * len(operations)
        for source, target in pairs:
            _check_edge(operations, source, target)
            successors[source].append(target)
            waiting[target] += 1
        ready = [node for node, count in enumerate(waiting) if count == 0]
        order: list[int] = []
        while ready:
            node = heapq.heappop(ready)
            order.append(node)
            for target in successors[node]:
                waiting[target] -= 1
                if waiting[target] == 0:
                    heapq.heappush(ready, target)
        if len(order) < len(operations):
            stuck = next(node for node, count in enumerate(waiting) if count > 0)
            raise InvalidArchitectureError(
                f"node {stuck} ({operations[stuck]}) lies on or behind a cycle; it must be acyclic"
            )
        position = {node: place for place, node in enumerate(order)}
        return cls(
            tuple(operations[node] for node in order),
            tuple((position[source], position[target]) for source, target in pairs),
            tuple((name, tuple(values[node] for node in order)) for name, values in numbers),
        )

    @property
    def n_nodes(self) -> int:
        """Number of nodes, inputs and output included."""
        return len(self.operations)

    def key(self) -> str:
        """Return 16 hexadecimal digits that are equal for every renumbering of this graph."""
        operations = self._vocabulary()
        return f"{int(isomorphism_keys(self.to_columns(operations), operations)[0]):016x}"

    def pruned(self, operations: Operations | None = None) -> Architecture:
        """Return the architecture without zero operations and nodes on no input-output path.

        Args:
            operations: The meaning of the operations; by default meaning goes by name, as in the free space.
        """
        vocabulary = operations or self._vocabulary()
        return Architecture.from_columns(prune(self.to_columns(vocabulary), vocabulary), vocabulary)

    def collapsed(self, operations: Operations | None = None) -> Architecture:
        """Return the pruned architecture with identity nodes removed and their neighbours joined.

        Args:
            operations: The meaning of the operations; by default meaning goes by name, as in the free space.
        """
        vocabulary = operations or self._vocabulary()
        return Architecture.from_columns(collapse(self.to_columns(vocabulary), vocabulary), vocabulary)

    def _vocabulary(self) -> Operations:
        """Return the vocabulary of this graph alone, with meaning by name."""
        return Operations.of(self.operations, attributes=[name for name, _ in self.attributes])

    def to_columns(self, operations: Operations) -> Columns:
        """Return this architecture as columns of one row over a vocabulary.

        Raises:
            UnknownNameError: A node's operation is not in the vocabulary.
        """
        return Columns.of(
            [[operations.id(name) for name in self.operations]],
            [self.edges],
            self.attribute_rows(operations),
        )

    def attribute_rows(self, operations: Operations) -> NDArray[np.float32]:
        """Return the numbers of each node in the order of a vocabulary, (n_nodes, F) float32.

        Raises:
            UnknownNameError: An attribute is not in the vocabulary.
        """
        rows = np.zeros((self.n_nodes, len(operations.attributes)), dtype=np.float32)
        for name, values in self.attributes:
            if name not in operations.attributes:
                raise unknown_name("attribute", name, operations.attributes)
            rows[:, operations.attributes.index(name)] = values
        return rows

    @classmethod
    def from_columns(cls, columns: Columns, operations: Operations, row: int = 0) -> Architecture:
        """Rebuild the architecture in one row of some columns."""
        nodes = slice(columns.node_offsets[row], columns.node_offsets[row + 1])
        edges = slice(columns.edge_offsets[row], columns.edge_offsets[row + 1])
        pairs = zip(columns.sources[edges].tolist(), columns.targets[edges].tolist(), strict=True)
        numbers = zip(operations.attributes, columns.attributes[nodes].T.tolist(), strict=True)
        return cls(
            tuple(operations.names[i] for i in columns.operation_ids[nodes].tolist()),
            tuple(pairs),
            tuple((name, tuple(values)) for name, values in numbers),
        )


def _checked(attributes: Mapping[str, Sequence[float]] | Attributes, operations: Sequence[str]) -> Attributes:
    """Return the attributes sorted, in float32, without those that no node has."""
    if not attributes:
        return ()
    pairs = attributes.items() if isinstance(attributes, Mapping) else attributes
    checked = {}
    for name, values in pairs:
        if name in checked:
            raise InvalidArchitectureError(f"attribute {name!r} is given twice")
        if len(values) != len(operations):
            raise InvalidArchitectureError(
                f"attribute {name!r} has {len(values)} numbers for {len(operations)} nodes; give one a node"
            )
        with np.errstate(over="ignore"):
            rounded = np.asarray(values, dtype=np.float64).astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rounded))
        if len(bad):
            raise InvalidArchitectureError(
                f"node {bad[0]} ({operations[bad[0]]}) has {name} {values[bad[0]]}; "
                f"attributes are finite numbers below 3.4e38"
            )
        checked[name] = tuple((rounded + np.float32(0)).tolist())  # + 0 turns -0 into 0
    return tuple(sorted((name, values) for name, values in checked.items() if any(values)))


def _check_ends(operations: Sequence[str]) -> None:
    inputs, outputs = operations.count(INPUT), operations.count(OUTPUT)
    if inputs == 0:
        raise InvalidArchitectureError(
            f"no node is named {INPUT!r}; an architecture needs at least one input"
        )
    if outputs != 1:
        where = [node for node, name in enumerate(operations) if name == OUTPUT]
        detail = f"nodes {', '.join(map(str, where))} are" if outputs else "no node is"
        raise InvalidArchitectureError(f"{detail} named {OUTPUT!r}; an architecture has exactly one output")


def _check_edge(operations: Sequence[str], source: int, target: int) -> None:
    for node in (source, target):
        if not 0 <= node < len(operations):
            raise InvalidArchitectureError(
                f"edge {source}>{target} names node {node}, which does not exist "
                f"(nodes are 0 to {len(operations) - 1})"
            )
    if operations[source] == OUTPUT:
        raise InvalidArchitectureError(f"edge {source}>{target} leaves the output; nothing may follow it")
    if operations[target] == INPUT:
        raise InvalidArchitectureError(f"edge {source}>{target} enters an input; nothing may come before it")
