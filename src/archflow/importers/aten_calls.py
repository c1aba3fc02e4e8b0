"""Calls of torch operators as they stand in a traced graph, with their arguments by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from archflow.importers.operators import Shape
from archflow.importers.vocabulary import side

_TENSORS = ("Tensor", "Optional[Tensor]", "List[Tensor]", "List[Optional[Tensor]]")
_OPERANDS = frozenset({"self", "other", "exponent", "input", "end"})  # may be a number instead of a tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One call in a traced graph.

    Attributes:
        node: Where it stands.
        library: Who defines the operator: "aten", "torchvision", ..., "higher_order" for those that take
            functions, "python" for arithmetic with sizes.
        name: Its name there, without the underscore of an in-place form.
        arguments: Every argument by name, defaults included.
        operands: Names of the arguments that are tensors, or numbers in the place of one.
        in_place: Whether it changes its first argument.
        is_view: Whether what it gives shares memory with its first argument.
    """

    node: fx.Node
    library: str
    name: str
    arguments: Mapping[str, Any]
    operands: tuple[str, ...]
    in_place: bool = False
    is_view: bool = False

    @classmethod
    def of(cls, node: fx.Node) -> Call:
        """Read a call_function node."""
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            arguments = {str(place): value for place, value in enumerate(node.args)} | node.kwargs
            higher = isinstance(target, torch._ops.HigherOrderOperator)
            name = getattr(target, "__name__", str(target))
            return cls(node, "higher_order" if higher else "python", name, arguments, tuple(arguments))
        schema = target._schema
        library, _, name = schema.name.partition("::")
        arguments = {argument.name: argument.default_value for argument in schema.arguments}
        positional = [argument.name for argument in schema.arguments]
        arguments |= dict(zip(positional, node.args, strict=False)) | node.kwargs
        operands = tuple(
            argument.name
            for argument in schema.arguments
            if str(argument.type) in _TENSORS
            or (str(argument.type) == "number" and argument.name in _OPERANDS)
        )
        first = schema.arguments[0].alias_info if schema.arguments else None
        in_place = first is not None and first.is_write
        shares = bool(schema.returns) and schema.returns[0].alias_info is not None
        name = name[:-1] if in_place and name.endswith("_") and not name.endswith("__") else name
        return cls(node, library, name, arguments, operands, in_place, shares and not in_place)

    def __getitem__(self, name: str) -> Any:
        """Return an argument, None where the operator has none of that name."""
        return self.arguments.get(name)

    def sizes(self, name: str) -> list[int]:
        """Return an argument that is a whole number or a list of them; those not known are left out."""
        value = self[name]
        listed = value if isinstance(value, list | tuple) else [value]
        return [size for size in listed if isinstance(size, int)]

    def number(self, name: str) -> float | None:
        """Return an argument that is a number, None where it is none."""
        value = self[name]
        return float(value) if isinstance(value, int | float) else None


def shapes_of(node: fx.Node) -> list[Shape] | Shape:
    """Return the shape of what a node gives, or a list of shapes where it gives several values."""
    value = node.meta.get("val")
    if isinstance(value, list | tuple):
        return [shape_of(part) for part in value]
    return shape_of(value)


def shape_of(value: Any) -> Shape:
    """Return the shape of a traced value: () for a number, None for what is neither tensor nor number.

    Sizes that are left open take those of the example inputs.
    """
    if isinstance(value, torch.Tensor):
        return tuple(_size(size) for size in value.shape)
    return () if isinstance(value, int | float | torch.SymInt | torch.SymFloat | torch.SymBool) else None


def _size(size: int | torch.SymInt) -> int | None:
    if isinstance(size, int):
        return size
    hint = size.node.hint if size.node.has_hint() else None
    return int(hint) if isinstance(hint, int) else None


def window(call: Call, kernel: Sequence[int | None]) -> dict[str, float]:
    """Return kernel, stride and dilation of a convolution or pool, as far as they are known."""
    sizes = {
        "kernel": kernel,
        "stride": call.sizes("stride") or (kernel if call["kernel_size"] else [1]),
        "dilation": call.sizes("dilation") or [1],
    }
    return {
        name: side([value for value in values if value])
        for name, values in sizes.items()
        if values and all(values)
    }


def nodes_in(value: Any) -> Iterator[fx.Node]:
    """Yield the nodes in an argument, in order."""
    if isinstance(value, fx.Node):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from nodes_in(part)
    elif isinstance(value, dict):
        yield from nodes_in(list(value.values()))
