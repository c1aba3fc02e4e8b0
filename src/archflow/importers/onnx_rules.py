"""How ONNX operators that need a closer look become operators of the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from archflow.importers.network import OperatorGraph
from archflow.importers.onnx_values import Known, OnnxNode
from archflow.importers.operators import Shape, elements
from archflow.importers.sizes import attention_numbers
from archflow.importers.vocabulary import (
    VIEW,
    clip_kind,
    convolution_kind,
    mean_kind,
    side,
)

_LARGEST_SIDE = 1 << 20  # a kernel, stride or dilation beyond this is damage


class OnnxTranslator:
    """Adds ONNX nodes to the graph of a network, one after the other.

    Args:
        graph: The graph.
        known: What is known of its values.

    Attributes:
        reshaped: What reshapes have given so far.
    """

    def __init__(self, graph: OperatorGraph, known: Known) -> None:
        self.graph, self.known = graph, known
        self.reshaped: set[str] = set()

    def put(
        self, node: OnnxNode, kind: str, inputs: Sequence[str], numbers: Mapping[str, float] | None = None
    ) -> None:
        """Add a node as an operator of some kind."""
        self.graph.add(kind, inputs, node.outputs, numbers=numbers, label=node.label)

    def data(self, node: OnnxNode) -> list[str]:
        """Return the inputs that are data; where none is, all inputs."""
        present = [value for value in node.inputs if value]
        return [value for value in present if not self.graph.is_constant(value)] or present

    def shape(self, value: str) -> Shape:
        """Return the shape of a value, None where it is not known."""
        return self.graph.shapes.get(value)

    def number(self, value: str) -> float:
        """Return the number that a constant is, NaN where it is not known."""
        number = self.graph.number(value)
        return math.nan if number is None else number


Rule = Callable[[OnnxTranslator, OnnxNode], None]


def view(to: OnnxTranslator, node: OnnxNode) -> None:
    """What only moves, copies or retypes its first input."""
    to.put(node, VIEW, node.inputs[:1])


def sequence(to: OnnxTranslator, node: OnnxNode) -> None:
    """A split into a sequence: what is taken out of it are the pieces."""
    to.graph.shapes |= dict.fromkeys(node.outputs, to.shape(node.input(0)))
    view(to, node)


def sizes_only(to: OnnxTranslator, node: OnnxNode) -> None:
    """Shape, Size and the like: nothing of the data is in them."""
    to.graph.add(VIEW, [], node.outputs, label=node.label)


def all_inputs(kind: str) -> Rule:
    """An operator of all inputs, data and constants alike; of one input it is a view."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        several = sum(map(bool, node.inputs)) > 1
        to.put(node, kind if several else VIEW, node.inputs)

    return rule


def first(kind: str, count: int = 1, **numbers: float) -> Rule:
    """An operator whose first inputs are data and weights, in the vocabulary's order."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        to.put(node, kind, node.inputs[:count], numbers)

    return rule


def _window(node: OnnxNode, kernel: Sequence[int | None]) -> dict[str, float]:
    sizes: dict[str, Sequence[int | None]] = {
        "kernel": kernel,
        "stride": node.integers("strides") or [1],
        "dilation": node.integers("dilations") or [1],
    }
    known = {name: [n for n in values if n and 0 < n < _LARGEST_SIDE] for name, values in sizes.items()}
    return {name: side(known[name]) for name, values in sizes.items() if 0 < len(values) == len(known[name])}


def convolution(transposed: bool = False, weight: int = 1, bias: int = 2) -> Rule:
    """A convolution whose weight and bias stand at the given places."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        shape = to.shape(node.input(weight)) or ()
        groups = max(node.integer("group", 1), 1)
        numbers = _window(node, node.integers("kernel_shape") or shape[2:] or [1])
        numbers["groups"] = groups
        channels = inside = None
        if len(shape) >= 2 and shape[0] is not None and shape[1] is not None:
            inside, channels = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
            numbers["channels"] = channels
        kind = convolution_kind(groups, inside, transposed=transposed)
        to.put(node, kind, [node.input(0), node.input(weight), node.input(bias)], numbers)

    return rule


def deformable(to: OnnxTranslator, node: OnnxNode) -> None:
    """A deformable convolution: its weights first, then the offsets and the mask."""
    data, weight, offsets, bias, mask = (node.input(place) for place in range(5))
    shape = to.shape(weight) or ()
    numbers = _window(node, node.integers("kernel_shape") or shape[2:] or [1])
    numbers["groups"] = max(node.integer("group", 1), 1)
    if shape and shape[0] is not None:
        numbers["channels"] = shape[0]
    to.put(node, "deformable_conv", [data, weight, bias, offsets, mask], numbers)


def matmul(second: int = 1) -> Rule:
    """A product whose second factor stands at the given place; linear where one of the two is a weight."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        left, right = node.input(0), node.input(second)
        if not (to.graph.is_constant(left) or to.graph.is_constant(right)):
            to.put(node, "matmul", [left, right])
            return
        weight_first = to.graph.is_constant(left)
        data, weight = (right, left) if weight_first else (left, right)
        shape = to.shape(weight) or ()
        place = -2 if weight_first else -1
        numbers = {}
        if len(shape) >= 2:
            features, width = shape[place], shape[-3 - place]
            made = elements(to.shape(node.outputs[0])) if node.outputs else None
            numbers = {"channels": features or 0}
            if made is not None and width is not None:
                numbers["flops"] = 2 * made * width
        to.put(node, "linear", [data, weight], numbers)

    return rule


def gemm(to: OnnxTranslator, node: OnnxNode) -> None:
    """A product with a bias; linear where the second factor is a weight."""
    left, right, bias = (node.input(place) for place in range(3))
    if not to.graph.is_constant(right):
        to.put(node, "matmul", [left, right, bias])
        return
    shape = to.shape(right)
    features = shape[0 if node.integer("transB", 0) else 1] if shape and len(shape) == 2 else None
    to.put(node, "linear", [left, right, bias], {"channels": features or 0})


def einsum(to: OnnxTranslator, node: OnnxNode) -> None:
    """A product of two tensors is a matmul, or linear where one is a weight; of one tensor a view or sum."""
    equation = node.attributes.get("equation")
    left, _, made = (equation if isinstance(equation, str) else "").replace(" ", "").partition("->")
    terms = left.split(",")
    if len(node.inputs) == 1:
        to.put(node, VIEW if sorted(left) == sorted(made) else "sum", node.inputs)
        return
    data = to.data(node)
    weights = [value for value in node.inputs if value not in data]
    kind, numbers = "linear" if weights else "matmul", {}
    if len(terms) == len(node.inputs) == 2:
        sizes: dict[str, int | None] = {}
        for letters, value in zip(terms, node.inputs, strict=True):
            sizes |= dict(zip(letters, to.shape(value) or (), strict=False))
        numbers["flops"] = 2 * (elements(tuple(sizes.get(letter) for letter in set("".join(terms)))) or 0)
        if weights:
            own = set(terms[node.inputs.index(weights[0])]) - set(terms[node.inputs.index(data[0])])
            numbers["channels"] = elements(tuple(sizes.get(letter) for letter in own & set(made))) or 0
    to.put(node, kind, [*data, *weights], numbers)


def instance_norm(to: OnnxTranslator, node: OnnxNode) -> None:
    """An instance norm, or a group norm written as one."""
    groups, shape = to.shape(node.input(1)), to.shape(node.input(0))
    if node.input(0) in to.reshaped and (shape is None or len(shape) == 3) and groups is not None:
        # How exporters write a group norm: each group is a channel, scale and bias are still to come.
        to.put(node, "group_norm", node.inputs[:1], {"groups": elements(groups) or 0})
    else:
        to.put(node, "instance_norm", node.inputs[:3])


def group_norm(to: OnnxTranslator, node: OnnxNode) -> None:
    """A group norm."""
    to.put(node, "group_norm", node.inputs[:3], {"groups": max(node.integer("num_groups", 0), 0)})


def pool(kind: str) -> Rule:
    """A pool; an average over the whole image is a global one."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        kernel = node.integers("kernel_shape")
        shape = to.shape(node.input(0))
        if kind == "average_pool" and shape and len(shape) > 3 and list(shape[2:]) == kernel:
            to.put(node, "global_average_pool", node.inputs[:1])
        else:
            to.put(node, kind, node.inputs[:1], _window(node, kernel))

    return rule


def mean(to: OnnxTranslator, node: OnnxNode) -> None:
    """A mean over axes."""
    shape = to.shape(node.input(0))
    rank = None if shape is None else len(shape)
    try:
        axes: Sequence[int] = to.known.integers(node, "axes", 1) or range(rank or 0)
    except (LookupError, ValueError, OverflowError):  # not known, or no whole numbers
        axes = ()
    to.put(node, mean_kind(axes, rank), node.inputs[:1])


def power(to: OnnxTranslator, node: OnnxNode) -> None:
    """A power, with its exponent where that is one number."""
    exponent = to.graph.number(node.input(1))
    numbers = {} if exponent is None else {"exponent": exponent}
    to.put(node, "power", to.data(node), numbers)


def _bounded(
    to: OnnxTranslator, node: OnnxNode, value: str, smallest: float | None, largest: float | None
) -> None:
    bounds = {"minimum": smallest, "maximum": largest}
    numbers = {name: bound for name, bound in bounds.items() if bound is not None and not math.isinf(bound)}
    kind = clip_kind(numbers.get("minimum"), numbers.get("maximum"))
    to.put(node, kind, [value], numbers)


def clip(to: OnnxTranslator, node: OnnxNode) -> None:
    """Bounds as inputs, or as attributes before operator set 11."""
    bounds = []
    for place, name in enumerate(("min", "max"), 1):
        value, old = node.input(place), node.attributes.get(name)
        bounds.append(to.number(value) if value else old if isinstance(old, float) else None)
    _bounded(to, node, node.input(0), *bounds)


def extreme(kind: str) -> Rule:
    """Max and Min of a value and one number are clips."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        data = to.data(node)
        if len(node.inputs) == 2 and len(data) == 1:
            number = next(to.number(value) for value in node.inputs if value != data[0])
            _bounded(to, node, data[0], *((number, None) if kind == "maximum" else (None, number)))
        else:
            to.put(node, kind if len(node.inputs) > 1 else VIEW, data)

    return rule


def gather(to: OnnxTranslator, node: OnnxNode) -> None:
    """Rows of a weight table, a piece at a constant place, or pieces picked by data."""
    table, places = node.input(0), node.input(1)
    shape = to.shape(table)
    if to.graph.is_constant(places):
        to.put(node, "slice", [table])
    elif (
        node.operator == "Gather"
        and to.graph.is_constant(table)
        and shape
        and len(shape) == 2
        and not node.integer("axis", 0)
    ):
        to.put(node, "embedding", [places, table], {"channels": shape[1] or 0})
    else:
        to.put(node, "gather", [table, places])


def split(to: OnnxTranslator, node: OnnxNode) -> None:
    """Each piece is a slice of its own."""
    for value in filter(None, node.outputs):
        to.graph.add("slice", node.inputs[:1], [value], label=node.label)


def recurrent(kind: str, gates: int) -> Rule:
    """A recurrent layer of so many gates; initial states are read where they are data."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
        hidden = max(node.integer("hidden_size", 0), 0)
        data = to.shape(node.input(0))
        numbers: dict[str, float] = {"channels": directions * hidden}
        if data and len(data) == 3 and data[2] is not None and (steps := elements(data[:2])) is not None:
            numbers["flops"] = 2 * steps * directions * gates * hidden * (data[2] + hidden)
        initial = [value for value in node.inputs[5:] if value and not to.graph.is_constant(value)]
        to.put(node, kind, [*node.inputs[:4], *initial], numbers)

    return rule


def attention(heads: str, weights: int = 0) -> Rule:
    """Attention of queries, keys and values, masked by data, with weights at one further place."""

    def rule(to: OnnxTranslator, node: OnnxNode) -> None:
        count = node.integer(heads, 0)
        shared = node.integer("kv_num_heads", count) or count
        shapes = [
            _split_heads(to.shape(node.input(place)), number)
            for place, number in enumerate((count, shared, shared))
        ]
        own = [node.input(weights)] if weights and to.graph.is_constant(node.input(weights)) else []
        numbers = {"heads": float(max(count, 0))} | attention_numbers(*shapes)
        to.put(node, "attention", [*to.data(node), *own], numbers)

    return rule


def _split_heads(shape: Shape, heads: int) -> Shape:
    if shape is None or len(shape) != 3 or heads < 1 or shape[2] is None:
        return shape
    return (shape[0], heads, shape[1], shape[2] // heads)


def quantised(to: OnnxTranslator, node: OnnxNode) -> None:
    """The first output is the data; its scale and zero are one number each and computed from it."""
    to.graph.add(VIEW, node.inputs[:1], node.outputs[:1], label=node.label)
    for value in node.outputs[1:]:
        to.graph.shapes[value] = ()
        to.graph.add(VIEW, [], [value], label=node.label)
