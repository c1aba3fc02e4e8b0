"""TransNAS-Bench-101, cell level: four feature maps with one of four operations on each of six edges.

Source: Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural
Architecture Search", CVPR 2021. Each edge of the published cell becomes a node here, as in NAS-Bench-201.

Three of the network's ten cells halve the resolution and double the channels on the edges that leave the
cell's input. There a skip is a factorized reduction (two strided 1x1 convolutions and a batch norm), so on
those edges it is no identity and has a name of its own; on the others it is one in every cell.
"""

from __future__ import annotations

import re

import numpy as np

from archflow.errors import InvalidArchitectureError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.nasbench201 import CELL_EDGES
from archflow.spaces.template import Choice, Template

NONE, SKIP, SKIP_REDUCE, CONV1X1, CONV3X3 = "none", "skip", "skip_reduce", "conv1x1", "conv3x3"

_TEXT = re.compile(r"64-41414-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")

# Node 1 + i is cell edge i: it feeds the edges that start where it ends, or the output (node 7).
_WIRING = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7))

_TAPS = {CONV1X1: 1, CONV3X3: 9}
# Input and output channels of the cells, and how many there are: two cells in each module of 41414.
_CELLS = ((64, 128, 1), (128, 128, 3), (128, 256, 1), (256, 256, 3), (256, 512, 1), (512, 512, 1))


def _choices(source: int) -> list[Choice]:
    return [Choice(name) for name in (NONE, SKIP if source else SKIP_REDUCE, CONV1X1, CONV3X3)]


class TransNASMicro:
    """The TransNAS-Bench-101 cell space: 4,096 cells of 8 nodes, input and output included."""

    name = "transnas_micro"
    size = 4 ** len(CELL_EDGES)
    operations = Operations(
        names=(INPUT, NONE, SKIP, SKIP_REDUCE, CONV1X1, CONV3X3, OUTPUT),
        identity=frozenset({SKIP}),
        zero=frozenset({NONE}),
        parametric=frozenset({SKIP_REDUCE, CONV1X1, CONV3X3}),
    )
    _template = Template(
        operations,
        [[Choice(INPUT)], *(_choices(source) for source, _ in CELL_EDGES), [Choice(OUTPUT)]],
        _WIRING,
        what="a TransNAS-Bench-101 cell",
    )

    def parse(self, text: str) -> Architecture:
        """Read an official string such as `64-41414-1_02_333`.

        The digits stand for the edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3: 0 none, 1 skip, 2 conv1x1, 3 conv3x3.

        Raises:
            InvalidArchitectureError: The text is anything else.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidArchitectureError(
                "not a TransNAS-Bench-101 cell; the form is 64-41414-a_bc_def, each letter a digit: 0 none, "
                "1 skip, 2 conv1x1, 3 conv3x3"
            )
        return self._template.architecture([0, *map(int, match.groups()), 0])

    def format(self, architecture: Architecture) -> str:
        """Write the official string.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        a, b, c, d, e, f = self._template.numbers(architecture)[1:-1]
        return f"64-41414-{a}_{b}{c}_{d}{e}{f}"

    def all(self) -> ArchitectureTable:
        """Return the 4,096 cells; the first edge's operation varies slowest."""
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct cells uniformly.

        Raises:
            UsageError: More than 4,096 are asked for.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace the operation on one random edge by another one."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the backbone that the published tasks share, (A,) float64.

        A stem of two convolutions and ten cells of 128 to 512 channels; a convolution carries a batch norm.
        In any form of the graphs each node counts: as written also those that nothing reaches, as in the
        published counts; pruned and collapsed only those that are left.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        for name in table.operations.names:
            self.operations.id(name)
        columns, vocabulary = table.columns, table.operations
        ids = columns.operation_ids
        sources, targets = columns.global_edges()
        starts = np.zeros(len(ids), dtype=np.int64)  # 1 on the edges that leave the cell's input
        starts[targets[vocabulary.mask([INPUT])[ids[sources]]]] = 1
        weights = np.zeros((2, len(vocabulary)))
        for position, name in enumerate(vocabulary.names):
            for n_in, n_out, n_cells in _CELLS:
                if name == SKIP_REDUCE and n_in != n_out:
                    weights[1, position] += n_cells * (n_in * n_out + 2 * n_out)
                if name in _TAPS:
                    weights[0, position] += n_cells * (_TAPS[name] * n_out * n_out + 2 * n_out)
                    weights[1, position] += n_cells * (_TAPS[name] * n_in * n_out + 2 * n_out)
        stem = (3 * 32 * 9 + 2 * 32) + (32 * 64 * 9 + 2 * 64)
        counts = np.bincount(columns.node_rows(), weights[starts, ids], minlength=len(columns))
        return np.asarray(counts + stem)
