"""Operators on named values: what importers add, folding rewrites and sizes are taken from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

Shape = tuple[int | None, ...] | None
"""The sizes of a tensor; None for a size, or for all of them, that is not known."""

_MOST_ELEMENTS = 2**62


@dataclasses.dataclass(frozen=True, slots=True)
class Constant:
    """A tensor that is no data: a weight, a buffer, a number, or what follows from such and from sizes.

    Attributes:
        shape: Its sizes.
        parameters: Trainable weights that it holds itself.
        number: Its value where it is one number that is known.
        parts: Names of the constants that it was computed from.
    """

    shape: Shape
    parameters: int = 0
    number: float | None = None
    parts: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True, eq=False)
class Operator:
    """One operator on data.

    Attributes:
        kind: Its name in the vocabulary, or an unknown operation's name.
        inputs: Names of data and constants, data first wherever the operation has an order.
        outputs: Names of what it gives.
        input_shapes: The shape of each input, before views were removed.
        output_shape: The shape of the first output.
        numbers: Attributes that the importer or a folding rule knows.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    input_shapes: list[Shape]
    output_shape: Shape
    numbers: dict[str, float]

    def become(self, kind: str, inputs: Sequence[str], like: Operator | None = None) -> None:
        """Turn into another operator that gives the same values.

        Args:
            kind: The new kind.
            inputs: The new inputs.
            like: Where numbers and shapes come from; by default they are kept, without input shapes.
        """
        self.kind, self.inputs = kind, list(inputs)
        if like is None:
            self.input_shapes = []
        else:
            self.input_shapes, self.numbers = list(like.input_shapes), dict(like.numbers)
            self.output_shape = like.output_shape


def live(operators: Sequence[Operator], outputs: Collection[str]) -> list[Operator]:
    """Return the operators that lead to an output, in the same order."""
    needed, kept = set(outputs), []
    for operator in reversed(operators):
        if not needed.isdisjoint(operator.outputs):
            kept.append(operator)
            needed.update(operator.inputs)
    return kept[::-1]


def elements(shape: Shape) -> int | None:
    """Return how many numbers a tensor holds, None where a size is not known or beyond reason."""
    if shape is None:
        return None
    sizes = [size for size in shape if size is not None]
    count = math.prod(sizes) if len(sizes) == len(shape) else None
    return count if count is not None and count <= _MOST_ELEMENTS else None
