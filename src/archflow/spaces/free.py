"""The free space: any labelled DAG, written as `input,conv,relu,output;0>1,1>2,2>3`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.graphs.operations import IDENTITY_NAMES, ZERO_NAMES
from archflow.protocols import FloatArray

MAX_TEXT = 1_000_000
"""Longest text that `parse` reads, in characters."""

_FORM = "the form is operation,operation,...;source>target,source>target,..."
_NAME = re.compile(r"[^\s,;>]+")
_EDGE = re.compile(r"([0-9]{1,9})>([0-9]{1,9})")


class Free:
    """Any DAG of at least one input and exactly one output, with operations of any name.

    Without a vocabulary the space is open: it reads and writes every name, but cannot mutate, because it does
    not know what else a node could be. `of_texts` learns the vocabulary of a table.

    Args:
        operations: The vocabulary that closes the space, or None.
    """

    name = "free"
    size: int | None = None

    def __init__(self, operations: Operations | None = None) -> None:
        self._operations = operations
        self._known = None if operations is None else frozenset(operations.names)

    @classmethod
    def of_texts(
        cls,
        texts: Iterable[str],
        *,
        identity: Iterable[str] = IDENTITY_NAMES,
        zero: Iterable[str] = ZERO_NAMES,
    ) -> Free:
        """Return the space closed over the operations that occur in some texts.

        Args:
            texts: Architectures in the text format; only their operations are read here.
            identity: Names that mean identity where they occur.
            zero: Names that mean zero where they occur.

        Raises:
            InvalidArchitectureError: A text has another form; names the text by its position, from 0.
        """
        names: set[str] = set()
        for position, text in enumerate(texts):
            try:
                names.update(_split(text)[0])
            except InvalidArchitectureError as error:
                raise InvalidArchitectureError(f"text {position}: {error}") from error
        return cls(Operations.of(names, identity=identity, zero=zero))

    @property
    def operations(self) -> Operations:
        """The vocabulary.

        Raises:
            UsageError: The space is open.
        """
        if self._operations is None:
            raise UsageError(
                "the free space has no vocabulary yet; learn it from a table's texts with "
                "Free.of_texts(texts), or pass Free(operations)"
            )
        return self._operations

    def parse(self, text: str) -> Architecture:
        """Read one architecture; its nodes may stand in any order, and a repeated edge counts as often.

        Raises:
            InvalidArchitectureError: The text has another form, the graph breaks a rule, or an operation is
                not in the vocabulary of a closed space.
        """
        names, edge_text = _split(text)
        self._check_names(names)
        edges = []
        for part in edge_text.split(",") if edge_text else ():
            match = _EDGE.fullmatch(part)
            if match is None:
                _fail(f"edge {_short(part)} is not source>target with two node numbers below 10^9")
            edges.append((int(match[1]), int(match[2])))
        return Architecture.from_graph(names, edges)

    def format(self, architecture: Architecture) -> str:
        """Write one architecture, its edges by target, then source.

        Raises:
            InvalidArchitectureError: An operation is not in the vocabulary of a closed space, or its name
                cannot be written.
        """
        self._check_names(architecture.operations)
        edges = ",".join(f"{source}>{target}" for source, target in architecture.edges)
        return f"{','.join(architecture.operations)};{edges}"

    def all(self) -> ArchitectureTable:
        """Refuse: there is no end of DAGs.

        Raises:
            UsageError: Always.
        """
        raise UsageError("the free space has no end; give a table of candidates")

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Refuse: there is no uniform draw from all DAGs.

        Raises:
            UsageError: Always.
        """
        raise UsageError("the free space cannot be sampled; give a table of candidates")

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one inner operation, remove one edge or add one between unconnected nodes.

        Each kind of change is equally likely where it is possible. No edge is removed that would leave the
        output without a path from an input.

        Raises:
            UsageError: The space is open.
            InvalidArchitectureError: An operation is not in the vocabulary, or there is no neighbour.
        """
        others = [name for name in self.operations.names if name not in (INPUT, OUTPUT)]
        self._check_names(architecture.operations)
        kinds: list[Callable[[], Architecture | None]] = [
            lambda: _with_other_operation(architecture, others, rng),
            lambda: _with_edge_removed(architecture, rng),
            lambda: _with_edge_added(architecture, rng),
        ]
        for kind in rng.permutation(len(kinds)):
            if (neighbour := kinds[int(kind)]()) is not None:
                return neighbour
        raise InvalidArchitectureError(
            "the architecture has no neighbour: no operation can be changed and no edge added or removed"
        )

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parametric nodes of each architecture, (A,) float64.

        A proxy: the free space knows no shapes, so it cannot count weights.
        """
        columns, operations = table.columns, table.operations
        parametric = operations.mask(operations.parametric)[columns.operation_ids]
        return np.bincount(columns.node_rows()[parametric], minlength=len(table)).astype(np.float64)

    def _check_names(self, names: Sequence[str]) -> None:
        for node, name in enumerate(names):
            if not (_NAME.fullmatch(name) and name.isprintable()):
                _fail(
                    f"node {node}: operation {_short(name)} must be one or more printable characters without "
                    f"spaces, commas, semicolons and '>'"
                )
            if self._known is not None and name not in self._known:
                _fail(f"node {node}: {unknown_name('operation', name[:80], self._known)}")


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}..."


def _split(text: str) -> tuple[list[str], str]:
    """Return the operation names and the edge part."""
    if len(text) > MAX_TEXT:
        _fail(f"text of {len(text)} characters; the free space reads at most {MAX_TEXT}")
    parts = text.strip().split(";")
    if parts == [""]:
        _fail(f"the text is empty; {_FORM}")
    if len(parts) != 2:
        _fail(f"{len(parts) - 1} semicolons in {_short(text)}; {_FORM}")
    return parts[0].split(","), parts[1]


def _with_other_operation(
    architecture: Architecture, choices: Sequence[str], rng: np.random.Generator
) -> Architecture | None:
    names = list(architecture.operations)
    inner = [node for node, name in enumerate(names) if name not in (INPUT, OUTPUT)]
    if not inner or len(choices) < 2:
        return None
    node = int(rng.choice(inner))
    names[node] = str(rng.choice([choice for choice in choices if choice != names[node]]))
    return Architecture(tuple(names), architecture.edges)


def _with_edge_removed(architecture: Architecture, rng: np.random.Generator) -> Architecture | None:
    for position in rng.permutation(len(architecture.edges)).tolist():
        edges = architecture.edges[:position] + architecture.edges[position + 1 :]
        if _reaches_output(architecture.operations, edges):
            return Architecture(architecture.operations, edges)
    return None


def _with_edge_added(architecture: Architecture, rng: np.random.Generator) -> Architecture | None:
    names, present = architecture.operations, set(architecture.edges)
    absent = [
        (source, target)
        for target, into in enumerate(names)
        if into != INPUT
        for source in range(target)
        if names[source] != OUTPUT and (source, target) not in present
    ]
    if not absent:
        return None
    return Architecture(names, (*architecture.edges, absent[int(rng.integers(len(absent)))]))


def _reaches_output(names: Sequence[str], edges: Sequence[tuple[int, int]]) -> bool:
    reached = {node for node, name in enumerate(names) if name == INPUT}
    for source, target in edges:  # sorted by target, so a node is settled before its edges are followed
        if source in reached:
            reached.add(target)
    return names.index(OUTPUT) in reached
