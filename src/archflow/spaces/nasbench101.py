"""NAS-Bench-101: cells of at most seven vertices and nine edges with one of three operations on each.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.counts import PARAMETERS, Measure, Skeleton
from archflow.spaces.nasbench101_channels import MAX_VERTICES, dense, inner_vertices, vertex_channels
from archflow.spaces.nasbench101_enumeration import enumerate_cells
from archflow.spaces.nasbench101_hash import live_vertices, published_hash

MAX_EDGES = 9
MAX_TEXT = 10_000
"""Longest text that `parse` reads, in characters; a compact cell has about 300."""

CONV3X3, CONV1X1, MAXPOOL3X3 = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"

_LABELS = {INPUT: -1, OUTPUT: -2, CONV3X3: 0, CONV1X1: 1, MAXPOOL3X3: 2}
_MUTATION_TRIES = 1_000

_PLAIN, _BITS = frozenset({int}), frozenset({0, 1})  # true and 1.0 would compare equal to 1
_DECODER = json.JSONDecoder(object_pairs_hook=tuple)  # objects become tuples of pairs: repeated keys show


class NASBench101:
    """The NAS-Bench-101 cell space: 423,624 distinct cells, input and output included in the vertices."""

    name = "nasbench101"
    size = 423_624
    operations = Operations(
        names=(INPUT, CONV3X3, CONV1X1, MAXPOOL3X3, OUTPUT), parametric=frozenset({CONV3X3, CONV1X1})
    )
    choices = operations.names[1:-1]
    skeleton = Skeleton((128, 256, 512), cells=3, image=(3, 32, 32), classes=10)
    """The published CIFAR-10 network."""

    def parse(self, text: str) -> Architecture:
        """Read a ModelSpec as JSON, such as `{"matrix":[[0,1],[0,0]],"ops":["input","output"]}`.

        Vertices on no path from input to output are allowed and kept, as long as there is a path.

        Raises:
            InvalidArchitectureError: The text is no cell of this space; names the entry, node or rule.
        """
        operations, edges = _decode(text)
        self._check(operations, edges)
        return Architecture(tuple(operations), tuple(edges))

    def format(self, architecture: Architecture) -> str:
        """Write the ModelSpec as compact JSON.

        Raises:
            InvalidArchitectureError: The architecture is no cell of this space.
        """
        self._check(architecture.operations, architecture.edges)
        matrix = [[0] * architecture.n_nodes for _ in architecture.operations]
        for source, target in architecture.edges:
            matrix[source][target] = 1
        return json.dumps({"matrix": matrix, "ops": architecture.operations}, separators=(",", ":"))

    def official_hash(self, architecture: Architecture) -> str:
        """Return the published hash of the cell, 32 hexadecimal digits; vertices off every path are ignored.

        Raises:
            InvalidArchitectureError: The architecture is no cell of this space.
        """
        self._check(architecture.operations, architecture.edges)
        return published_hash([_LABELS[name] for name in architecture.operations], architecture.edges)

    def all(self) -> ArchitectureTable:
        """Return the 423,624 cells in the published form: by number of vertices, then wiring, then labels.

        The table is made once a process (a few seconds) and shared: treat its arrays as read-only.
        """
        return enumerate_cells(self.operations, MAX_VERTICES, MAX_EDGES)

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct cells uniformly.

        Raises:
            UsageError: More than 423,624 are asked for.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct cells: nasbench101 has {self.size}")
        return self.all()[rng.choice(self.size, size=count, replace=False)]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one operation, flip one edge, or wire in one new vertex where there are fewer than seven.

        A flip alone cannot bring back a vertex that an earlier flip cut off, hence the third change: a vertex
        with a random operation, fed by one vertex and feeding a later one.

        Returns:
            A cell without vertices off every path, never isomorphic to the given one.

        Raises:
            InvalidArchitectureError: The architecture is no cell of this space.
        """
        given = self.official_hash(architecture)
        start = live_vertices(architecture.n_nodes, architecture.edges)
        cell = _restricted(architecture.operations, architecture.edges, start)
        for _ in range(_MUTATION_TRIES):
            operations, edges = self._changed(cell, rng)
            live = live_vertices(len(operations), edges)
            if live and len(edges) <= MAX_EDGES:
                neighbour = _restricted(operations, edges, live)
                if self.official_hash(neighbour) != given:
                    return neighbour
        raise InvalidArchitectureError(f"no valid neighbour in {_MUTATION_TRIES} random changes")

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-10 network, (A,) float64.

        Stem and head around three stacks of three cells with 128, 256 and 512 channels. Vertices that feed
        the output share its channels; the others have as many as the widest vertex that they feed. Edges from
        the input go through a 1x1 projection. Each convolution carries a batch norm with scale and shift.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
            InvalidArchitectureError: An architecture has more than seven vertices.
        """
        return self.count(PARAMETERS, table, self.skeleton)

    def count(self, measure: Measure, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
        """Count the weights or operations of networks around the cells of a table, (A,) float64.

        Vertices off every path are dropped first, as in the published networks.

        Args:
            measure: What a layer counts.
            table: A architectures, in any form.
            skeleton: The number and width of the cells.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
            InvalidArchitectureError: An architecture has more than seven vertices.
            UsageError: A stage is too narrow to be shared by five vertices.
        """
        for name in table.operations.names:
            self.operations.id(name)
        table = table.pruned()
        adjacency = dense(table)
        takes_input = adjacency[:, 0]  # (A, 7), as all that follow
        conv3, conv1, pool = (inner_vertices(table, name) for name in self.choices)
        widths = skeleton.channels
        fixed = measure.convolution(9, skeleton.image[0] * widths[0], skeleton.pixels(0))
        fixed += measure.norms(widths[0], skeleton.pixels(0)) + measure.relus(widths[0], skeleton.pixels(0))
        fixed += measure.head(skeleton)
        counts = np.zeros_like(takes_input)
        for stage, width in enumerate(widths):
            pixels, before = skeleton.pixels(stage), widths[max(stage - 1, 0)]
            if stage > 0:
                fixed += measure.pooling(4, before, pixels)
            channels = vertex_channels(adjacency, width)
            normed = channels * (takes_input + conv3 + conv1)
            one_cell = measure.norms(normed, pixels) + measure.relus(normed, pixels)
            one_cell += measure.convolution(1, channels**2 * (9 * conv3 + conv1), pixels)
            one_cell += measure.pooling(9, channels * pool, pixels)
            n_in = before + (skeleton.cells - 1) * width  # of all cells of the stage together
            counts += skeleton.cells * one_cell
            counts += measure.convolution(1, n_in * channels * takes_input, pixels)
        return np.asarray(counts.sum(axis=1) + fixed, dtype=np.float64)

    def _check(self, operations: Sequence[str], edges: Sequence[tuple[int, int]]) -> None:
        for rule, node, name in (("first", 0, INPUT), ("last", len(operations) - 1, OUTPUT)):
            if operations[node] != name:
                _fail(f"node {node} is {operations[node][:80]!r}; the {rule} node must be {name!r}")
        for node, name in enumerate(operations[1:-1], start=1):
            if name not in self.choices:
                _fail(f"node {node}: {unknown_name('operation', name[:80], self.choices)}")
        if len(operations) > MAX_VERTICES:
            _fail(f"{len(operations)} vertices; a NAS-Bench-101 cell has at most {MAX_VERTICES}")
        if len(set(edges)) < len(edges):
            _fail("an edge is repeated; a NAS-Bench-101 cell has at most one edge between two nodes")
        if len(edges) > MAX_EDGES:
            _fail(f"{len(edges)} edges; a NAS-Bench-101 cell has at most {MAX_EDGES}")
        if not live_vertices(len(operations), edges):
            _fail("no path leads from the input to the output")

    def _changed(
        self, cell: Architecture, rng: np.random.Generator
    ) -> tuple[list[str], list[tuple[int, int]]]:
        operations, edges = list(cell.operations), list(cell.edges)
        last = len(operations) - 1
        source, target = sorted(rng.choice(last + 1, size=2, replace=False).tolist())
        kinds = ["edge"] + ["operation"] * (last > 1) + ["vertex"] * (last + 1 < MAX_VERTICES)
        match rng.choice(kinds):
            case "operation":
                node = int(rng.integers(1, last))
                operations[node] = str(
                    rng.choice([name for name in self.choices if name != operations[node]])
                )
            case "edge" if (source, target) in edges:
                edges.remove((source, target))
            case "edge":
                edges.append((source, target))
            case _:  # the new vertex stands right before the one that it feeds
                operations.insert(target, str(rng.choice(self.choices)))
                edges = [(u + (u >= target), v + (v >= target)) for u, v in edges]
                edges += [(source, target), (target, target + 1)]
        return operations, sorted(edges)


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)


def _restricted(operations: Sequence[str], edges: Sequence[tuple[int, int]], live: list[int]) -> Architecture:
    place = {vertex: position for position, vertex in enumerate(live)}
    kept = tuple((place[u], place[v]) for u, v in edges if u in place and v in place)
    return Architecture(tuple(operations[vertex] for vertex in live), kept)


def _decode(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Read operations and edges from JSON; only what `_check` cannot see is checked here."""
    if len(text) > MAX_TEXT:
        _fail(f"text of {len(text)} characters; a NAS-Bench-101 cell needs at most {MAX_TEXT}")
    try:
        fields: Any = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArchitectureError(f"not JSON: {error}") from error
    if not isinstance(fields, tuple) or sorted(key for key, _ in fields) != ["matrix", "ops"]:
        _fail('not a NAS-Bench-101 cell; the form is {"matrix":[[0,1],[0,0]],"ops":["input","output"]}')
    matrix, operations = dict(fields)["matrix"], dict(fields)["ops"]
    if not isinstance(operations, list) or not operations:
        _fail('"ops" must be a list of operation names, "input" first and "output" last')
    for node, name in enumerate(operations):
        if not isinstance(name, str):
            _fail(f"node {node}: the operation must be a name in quotes")
    n = len(operations)
    if not isinstance(matrix, list) or len(matrix) != n:
        _fail(f'"matrix" must be a list of {n} rows, one for each of "ops"')
    edges = []
    for row, entries in enumerate(matrix):
        if not isinstance(entries, list) or len(entries) != n:
            _fail(f'row {row} of the matrix must be a list of {n} numbers, one for each of "ops"')
        if not _PLAIN.issuperset(map(type, entries)) or not _BITS.issuperset(entries):
            bad = (i for i, entry in enumerate(entries) if type(entry) is not int or entry not in _BITS)
            _fail(f"row {row}, column {next(bad)} of the matrix must be 0 or 1")
        ones = [column for column, entry in enumerate(entries) if entry]
        if ones and ones[0] <= row:
            _fail(
                f"row {row}, column {ones[0]} of the matrix is 1; entries on and below the diagonal "
                f"must be 0, or the cell could have a cycle"
            )
        edges += [(row, column) for column in ones]
    return operations, edges
