"""NAS-Bench-ASR: speech cells of three nodes, each an operation on the node before plus skip connections.

Source: Mehrotra et al., "NAS-Bench-ASR: Reproducible Neural Architecture Search for Speech Recognition",
ICLR 2021. Node k is operation(node k - 1) plus the earlier nodes, the input among them, that its flags pick:
four feature maps with an operation or a flag on each of nine edges, and each edge is a node here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.cells import wiring_of_edges
from archflow.spaces.json_text import decode, encode
from archflow.spaces.nasbench101_hash import live_vertices
from archflow.spaces.template import Choice, Template
from archflow.spaces.weights import weights_of

MAX_TEXT = 1_000
"""Longest text that `parse` reads, in characters; a compact cell has 27."""

_CHOICES = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
_SKIPS = ("zero", "skip_connect")
_NODES = 3

# The edges of the cell, (source map, target map, what is on it), in the order of the official list: the
# operation of a node, then its flags.
_EDGES = tuple(
    (source, node, options)
    for node in range(1, _NODES + 1)
    for source, options in ((node - 1, _CHOICES), *((source, _SKIPS) for source in range(node)))
)
_WIRING, _ = wiring_of_edges(f"{source}>{node}" for source, node, _ in _EDGES)

_TAPS = {"conv5": 5, "conv5d2": 5, "conv7": 7, "conv7d2": 7}
_GROUPS = 100
_BLOCKS = ((600, 3), (800, 4), (1000, 5), (1200, 6))  # channels and cells
_MELS, _LSTM, _PHONEMES = 80, 500, 48


class NASBenchASR:
    """The NAS-Bench-ASR space: 13,824 cells of 11 nodes, input and output included.

    The benchmark trained 8,242 of them, one for each `official_hash`.
    """

    name = "nasbench_asr"
    size = len(_CHOICES) ** _NODES * 2 ** (len(_EDGES) - _NODES)
    operations = Operations(
        names=(INPUT, *_CHOICES, "skip_connect", OUTPUT),
        identity=frozenset({"skip_connect"}),
        zero=frozenset({"zero"}),
        parametric=frozenset(_CHOICES[:-1]),
    )
    choices = _CHOICES
    _template = Template(
        operations,
        [[Choice(INPUT)], *([Choice(name) for name in options] for *_, options in _EDGES), [Choice(OUTPUT)]],
        _WIRING,
        what="a NAS-Bench-ASR cell",
    )

    def parse(self, text: str) -> Architecture:
        """Read the official list as JSON, such as `[[1,0],[1,0,0],[1,0,0,0]]`.

        Each node lists its operation, by number or name, then a flag for each earlier node: 0 linear, 1
        conv5, 2 conv5d2, 3 conv7, 4 conv7d2, 5 zero.

        Raises:
            InvalidArchitectureError: The text is no cell of this space; names the node and rule.
        """
        nodes = decode(text, MAX_TEXT)
        if not isinstance(nodes, list) or len(nodes) != _NODES:
            _fail("not a NAS-Bench-ASR cell; the form is [[1,0],[1,0,0],[1,0,0,0]], operation and skip flags")
        numbers = [0]
        for node, entries in enumerate(nodes, start=1):
            if not isinstance(entries, list) or len(entries) != node + 1:
                _fail(f"node {node} must be a list of an operation and {node} skip flags")
            numbers += [_number(node, entries[0]), *(_flag(node, flag) for flag in entries[1:])]
        return self._template.architecture([*numbers, 0])

    def format(self, architecture: Architecture) -> str:
        """Write the official list, operations by number.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        return encode(self._nodes(architecture))

    def official_hash(self, architecture: Architecture) -> str:
        """Return the hash by which the published tables know the cell, 32 hexadecimal digits.

        It hashes the published graph, in which a flag of node k joins an earlier operation, without what that
        node's own flags add, to what reads node k, and a node of `zero` goes with its flags. So cells that
        compute different things can have one hash.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        nodes = self._nodes(architecture)
        labels = [-1, *(node[0] for node in nodes), -2]
        edges = [(node, node + 1) for node in range(len(labels) - 1)]
        for node, (_, *flags) in enumerate(nodes, start=1):
            edges += [(source, node + 1) for source, flag in enumerate(flags) if flag]
        dead = {node for node, label in enumerate(labels) if label == _CHOICES.index("zero")}
        flowing = sorted(edge for edge in edges if dead.isdisjoint(edge))
        live = live_vertices(len(labels), flowing)
        kept = [edge for edge in flowing if set(edge) <= set(live)]
        return _hash({node: labels[node] for node in live}, kept)

    def all(self) -> ArchitectureTable:
        """Return the 13,824 cells; the first node's operation varies slowest."""
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct cells uniformly.

        Raises:
            UsageError: More than 13,824 are asked for.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace one operation or flip one skip connection."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published TIMIT network, (A,) float64, in any form of the graphs.

        Four blocks of 600 to 1,200 channels, each a convolution and 3 to 6 cells, then an LSTM of 500 units
        and a linear layer of 48 phonemes. As written, an operation counts even where nothing reaches it.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        weights = dict.fromkeys(_CHOICES, 0)
        fixed, before = 0, _MELS
        for channels, cells in _BLOCKS:
            fixed += (8 * before + 1) * channels + (cells + 1) * 2 * channels  # a layer norm after each
            weights["linear"] += cells * (channels + 1) * channels
            for name, taps in _TAPS.items():
                weights[name] += cells * (taps * channels // _GROUPS + 1) * channels
            before = channels
        fixed += 4 * _LSTM * (before + _LSTM + 1) + (_LSTM + 1) * _PHONEMES
        return weights_of(table, self.operations, weights) + fixed

    def _nodes(self, architecture: Architecture) -> list[list[int]]:
        numbers = self._template.numbers(architecture)[1:-1]
        starts = [position for position, (*_, options) in enumerate(_EDGES) if options is _CHOICES]
        return [numbers[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def _number(node: int, operation: object) -> int:
    if isinstance(operation, str):
        if operation not in _CHOICES:
            _fail(f"node {node}: {unknown_name('operation', operation[:80], _CHOICES)}")
        return _CHOICES.index(operation)
    if type(operation) is not int or not 0 <= operation < len(_CHOICES):
        _fail(f"node {node}: the operation must be a name or a number from 0 to {len(_CHOICES) - 1}")
    return operation


def _flag(node: int, flag: object) -> int:
    if type(flag) is not int or not 0 <= flag <= 1:  # true and 1.0 would compare equal to 1
        _fail(f"node {node}: a skip flag must be 0 or 1")
    return flag


def _hash(labels: dict[int, int], edges: Sequence[tuple[int, int]]) -> str:
    """Hash a graph as the published code does, which counts edges in floating point."""
    into = {node: [source for source, target in edges if target == node] for node in labels}
    out = {node: [target for source, target in edges if source == node] for node in labels}
    hashes = {
        node: _md5(str((float(len(out[node])), float(len(into[node])), label)))
        for node, label in labels.items()
    }
    for _ in labels:
        near = {
            node: ["".join(sorted(hashes[other] for other in others[node])) for others in (into, out)]
            for node in labels
        }
        hashes = {node: _md5("|".join([*near[node], own])) for node, own in hashes.items()}
    return _md5(str(sorted(hashes.values())))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)
