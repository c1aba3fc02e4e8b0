"""FBNet as in HW-NAS-Bench: 22 blocks, each one of eight inverted residual blocks or a skip.

Source: Li et al., "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021, on the
space of Wu et al., "FBNet", CVPR 2019. Channels are FBNet's, strides and resolutions those of HW-NAS-Bench's
CIFAR-100 network, which the published latencies are of. A skip is an identity where a block keeps channels
and resolution; elsewhere it is a 1x1 convolution in the published network, and so it is here.
"""

from __future__ import annotations

import numpy as np

from archflow.errors import InvalidArchitectureError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.sizes import choose, node_sizes, sum_by_row
from archflow.spaces.template import Choice, Template

MBCONV, SKIP, SKIP_CONV = "mbconv", "skip", "skip_conv"

# Channels, first stride and number of blocks of each stage; the stem hands 16 channels of 32 x 32 pixels on.
_STAGES = ((16, 1, 1), (24, 1, 4), (32, 2, 4), (64, 2, 4), (112, 1, 4), (184, 2, 4), (352, 1, 1))
_STEM, _RESOLUTION, _HEAD, _CLASSES = 16, 32, 1504, 100

_BLOCKS = {
    "k3_e1": (3, 1, 1),
    "k3_e1_g2": (3, 1, 2),
    "k3_e3": (3, 3, 1),
    "k3_e6": (3, 6, 1),
    "k5_e1": (5, 1, 1),
    "k5_e1_g2": (5, 1, 2),
    "k5_e3": (5, 3, 1),
    "k5_e6": (5, 6, 1),
}  # kernel, expansion, groups

BLOCK_NAMES = (*_BLOCKS, SKIP)
"""The choices of each block, in the published order."""


def _places() -> list[dict[str, int]]:
    """Return what the place of each of the 22 blocks decides."""
    places, n_in, resolution = [], _STEM, _RESOLUTION
    for channels, first_stride, count in _STAGES:
        for stride in (first_stride, *[1] * (count - 1)):
            resolution //= stride
            sizes = {"in_channels": n_in, "channels": channels, "stride": stride, "resolution": resolution}
            places.append(sizes)
            n_in = channels
    return places


def _choices(place: dict[str, int]) -> list[Choice]:
    blocks = [
        Choice(MBCONV, {"kernel": kernel, "expansion": expansion, "groups": groups, **place})
        for kernel, expansion, groups in _BLOCKS.values()
    ]
    keeps = place["stride"] == 1 and place["in_channels"] == place["channels"]
    return [*blocks, Choice(SKIP if keeps else SKIP_CONV, place)]


class FBNet:
    """The FBNet space: 9**22 chains of 22 blocks, 24 nodes with input and output."""

    name = "fbnet"
    operations = Operations(
        names=(INPUT, MBCONV, SKIP, SKIP_CONV, OUTPUT),
        identity=frozenset({SKIP}),
        parametric=frozenset({MBCONV, SKIP_CONV}),
        attributes=("kernel", "expansion", "groups", "in_channels", "channels", "stride", "resolution"),
    )
    _template = Template(
        operations,
        [[Choice(INPUT)], *map(_choices, _places()), [Choice(OUTPUT)]],
        [(node, node + 1) for node in range(len(_places()) + 1)],
        what="an FBNet network",
    )
    size = _template.size

    def parse(self, text: str) -> Architecture:
        """Read 22 block names joined by commas, such as `k5_e6,skip,k3_e1_g2,...`.

        Raises:
            InvalidArchitectureError: The text is anything else; names the block and the rule.
        """
        words = text.strip().split(",")
        blocks = len(self._template.counts) - 2
        if len(words) != blocks:
            raise InvalidArchitectureError(
                f"{len(words)} names between commas; an FBNet network has {blocks} blocks"
            )
        numbers = [choose(f"block {n}", word, BLOCK_NAMES) for n, word in enumerate(words, 1)]
        return self._template.architecture([0, *numbers, 0])

    def format(self, architecture: Architecture) -> str:
        """Write the 22 block names.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written network of this space.
        """
        return ",".join(BLOCK_NAMES[number] for number in self._template.numbers(architecture)[1:-1])

    def all(self) -> ArchitectureTable:
        """Raise: the space is too large to list.

        Raises:
            UsageError: Always.
        """
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace one random block by another one."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-100 network, (A,) float64, in any form of the graphs.

        A stem of 16 channels, the blocks, a 1x1 convolution to 1,504 channels and a linear classifier. A
        block expands with a 1x1 convolution, filters each channel and projects with another, the two in
        groups; each convolution carries a batch norm with scale and shift.

        Raises:
            UnknownNameError: The table's vocabulary has an operation or attribute that this space lacks.
        """
        sizes = node_sizes(table, self.operations)
        n_in, n_out, groups = sizes["in_channels"], sizes["channels"], np.maximum(sizes["groups"], 1)
        hidden = sizes["expansion"] * n_in
        block = (n_in / groups + 2) * hidden + (sizes["kernel"] ** 2 + 2) * hidden
        block += (hidden / groups + 2) * n_out
        ids, names = table.columns.operation_ids, table.operations.names
        per_node = np.isin(names, MBCONV)[ids] * block + np.isin(names, SKIP_CONV)[ids] * (n_in + 2) * n_out
        widest = _STAGES[-1][0]
        fixed = (3 * 9 + 2) * _STEM + (widest + 2) * _HEAD + (_HEAD + 1) * _CLASSES
        return sum_by_row(table, per_node) + fixed
