"""MnasNet as in Accel-NASBench: seven blocks of inverted residual layers on ImageNet.

Source: Ahmad et al., "Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS", DAC 2024.
Channels and strides are EfficientNet-B0's; the expansion, kernel, number of layers and squeeze-excite of each
block are chosen. Each layer becomes a node: the layers of a block are alike, but the first changes channels
and resolution, so that the chain of nodes shows what the network computes without counting within a block.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Columns, Operations
from archflow.graphs.columns import offsets_of, ragged_positions
from archflow.protocols import FloatArray
from archflow.spaces.sizes import choose, node_sizes, sum_by_row
from archflow.spaces.template import Choice, Template
from archflow.spaces.words import write_number

MBCONV, MBCONV_SE = "mbconv", "mbconv_se"

BLOCKS = (
    (32, 16, 1, 112),
    (16, 24, 2, 56),
    (24, 40, 2, 28),
    (40, 80, 2, 14),
    (80, 112, 1, 14),
    (112, 192, 2, 7),
    (192, 320, 1, 7),
)
"""Input channels, output channels, stride and output resolution of each block, pixels of 224 in the image."""

_EXPANSIONS, _KERNELS, _LAYERS, _EXCITES = ("1", "4", "6"), ("3", "5"), ("1", "2", "3"), ("0", "1")
_MORE_LAYERS = (*_LAYERS, "4")  # of the sixth block
_FIELDS = ("expansion", "kernel", "layers", "squeeze-excite")


def _words(block: int) -> tuple[Sequence[str], ...]:
    """Return the choices of the four fields of a block, which counts from 0."""
    return _EXPANSIONS, _KERNELS, _MORE_LAYERS if block == 5 else _LAYERS, _EXCITES


def _choices(block: int) -> list[Choice]:
    n_in, n_out, stride, resolution = BLOCKS[block]
    place = {"in_channels": n_in, "channels": n_out, "stride": stride, "resolution": resolution}
    return [
        Choice(
            MBCONV_SE if excite == "1" else MBCONV,
            {"expansion": int(expansion), "kernel": int(kernel), "layers": int(layers), **place},
        )
        for expansion, kernel, layers, excite in itertools.product(*_words(block))
    ]


class MnasNet:
    """The Accel-NASBench space: 104,485,552,128 chains of 7 to 22 layers, beside input and output."""

    name = "mnasnet"
    operations = Operations(
        names=(INPUT, MBCONV, MBCONV_SE, OUTPUT),
        parametric=frozenset({MBCONV, MBCONV_SE}),
        attributes=("expansion", "kernel", "in_channels", "channels", "stride", "resolution"),
    )
    # A node a block, which `_unrolled` turns into a node a layer.
    _blocks = Template(
        dataclasses.replace(operations, attributes=(*operations.attributes, "layers")),
        [[Choice(INPUT)], *(_choices(block) for block in range(len(BLOCKS))), [Choice(OUTPUT)]],
        [(node, node + 1) for node in range(len(BLOCKS) + 1)],
    )
    size = _blocks.size

    def parse(self, text: str) -> Architecture:
        """Read seven blocks `expansion,kernel,layers,squeeze-excite` joined by `|`.

        Raises:
            InvalidArchitectureError: The text is anything else; names the block and the rule.
        """
        parts = text.strip().split("|")
        if len(parts) != len(BLOCKS):
            raise InvalidArchitectureError(
                f"{len(parts)} blocks between bars; an Accel-NASBench network has {len(BLOCKS)}"
            )
        return self._unrolled(self._blocks.table(_numbers([part.split(",") for part in parts])))[0]

    def format(self, architecture: Architecture) -> str:
        """Write the seven blocks.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written network of this space.
        """
        return "|".join(map(",".join, self._fields(architecture)))

    def all(self) -> ArchitectureTable:
        """Raise: the space is too large to list.

        Raises:
            UsageError: Always.
        """
        return self._unrolled(self._blocks.all())

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly.

        Raises:
            UsageError: More are asked for than there are.
        """
        return self._unrolled(self._blocks.sample(count, rng))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace one random block by another one."""
        blocks = self._blocks.table(_numbers(self._fields(architecture)))[0]
        changed = self._blocks.mutate(blocks, rng)
        return self._unrolled(ArchitectureTable.of([changed], self._blocks.operations))[0]

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published ImageNet network, (A,) float64, in any form of the graphs.

        A stem of 32 channels, the layers, a 1x1 convolution to 1,280 channels and a linear classifier. A
        layer expands with a 1x1 convolution, unless by 1, filters each channel and projects with another;
        each convolution carries a batch norm with scale and shift. Squeeze-excite is two 1x1 convolutions
        with biases, to a quarter of the layer's input channels and back.

        Raises:
            UnknownNameError: The table's vocabulary has an operation or attribute that this space lacks.
        """
        sizes = node_sizes(table, self.operations)
        n_in, n_out, expansion = sizes["in_channels"], sizes["channels"], sizes["expansion"]
        hidden, squeezed = expansion * n_in, n_in // 4
        per_node = (expansion > 1) * (n_in + 2) * hidden + (sizes["kernel"] ** 2 + 2) * hidden
        per_node += (hidden + 2) * n_out
        excites = np.isin(table.operations.names, MBCONV_SE)[table.columns.operation_ids]
        per_node += excites * (2 * hidden * squeezed + squeezed + hidden)
        widest = BLOCKS[-1][1]
        fixed = (3 * 9 + 2) * 32 + (widest + 2) * 1280 + (1280 + 1) * 1000
        return sum_by_row(table, per_node) + fixed

    def _unrolled(self, blocks: ArchitectureTable) -> ArchitectureTable:
        """Return a table of blocks with each block's node repeated as often as it has layers."""
        columns, names = blocks.columns, self.operations.attributes
        times = np.maximum(columns.attributes[:, -1], 1).astype(np.int64)  # input and output stand once
        repeated = columns.attributes[:, :-1].repeat(times, axis=0)
        follows = ragged_positions(np.zeros_like(times), times) > 0
        repeated[follows, names.index("in_channels")] = repeated[follows, names.index("channels")]
        repeated[follows, names.index("stride")] = 1
        lengths = np.bincount(columns.node_rows(), times, minlength=len(columns)).astype(np.int64)
        sources = ragged_positions(np.zeros_like(lengths), lengths - 1).astype(np.int32)
        return ArchitectureTable(
            Columns(
                columns.operation_ids.repeat(times),
                offsets_of(lengths),
                sources,
                sources + np.int32(1),
                offsets_of(lengths - 1),
                repeated,
            ),
            self.operations,
        )

    def _fields(self, architecture: Architecture) -> list[list[str]]:
        """Return the words of each block of a network of this space; raise for other architectures."""
        sizes = dict(architecture.attributes)
        channels = sizes.get("channels", ())
        fields = []
        for _, n_out, _, _ in BLOCKS:
            if n_out not in channels or not {"expansion", "kernel"} <= set(sizes):
                break
            first = channels.index(n_out)
            numbers = sizes["expansion"][first], sizes["kernel"][first], channels.count(n_out)
            excite = architecture.operations[first] == MBCONV_SE
            fields.append([*(write_number(float(number)) for number in numbers), str(int(excite))])
        try:
            known = self._unrolled(self._blocks.table(_numbers(fields)))[0] == architecture
        except InvalidArchitectureError:
            known = False
        if not known:
            raise InvalidArchitectureError(
                "not an Accel-NASBench network as written: those are chains of layers in seven blocks, each "
                "layer with the channels, stride and resolution of its place"
            )
        return fields


def _numbers(fields: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Return the choice numbers of a network of blocks, (1, n_nodes), from the words of each block."""
    numbers = np.zeros((1, len(BLOCKS) + 2), dtype=np.int64)
    for block, words in enumerate(fields):
        if len(words) != len(_FIELDS):
            raise InvalidArchitectureError(
                f"block {block + 1}: {len(words)} fields between commas; there must be {', '.join(_FIELDS)}"
            )
        choices = _words(block)
        digits = [
            choose(f"block {block + 1}: {field}", word, options)
            for field, word, options in zip(_FIELDS, words, choices, strict=True)
        ]
        numbers[0, 1 + block] = np.ravel_multi_index(digits, [len(options) for options in choices])
    return numbers
