"""DARTS: a normal and a reduction cell of four nodes, the space of NAS-Bench-301.

Source: Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; Siems et al.,
"NAS-Bench-301 and the Case for Surrogate Benchmarks for Neural Architecture Search", 2020. How both cells
make one graph stands in `two_cells`.
"""

from __future__ import annotations

import numpy as np

from archflow.errors import UsageError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.protocols import FloatArray
from archflow.spaces.two_cells import FACTORIZED_REDUCE, TwoCells, reduced
from archflow.spaces.weights import weights_of

_CHOICES = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
# Kernel size, and how often a depthwise and a 1x1 convolution with a batch norm follow each other.
_CONVOLUTIONS = {
    "sep_conv_3x3": (3, 2),
    "sep_conv_5x5": (5, 2),
    "dil_conv_3x3": (3, 1),
    "dil_conv_5x5": (5, 1),
}
_CHANNELS, _LAYERS = 36, 20


class DARTS:
    """The DARTS space: 1.08e18 pairs of cells, 29 nodes in one graph, inputs and output included.

    The published count, (3 * 6 * 10 * 7^8)^2: each of four nodes adds two of seven operations on two
    different earlier states. `none`, the eighth operation of the supernet, is read in tables that have it,
    and never drawn.
    """

    name = "darts"
    _cells = TwoCells(
        _CHOICES,
        4,
        parametric=frozenset(_CONVOLUTIONS),
        also=("none",),
        distinct_inputs=True,
        loose_ends=False,
        what="a DARTS genotype",
    )
    size = _cells.size
    operations = _cells.operations
    choices = _CHOICES

    def parse(self, text: str) -> Architecture:
        """Read a genotype as JSON.

        The form is `{"normal":[["sep_conv_3x3",0],...],"normal_concat":[2,3,4,5],"reduce":[...],
        "reduce_concat":[2,3,4,5]}`: eight pairs of operation and input a cell, two for each of the nodes 2 to
        5; inputs 0 and 1 are the outputs of the two cells before.

        Raises:
            InvalidArchitectureError: The text is no genotype of this space; names the cell, node and rule.
        """
        return self._cells.parse(text)

    def format(self, architecture: Architecture) -> str:
        """Write the genotype as compact JSON.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written genotype of this space.
        """
        return self._cells.format(architecture)

    def all(self) -> ArchitectureTable:
        """Refuse: there are too many.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"darts has {self.size:.3g} genotypes, too many to list; draw a sample (--sample)")

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw genotypes that differ in more than the order of pairs, uniformly, without `none`.

        Raises:
            UsageError: More are asked for than there are.
        """
        return self._cells.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one pair another operation, never `none`, or another input that its twin does not read."""
        return self._cells.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-10 network, (A,) float64.

        20 cells, two of them reductions, that start with 36 channels, without the auxiliary head. As in the
        published counts, an operation of a table as written counts even where nothing reaches it; pruned and
        collapsed tables count what is left.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        channels, n_in = _CHANNELS, (3 * _CHANNELS, 3 * _CHANNELS)
        fixed = 3 * 9 * n_in[0] + 2 * n_in[0]
        weights = dict.fromkeys([*_CONVOLUTIONS, *map(reduced, _CONVOLUTIONS), FACTORIZED_REDUCE], 0)
        for layer in range(_LAYERS):
            reduction = layer in (_LAYERS // 3, 2 * _LAYERS // 3)
            if reduction:
                channels *= 2
                weights[FACTORIZED_REDUCE] += (channels + 2) * channels
            fixed += (sum(n_in) + 4) * channels
            for name, (kernel, times) in _CONVOLUTIONS.items():
                label = reduced(name) if reduction else name
                weights[label] += times * (kernel**2 + channels + 2) * channels
            n_in = (n_in[1], 4 * channels)
        return weights_of(table, self.operations, weights) + fixed + (n_in[1] + 1) * 10
