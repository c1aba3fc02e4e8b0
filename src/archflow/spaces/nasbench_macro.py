"""NAS-Bench-Macro: chains of eight layers, each an identity or one of two MobileNetV2 blocks.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021. Layers 1, 3
and 6 halve the resolution and double the channels; "identity" there is a strided 1x1 convolution in the
published network, and so it is here.
"""

from __future__ import annotations

import re

import numpy as np

from archflow.errors import InvalidArchitectureError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.template import Choice, Template

IDENTITY, CONV1X1, MB3_K3, MB6_K5 = "identity", "conv1x1", "mb3_k3", "mb6_k5"

LAYERS = ((64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))
"""Output channels and stride of each layer; the stem hands 32 channels to the first."""

_BLOCKS = {MB3_K3: (3, 3), MB6_K5: (6, 5)}  # expansion, kernel
_CHAIN = tuple((node, node + 1) for node in range(len(LAYERS) + 1))


def _choices(channels: int, stride: int) -> list[Choice]:
    sizes = {"channels": channels, "stride": stride}
    return [Choice(name, sizes) for name in (IDENTITY if stride == 1 else CONV1X1, MB3_K3, MB6_K5)]


class NASBenchMacro:
    """The NAS-Bench-Macro space: 6,561 chains of eight layers, 10 nodes with input and output."""

    name = "nasbench_macro"
    size = 3 ** len(LAYERS)
    operations = Operations(
        names=(INPUT, IDENTITY, CONV1X1, MB3_K3, MB6_K5, OUTPUT),
        identity=frozenset({IDENTITY}),
        parametric=frozenset({CONV1X1, MB3_K3, MB6_K5}),
        attributes=("channels", "stride"),
    )
    _template = Template(
        operations,
        [[Choice(INPUT)], *(_choices(*layer) for layer in LAYERS), [Choice(OUTPUT)]],
        _CHAIN,
        what="a NAS-Bench-Macro network",
    )

    def parse(self, text: str) -> Architecture:
        """Read eight digits such as `02012100`: 0 identity, 1 and 2 the blocks `mb3_k3` and `mb6_k5`.

        Raises:
            InvalidArchitectureError: The text is anything else.
        """
        digits = text.strip()
        if re.fullmatch(f"[012]{{{len(LAYERS)}}}", digits) is None:
            raise InvalidArchitectureError(
                "not a NAS-Bench-Macro text; the form is eight digits such as 02012100: 0 identity, "
                "1 MobileNet block k3 e3, 2 MobileNet block k5 e6"
            )
        return self._template.architecture([0, *map(int, digits), 0])

    def format(self, architecture: Architecture) -> str:
        """Write the eight digits.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written network of this space.
        """
        return "".join(map(str, self._template.numbers(architecture)[1:-1]))

    def all(self) -> ArchitectureTable:
        """Return the 6,561 networks; the first layer varies slowest."""
        return self._template.all()

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly.

        Raises:
            UsageError: More than 6,561 are asked for.
        """
        return self._template.sample(count, rng)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace one random layer by another one."""
        return self._template.mutate(architecture, rng)

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published CIFAR-10 network, (A,) float64, in any form of the graphs.

        A stem of 32 channels, the layers, a 1x1 convolution to 1,280 channels and a linear classifier. A
        block expands with a 1x1 convolution, filters each channel and projects with another; each
        convolution is followed by a batch norm with scale and shift.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        for name in table.operations.names:
            self.operations.id(name)
        columns, names = table.columns, table.operations.names
        ids, attributes = columns.operation_ids, columns.attributes.astype(np.float64)
        n_out = attributes[:, table.operations.attributes.index("channels")]
        stride = attributes[:, table.operations.attributes.index("stride")]
        n_in = n_out / np.maximum(stride, 1)  # a strided layer doubles the channels
        expansion, kernel = np.array([_BLOCKS.get(name, (0, 0)) for name in names])[ids].T
        hidden = expansion * n_in
        block = (n_in + 2) * hidden + (kernel**2 + 2) * hidden + (hidden + 2) * n_out
        convolution = np.isin(names, CONV1X1)[ids] * (n_in + 2) * n_out
        per_node = np.where(expansion > 0, block, convolution)
        widest = LAYERS[-1][0]
        fixed = (3 * 32 * 9 + 2 * 32) + (widest * 1280 + 2 * 1280) + (1280 * 10 + 10)
        return np.asarray(np.bincount(columns.node_rows(), per_node, minlength=len(columns)) + fixed)
