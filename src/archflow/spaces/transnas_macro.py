"""TransNAS-Bench-101, macro level: chains of four to six modules that widen and downsample.

Source: Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural
Architecture Search", CVPR 2021. A module is two residual blocks of two 3x3 convolutions. One to four modules
downsample and one to three double the channels, which makes the published 3,256 networks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Columns, Operations
from archflow.protocols import FloatArray

MODULES = ("plain", "double", "downsample", "double_downsample")
"""What the digits 1 to 4 stand for."""

FEWEST, MOST = 4, 6
MOST_DOWNSAMPLINGS, MOST_DOUBLINGS = 4, 3
BASE_CHANNELS = 64

_TEXT = re.compile(rf"{BASE_CHANNELS}-([1-4]+)-basic")


class TransNASMacro:
    """The TransNAS-Bench-101 macro space: 3,256 chains of four to six modules, input and output added."""

    name = "transnas_macro"
    size = 3_256
    operations = Operations(
        names=(INPUT, *MODULES, OUTPUT), parametric=frozenset(MODULES), attributes=("channels", "stride")
    )

    def parse(self, text: str) -> Architecture:
        """Read an official string such as `64-232323-basic`, a digit a module.

        1 is plain, 2 doubles the channels, 3 downsamples, 4 does both.

        Raises:
            InvalidArchitectureError: The text has another form or breaks a rule; the message names it.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidArchitectureError(
                "not a TransNAS-Bench-101 macro network; the form is 64-232323-basic, a digit a module: "
                "1 plain, 2 doubles channels, 3 downsamples, 4 both"
            )
        digits = [int(digit) for digit in match[1]]
        if broken := _broken_rule(digits):
            raise InvalidArchitectureError(broken)
        return _table(np.array([digits]), self.operations)[0]

    def format(self, architecture: Architecture) -> str:
        """Write the official string.

        Raises:
            InvalidArchitectureError: The architecture is not a network of this space.
        """
        return f"{BASE_CHANNELS}-{''.join(map(str, self._digits(architecture)))}-basic"

    def all(self) -> ArchitectureTable:
        """Return the 3,256 networks, by number of modules, then digits."""
        return ArchitectureTable.concatenate(
            [_table(_skeletons(count), self.operations) for count in range(FEWEST, MOST + 1)]
        )

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly.

        Raises:
            UsageError: More than 3,256 are asked for.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct architectures: the space has {self.size}")
        return self.all()[rng.choice(self.size, size=count, replace=False)]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Replace, add or drop one module, uniformly among the different networks that this can give.

        Raises:
            InvalidArchitectureError: The architecture is not a network of this space.
        """
        digits = self._digits(architecture)
        neighbours = set()
        for place, kind in itertools.product(range(len(digits) + 1), range(1, len(MODULES) + 1)):
            neighbours.add((*digits[:place], kind, *digits[place:]))
            neighbours.add((*digits[:place], kind, *digits[place + 1 :]))
            neighbours.add((*digits[:place], *digits[place + 1 :]))
        valid = sorted(other for other in neighbours - {digits} if not _broken_rule(other))
        return _table(np.array([valid[rng.integers(len(valid))]]), self.operations)[0]

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the backbone that the published tasks share, (A,) float64.

        A stem of two convolutions and the modules; each convolution carries a batch norm. A module that
        changes channels or resolution has a 1x1 convolution beside its first block.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        for name in table.operations.names:
            self.operations.id(name)
        columns, vocabulary = table.columns, table.operations
        ids, attributes = columns.operation_ids, columns.attributes.astype(np.float64)
        n_out = attributes[:, vocabulary.attributes.index("channels")]
        doubles = np.isin(vocabulary.names, ("double", "double_downsample"))[ids]
        n_in = n_out / np.where(doubles, 2, 1)
        changes = doubles | (attributes[:, vocabulary.attributes.index("stride")] > 1)
        per_node = 9 * n_in * n_out + 3 * 9 * n_out**2 + 4 * 2 * n_out + changes * (n_in + 2) * n_out
        stem = (3 * 32 * 9 + 2 * 32) + (32 * 64 * 9 + 2 * 64)
        return np.asarray(np.bincount(columns.node_rows(), per_node, minlength=len(columns)) + stem)

    def _digits(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the digits of a network of this space; raise for other architectures."""
        inner = architecture.operations[1:-1]
        foreign = [name for name in inner if name not in MODULES]
        if foreign:
            raise InvalidArchitectureError(
                f"not a TransNAS-Bench-101 macro network: {foreign[0][:80]!r} is none of {', '.join(MODULES)}"
            )
        digits = tuple(1 + MODULES.index(name) for name in inner)
        if broken := _broken_rule(digits):
            raise InvalidArchitectureError(f"not a TransNAS-Bench-101 macro network: {broken}")
        if _table(np.array([digits]), self.operations)[0] != architecture:
            raise InvalidArchitectureError(
                "not a TransNAS-Bench-101 macro network: the modules must form a chain from the input to the "
                "output, with the channels and strides that their operations say"
            )
        return digits


def _broken_rule(digits: Sequence[int]) -> str:
    """Return the published rule that a skeleton breaks, or nothing."""
    downsamplings = sum(digit >= 3 for digit in digits)
    doublings = sum(digit % 2 == 0 for digit in digits)
    if not FEWEST <= len(digits) <= MOST:
        return f"{len(digits)} modules; a network has {FEWEST} to {MOST}"
    if not 1 <= downsamplings <= MOST_DOWNSAMPLINGS:
        return f"{downsamplings} modules downsample (digits 3 and 4); 1 to {MOST_DOWNSAMPLINGS} must"
    if not 1 <= doublings <= MOST_DOUBLINGS:
        return f"{doublings} modules double the channels (digits 2 and 4); 1 to {MOST_DOUBLINGS} must"
    return ""


def _skeletons(count: int) -> NDArray[np.int64]:
    """Return the digits of all networks of so many modules, (A, count), in ascending order."""
    digits = 1 + np.indices((len(MODULES),) * count).reshape(count, -1).T
    downsamplings, doublings = (digits >= 3).sum(axis=1), (digits % 2 == 0).sum(axis=1)
    fits = (downsamplings >= 1) & (downsamplings <= MOST_DOWNSAMPLINGS)
    fits &= (doublings >= 1) & (doublings <= MOST_DOUBLINGS)
    return np.asarray(digits[fits], dtype=np.int64)


def _table(digits: NDArray[np.int64], operations: Operations) -> ArchitectureTable:
    """Build networks of one depth from their digits, (A, count)."""
    ids = np.zeros((len(digits), digits.shape[1] + 2), dtype=np.int16)
    ids[:, 1:-1] = digits  # the modules follow the input in the vocabulary
    ids[:, -1] = operations.id(OUTPUT)
    attributes = np.zeros((*ids.shape, 2), dtype=np.float32)
    attributes[:, 1:-1, 0] = BASE_CHANNELS * 2 ** np.cumsum(digits % 2 == 0, axis=1)
    attributes[:, 1:-1, 1] = np.where(digits >= 3, 2, 1)
    chain = [(node, node + 1) for node in range(digits.shape[1] + 1)]
    return ArchitectureTable(Columns.repeated(ids, chain, attributes), operations)
