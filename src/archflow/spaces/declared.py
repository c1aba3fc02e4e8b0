"""A space of one's own: operations, and a chain or cell of choices among them."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, short
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.cells import wiring_of_edges, wiring_of_nodes
from archflow.spaces.free import MAX_ATTRIBUTES, proxy_parameters
from archflow.spaces.template import MOST_LISTED, Choice, Template
from archflow.spaces.words import is_number, require_own_name, require_plain_name, unknown, write_number

MAX_OPERATIONS = 1_000
"""Most operations of a declared space."""

MAX_POSITIONS = 1_000
"""Most positions of a declared space."""

MAX_CHOICES = 10_000
"""Most choices of a position."""

# Positions times the choices of the widest times the numbers of each: what the choices take in memory.
_MOST_NUMBERS = 500_000

_WORD = re.compile(r"[^,()]+(?:\([^()]*\))?")

Option = str | Choice
"""What a position can be: the name of an operation, or a `Choice` of operation and attributes."""


def choices(operation: str, /, **attributes: float | Sequence[float]) -> list[Choice]:
    """Return a choice for each combination of attribute values.

    Args:
        operation: The operation of every choice.
        attributes: A number, or the numbers to choose from, by the attribute's name; the last varies fastest.

    Raises:
        UsageError: There are more than `MAX_CHOICES`.
    """
    values = [list(value) if isinstance(value, Sequence) else [value] for value in attributes.values()]
    count = math.prod(len(numbers) for numbers in values)
    if count > MAX_CHOICES:
        raise UsageError(f"operation {short(operation)} has {count:,} choices; {MAX_CHOICES:,} at most")
    return [
        Choice(operation, dict(zip(attributes, numbers, strict=True)))
        for numbers in itertools.product(*values)
    ]


class Declared:
    """A chain or cell of choices, written as they follow each other: `conv3x3(channels=16),pool,skip`.

    `chain`, `on_edges` and `on_nodes` build the usual ones; here the wiring is given as it is. Numbers of an
    architecture's nodes: first its inputs, then the positions in their order, last the output.

    Args:
        name: The name of the space.
        operations: The vocabulary. Names have neither spaces nor any of `,;>=()|`.
        positions: The choices of each position, by what errors should call it.
        edges: (source, target) pairs over the nodes, sources first.
        n_inputs: Number of input nodes.

    Raises:
        UsageError: A name cannot be written or is taken by a space of archflow's, a choice is not of the
            vocabulary or given twice, the wiring is none, or the space is too large to hold.
    """

    def __init__(
        self,
        name: str,
        operations: Operations,
        positions: Mapping[str, Sequence[Option]],
        edges: Iterable[tuple[int, int]],
        *,
        n_inputs: int = 1,
    ) -> None:
        self.name = require_own_name(name)
        self.operations = require_vocabulary(operations)
        self._places = list(positions)
        if not 1 <= len(self._places) <= MAX_POSITIONS:
            raise UsageError(f"a space has 1 to {MAX_POSITIONS:,} positions, not {len(self._places):,}")
        widest = max(len(options) for options in positions.values())
        if widest * len(self._places) * (1 + len(operations.attributes)) > _MOST_NUMBERS:
            raise UsageError(
                f"{len(self._places):,} positions with up to {widest:,} choices of "
                f"{len(operations.attributes)} attributes each are too many to hold"
            )
        filled = {place: _checked(options, operations, place) for place, options in positions.items()}
        self._texts = [[_text(choice, operations) for choice in options] for options in filled.values()]
        self._choices = [
            dict(zip(texts, options, strict=True))
            for texts, options in zip(self._texts, filled.values(), strict=True)
        ]
        for place, texts in zip(self._places, self._texts, strict=True):
            twice, count = Counter(texts).most_common(1)[0]
            if count > 1:
                raise UsageError(f"{place}: choice {short(twice)} is given twice")
        self._longest = sum(1 + max(map(len, texts)) for texts in self._texts)
        self._n_inputs = n_inputs
        nodes = [*[[Choice(INPUT)]] * n_inputs, *filled.values(), [Choice(OUTPUT)]]
        edges = tuple(edges)
        try:
            Architecture(tuple(options[0].operation for options in nodes), edges)
        except InvalidArchitectureError as error:
            raise UsageError(str(error)) from error
        self._template = Template(operations, nodes, edges, what=f"an architecture of {name}")
        self.size: int = self._template.size

    @classmethod
    def chain(cls, name: str, operations: Operations, positions: Sequence[Sequence[Option]]) -> Declared:
        """Declare a space of one position after the other.

        Args:
            name: The name of the space.
            operations: The vocabulary.
            positions: The choices of each position.

        Raises:
            UsageError: As in `Declared`.
        """
        named = {f"position {number}": options for number, options in enumerate(positions, start=1)}
        return cls(name, operations, named, itertools.pairwise(range(len(named) + 2)))

    @classmethod
    def on_edges(
        cls,
        name: str,
        operations: Operations,
        edges: Mapping[str, Sequence[Option]],
        *,
        inputs: Sequence[str] | None = None,
    ) -> Declared:
        """Declare a cell of feature maps with an operation on each edge, as in NAS-Bench-201.

        Each edge becomes a node. The map that no edge leaves is the output.

        Args:
            name: The name of the space.
            operations: The vocabulary.
            edges: The choices of each edge, by `source>target`; edges into a map stand before those out.
            inputs: The maps that no edge enters; by default there is one.

        Raises:
            UsageError: As in `Declared`, or the edges are no such cell.
        """
        wiring, n_inputs = wiring_of_edges(edges, inputs)
        named = {f"edge {edge}": options for edge, options in edges.items()}
        return cls(name, operations, named, wiring, n_inputs=n_inputs)

    @classmethod
    def on_nodes(
        cls,
        name: str,
        operations: Operations,
        nodes: Mapping[str, tuple[Sequence[Option], Sequence[str]]],
        *,
        inputs: Sequence[str] = (INPUT,),
        output: Sequence[str] | None = None,
    ) -> Declared:
        """Declare a cell with an operation on each node.

        Args:
            name: The name of the space.
            operations: The vocabulary.
            nodes: The choices of each node, and the inputs and earlier nodes that feed it.
            inputs: Names of the inputs.
            output: What feeds the output; by default the nodes that feed no other node.

        Raises:
            UsageError: As in `Declared`, or the nodes are no such cell.
        """
        wiring = wiring_of_nodes({node: sources for node, (_, sources) in nodes.items()}, inputs, output)
        named = {f"node {node}": options for node, (options, _) in nodes.items()}
        return cls(name, operations, named, wiring, n_inputs=len(inputs))

    def parse(self, text: str) -> Architecture:
        """Read one architecture.

        Raises:
            InvalidArchitectureError: The text has another form, or a word is none of the position's choices.
        """
        text = text.strip()
        words = _WORD.findall(text) if len(text) <= self._longest else []
        if ",".join(words) != text or len(words) != len(self._places):
            raise InvalidArchitectureError(
                f"{short(text)} is not {len(self._places)} choices with commas between, as in "
                f"{short(','.join(texts[0] for texts in self._texts))}"
            )
        chosen = [Choice(INPUT)] * self._n_inputs
        for place, word, known in zip(self._places, words, self._choices, strict=True):
            if word not in known:
                raise InvalidArchitectureError(f"{place}: {unknown('choice', word, list(known))}")
            chosen.append(known[word])
        chosen.append(Choice(OUTPUT))
        return Architecture(
            tuple(choice.operation for choice in chosen),
            self._template.edges,
            tuple(
                (name, tuple(choice.attributes.get(name, 0) for choice in chosen))
                for name in self.operations.attributes
            ),
        )

    def format(self, architecture: Architecture) -> str:
        """Write one architecture: the choice at each position, attributes other than 0 in brackets.

        Raises:
            InvalidArchitectureError: The architecture is not of this space as written.
        """
        numbers = self._template.numbers(architecture)[self._n_inputs : -1]
        return ",".join(texts[number] for texts, number in zip(self._texts, numbers, strict=True))

    def all(self) -> ArchitectureTable:
        """Return every architecture; the first position varies slowest.

        Raises:
            UsageError: There are more than 5 million.
        """
        if self.size > MOST_LISTED:
            raise UsageError(
                f"{self.name} has {Decimal(self.size):.3g} architectures, too many to list; "
                f"draw a sample (--sample)"
            )
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct architectures uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one position another choice.

        Raises:
            InvalidArchitectureError: The architecture is not of this space, or is all there is.
        """
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Return a proxy of each architecture's number of weights, (A,) float64.

        The sum of the attribute `parameters` where the space has it, else the number of parametric nodes.
        """
        return proxy_parameters(table)


def require_operation(name: str, operations: Operations) -> str:
    """Return the name of an operation that a position can have.

    Raises:
        UsageError: It is not in the vocabulary, or an input or output.
    """
    inner = [other for other in operations.names if other not in (INPUT, OUTPUT)]
    if name not in inner:
        raise UsageError(unknown("operation", name, inner))
    return name


def require_vocabulary(operations: Operations) -> Operations:
    """Return a vocabulary that the text format can hold.

    Raises:
        UsageError: A name is too long or has a space or one of `,;>=()|`, or there are more than
            `MAX_OPERATIONS` or `MAX_ATTRIBUTES`.
    """
    for kind, names, most in (
        ("operation", operations.names, MAX_OPERATIONS),
        ("attribute", operations.attributes, MAX_ATTRIBUTES),
    ):
        if len(names) > most:
            raise UsageError(f"{len(names):,} {kind}s are declared; {most:,} at most")
        for name in names:
            require_plain_name(kind, name)
    return operations


def _checked(options: Sequence[Option], operations: Operations, place: str) -> list[Choice]:
    """Return the choices of a position, which must be of the vocabulary."""
    if not 1 <= len(options) <= MAX_CHOICES or isinstance(options, str):
        raise UsageError(f"{place} must have a list of 1 to {MAX_CHOICES:,} choices")
    checked = [Choice(option) if isinstance(option, str) else option for option in options]
    known = set(operations.names) - {INPUT, OUTPUT}
    for choice in checked:
        if choice.operation not in known:
            require_operation(choice.operation, operations)
        for name, value in choice.attributes.items():
            if name not in operations.attributes:
                raise UsageError(f"{place}: {unknown('attribute', name, operations.attributes)}")
            if not is_number(value):
                raise UsageError(f"{place}: {name} of {choice.operation} must be a number below 3.4e38")
    return checked


def _text(choice: Choice, operations: Operations) -> str:
    numbers = [(name, float(np.float32(choice.attributes.get(name, 0)))) for name in operations.attributes]
    words = [f"{name}={write_number(number)}" for name, number in numbers if number]
    return f"{choice.operation}({','.join(words)})" if words else choice.operation
