"""ONNX files as architectures: the graph alone is read, weights are counted by their sizes.

Source of the format: the ONNX specification, https://onnx.ai/onnx/repo-docs/IR.html.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archflow.errors import InvalidArchitectureError, short
from archflow.importers.network import MAX_NODES, ImportedNetwork, OperatorGraph
from archflow.importers.onnx_graph import all_nodes, all_tensors, fill, require_onnx, standard_domain
from archflow.importers.onnx_values import MAX_NUMBERS
from archflow.importers.vocabulary import ATTRIBUTES, checked_attributes

OLDEST_OPSET = 11
"""The oldest operator set whose files are read without a warning."""

IMAGE_SIDE = 224
"""The size that an open side of an image input is taken to have."""

TOKENS = 128
"""The size that any other open side of an input is taken to have, the batch apart, which is 1."""

_LARGEST_FILE = 2**31 - 1  # what protobuf reads


def read_onnx(
    path: Path | str, *, fuse: bool = False, attributes: Iterable[str] = ATTRIBUTES
) -> ImportedNetwork:
    """Read an ONNX file as an architecture.

    Only the graph is read: weights are counted by their sizes, and files of external data are never opened.
    Local functions are inlined. An open batch is taken as 1, an open side of an image as `IMAGE_SIDE`, any
    other open size as `TOKENS`; the report says so.

    Args:
        path: The file.
        fuse: Whether convolutions and linear maps take in the batch norm and activation behind them.
        attributes: The names out of `ATTRIBUTES` that nodes carry.

    Returns:
        The architecture, and a report of what was read, removed, folded and not understood.

    Raises:
        InvalidArchitectureError: The file cannot be read or is no ONNX model, its graph has a cycle, reads
            what nothing gives or gives a value twice, or no input reaches an output.
        UnknownNameError: An attribute is not one of `ATTRIBUTES`.
        UsageError: onnx is not installed.
    """
    names = checked_attributes(attributes)
    graph = OperatorGraph(str(path))
    try:
        model = _load(Path(path))
        _strip(model, graph)
        model = _inlined(model, graph)
        _close_sizes(model.graph, graph)
        fill(graph, model.graph)
    except (UnicodeError, TypeError) as error:  # protobuf gives bytes for names that are no UTF-8
        raise InvalidArchitectureError(f"{path}: a name in it is no text; the file is damaged") from error
    return graph.to_network(fuse=fuse, attributes=names)


def _load(path: Path) -> Any:
    onnx = require_onnx()
    try:
        if not path.is_file():
            raise InvalidArchitectureError(f"{path}: there is no such file")
        if path.stat().st_size > _LARGEST_FILE:
            raise InvalidArchitectureError(
                f"{path}: larger than 2 GiB; save the weights as external data, beside the graph"
            )
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise InvalidArchitectureError(f"{path}: cannot be read ({error.strerror})") from error
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise InvalidArchitectureError(f"{path}: no ONNX model, or only part of one") from error
    if not model.HasField("graph") or not model.graph.output:
        raise InvalidArchitectureError(f"{path}: no ONNX model: it has no graph with an output")
    return model


def _strip(model: Any, graph: OperatorGraph) -> None:
    """Drop the numbers of large tensors, note those that lie in other files, and note old operator sets."""
    for opset in model.opset_import:
        if not standard_domain(opset.domain) and opset.version < OLDEST_OPSET:
            graph.warnings.append(f"operator set {opset.version} is older than {OLDEST_OPSET}, but was read")
    for tensor in all_tensors([model.graph], [function.node for function in model.functions]):
        if tensor.data_location == tensor.EXTERNAL:
            locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
            graph.external_data += [short(location) for location in locations]
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        if math.prod(tensor.dims) > MAX_NUMBERS:
            for field in ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data"):
                tensor.ClearField(field)


def _inlined(model: Any, graph: OperatorGraph) -> Any:
    """Replace calls of local functions by their bodies."""
    if not model.functions:
        return model
    _check_calls(model, graph.source)
    onnx = require_onnx()
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # whatever the C++ side makes of a damaged file
        raise InvalidArchitectureError(
            f"{graph.source}: its local functions cannot be inlined ({short(str(error))})"
        ) from error


def _check_calls(model: Any, source: str) -> None:
    """Refuse functions that call themselves, or that would grow beyond the largest network."""
    calls = {
        _callee(function, function.name): Counter(
            _callee(node, node.op_type) for node in all_nodes(function.node)
        )
        for function in model.functions
    }
    sizes: dict[Any, int] = {}
    open_calls: set[Any] = set()
    left: list[tuple[Any, bool]] = [(key, False) for key in calls]
    while left:
        key, is_return = left.pop()
        if is_return:
            sizes[key] = sum(count * sizes.get(call, 1) for call, count in calls[key].items())
            open_calls.discard(key)
        elif key not in sizes:
            open_calls.add(key)
            left.append((key, True))
            for call in calls[key]:
                if call in open_calls:
                    raise InvalidArchitectureError(f"{source}: function {short(call[1])} calls itself")
                if call in calls:
                    left.append((call, False))
    total = sum(sizes.get(_callee(node, node.op_type), 1) for node in all_nodes(model.graph.node))
    if total > MAX_NODES:
        raise InvalidArchitectureError(
            f"{source}: more than {MAX_NODES} operators once functions are inlined"
        )


def _callee(proto: Any, name: str) -> tuple[str, str, str]:
    return standard_domain(proto.domain), name, proto.overload


def _close_sizes(proto: Any, graph: OperatorGraph) -> None:
    """Give every open size of an input a number, and equal names equal numbers."""
    weights = {tensor.name for tensor in proto.initializer}
    chosen: dict[str, int] = {}
    guessed: dict[str, int] = {}
    for value in proto.input:
        if value.name in weights or not value.type.HasField("tensor_type"):
            continue
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            name = dim.dim_param
            size = chosen.get(name) or _usual_size(axis, len(dims))
            if name:
                chosen[name] = size
            if axis:
                guessed[name or f"axis {axis} of {value.name}"] = size
            dim.dim_value = size
    if guessed:
        shown = ", ".join(f"{short(name)} as {size}" for name, size in list(guessed.items())[:5])
        graph.warnings.append(f"open sizes were taken for flops and positions: {shown}")
    for value in (*proto.value_info, *proto.output):
        for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
            if dim.dim_param in chosen:
                dim.dim_value = chosen[dim.dim_param]


def _usual_size(axis: int, rank: int) -> int:
    if not axis:
        return 1
    if rank < 4:
        return TOKENS
    return 3 if axis == 1 else IMAGE_SIDE
