"""ONNX nodes, and what is known of the values between them: shapes, and the numbers in small constants."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.importers.operators import Shape

MAX_NUMBERS = 4096
"""Most numbers in a constant that are looked at: shapes, axes, scales."""

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class OnnxNode:
    """One ONNX node with its attributes as Python values.

    Attributes:
        operator: Its operator.
        domain: Who defines the operator; "" for ONNX itself.
        inputs: Names of values, "" where an optional one is absent.
        outputs: Likewise.
        attributes: Integers, numbers, texts and lists of them by name; tensors as they are.
        label: What errors call it.
    """

    operator: str
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]
    label: str

    def input(self, place: int) -> str:
        """Return the name of an input, "" where it is absent."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that should be a whole number, the default for anything else."""
        value = self.attributes.get(name)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> list[int]:
        """Return an attribute that should be a list of whole numbers, an empty one for anything else."""
        value = self.attributes.get(name)
        listed = value if isinstance(value, list) else []
        return listed if all(isinstance(number, int) for number in listed) else []


class Known:
    """The shapes of values, and the numbers in small constants, as far as they are known.

    Args:
        shapes: Shapes by name; it grows.
        read: Takes a tensor of a file to an array, None where it cannot.
    """

    def __init__(self, shapes: dict[str, Shape], read: Callable[[Any], Array | None]) -> None:
        self.shapes, self.read = shapes, read
        self._tensors: dict[str, Any] = {}
        self._arrays: dict[str, Array | None] = {}

    def add_tensor(self, name: str, tensor: Any) -> None:
        """Add a constant, to be read when it is first asked for."""
        self._tensors[name] = tensor

    def add_array(self, name: str, array: Array) -> None:
        """Add a constant that was computed."""
        self._arrays[name] = array

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a shape.

        Raises:
            LookupError: A size is not known.
        """
        shape = self.shapes.get(name)
        if shape is None:
            raise LookupError(name)
        sizes = tuple(size for size in shape if size is not None)
        if len(sizes) < len(shape):
            raise LookupError(name)
        return sizes

    def array(self, name: str) -> Array:
        """Return the numbers in a small constant.

        Raises:
            LookupError: It is none, or its numbers are not known.
        """
        if name not in self._arrays and name in self._tensors:
            self._arrays[name] = self.read(self._tensors[name])
        array = self._arrays.get(name)
        if array is None:
            raise LookupError(name)
        return array

    def integers(self, node: OnnxNode, name: str, place: int) -> list[int] | None:
        """Return a list that older operator sets have as an attribute and newer ones as an input.

        Args:
            node: The node.
            name: The attribute.
            place: The input.

        Returns:
            The list; None where there is neither.

        Raises:
            LookupError: It is an input that is not known.
        """
        if name in node.attributes:
            return node.integers(name)
        value = node.input(place)
        return [int(number) for number in self.array(value).ravel()] if value else None


def evaluate(known: Known, node: OnnxNode) -> bool:
    """Compute what a node gives, where its inputs are small constants or only their shapes matter.

    Shapes that a network computes on the way, from the shapes of its tensors, become known so.

    Returns:
        Whether it could be computed.
    """
    rule = _RULES.get(node.operator)
    if rule is None or not node.outputs:
        return False
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(rule(known, node))
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError):  # data, or it makes no sense
        return False
    known.add_array(node.outputs[0], array)
    known.shapes[node.outputs[0]] = array.shape
    return True


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that all shapes are stretched to, of any rank and size.

    Raises:
        ValueError: They do not fit.
    """
    sizes = []
    for axis in range(-max(map(len, shapes), default=0), 0):
        present = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(present) > 1:
            raise ValueError("shapes do not fit")
        sizes.append(present.pop() if present else 1)
    return tuple(sizes)


def _require_few(*sizes: float) -> None:
    if not math.prod(sizes) <= MAX_NUMBERS:
        raise ValueError("more numbers than are looked at")


def _by_number(function: Callable[..., Any], count: int = 2) -> Callable[[Known, OnnxNode], Any]:
    """An operator on so many arrays that are broadcast."""

    def rule(known: Known, node: OnnxNode) -> Any:
        arrays = [known.array(value) for value in node.inputs]
        if len(arrays) != count:
            raise ValueError("too few or too many inputs")
        _require_few(*broadcast(*(array.shape for array in arrays)))
        return function(*arrays)

    return rule


def _shape(known: Known, node: OnnxNode) -> Any:
    shape = known.shape(node.input(0))
    end = node.attributes.get("end")
    return np.array(shape[node.integer("start", 0) : end if isinstance(end, int) else None], dtype=np.int64)


def _size(known: Known, node: OnnxNode) -> Any:
    return np.prod(known.shape(node.input(0)), dtype=np.int64)


def _cast(known: Known, node: OnnxNode) -> Any:
    array, kind = known.array(node.input(0)), node.integer("to", 1)
    return array.astype(
        np.bool_ if kind == 9 else np.int64 if kind in (2, 3, 4, 5, 6, 7, 12, 13) else np.float64
    )


def _cast_like(known: Known, node: OnnxNode) -> Any:
    return known.array(node.input(0)).astype(known.array(node.input(1)).dtype)


def _divided(left: Array, right: Array) -> Any:
    whole = np.issubdtype(left.dtype, np.integer) and np.issubdtype(right.dtype, np.integer)
    return np.trunc(left / right).astype(np.int64) if whole else left / right


def _concatenated(known: Known, node: OnnxNode) -> Any:
    arrays = [known.array(value) for value in node.inputs]
    _require_few(sum(array.size for array in arrays))
    return np.concatenate(arrays, axis=node.integer("axis", 0))


def _gathered(known: Known, node: OnnxNode) -> Any:
    array, places = known.array(node.input(0)), known.array(node.input(1)).astype(np.int64)
    _require_few(array.size, places.size)
    return np.take(array, places, axis=node.integer("axis", 0))


def _reshaped(known: Known, node: OnnxNode) -> Any:
    return known.array(node.input(0)).reshape([int(size) for size in known.array(node.input(1))])


def _unsqueezed(known: Known, node: OnnxNode) -> Any:
    return np.expand_dims(known.array(node.input(0)), tuple(known.integers(node, "axes", 1) or ()))


def _squeezed(known: Known, node: OnnxNode) -> Any:
    axes = known.integers(node, "axes", 1)
    return np.squeeze(known.array(node.input(0)), None if axes is None else tuple(axes))


def _sliced(known: Known, node: OnnxNode) -> Any:
    array = known.array(node.input(0))
    pieces = [slice(None)] * array.ndim
    for axis, piece in slices(known, node, array.ndim).items():
        pieces[axis] = piece
    return array[tuple(pieces)]


def slices(known: Known, node: OnnxNode, rank: int) -> dict[int, slice]:
    """Return what a Slice takes of each axis.

    Args:
        known: What is known.
        node: The Slice.
        rank: Axes of its input.

    Raises:
        LookupError: It depends on data; ValueError where the lists differ in length.
    """
    starts, ends = (
        known.integers(node, name, place) or [] for place, name in enumerate(("starts", "ends"), 1)
    )
    axes = known.integers(node, "axes", 3)
    steps = known.integers(node, "steps", 4)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return {
        axis % rank: slice(start, end if step > 0 or end >= -(2**31) + 1 else None, step)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    }


def _filled(known: Known, node: OnnxNode) -> Any:
    sizes = [int(size) for size in known.array(node.input(0)).ravel()]
    _require_few(*sizes)
    value = node.attributes.get("value")
    array = None if value is None or isinstance(value, int | float | str | list) else known.read(value)
    return np.full(sizes, 0.0 if array is None else array.ravel()[0])


def _ranged(known: Known, node: OnnxNode) -> Any:
    start, limit, delta = (known.array(value).ravel()[0] for value in node.inputs)
    _require_few(abs((limit - start) / delta))
    return np.arange(start, limit, delta)


def _expanded(known: Known, node: OnnxNode) -> Any:
    array, sizes = known.array(node.input(0)), [int(size) for size in known.array(node.input(1))]
    shape = broadcast(array.shape, sizes)
    _require_few(*shape)
    return np.broadcast_to(array, shape)


_RULES: Mapping[str, Callable[[Known, OnnxNode], Any]] = {
    "Shape": _shape,
    "Size": _size,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Concat": _concatenated,
    "Gather": _gathered,
    "Reshape": _reshaped,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Slice": _sliced,
    "ConstantOfShape": _filled,
    "Range": _ranged,
    "Expand": _expanded,
    "Identity": _by_number(np.asarray, 1),
    "Add": _by_number(np.add),
    "Sub": _by_number(np.subtract),
    "Mul": _by_number(np.multiply),
    "Div": _by_number(_divided),
    "Mod": _by_number(np.mod),
    "Neg": _by_number(np.negative, 1),
    "Abs": _by_number(np.abs, 1),
    "Floor": _by_number(np.floor, 1),
    "Ceil": _by_number(np.ceil, 1),
    "Sqrt": _by_number(np.sqrt, 1),
    "Max": _by_number(np.maximum),
    "Min": _by_number(np.minimum),
    "Equal": _by_number(np.equal),
    "Less": _by_number(np.less),
    "Greater": _by_number(np.greater),
    "Not": _by_number(np.logical_not, 1),
    "And": _by_number(np.logical_and),
    "Or": _by_number(np.logical_or),
    "Where": _by_number(np.where, 3),
}
