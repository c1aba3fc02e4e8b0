"""Spaces of a normal and a reduction cell, in which each node adds two operations on earlier ones.

Both cells make one graph. Two inputs hold the outputs of the two cells before; the nodes `c_{k-2}` and
`c_{k-1}` bring each to the cell's width and tell the inputs apart. Every pair of a genotype is a node with
its operation, every node of a cell the sum of its two pairs, and the sums that a cell concatenates feed the
one output. The order of the nodes holds the order of the pairs, which changes nothing else.

Operations of the reduction cell have the prefix `reduce_`: they stand in other, fewer and wider layers, and
those on the cell's inputs have stride 2. A skip of stride 2 is no identity but `factorized_reduce`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Columns, Operations
from archflow.graphs.columns import offsets_of
from archflow.spaces.json_text import decode, encode

KINDS = ("normal", "reduce")
SUM, REDUCE_SUM = "sum", "reduce_sum"
FACTORIZED_REDUCE = "factorized_reduce"
MAX_TEXT = 10_000
"""Longest text that `parse` reads, in characters; a compact genotype has about 500."""

_PREPROCESSED = ("c_{k-2}", "c_{k-1}")
_SKIP, _NONE = "skip_connect", "none"


def reduced(name: str) -> str:
    """Return what an operation, or the sum, is called in the reduction cell."""
    return f"reduce_{name}"


class TwoCells:
    """The genotypes of one space.

    Inside, A genotypes are an array (A, 2, 2 n, 2): cell, pair, and of each pair the number of its operation
    and the state that it reads, where states 0 and 1 are the cell's inputs and 2 + i is node i.

    Args:
        choices: Names of the operations that `sample` and `mutate` choose from.
        n_nodes: n, the nodes of a cell.
        parametric: Which of the choices have weights.
        also: Operations that are read and written, but never chosen.
        distinct_inputs: Whether the two pairs of a node must read different states.
        loose_ends: Whether a cell concatenates only the nodes that no other one reads, or all.
        what: What an architecture is called in errors, such as "a DARTS genotype".
    """

    def __init__(
        self,
        choices: Sequence[str],
        n_nodes: int,
        *,
        parametric: frozenset[str],
        also: Sequence[str] = (),
        distinct_inputs: bool,
        loose_ends: bool,
        what: str,
    ) -> None:
        self._names = (*choices, *also)
        self._n_chosen = len(choices)
        self._n_nodes = n_nodes
        self._distinct_inputs = distinct_inputs
        self._loose_ends = loose_ends
        self._what = what
        self.operations = _vocabulary((*also, *choices), parametric)
        self.node_choices = [self._choices_of(node) for node in range(n_nodes)]
        self._counts = np.array([len(options) for options in self.node_choices] * 2)
        self.size = math.prod(self._counts.tolist())
        self._lay_out()

    def parse(self, text: str) -> Architecture:
        """Read a genotype as JSON.

        Raises:
            InvalidArchitectureError: The text is no genotype of the space; names the cell, node and rule.
        """
        fields = decode(text, MAX_TEXT)
        keys = [key for kind in KINDS for key in (kind, f"{kind}_concat")]
        if not isinstance(fields, dict) or sorted(fields) != sorted(keys):
            _fail(f"not {self._what}; the form is an object of the lists {', '.join(keys)}")
        genotype = np.array([[self._decoded(fields[kind], kind) for kind in KINDS]])
        for kind, ends in zip(KINDS, self._concatenated(genotype[0]), strict=True):
            if not _same(fields[f"{kind}_concat"], ends):
                rule = "the nodes that no other node reads" if self._loose_ends else "all nodes"
                _fail(f"{kind}_concat must be {encode(ends)}, {rule} in ascending order")
        return self.table(genotype)[0]

    def format(self, architecture: Architecture) -> str:
        """Write the genotype as compact JSON.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written genotype of the space.
        """
        genotype = self.genotype(architecture)
        concatenated = self._concatenated(genotype)
        fields: dict[str, Any] = {}
        for kind, pairs, ends in zip(KINDS, genotype.tolist(), concatenated, strict=True):
            fields[kind] = [[self._names[number], state] for number, state in pairs]
            fields[f"{kind}_concat"] = ends
        return encode(fields)

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw genotypes that differ in more than the order of pairs, uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct architectures: the space has {self.size}")
        drawn = np.zeros((0, len(self._counts)), dtype=np.int64)
        while len(drawn) < count:
            more = rng.integers(0, self._counts, size=(count - len(drawn), len(self._counts)))
            drawn = np.concatenate([drawn, more])
            drawn = drawn[np.sort(np.unique(drawn, axis=0, return_index=True)[1])]
        nodes = [options[drawn[:, place]] for place, options in enumerate(self.node_choices * 2)]
        return self.table(np.stack(nodes, axis=1).reshape(count, 2, 2 * self._n_nodes, 2))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one pair another operation or let it read another state, each change equally likely.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written genotype of the space.
        """
        genotype = self.genotype(architecture)
        changes = []
        for cell, pair in itertools.product(range(2), range(2 * self._n_nodes)):
            number, state = genotype[cell, pair].tolist()
            other = int(genotype[cell, pair ^ 1, 1]) if self._distinct_inputs else state
            changes += [(cell, pair, 0, new) for new in range(self._n_chosen) if new != number]
            changes += [(cell, pair, 1, new) for new in range(pair // 2 + 2) if new not in (state, other)]
        cell, pair, field, new = changes[int(rng.integers(len(changes)))]
        genotype[cell, pair, field] = new
        return self.table(genotype[np.newaxis])[0]

    def table(self, genotypes: NDArray[np.integer]) -> ArchitectureTable:
        """Build the graphs of genotypes, (A, 2, 2 n, 2)."""
        count = len(genotypes)
        cells = np.arange(2)[:, np.newaxis]  # against (A, 2, 2 n)
        numbers, states = genotypes[..., 0], genotypes[..., 1]
        ids = np.tile(self._ids, (count, 1))
        ids[:, self._pair_nodes.ravel()] = self._pair_ids[
            cells, numbers, (states < 2).astype(np.int64)
        ].reshape(count, self._pair_nodes.size)
        sources = np.tile(self._sources, (count, 1))
        sources[:, self._pair_edges.ravel()] = self._state_nodes[cells, states].reshape(
            count, self._pair_nodes.size
        )
        kept = np.ones(sources.shape, dtype=bool)
        kept[:, -2 * self._n_nodes :] = self._is_end(genotypes).reshape(count, 2 * self._n_nodes)
        columns = Columns(
            ids.reshape(-1),
            np.arange(count + 1, dtype=np.int64) * len(self._ids),
            sources[kept],
            np.tile(self._targets, (count, 1))[kept],
            offsets_of(kept.sum(axis=1)),
            np.zeros((ids.size, 0), dtype=np.float32),
        )
        return ArchitectureTable(columns, self.operations)

    def genotype(self, architecture: Architecture) -> NDArray[np.int64]:
        """Return the genotype of an as-written architecture, (2, 2 n, 2).

        Raises:
            InvalidArchitectureError: The architecture is none of this space.
        """
        sources = {target: source for source, target in architecture.edges}
        pairs = []
        for cell, nodes in enumerate(self._pair_nodes.tolist()):
            states = {node: state for state, node in enumerate(self._state_nodes[cell].tolist())}
            for node in nodes:
                name = architecture.operations[node] if node < architecture.n_nodes else ""
                pairs.append((self._numbers.get(name), states.get(sources.get(node, -1))))
        known = all(number is not None and state is not None for number, state in pairs)
        genotypes = np.array(pairs if known else [], dtype=np.int64).reshape(-1, 2, 2 * self._n_nodes, 2)
        if [*self.table(genotypes)] != [architecture]:
            raise InvalidArchitectureError(
                f"not {self._what} as written: those have {len(self._ids)} nodes, two inputs and two cells "
                f"of {self._n_nodes} sums of two operations"
            )
        genotype: NDArray[np.int64] = genotypes[0]
        for kind, states in zip(KINDS, genotype[..., 1].tolist(), strict=True):
            self._check_inputs(kind, states)
        return genotype

    def _decoded(self, pairs: object, kind: str) -> list[tuple[int, int]]:
        """Return the pairs of one cell from JSON."""
        if not isinstance(pairs, list) or len(pairs) != 2 * self._n_nodes:
            _fail(f"{kind} must be a list of {2 * self._n_nodes} [operation, input] pairs, two a node")
        decoded = []
        for place, pair in enumerate(pairs):
            node = 2 + place // 2
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
                _fail(f"{kind} node {node}: pair {place} must be [operation, input]")
            name, state = pair
            if name not in self._names:
                _fail(f"{kind} node {node}: {unknown_name('operation', name[:80], self._names)}")
            if type(state) is not int or not 0 <= state < node:
                _fail(f"{kind} node {node}: the input of pair {place} must be a number from 0 to {node - 1}")
            decoded.append((self._names.index(name), state))
        self._check_inputs(kind, [state for _, state in decoded])
        return decoded

    def _check_inputs(self, kind: str, states: Sequence[int]) -> None:
        for node, pair in enumerate(zip(states[::2], states[1::2], strict=True), start=2):
            if self._distinct_inputs and pair[0] == pair[1]:
                _fail(f"{kind} node {node} has the same input twice ({pair[0]}); its two inputs must differ")

    def _choices_of(self, node: int) -> NDArray[np.int64]:
        """Return all that a node can be, up to the order of its pairs, (choices, 2, 2)."""
        singles = [(number, state) for state in range(node + 2) for number in range(self._n_chosen)]
        pairs = itertools.combinations_with_replacement(singles, 2)
        return np.array([(a, b) for a, b in pairs if not (self._distinct_inputs and a[1] == b[1])])

    def _is_end(self, genotypes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return which nodes feed the output, (A, 2, n)."""
        read = np.zeros((len(genotypes), 2, self._n_nodes + 2), dtype=bool)
        if self._loose_ends:
            np.put_along_axis(read, genotypes[..., 1], True, axis=2)
        return ~read[:, :, 2:]

    def _concatenated(self, genotype: NDArray[np.integer]) -> list[list[int]]:
        """Return the states that each cell concatenates."""
        return [(np.flatnonzero(ends) + 2).tolist() for ends in self._is_end(genotype[np.newaxis])[0]]

    def _lay_out(self) -> None:
        """Number the nodes and edges that all genotypes share, and the places where they differ."""
        names, edges = [INPUT, INPUT, *_PREPROCESSED], [(0, 2), (1, 3)]
        pair_nodes, pair_edges, state_nodes = [], [], []
        sums = []
        for total in (SUM, REDUCE_SUM):
            states = [2, 3]
            for _ in range(self._n_nodes):
                first = len(names)
                names += [INPUT, INPUT, total]  # the two operations, and what they read, are filled in later
                pair_nodes += [first, first + 1]
                pair_edges += [len(edges), len(edges) + 1]
                edges += [(0, first), (0, first + 1), (first, first + 2), (first + 1, first + 2)]
                states.append(first + 2)
            state_nodes.append(states)
            sums += states[2:]
        edges += [(node, len(names)) for node in sums]
        names.append(OUTPUT)
        self._ids = np.array([self.operations.id(name) for name in names], dtype=np.int16)
        self._sources, self._targets = np.array(edges, dtype=np.int32).T.copy()
        self._pair_nodes = np.array(pair_nodes).reshape(2, -1)
        self._pair_edges = np.array(pair_edges).reshape(2, -1)
        self._state_nodes = np.array(state_nodes)
        self._pair_ids = np.array(
            [
                [[self.operations.id(name)] * 2 for name in self._names],
                [
                    [self.operations.id(_in_reduction(name, strided)) for strided in (False, True)]
                    for name in self._names
                ],
            ],
            dtype=np.int16,
        )  # (2, operations, 2): cell, number, whether the pair reads an input of the cell
        self._numbers = {
            self.operations.names[number_id]: number
            for table in self._pair_ids.tolist()
            for number, both in enumerate(table)
            for number_id in both
        }


def _in_reduction(name: str, strided: bool) -> str:
    return FACTORIZED_REDUCE if strided and name == _SKIP else reduced(name)


def _vocabulary(names: Sequence[str], parametric: frozenset[str]) -> Operations:
    both = {name: (name, reduced(name)) for name in names}
    weighted = {twin for name in parametric for twin in both[name]}
    return Operations(
        names=(
            INPUT,
            *_PREPROCESSED,
            *names,
            SUM,
            *map(reduced, names),
            FACTORIZED_REDUCE,
            REDUCE_SUM,
            OUTPUT,
        ),
        identity=frozenset(both[_SKIP]),
        zero=frozenset(both.get(_NONE, ())),
        parametric=frozenset({*weighted, *_PREPROCESSED, FACTORIZED_REDUCE}),
    )


def _same(value: object, expected: list[int]) -> bool:
    """Whether a JSON value is a list of just these integers; true and 1.0 are none."""
    return isinstance(value, list) and value == expected and all(type(entry) is int for entry in value)


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)
