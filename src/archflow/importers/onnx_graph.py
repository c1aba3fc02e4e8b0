"""From the parts of an ONNX graph to the graph that all importers fill."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, short
from archflow.importers.network import OperatorGraph
from archflow.importers.onnx_operators import translate
from archflow.importers.onnx_rules import OnnxTranslator
from archflow.importers.onnx_shapes import infer
from archflow.importers.onnx_values import MAX_NUMBERS, Array, Known, OnnxNode
from archflow.importers.operators import Shape, elements

_LARGEST_SIZE = 2**40  # an axis beyond this is damage
# Types of tensors by their number in the format; small integers are the weights of quantised networks.
_PLACES = frozenset((6, 7, 9))  # int32, int64, bool: tokens, positions, masks
_NO_NUMBERS = frozenset((0, 8, 14, 15))  # undefined, text, complex
_NO_WEIGHTS = frozenset((0, 4, 5, 6, 7, 8, 9, 12, 13))  # undefined, wider integers, text, bool


def require_onnx() -> Any:
    """Return the onnx package.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import onnx.inliner
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise UsageError("ONNX files need onnx; install it with: pip install 'archflow[onnx]'") from error
    return onnx


def standard_domain(name: str) -> str:
    """Return who defines an operator, "" for ONNX itself, which has two names."""
    return "" if name == "ai.onnx" else name


def all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield nodes and those in their subgraphs."""
    left = [nodes]
    while left:
        for node in left.pop():
            yield node
            for attribute in node.attribute:
                left += [subgraph.node for subgraph in _subgraphs(attribute)]


def all_tensors(graphs: Iterable[Any], bodies: Iterable[Any] = ()) -> Iterator[Any]:
    """Yield the tensors in graphs, in the bodies of functions, and in whatever lies inside of either."""
    left, nodes = list(graphs), list(bodies)
    while left or nodes:
        if left:
            graph = left.pop()
            yield from graph.initializer
            nodes.append(graph.node)
        for node in nodes.pop():
            for attribute in node.attribute:
                if attribute.type == attribute.TENSOR:
                    yield attribute.t
                left += _subgraphs(attribute)


def _subgraphs(attribute: Any) -> list[Any]:
    if attribute.type == attribute.GRAPH:
        return [attribute.g]
    return list(attribute.graphs) if attribute.type == attribute.GRAPHS else []


def fill(graph: OperatorGraph, proto: Any) -> None:
    """Add everything that an ONNX graph has.

    Args:
        graph: An empty graph.
        proto: The GraphProto, with the shapes of its values where they are known.

    Raises:
        InvalidArchitectureError: The graph has a cycle, reads what nothing gives or gives a value twice.
    """
    for value in (*proto.value_info, *proto.output):
        graph.shapes[value.name] = _shape(value)
    known = Known(graph.shapes, _array)
    weights = {tensor.name for tensor in proto.initializer}
    for tensor in proto.initializer:
        known.add_tensor(tensor.name, tensor)
        _add_tensor(graph, tensor.name, tensor, tensor.dims)
    for sparse in proto.sparse_initializer:
        _add_tensor(graph, sparse.values.name, sparse.values, sparse.dims)
    for value in proto.input:
        if value.name not in weights:  # old files list their weights among the inputs
            whole = value.type.tensor_type.elem_type in _PLACES
            graph.add_input(value.name, _shape(value), integers=whole)

    translator = OnnxTranslator(graph, known)
    for node, bodies in _in_order(proto.node, graph.source):
        domain = standard_domain(node.domain)
        if bodies:
            _add_control_flow(graph, node, bodies)
        elif (domain, node.op_type, len(node.output)) == ("", "Constant", 1):
            tensor = _held(node)
            is_number = math.prod(tensor.dims) == 1  # written into the graph, and so hardly trained
            known.add_tensor(node.output[0], tensor)
            _add_tensor(graph, node.output[0], tensor, tensor.dims, 0 if is_number else None)
        else:
            attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
            inputs, outputs = list(node.input), list(node.output)
            step = OnnxNode(node.op_type, domain, inputs, outputs, attributes, _label(node))
            infer(known, step)
            translate(translator, step)
    for value in proto.output:
        graph.add_output(value.name)


def _in_order(nodes: Iterable[Any], source: str) -> list[tuple[Any, list[Any]]]:
    """Return every node with its subgraphs, each behind what it reads; file order wherever that allows it."""
    steps = [(node, [body for part in node.attribute for body in _subgraphs(part)]) for node in nodes]
    makers = {name: place for place, (node, _) in enumerate(steps) for name in node.output if name}
    readers: dict[int, list[int]] = defaultdict(list)
    waiting = [0] * len(steps)
    for place, (node, bodies) in enumerate(steps):
        needed = {makers[name] for name in (*node.input, *_captured(bodies)) if name in makers}
        waiting[place] = len(needed)
        for maker in needed:
            readers[maker].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(steps[place])
        for reader in readers[place]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(steps):
        stuck = next(node for (node, _), count in zip(steps, waiting, strict=True) if count)
        raise InvalidArchitectureError(
            f"{source}: {_label(stuck)} lies on or behind a cycle; a network must be acyclic"
        )
    return order


def _captured(bodies: Iterable[Any]) -> list[str]:
    """Return the names that subgraphs read from outside."""
    free: dict[str, None] = {}
    for body in bodies:
        own = {value.name for value in (*body.input, *body.initializer)}
        own.update(name for node in body.node for name in node.output)
        read = [value.name for value in body.output]
        for node in body.node:
            read += node.input
            read += _captured(inner for attribute in node.attribute for inner in _subgraphs(attribute))
        free |= dict.fromkeys(name for name in read if name and name not in own)
    return list(free)


def _add_control_flow(graph: OperatorGraph, node: Any, bodies: list[Any]) -> None:
    """Add an operator with subgraphs as one node that reads whatever they read, and owns their weights."""
    total = sum(_parameters(tensor) for tensor in all_tensors(bodies) if math.prod(tensor.dims) > 1)
    weights = f"weights inside of {_label(node)}: {', '.join(node.output)}"
    graph.add_constant(weights, (total,), parameters=total)
    values = dict.fromkeys((*node.input, *_captured(bodies), weights))
    graph.add("if" if node.op_type == "If" else "loop", list(values), node.output, label=_label(node))


def _held(node: Any) -> Any:
    """Return what a Constant node holds as a tensor, an empty one where it is not numbers."""
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.type == attribute.TENSOR:
            return attribute.t
        value = _value(attribute)
        if attribute.name.startswith("value_") and isinstance(value, int | float | list):
            return require_onnx().numpy_helper.from_array(np.asarray(value))
    return require_onnx().TensorProto(dims=[0])


def _add_tensor(
    graph: OperatorGraph, name: str, tensor: Any, dims: Iterable[int], parameters: int | None = None
) -> None:
    array = _array(tensor) if math.prod(tensor.dims) == 1 else None
    number = None if array is None else float(array.ravel()[0])
    if parameters is None:
        parameters = _parameters(tensor)
    graph.add_constant(name, _sizes(dims), parameters=parameters, number=number)


def _parameters(tensor: Any) -> int:
    return 0 if tensor.data_type in _NO_WEIGHTS else elements(_sizes(tensor.dims)) or 0


def _array(tensor: Any) -> Array | None:
    """Return the numbers in a small tensor, None for any other."""
    if tensor.data_location == tensor.EXTERNAL or tensor.data_type in _NO_NUMBERS:
        return None  # onnx would open the other file
    if not 0 <= math.prod(tensor.dims) <= MAX_NUMBERS:
        return None
    try:
        array: Array = require_onnx().numpy_helper.to_array(tensor)
    except (ValueError, TypeError, LookupError):  # its numbers are too few or too many
        return None
    return array if array.dtype.kind in "biu" else array.astype(np.float64)


def _value(attribute: Any) -> Any:
    """Return an attribute as a number, a text or a list of them; anything else as it is."""
    match attribute.type:
        case attribute.INT:
            return attribute.i
        case attribute.FLOAT:
            return attribute.f
        case attribute.STRING:
            return attribute.s.decode(errors="replace")
        case attribute.INTS:
            return list(attribute.ints)
        case attribute.FLOATS:
            return list(attribute.floats)
        case attribute.TENSOR:
            return attribute.t
    return None


def _shape(value: Any) -> Shape:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return _sizes(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)


def _sizes(dims: Iterable[int]) -> tuple[int | None, ...]:
    return tuple(size if 0 <= size <= _LARGEST_SIZE else None for size in dims)


def _label(node: Any) -> str:
    operator = str(node.op_type)[:80]
    operator = operator if operator.isprintable() else repr(operator)
    return f"node {short(node.name)} ({operator})" if node.name else f"a node ({operator})"
