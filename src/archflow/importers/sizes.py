"""How large the nodes of an imported network are: channels, positions, parameters, flops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archflow.importers.operators import Constant, Operator, Shape, elements
from archflow.importers.vocabulary import FUSED, NORMS

COUNTED = frozenset(
    (
        *("conv", "depthwise_conv", "transposed_conv", "deformable_conv", "linear", "matmul", "attention"),
        *("lstm", "gru", "rnn"),
    )
)
"""The operations whose flops are counted."""

_GIVEN = ("kernel", "stride", "dilation", "groups", "heads")


def input_numbers(shape: Shape, *, integers: bool) -> dict[str, float]:
    """Return channels and positions of a tensor that goes into the network.

    Args:
        shape: Its sizes.
        integers: Whether it holds whole numbers, such as tokens, which have no channels.
    """
    if integers:
        return {"channels": 0, "positions": elements(shape) or 0}
    return _with_positions(_guessed_channels(shape), elements(shape))


def operator_numbers(
    operators: Sequence[Operator], inputs: Mapping[str, float], constants: Mapping[str, Constant]
) -> list[dict[str, float]]:
    """Return the attributes of each operator, parameters and flops as exact whole numbers.

    Args:
        operators: The operators in the order in which they run.
        inputs: Channels of the network's inputs, by name.
        constants: The constants, by name.
    """
    channels = dict(inputs)
    counted: set[str] = set()
    every = []
    for operator in operators:
        arriving = [channels.get(value, 0) for value in operator.inputs]
        own = _channels(operator, arriving)
        channels |= dict.fromkeys(operator.outputs, own)
        numbers = {name: operator.numbers.get(name, 0) for name in _GIVEN}
        numbers |= _with_positions(own, elements(operator.output_shape))
        numbers["parameters"] = _parameters(operator.inputs, constants, counted)
        numbers["flops"] = _flops(operator)
        every.append(numbers)
    return every


def matmul_flops(operator: Operator) -> int:
    """Return two flops a multiply-add of a product of two matrices; 0 where sizes are not known."""
    if "flops" in operator.numbers:
        return int(operator.numbers["flops"])
    shape = operator.input_shapes[0] if operator.input_shapes else None
    made = elements(operator.output_shape)
    return 2 * made * shape[-1] if made and shape and shape[-1] else 0


def attention_numbers(queries: Shape, keys: Shape, values: Shape) -> dict[str, float]:
    """Return heads, channels and flops of softmax(q k) v, as far as sizes are known.

    Args:
        queries: The shape (batch, heads, tokens, width) of q.
        keys: The same of k; it may have fewer heads, which are then shared.
        values: The same of v.
    """
    if queries is None or len(queries) != 4:
        return {}
    numbers: dict[str, float] = {"heads": queries[1] or 0}
    if keys is None or values is None or len(keys) != 4 or len(values) != 4:
        return numbers
    numbers["channels"] = (queries[1] or 0) * (values[3] or 0)
    scores = elements((*queries[:3], keys[2]))
    widths = elements((queries[3],)), elements((values[3],))
    if scores is not None and None not in widths:
        numbers["flops"] = 2 * scores * sum(width or 0 for width in widths)
    return numbers


def _flops(operator: Operator) -> int:
    kind = FUSED.get(operator.kind, operator.kind)
    if kind == "matmul" or "flops" in operator.numbers:
        return matmul_flops(operator)
    if len(operator.input_shapes) < 2:
        return 0
    weights, features = elements(operator.input_shapes[1]), operator.numbers.get("channels")
    if kind in ("conv", "depthwise_conv", "deformable_conv", "linear"):
        # Each weight is used once at each position of the output.
        made = elements(operator.output_shape)
        return 2 * weights * made // int(features) if weights and made and features else 0
    if kind == "transposed_conv":
        shape = operator.input_shapes[0]
        read = elements(shape)
        return 2 * weights * read // shape[1] if weights and read and shape and shape[1] else 0
    return 0


def _parameters(values: Sequence[str], constants: Mapping[str, Constant], counted: set[str]) -> int:
    """Count the weights behind some values that were not counted before."""
    total, left = 0, [value for value in values if value in constants]
    while left:
        value = left.pop()
        if value not in counted:
            counted.add(value)
            total += constants[value].parameters
            left.extend(constants[value].parts)
    return total


def _channels(operator: Operator, arriving: Sequence[float]) -> float:
    shape = operator.output_shape
    if "channels" in operator.numbers:
        return operator.numbers["channels"]
    if operator.kind in ("matmul", "linear", "embedding", "one_hot"):
        return (shape[-1] or 0) if shape else 0
    inherited = next((number for number in arriving if number), 0)
    if operator.kind == "concatenate":
        return _joined_channels(operator, arriving, inherited)
    if operator.kind == "slice":
        return _sliced_channels(operator, inherited)
    if shape is None or inherited in shape or (inherited and operator.kind in NORMS):
        return inherited  # norms are also written on groups of channels
    return _guessed_channels(shape)


def _joined_channels(operator: Operator, arriving: Sequence[float], inherited: float) -> float:
    shape = operator.output_shape
    if shape is None:
        return 0
    for axis, size in enumerate(shape):
        parts = [part[axis] if part and len(part) == len(shape) else None for part in operator.input_shapes]
        if size is not None and None not in parts and size == sum(part or 0 for part in parts):
            own = [a or b for a, b in zip(arriving, parts, strict=True)]
            return size if own == parts else inherited
    return inherited


def _sliced_channels(operator: Operator, inherited: float) -> float:
    shape, whole = operator.output_shape, operator.input_shapes[0] if operator.input_shapes else None
    if shape is None or whole is None:
        return 0
    if len(shape) == len(whole):
        changed = [b for a, b in zip(whole, shape, strict=True) if a != b and a == inherited]
        return (changed[0] or 0) if changed else inherited
    if inherited in shape:
        return inherited
    made, read = elements(shape), elements(whole)
    if made and read and inherited * made % read == 0:
        return inherited * made // read
    return 0


def _guessed_channels(shape: Shape) -> float:
    """Images have their channels behind the batch, everything else at the end."""
    if shape is None or len(shape) < 2:
        return 0
    return (shape[1] if len(shape) >= 4 else shape[-1]) or 0


def _with_positions(channels: float, made: int | None) -> dict[str, float]:
    return {"channels": channels, "positions": made / channels if made and channels else 0}
