"""Rules for torch operators with weights: which arguments are data and weights, and how large they are."""

from __future__ import annotations

from archflow.importers.aten_calls import Call, window
from archflow.importers.aten_rules import Translation
from archflow.importers.aten_translator import AtenTranslator
from archflow.importers.operators import Shape, elements
from archflow.importers.sizes import attention_numbers
from archflow.importers.vocabulary import VIEW, convolution_kind, side


def convolution(to: AtenTranslator, call: Call) -> None:
    """A convolution, plain or transposed."""
    inputs = to.inputs(call, "input", "weight", "bias")
    shape = to.shape(inputs[1]) or ()
    transposed = "transpose" in call.name or bool(call["transposed"])
    groups = next(iter(call.sizes("groups")), 1)
    numbers = window(call, shape[2:]) | {"groups": groups}
    inside = None
    if len(shape) >= 2 and shape[0] is not None and shape[1] is not None:
        grouped = shape[1] * groups
        inside, numbers["channels"] = (shape[0], grouped) if transposed else (grouped, shape[0])
    to.put(call, convolution_kind(groups, inside, transposed=transposed), inputs, numbers)


def instance_norm(to: AtenTranslator, call: Call) -> None:
    """An instance norm, or by its running statistics a batch norm."""
    kind = "instance_norm" if call["use_input_stats"] else "batch_norm"
    to.put(call, kind, to.inputs(call, "input", "weight", "bias"))


def deformable(to: AtenTranslator, call: Call) -> None:
    """A deformable convolution of torchvision."""
    inputs = to.inputs(call, "input", "weight", "bias", "offset", "mask")
    shape = to.shape(inputs[1]) or ()
    numbers: dict[str, float] = {"groups": call.number("n_weight_grps") or 1}
    numbers |= {"channels": shape[0] or 0} if shape else {}
    numbers |= {"kernel": side([size or 1 for size in shape[2:]])} if shape[2:] else {}
    for name in ("stride", "dilation"):
        numbers[name] = side([*call.sizes(f"{name}_h"), *call.sizes(f"{name}_w")] or [1])
    to.put(call, "deformable_conv", inputs, numbers)


def linear(to: AtenTranslator, call: Call) -> None:
    """A linear map, or a product of matrices where the second is data."""
    inputs = to.inputs(call, "input", "weight", "bias")
    shape = to.shape(inputs[1])
    kind = "linear" if to.graph.is_constant(inputs[1]) else "matmul"
    to.put(call, kind, inputs, {"channels": (shape[0] if shape else 0) or 0})


def _product(
    to: AtenTranslator, made: Shape, left: str, right: str
) -> tuple[str, list[str], dict[str, float]]:
    """Return kind, inputs and numbers of a matrix product of a given shape."""
    if not (to.graph.is_constant(left) or to.graph.is_constant(right)):
        return "matmul", [left, right], {}
    weight_first = to.graph.is_constant(left)
    data, weight = (right, left) if weight_first else (left, right)
    shape, place = to.shape(weight) or (), -2 if weight_first else -1
    numbers: dict[str, float] = {}
    if len(shape) >= 2:
        features, width, count = shape[place], shape[-3 - place], elements(made)
        numbers["channels"] = features or 0
        if count is not None and width is not None:
            numbers["flops"] = 2 * count * width
    return "linear", [data, weight], numbers


def matmul(to: AtenTranslator, call: Call) -> None:
    """A product of two matrices."""
    to.put(call, *_product(to, to.made(call), *to.inputs(call)[:2]))


def added_matmul(to: AtenTranslator, call: Call) -> None:
    """The first operand plus the product of the others."""
    bias, left, right = to.inputs(call)
    kind, inputs, numbers = _product(to, to.made(call), left, right)
    if kind == "linear" and to.graph.is_constant(bias):
        to.put(call, kind, [*inputs, bias], numbers)
    else:
        to.put(call, "add", [bias, to.step(call, kind, inputs, to.made(call), numbers)])


def einsum(to: AtenTranslator, call: Call) -> None:
    """A sum of products, as a linear map or a product of matrices."""
    terms, _, made = str(call["equation"]).replace(" ", "").partition("->")
    inputs, letters = to.inputs(call, "tensors"), terms.split(",")
    if len(inputs) == 1:
        to.put(call, VIEW if sorted(terms) == sorted(made) else "sum", inputs)
        return
    sizes: dict[str, int | None] = {}
    for own, value in zip(letters, inputs, strict=False):
        shape = to.shape(value)
        if shape is not None and len(shape) == len(own):
            sizes |= dict(zip(own, shape, strict=True))
    whole = elements(tuple(sizes.get(letter) for letter in set("".join(letters))))
    numbers: dict[str, float] = {"flops": 2 * whole} if whole and len(inputs) == 2 else {}
    ordered = sorted(zip(inputs, letters, strict=True), key=lambda pair: to.graph.is_constant(pair[0]))
    (_, outside), *_, (last, own) = ordered  # data first
    constant = to.graph.is_constant(last)
    if constant:
        features = [sizes.get(letter) for letter in own if letter in made and letter not in outside]
        numbers["channels"] = elements(tuple(features)) or 0
    to.put(call, "linear" if constant else "matmul", [value for value, _ in ordered], numbers)


def attention(to: AtenTranslator, call: Call) -> None:
    """Attention of queries, keys and values, masked by data."""
    places = ("0", "1", "2") if call.library == "higher_order" else ("query", "key", "value")
    inputs = to.inputs(call, *places)
    shapes = [to.shape(value) for value in inputs]
    shapes = [(1, *shape) if shape is not None and len(shape) == 3 else shape for shape in shapes]
    masks = [value for name in ("attn_mask", "attn_bias") for value in to.names(call[name])]
    masks = [value for value in masks if not to.graph.is_constant(value)]
    to.put(call, "attention", [*inputs, *masks], attention_numbers(*shapes))


def recurrent(kind: str) -> Translation:
    """Return the rule of recurrent layers: one operator each, and the last states beside each other."""

    def rule(to: AtenTranslator, call: Call) -> None:
        value = to.value(call["data"] or call["input"])
        initial = [state for state in to.names(call["hx"]) if not to.graph.is_constant(state)]
        weights, layers = to.names(call["params"]), int(call.number("num_layers") or 1)
        results = to.outputs(call)
        made, stacks = to.shape(results[0]), [to.shape(result) for result in results[1:]]
        states = [((stack[0] or 0) // layers, *stack[1:]) if stack else None for stack in stacks]
        ends: list[list[str]] = []
        for layer in range(layers):
            own = weights[layer * len(weights) // layers : (layer + 1) * len(weights) // layers]
            matrices = [shape for weight in own if len(shape := to.shape(weight) or ()) == 2]
            read = to.shape(value)
            numbers: dict[str, float] = {"channels": made[-1] or 0} if made else {}
            if read and (steps := elements(read[:-1])):
                numbers["flops"] = 2 * steps * sum(elements(shape) or 0 for shape in matrices)
            inputs = [value, *own]
            for state, part in zip(initial, states, strict=False):
                inputs.append(state if layers == 1 else to.step(call, "slice", [state], part))
            value = results[0] if layer == layers - 1 else to.fresh(call.node, made)
            ends.append(results[1:] if layers == 1 else [to.fresh(call.node, shape) for shape in states])
            to.graph.add(kind, inputs, [value, *ends[-1]], numbers=numbers, label=call.node.name)
        if layers > 1:
            for result, parts in zip(results[1:], zip(*ends, strict=True), strict=True):
                to.graph.add("concatenate", parts, [result], label=call.node.name)

    return rule


def cell(kind: str) -> Translation:
    """Return the rule of one step of a recurrent layer."""

    def rule(to: AtenTranslator, call: Call) -> None:
        weights = to.inputs(call, "w_ih", "w_hh", "b_ih", "b_hh")
        made = to.made(call)
        matrices = sum(elements(to.shape(weight)) or 0 for weight in weights[:2])
        numbers: dict[str, float] = {"channels": made[-1] or 0} if made else {}
        if made and (rows := elements(made[:-1])):
            numbers["flops"] = 2 * rows * matrices
        to.put(call, kind, [*to.inputs(call, "input", "hx"), *weights], numbers)

    return rule


def embedding(to: AtenTranslator, call: Call) -> None:
    """Rows of a table, which may be data."""
    table, *places = to.inputs(call, "weight", "indices", "offsets")
    shape = to.shape(table)
    if to.graph.is_constant(table):
        to.put(call, "embedding", [*places, table], {"channels": (shape[-1] if shape else 0) or 0})
    else:
        to.put(call, "gather", [table, *places])
