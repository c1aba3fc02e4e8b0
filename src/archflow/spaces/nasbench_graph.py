"""NAS-Bench-Graph: trees of four graph neural network layers with one of nine operations on each.

Source: Qin et al., "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022. Each layer
takes the input or one earlier layer; the layers that feed no other one, the leaves, are joined at the output.

Most architectures can be written in several ways, of which the benchmark measured one, the canonical:

- the link list is one of the nine in `LINKS`, one for each tree;
- skips are gathered in a chain at the input, except for a skip that is a leaf beside other layers, where
  it hands on what its source computed;
- among the numberings of the tree that keep the link list, the operations come first in the order of
  `OPERATIONS`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.template import Choice, Template

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
"""The operations in the published order."""

LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
"""The canonical link lists: what each of the four layers takes, 0 the input, 1 the first layer."""

FEATURES, WIDTH, CLASSES = 1433, 256, 7
"""Input features, width of the layers and classes of the published network on Cora."""

SKIP = "skip"
_LAYERS = (1, 2, 3, 4)
_TEXT = re.compile(r"([0-9]),([0-9]),([0-9]),([0-9])\|([^|,]+),([^|,]+),([^|,]+),([^|,]+)")

# Weight matrices from the layer's input, from its output (the recurrent one of ARMA), and vectors.
_WEIGHTS = {
    "gat": (1, 0, 3),  # bias and the two attention vectors of all heads
    "gcn": (1, 0, 1),
    "gin": (1, 0, 1),
    "cheb": (2, 0, 1),
    "sage": (2, 0, 1),
    "arma": (2, 1, 1),
    "graph": (2, 0, 1),
    "fc": (1, 0, 1),
}


class NASBenchGraph:
    """The NAS-Bench-Graph space: 26,206 distinct trees of four layers, 6 nodes with input and output."""

    name = "nasbench_graph"
    size = 26_206
    operations = Operations(
        names=(INPUT, *OPERATIONS, OUTPUT),
        identity=frozenset({SKIP}),
        parametric=frozenset(OPERATIONS) - {SKIP},
    )

    def parse(self, text: str) -> Architecture:
        """Read links and operations such as `0,0,1,2|gcn,gat,skip,fc`.

        Every tree is read as it is written; `canonical` gives the one that the benchmark measured.

        Raises:
            InvalidArchitectureError: The text has another form or an unknown operation, a layer takes itself
                or a later one, or skips alone lead from the input to the output.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidArchitectureError(
                "not a NAS-Bench-Graph text; the form is 0,0,1,2|gcn,gat,skip,fc: what each layer takes "
                "(0 the input, 1 the first layer), then its operation"
            )
        links, names = tuple(map(int, match.groups()[:4])), match.groups()[4:]
        for layer, (source, name) in enumerate(zip(links, names, strict=True), start=1):
            if source >= layer:
                raise InvalidArchitectureError(
                    f"layer {layer} takes layer {source}; a layer takes the input (0) or an earlier layer"
                )
            if name not in OPERATIONS:
                raise InvalidArchitectureError(str(unknown_name("operation", name[:80], OPERATIONS)))
        if _bare_path(links, names):
            raise InvalidArchitectureError(
                "skips alone lead from the input to the output; the published network joins leaves of one "
                "width, so each needs another operation on its way"
            )
        return Architecture((INPUT, *names, OUTPUT), _wiring(links))

    def format(self, architecture: Architecture) -> str:
        """Write links and operations.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written tree of this space.
        """
        links, names = self._tree(architecture)
        return f"{','.join(map(str, links))}|{','.join(names)}"

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture of `all` that computes the same function.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written tree of this space.
        """
        links, names = _canonical(*self._tree(architecture))
        return Architecture((INPUT, *names, OUTPUT), _wiring(links))

    def all(self) -> ArchitectureTable:
        """Return the 26,206 canonical architectures, by links in the order of `LINKS`, then operations."""
        layers = [[Choice(name) for name in OPERATIONS]] * len(_LAYERS)
        tables = []
        for links in LINKS:
            template = Template(self.operations, [[Choice(INPUT)], *layers, [Choice(OUTPUT)]], _wiring(links))
            numbers = template.rows(0, template.size)
            tables.append(template.table(numbers[_is_canonical(links, numbers[:, 1:-1])]))
        return ArchitectureTable.concatenate(tables)

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct canonical architectures uniformly.

        Raises:
            UsageError: More than 26,206 are asked for.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct architectures: the space has {self.size}")
        return self.all()[rng.choice(self.size, size=count, replace=False)]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one operation or one link.

        Returns:
            A canonical architecture that computes another function than the given one.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written tree of this space.
        """
        links, names = self._tree(architecture)
        changed = []
        for place in range(len(_LAYERS)):
            before, after = slice(place), slice(place + 1, None)
            changed += [(links, (*names[before], name, *names[after])) for name in OPERATIONS]
            changed += [((*links[before], source, *links[after]), names) for source in range(place + 1)]
        given = _canonical(links, names)
        valid = [tree for tree in changed if not _bare_path(*tree)]
        neighbours = (_canonical(*valid[position]) for position in rng.permutation(len(valid)))
        links, names = next(tree for tree in neighbours if tree != given)  # any other operation makes one
        return Architecture((INPUT, *names, OUTPUT), _wiring(links))

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published network on Cora, (A,) float64, in any form of the graphs.

        Layers are 256 wide; those that take the input, through skips or not, read 1,433 features. Four
        batch norms, one linear map that joins the leaves, and a linear classifier of 7 classes.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        for name in table.operations.names:
            self.operations.id(name)
        columns, names = table.collapsed().columns, table.operations.names  # skips have no parameters
        ids = columns.operation_ids
        sources, targets = columns.global_edges()
        n_in = np.full(len(ids), WIDTH)
        n_in[targets[ids[sources] == table.operations.id(INPUT)]] = FEATURES
        from_input, from_output, vectors = np.array([_WEIGHTS.get(name, (0, 0, 0)) for name in names])[ids].T
        per_node = (from_input * n_in + from_output * WIDTH + vectors) * WIDTH
        leaves = ids[targets] == table.operations.id(OUTPUT)
        counts = np.bincount(columns.node_rows(), per_node, minlength=len(columns))
        joined = np.bincount(columns.node_rows()[targets[leaves]], minlength=len(columns)) * WIDTH * WIDTH
        fixed = 4 * 2 * WIDTH + WIDTH + (WIDTH * CLASSES + CLASSES)
        return np.asarray(counts + joined + fixed)

    def _tree(self, architecture: Architecture) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return the links and operations of an architecture of this space; raise for others."""
        names = architecture.operations[1:-1]
        links = tuple(source for source, target in architecture.edges if target in _LAYERS)
        if not (
            (architecture.operations[0], len(names), architecture.operations[-1]) == (INPUT, 4, OUTPUT)
            and set(names) <= set(OPERATIONS)
            and len(links) == len(_LAYERS)
            and architecture.edges == _wiring(links)
            and not architecture.attributes
            and not _bare_path(links, names)
        ):
            raise InvalidArchitectureError(
                "not a NAS-Bench-Graph architecture as written: those have an input, four layers, each with "
                "one source, and an output that takes the leaves, none of them through skips alone"
            )
        return links, names


def _wiring(links: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the edges by target, then source; the leaves feed the output, node 5."""
    leaves = ((layer, len(_LAYERS) + 1) for layer in _LAYERS if layer not in links)
    return (*zip(links, _LAYERS, strict=True), *leaves)


def _bare_path(links: Sequence[int], names: Sequence[str]) -> bool:
    """Return whether skips alone lead from the input to the output."""
    bare = {0}
    for layer, source, name in zip(_LAYERS, links, names, strict=True):
        if source in bare and name == SKIP:
            bare.add(layer)
    return not bare <= set(links)


def _canonical(links: Sequence[int], names: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the canonical links and operations of a tree that has no bare path."""
    source = dict(zip(_LAYERS, links, strict=True))
    gathered = []
    for layer in _LAYERS:
        fed = [other for other in source if source[other] == layer]
        beside = [other for other in source if source[other] == source[layer] and other != layer]
        if names[layer - 1] == SKIP and (fed or not beside):
            for other in fed:
                source[other] = source[layer]
            del source[layer]
            gathered.append(layer)
    end = gathered[-1] if gathered else 0
    source = {layer: taken or end for layer, taken in source.items()}
    source |= {layer: taken for taken, layer in itertools.pairwise([0, *gathered])}

    written = []
    for order in itertools.permutations(_LAYERS):
        place = {0: 0} | {layer: position for position, layer in enumerate(order, start=1)}
        renumbered = tuple(place[source[layer]] for layer in order)
        if renumbered in LINKS:
            written.append((tuple(OPERATIONS.index(names[layer - 1]) for layer in order), renumbered))
    numbers, renumbered = min(written)
    return renumbered, tuple(OPERATIONS[number] for number in numbers)


def _is_canonical(links: Sequence[int], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows of operation numbers, (A, 4), are canonical on one of `LINKS`, (A,)."""
    fits = np.ones(len(numbers), dtype=bool)
    bare = np.ones((len(numbers), len(_LAYERS) + 1), dtype=bool)  # only skips from the input to here
    for layer, source in zip(_LAYERS, links, strict=True):
        skips = numbers[:, layer - 1] == OPERATIONS.index(SKIP)
        bare[:, layer] = bare[:, source] & skips
        leaf, alone = layer not in links, links.count(source) == 1
        gathered = bare[:, layer] & (alone and not leaf)
        hands_on = ~bare[:, layer] & (leaf and not alone)
        fits &= ~skips | gathered | hands_on
    places = len(OPERATIONS) ** np.arange(len(_LAYERS) - 1, -1, -1)
    for order in itertools.permutations(range(len(_LAYERS))):
        place = [0, *(1 + order.index(position) for position in range(len(_LAYERS)))]
        if tuple(place[links[position]] for position in order) == tuple(links):
            fits &= numbers @ places <= numbers[:, order] @ places
    return fits
