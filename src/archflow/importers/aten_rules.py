"""Rules for torch operators without weights: which arguments are data, and how large windows are."""

from __future__ import annotations

from collections.abc import Callable

from archflow.importers.aten_calls import Call, window
from archflow.importers.aten_translator import AtenTranslator
from archflow.importers.operators import elements
from archflow.importers.vocabulary import (
    VIEW,
    mean_kind,
    side,
)

Translation = Callable[[AtenTranslator, Call], None]
"""How a call becomes operators."""


def view(to: AtenTranslator, call: Call) -> None:
    """Its first operand, moved, copied or retyped."""
    to.put(call, VIEW, to.inputs(call, call.operands[0]))


def copied(to: AtenTranslator, call: Call) -> None:
    """What is copied over the first operand."""
    to.put(call, VIEW, to.inputs(call, "src"))


def sizes_only(to: AtenTranslator, call: Call) -> None:
    """What is filled with one number or at random, or tells sizes: nothing of the data is in it."""
    number = {"zeros": 0.0, "zero": 0.0, "ones": 1.0}.get(call.name)
    for name in ("fill_value", "value", "s"):
        number = call.number(name) if number is None else number
    if number is None or elements(to.made(call)) != 1:
        to.put(call, VIEW, [])
    else:
        to.graph.add_constant(to.outputs(call)[0], to.made(call), number=number)


def random(to: AtenTranslator, call: Call) -> None:
    """In place, the distribution is known beforehand."""
    to.put(call, *((VIEW, []) if call.in_place else ("random", to.data(call))))


def nothing(to: AtenTranslator, call: Call) -> None:
    """Checks of sizes and the like give nothing."""


def everything(kind: str) -> Translation:
    """Return the rule of an operator to which everything that goes in counts, data and weights."""

    def rule(to: AtenTranslator, call: Call) -> None:
        to.put(call, kind, to.inputs(call))

    return rule


def all_inputs(kind: str, *, swap: bool = False) -> Translation:
    """Return the rule of an operator on tensors and numbers, a view of its one operand."""

    def rule(to: AtenTranslator, call: Call) -> None:
        inputs = to.inputs(call)[:: -1 if swap else 1]
        to.put(call, kind if len(inputs) > 1 else VIEW, inputs)

    return rule


def named(kind: str, *names: str, **numbers: str) -> Translation:
    """Return the rule of an operator by the names of arguments.

    Args:
        kind: What the operator is.
        names: Its data and weights, in the vocabulary's order.
        numbers: Which argument each of its numbers is.
    """

    def rule(to: AtenTranslator, call: Call) -> None:
        known = {key: number for key, name in numbers.items() if (number := call.number(name)) is not None}
        to.put(call, kind, to.inputs(call, *names), known)

    return rule


def gated(to: AtenTranslator, call: Call) -> None:
    """One half of a tensor times the sigmoid of the other."""
    value = to.inputs(call, "self")
    left, right = (to.step(call, "slice", value, to.made(call)) for _ in range(2))
    to.put(call, "multiply", [left, to.step(call, "sigmoid", [right], to.made(call))])


def over_root(to: AtenTranslator, call: Call) -> None:
    """One over the root."""
    to.put(call, "reciprocal", [to.step(call, "sqrt", to.inputs(call), to.made(call))])


def variance(to: AtenTranslator, call: Call) -> None:
    """The mean square of what is left without the mean, or its root; some give the mean too."""
    value, made = to.inputs(call, "self"), to.made(call)
    shape, kind = to.shape(value[0]), _mean_of(to, call)
    axes = {axis % len(shape) for axis in call.sizes("dim") or range(len(shape))} if shape else set()
    kept = None if shape is None else tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    average = to.step(call, kind, value, kept)
    centred = to.step(call, "subtract", [*value, average], shape)
    square = to.step(call, "power", [centred], shape, {"exponent": 2})
    first, *rest = to.outputs(call)
    if call.name.startswith("std"):
        square, kind = to.step(call, kind, [square], made), "sqrt"
    to.graph.add(kind, [square], [first], label=call.node.name)
    for result in rest:
        to.graph.add(VIEW, [average], [result], label=call.node.name)


def _mean_of(to: AtenTranslator, call: Call) -> str:
    shape = to.shape(to.value(call["self"]))
    rank = None if shape is None else len(shape)
    return mean_kind(call.sizes("dim") or range(rank or 0), rank)


def mean(to: AtenTranslator, call: Call) -> None:
    """A mean over axes, by default all."""
    to.put(call, _mean_of(to, call), to.inputs(call, "self"))


def product_and_sum(kind: str) -> Translation:
    """Return the rule of the first operand plus the product or quotient of the others."""

    def rule(to: AtenTranslator, call: Call) -> None:
        whole, *parts = to.inputs(call)
        to.put(call, "add", [whole, to.step(call, kind, parts, to.made(call))])

    return rule


def between(to: AtenTranslator, call: Call) -> None:
    """A tensor plus a part of the way to another."""
    start, end, weight = to.inputs(call, "self", "end", "weight")
    way = to.step(call, "subtract", [end, start], to.made(call))
    to.put(call, "add", [start, to.step(call, "multiply", [way, weight], to.made(call))])


def clip(to: AtenTranslator, call: Call) -> None:
    """What is cut off below, above or both, by numbers or by data."""
    value = to.value(call["self"])
    numbers = {}
    for key, names in {"minimum": ("min", "min_val"), "maximum": ("max", "max_val")}.items():
        bound = next((call[name] for name in names if call[name] is not None), None)
        if isinstance(bound, int | float):
            numbers[key] = float(bound)
        elif bound is not None:
            larger = "maximum" if key == "minimum" else "minimum"
            value = to.step(call, larger, [value, to.value(bound)], to.made(call))
    to.put(call, "clip", [value], numbers)


def extreme(kind: str, reduced: str) -> Translation:
    """Return the rule of the larger or smaller of two tensors, or over an axis of one."""

    def rule(to: AtenTranslator, call: Call) -> None:
        to.put(call, reduced if call["other"] is None else kind, to.inputs(call))

    return rule


def power(to: AtenTranslator, call: Call) -> None:
    """A power."""
    exponent = 2.0 if call.name == "square" else call.number("exponent")
    numbers = {} if exponent is None else {"exponent": exponent}
    to.put(call, "power", to.data(call), numbers)


def pool(kind: str) -> Translation:
    """Return the rule of a pool with a window."""

    def rule(to: AtenTranslator, call: Call) -> None:
        kernel = call.sizes("kernel_size")
        inputs = to.inputs(call, "self")
        shape = to.shape(inputs[0])
        if kind == "average_pool" and shape and len(shape) > 3 and list(shape[2:]) == kernel:
            to.put(call, "global_average_pool", inputs)
        else:
            to.put(call, kind, inputs, window(call, kernel))

    return rule


def adaptive(kind: str) -> Translation:
    """Return the rule of pooling to a fixed size: over everything where that is 1."""

    def rule(to: AtenTranslator, call: Call) -> None:
        size, inputs = call.sizes("output_size"), to.inputs(call, "self")
        shape = to.shape(inputs[0]) or ()
        if set(size) == {1}:
            to.put(call, f"global_{kind}", inputs)
            return
        places = [before or 0 for before in shape[-len(size) :]]
        even = len(places) == len(size) and not any(a % b for a, b in zip(places, size, strict=True) if b)
        window = [a // b for a, b in zip(places, size, strict=True) if b] if even else []
        sizes = dict.fromkeys(("kernel", "stride"), side(window)) if window and all(window) else {}
        to.put(call, kind, inputs, sizes | {"dilation": 1.0} if sizes else {})

    return rule


def gather(to: AtenTranslator, call: Call) -> None:
    """Pieces of a tensor picked by data, or known beforehand."""
    table, *places = to.inputs(call, "self", "indices", "index")
    shape = to.shape(table) or ()
    first = isinstance(call["indices"], list | tuple) and call["indices"][0] is not None
    if all(map(to.graph.is_constant, places)):
        to.put(call, "slice", [table])
    elif to.graph.is_constant(table) and len(shape) == 2 and (first or call["dim"] == 0) and len(places) == 1:
        to.put(call, "embedding", [*places, table], {"channels": shape[1] or 0})
    else:
        to.put(call, "gather", [table, *places])


def view_of_part(to: AtenTranslator, call: Call) -> None:
    """One piece at a place known beforehand."""
    to.put(call, "slice", to.inputs(call, "self"))


def pieces(to: AtenTranslator, call: Call) -> None:
    """Each piece is a slice of its own."""
    whole = to.inputs(call, "self")
    for value in to.outputs(call):
        to.graph.add("slice", whole, [value], label=call.node.name)


def tile(to: AtenTranslator, call: Call) -> None:
    """Copies beside each other, if there are any."""
    value = to.inputs(call, "self")
    to.put(call, VIEW if elements(to.shape(value[0])) == elements(to.made(call)) else "tile", value)
