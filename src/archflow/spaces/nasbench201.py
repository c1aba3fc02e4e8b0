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
from archflow.spaces.counts import PARAMETERS, Measure, Skeleton
from archflow.spaces.template import Choice, Template
from archflow.spaces.weights import weights_of

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
    skeleton = Skeleton((16, 32, 64), cells=5, image=(3, 32, 32), classes=10)
    """The published CIFAR-10 network."""
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

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        return self.count(PARAMETERS, table, self.skeleton)

    def count(self, measure: Measure, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
        """Count the weights or operations of networks around the cells of a table, (A,) float64.

        Every node counts: in a table as written, as in the published counts, also those that nothing reaches
        or that lead nowhere; in a pruned or collapsed one those that are left.

        Args:
            measure: What a layer counts.
            table: A architectures, in any form.
            skeleton: The number and width of the cells.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        widths = skeleton.channels
        fixed = measure.convolution(9, skeleton.image[0] * widths[0], skeleton.pixels(0))
        fixed += measure.norms(widths[0], skeleton.pixels(0))
        nodes = dict.fromkeys(("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), 0)
        for stage, width in enumerate(widths):
            pixels = skeleton.pixels(stage)
            norm, relu = measure.norms(width, pixels), measure.relus(width, pixels)
            if stage > 0:  # the residual block that halves the resolution
                narrow = widths[stage - 1]
                fixed += measure.relus(narrow, skeleton.pixels(stage - 1)) + relu + 2 * norm
                fixed += measure.convolution(9, (narrow + width) * width, pixels)
                fixed += measure.pooling(4, narrow, pixels) + measure.convolution(1, narrow * width, pixels)
            for name, taps in (("nor_conv_1x1", 1), ("nor_conv_3x3", 9)):
                nodes[name] += skeleton.cells * (
                    relu + measure.convolution(taps, width * width, pixels) + norm
                )
            nodes["avg_pool_3x3"] += skeleton.cells * measure.pooling(9, width, pixels)
        fixed += norm + relu + measure.head(skeleton)
        return weights_of(table, self.operations, nodes) + fixed
