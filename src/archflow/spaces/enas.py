"""ENAS, micro search space: a normal and a reduction cell of five nodes whose loose ends are concatenated.

Source: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018. Texts are in the
form of DARTS genotypes, as in the tables of Radosavovic et al., "On Network Design Spaces for Visual
Recognition", ICCV 2019. How both cells make one graph stands in `two_cells`.
"""

from __future__ import annotations

import numpy as np

from archflow.errors import UsageError
from archflow.graphs import OUTPUT, Architecture, ArchitectureTable
from archflow.protocols import FloatArray
from archflow.spaces.two_cells import FACTORIZED_REDUCE, REDUCE_SUM, SUM, TwoCells, reduced
from archflow.spaces.weights import weights_of

_CHOICES = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
_KERNELS = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
_CHANNELS, _LAYERS, _REDUCTIONS = 36, 17, (5, 11)


class ENAS:
    """The ENAS micro space: 4.39e22 pairs of cells, 35 nodes in one graph, inputs and output included.

    Each of five nodes adds two of five operations on earlier states, which may be the same: 209,459,250,000
    cells. The published count of cells, 5,062,500,000,000 or (5^5 * 6!)^2, tells the two orders of a node's
    pairs apart.
    """

    name = "enas"
    _cells = TwoCells(
        _CHOICES,
        5,
        parametric=frozenset(_KERNELS),
        distinct_inputs=False,
        loose_ends=True,
        what="an ENAS genotype",
    )
    size = _cells.size
    operations = _cells.operations
    choices = _CHOICES

    def parse(self, text: str) -> Architecture:
        """Read a genotype as JSON.

        The form is `{"normal":[["sep_conv_3x3",0],...],"normal_concat":[3,5,6],"reduce":[...],
        "reduce_concat":[...]}`: ten pairs of operation and input a cell, two for each of the nodes 2 to 6;
        inputs 0 and 1 are the outputs of the two cells before. A cell concatenates the nodes that no other
        node reads.

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
        raise UsageError(f"enas has {self.size:.3g} genotypes, too many to list; draw a sample (--sample)")

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw genotypes that differ in more than the order of pairs, uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        return self._cells.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Give one pair another operation or another input."""
        return self._cells.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the authors' CIFAR-10 network, (A,) float64, in any form of the graphs.

        17 cells, two of them reductions, that start with 36 channels, without the auxiliary head: 3.9 million
        for the published cells by the authors' code, where the paper says 4.6. That code also concatenates
        inputs of a cell that no node reads; here, as in the genotypes, it does not.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        ends = {name: _ends(table, name) for name in (SUM, REDUCE_SUM)}
        channels = _CHANNELS
        before = last = np.full(len(table), 3.0 * channels)  # channels of the outputs of the two cells before
        counts = 3 * 9 * last + 2 * last
        weights = dict.fromkeys([*_KERNELS, *map(reduced, _KERNELS), FACTORIZED_REDUCE], 0)
        for layer in range(_LAYERS):
            reduction = layer in _REDUCTIONS
            if reduction:
                channels *= 2
                weights[FACTORIZED_REDUCE] += (channels + 2) * channels
            smaller = layer - 1 in _REDUCTIONS  # the last output is: the one before is made to fit
            counts += np.where(smaller | (before != channels), (before + 2) * channels, 0)
            counts += np.where(last != channels, (last + 2) * channels, 0)
            counts += (channels + 2) * channels
            for name, kernel in _KERNELS.items():
                label = reduced(name) if reduction else name
                weights[label] += 2 * (kernel**2 + channels + 2) * channels
            before, last = last, ends[REDUCE_SUM if reduction else SUM] * channels
        total: FloatArray = weights_of(table, self.operations, weights) + counts + 10 * last
        return total


def _ends(table: ArchitectureTable, name: str) -> FloatArray:
    """Return how many nodes of a name feed the output, (A,) float64."""
    columns = table.columns
    sources, targets = columns.global_edges()
    into = columns.operation_ids[targets] == table.operations.id(OUTPUT)
    into &= columns.operation_ids[sources] == table.operations.id(name)
    return np.bincount(columns.node_rows()[targets[into]], minlength=len(columns)).astype(np.float64)
