"""The free space: any labelled DAG, written as `input,conv,relu,output;0>1,1>2,2>3`.

Numbers that nodes carry follow, a section an attribute, a number a node, 0 where a node has none:
`input,conv,relu,output;0>1,1>2,2>3;channels=0,64,0,0;kernel=0,3,0,0`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, short
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.graphs.operations import IDENTITY_NAMES, ZERO_NAMES
from archflow.protocols import FloatArray
from archflow.spaces.words import is_word, read_number, require_own_name, unknown, write_number

MAX_TEXT = 1_000_000
"""Longest text that `parse` reads, in characters."""

MAX_ATTRIBUTES = 64
"""Most attributes of a vocabulary; each takes four bytes a node of every table."""

PARAMETERS = "parameters"
"""The attribute that holds the weights of a node, where a vocabulary has it."""

_FORM = "the form is operation,operation,...;source>target,source>target,...;attribute=number,number,..."
_BANNED = frozenset(",;>")
_BANNED_IN_ATTRIBUTES = _BANNED | {"="}
_EDGE = re.compile(r"([0-9]{1,9})>([0-9]{1,9})")


class Free:
    """Any DAG of at least one input and exactly one output, with operations of any name.

    Without a vocabulary the space is open: it reads and writes every name, but cannot mutate, because it does
    not know what else a node could be. `of_texts` learns the vocabulary of a table.

    Args:
        operations: The vocabulary that closes the space, or None.
        name: A name of its own, where it should not share the files of others.

    Raises:
        UsageError: The name is no plain word or that of another space of archflow's.
    """

    name = "free"
    size: int | None = None

    def __init__(self, operations: Operations | None = None, *, name: str = "free") -> None:
        self.name = name if name == "free" else require_own_name(name)
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
        """Return the space closed over the operations and attributes that occur in some texts.

        Args:
            texts: Architectures in the text format; only their names are read here.
            identity: Names that mean identity where they occur.
            zero: Names that mean zero where they occur.

        Raises:
            InvalidArchitectureError: A text has another form, which is named by its position, from 0; or the
                texts have more than `MAX_ATTRIBUTES` attributes.
        """
        names: set[str] = set()
        attributes: set[str] = set()
        for position, text in enumerate(texts):
            try:
                operations, _, sections = _split(text)
            except InvalidArchitectureError as error:
                raise InvalidArchitectureError(f"text {position}: {error}") from error
            names.update(operations)
            attributes.update(name for name, _ in sections)
            if len(attributes) > MAX_ATTRIBUTES:
                _fail(f"text {position}: attribute number {len(attributes)}; {MAX_ATTRIBUTES} at most")
        return cls(Operations.of(names, identity=identity, zero=zero, attributes=attributes))

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

        The attributes may stand in any order too. Their numbers are rounded to float32.

        Raises:
            InvalidArchitectureError: The text has another form, the graph breaks a rule, or an operation or
                attribute is not in the vocabulary of a closed space.
        """
        names, edge_text, sections = _split(text)
        self._check_names(names)
        self._check_attributes([name for name, _ in sections])
        edges = []
        for part in edge_text.split(",") if edge_text else ():
            match = _EDGE.fullmatch(part)
            if match is None:
                _fail(f"edge {short(part)} is not source>target with two node numbers below 10^9")
            edges.append((int(match[1]), int(match[2])))
        attributes = {name: _numbers(name, numbers, len(names)) for name, numbers in sections}
        return Architecture.from_graph(names, edges, attributes)

    def format(self, architecture: Architecture) -> str:
        """Write one architecture, its edges by target, then source, the attributes that it has by name.

        Raises:
            InvalidArchitectureError: An operation or attribute is not in the vocabulary of a closed space, or
                its name cannot be written.
        """
        self._check_names(architecture.operations)
        self._check_attributes([name for name, _ in architecture.attributes])
        edges = ",".join(f"{source}>{target}" for source, target in architecture.edges)
        numbers = [f"{name}={','.join(map(write_number, row))}" for name, row in architecture.attributes]
        return ";".join([",".join(architecture.operations), edges, *numbers])

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
        output without a path from an input. Attributes stay as they are, on the changed node too.

        Raises:
            UsageError: The space is open.
            InvalidArchitectureError: An operation is not in the vocabulary, or there is no neighbour.
        """
        others = [name for name in self.operations.names if name not in (INPUT, OUTPUT)]
        self._check_names(architecture.operations)
        self._check_attributes([name for name, _ in architecture.attributes])
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
        """Return a proxy of each architecture's number of weights (`proxy_parameters`), (A,) float64."""
        return proxy_parameters(table)

    def _check_names(self, names: Sequence[str]) -> None:
        for node, name in enumerate(names):
            if not is_word(name, _BANNED):
                _fail(
                    f"node {node}: operation {short(name)} must be one or more printable characters without "
                    f"spaces, commas, semicolons and '>'"
                )
            if self._known is not None and name not in self._known:
                _fail(f"node {node}: {unknown('operation', name, sorted(self._known))}")

    def _check_attributes(self, names: Sequence[str]) -> None:
        known = None if self._operations is None else self._operations.attributes
        for name in names:
            if not is_word(name, _BANNED_IN_ATTRIBUTES):
                _fail(
                    f"attribute {short(name)}: its name must be one or more printable characters without "
                    f"spaces, commas, semicolons, '>' and '='"
                )
            if known is not None and name not in known:
                _fail(unknown("attribute", name, known))
        if len(set(names)) < len(names):
            _fail(f"attribute {short(max(names, key=names.count))} is given twice")


def proxy_parameters(table: ArchitectureTable) -> FloatArray:
    """Return a proxy of each architecture's number of weights, (A,) float64, for spaces that know no shapes.

    The sum of the attribute `parameters` where the vocabulary has it, else the number of parametric nodes.
    """
    columns, operations = table.columns, table.operations
    if PARAMETERS in operations.attributes:
        weights = columns.attributes[:, operations.attributes.index(PARAMETERS)].astype(np.float64)
    else:
        weights = operations.mask(operations.parametric)[columns.operation_ids].astype(np.float64)
    return np.bincount(columns.node_rows(), weights, minlength=len(table)).astype(np.float64)


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)


def _split(text: str) -> tuple[list[str], str, list[tuple[str, str]]]:
    """Return the operation names, the edge part, and name and numbers of each attribute."""
    if len(text) > MAX_TEXT:
        _fail(f"text of {len(text)} characters; the free space reads at most {MAX_TEXT}")
    parts = text.strip().split(";")
    if parts == [""]:
        _fail(f"the text is empty; {_FORM}")
    if len(parts) == 1:
        _fail(f"0 semicolons in {short(text)}; {_FORM}")
    if len(parts) > 2 + MAX_ATTRIBUTES:
        _fail(f"{len(parts) - 2} attributes; the free space reads at most {MAX_ATTRIBUTES}")
    sections = []
    for section, part in enumerate(parts[2:], start=3):
        name, equals, numbers = part.partition("=")
        if not equals:
            _fail(f"{len(parts) - 1} semicolons, but section {section}, {short(part)}, has no '='; {_FORM}")
        sections.append((name, numbers))
    return parts[0].split(","), parts[1], sections


def _numbers(name: str, text: str, n_nodes: int) -> list[float]:
    words = text.split(",")
    if len(words) != n_nodes:
        _fail(f"attribute {short(name)} has {len(words)} numbers for {n_nodes} nodes; give one a node")
    numbers = []
    for node, word in enumerate(words):
        number = read_number(word)
        if number is None:
            _fail(f"attribute {short(name)}: node {node}: {short(word)} is not a decimal number below 3.4e38")
        numbers.append(number)
    return numbers


def _with_other_operation(
    architecture: Architecture, choices: Sequence[str], rng: np.random.Generator
) -> Architecture | None:
    names = list(architecture.operations)
    inner = [node for node, name in enumerate(names) if name not in (INPUT, OUTPUT)]
    if not inner or len(choices) < 2:
        return None
    node = int(rng.choice(inner))
    names[node] = str(rng.choice([choice for choice in choices if choice != names[node]]))
    return dataclasses.replace(architecture, operations=tuple(names))


def _with_edge_removed(architecture: Architecture, rng: np.random.Generator) -> Architecture | None:
    for position in rng.permutation(len(architecture.edges)).tolist():
        edges = architecture.edges[:position] + architecture.edges[position + 1 :]
        if _reaches_output(architecture.operations, edges):
            return dataclasses.replace(architecture, edges=edges)
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
    added = absent[int(rng.integers(len(absent)))]
    return dataclasses.replace(architecture, edges=(*architecture.edges, added))


def _reaches_output(names: Sequence[str], edges: Sequence[tuple[int, int]]) -> bool:
    reached = {node for node, name in enumerate(names) if name == INPUT}
    for source, target in edges:  # sorted by target, so a node is settled before its edges are followed
        if source in reached:
            reached.add(target)
    return names.index(OUTPUT) in reached
