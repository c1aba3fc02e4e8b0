"""NAS-Bench-201: cells of four feature maps with one of five operations on each of six edges.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
ICLR 2020. Each edge of the published cell becomes a node here.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

from archflow.errors import InvalidArchitectureError, unknown_name
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.template import Choice, Template

CELL_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges of the published cell, (source map, target map), in the order of the official string."""

_TEXT = re.compile(r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|")

# Node 1 + i is cell edge i: it feeds the edges that start where it ends, or the output (node 7).
_WIRING = (
    *((0, 1 + i) for i, (source, _) in enumerate(CELL_EDGES) if source == 0),
    *(
        (1 + i, 1 + j)
        for (i, (_, middle)), (j, (source, _)) in itertools.product(enumerate(CELL_EDGES), repeat=2)
        if middle == source
    ),
    *((1 + i, 7) for i, (_, target) in enumerate(CELL_EDGES) if target == 3),
)


class NASBench201:
    """The NAS-Bench-201 cell space: 15,625 architectures of 8 nodes, input and output included."""

    name = "nasbench201"
    size = 5 ** len(CELL_EDGES)
    operations = Operations(
        names=(INPUT, "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", OUTPUT),
        identity=frozenset({"skip_connect"}),
        zero=frozenset({"none"}),
        parametric=frozenset({"nor_conv_1x1", "nor_conv_3x3"}),
    )
    choices = operations.names[1:-1]
    _template = Template(
        operations,
        [[Choice(INPUT)], *[[Choice(name) for name in choices]] * len(CELL_EDGES), [Choice(OUTPUT)]],
        _WIRING,
        what="a NAS-Bench-201 cell",
    )

    def parse(self, text: str) -> Architecture:
        """Read an official string such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`.

        Raises:
            InvalidArchitectureError: The text has another form or an unknown operation.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidArchitectureError(
                "not a NAS-Bench-201 string; the form is |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        for choice in match.groups():
            if choice not in self.choices:
                raise InvalidArchitectureError(str(unknown_name("operation", choice[:80], self.choices)))
        return Architecture((INPUT, *match.groups(), OUTPUT), _WIRING)

    def format(self, architecture: Architecture) -> str:
        """Write the official string.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        self._template.numbers(architecture)
        inner = architecture.operations[1:-1]
        words = [f"{name}~{source}" for name, (source, _) in zip(inner, CELL_EDGES, strict=True)]
        return f"|{words[0]}|+|{words[1]}|{words[2]}|+|{words[3]}|{words[4]}|{words[5]}|"

    def all(self) -> ArchitectureTable:
        """Return the 15,625 cells; the first edge's operation varies slowest."""
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct cells uniformly.

        Raises:
            UsageError: More than 15,625 are asked for.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace the operation on one random edge by another one."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-10 network, (A,) float64.

        Stages of 5 cells with 16, 32 and 64 channels; a convolution carries a batch norm. As in the
        published counts, an operation counts even where nothing reaches it.
        """
        channels = np.array([16.0, 32.0, 64.0])
        fixed = (3 * 16 * 9 + 2 * 16) + 2 * 64 + (64 * 10 + 10)
        for wide, narrow in ((32, 16), (64, 32)):  # the residual blocks between stages
            fixed += 9 * narrow * wide + 9 * wide * wide + 2 * 2 * wide + narrow * wide
        taps = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
        weights = np.array(
            [
                5 * (taps[n] * channels**2 + 2 * channels).sum() if n in taps else 0
                for n in table.operations.names
            ]
        )
        columns = table.columns
        counts = np.bincount(columns.node_rows(), weights[columns.operation_ids], minlength=len(columns))
        return np.asarray(counts + fixed, dtype=np.float64)
