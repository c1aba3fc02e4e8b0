"""NATS-Bench, size search space: one cell everywhere, five layers whose channels are chosen.

Source: Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and
Size", TPAMI 2021. Layers 1, 3 and 5 are the cell that was best in the topology search space, layers 2 and 4
are residual blocks that halve the resolution. A layer takes in what the one before puts out; the stem has
the channels of the first.
"""

from __future__ import annotations

import numpy as np

from archflow.errors import InvalidArchitectureError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.sizes import choose, node_sizes, sum_by_row
from archflow.spaces.template import Choice, Template

CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64)
"""The choices of each layer."""

CELL, RESIDUAL = "cell", "residual_block"
LAYERS = ((CELL, 32), (RESIDUAL, 16), (CELL, 16), (RESIDUAL, 8), (CELL, 8))
"""Operation of each layer and the resolution of its output, pixels on CIFAR-10."""

_WORDS = tuple(map(str, CHANNELS))


def _choices(operation: str, resolution: int) -> list[Choice]:
    return [Choice(operation, {"channels": c, "resolution": resolution}) for c in CHANNELS]


class NATSSize:
    """The NATS-Bench size space: 32,768 chains of five layers, 7 nodes with input and output."""

    name = "nats_size"
    size = len(CHANNELS) ** len(LAYERS)
    operations = Operations(
        names=(INPUT, CELL, RESIDUAL, OUTPUT),
        parametric=frozenset({CELL, RESIDUAL}),
        attributes=("channels", "resolution"),
    )
    _template = Template(
        operations,
        [[Choice(INPUT)], *(_choices(*layer) for layer in LAYERS), [Choice(OUTPUT)]],
        [(node, node + 1) for node in range(len(LAYERS) + 1)],
        what="a NATS-Bench size network",
    )

    def parse(self, text: str) -> Architecture:
        """Read the channels of the five layers, such as `16:16:8:64:32`.

        Raises:
            InvalidArchitectureError: The text is anything else; names the layer and the rule.
        """
        words = text.strip().split(":")
        if len(words) != len(LAYERS):
            raise InvalidArchitectureError(
                f"{len(words)} numbers between colons; a NATS-Bench size network has the channels of "
                f"{len(LAYERS)} layers, such as 16:16:8:64:32"
            )
        numbers = [
            choose(f"the number of channels of layer {n}", word, _WORDS) for n, word in enumerate(words, 1)
        ]
        return self._template.architecture([0, *numbers, 0])

    def format(self, architecture: Architecture) -> str:
        """Write the channels of the five layers.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written network of this space.
        """
        return ":".join(_WORDS[number] for number in self._template.numbers(architecture)[1:-1])

    def all(self) -> ArchitectureTable:
        """Return the 32,768 networks; the channels of the first layer vary slowest."""
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly.

        Raises:
            UsageError: More than 32,768 are asked for.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one random layer other channels."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-10 network, (A,) float64, in any form of the graphs.

        A stem, the layers, and a batch norm and a linear classifier on what the last one puts out. Each
        convolution but the residual blocks' 1x1 carries a batch norm with scale and shift. Where a cell
        changes the channels, its skip connection is a 1x1 convolution with batch norm.

        Raises:
            UnknownNameError: The table's vocabulary has an operation or attribute that this space lacks.
        """
        n_out = node_sizes(table, self.operations)["channels"]
        ids, operations = table.columns.operation_ids, table.operations
        sources, targets = table.columns.global_edges()
        is_first = operations.mask([INPUT])[ids[sources]]  # (E,)
        n_in = np.zeros(len(ids))
        n_in[targets] = np.where(is_first, n_out[targets], n_out[sources])
        wide, narrow = 9 * n_in * n_out + 2 * n_out, 9 * n_out**2 + 2 * n_out
        cell = 2 * wide + 3 * narrow + (n_in != n_out) * (n_in + 2) * n_out
        residual = wide + narrow + n_in * n_out
        per_node = np.where(operations.mask([CELL])[ids], cell, residual)
        per_node[operations.mask([INPUT, OUTPUT])[ids]] = 0
        per_node[targets[is_first]] += (3 * 9 + 2) * n_out[targets[is_first]]
        last = sources[operations.mask([OUTPUT])[ids[targets]]]
        per_node[last] += (2 + 10) * n_out[last] + 10
        return sum_by_row(table, per_node)
