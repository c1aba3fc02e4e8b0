"""From a traced torch graph to the graph of a network: values by name, and what in-place calls change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from archflow.importers.aten_calls import Call, nodes_in, shapes_of
from archflow.importers.network import OperatorGraph
from archflow.importers.operators import Shape
from archflow.importers.vocabulary import VIEW


class AtenTranslator:
    """Adds calls of ATen operators to the graph of a network, one after the other.

    An in-place call gives a new value, as do the tensors that its argument is a view of; views that were
    taken before keep the old one.

    Args:
        graph: The graph.
        prefix: What the names of values begin with, so that nested graphs do not collide.
    """

    def __init__(self, graph: OperatorGraph, prefix: str = "") -> None:
        self.graph, self.prefix = graph, prefix
        self.values: dict[fx.Node, str | list[str]] = {}
        self._views: dict[fx.Node, tuple[fx.Node, bool]] = {}  # what it is a view of, and whether of all

    def put(
        self, call: Call, kind: str, inputs: Sequence[str], numbers: Mapping[str, float] | None = None
    ) -> None:
        """Add a call as an operator of some kind."""
        self.graph.add(kind, inputs, self.outputs(call), numbers=numbers, label=call.node.name)

    def step(
        self,
        call: Call,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        numbers: Mapping[str, float] | None = None,
    ) -> str:
        """Add one of several operators that a call consists of; return the name of what it gives."""
        value = self.fresh(call.node, shape)
        self.graph.add(kind, inputs, [value], numbers=numbers, label=call.node.name)
        return value

    def fresh(self, node: fx.Node, shape: Shape) -> str:
        """Return a new name for a value that a node makes in between."""
        value = f"{self.prefix}{node.name}#{len(self.graph.shapes)}"
        self.graph.shapes[value] = shape
        return value

    def outputs(self, call: Call) -> list[str]:
        """Name what a call gives."""
        name, shapes = f"{self.prefix}{call.node.name}", shapes_of(call.node)
        if isinstance(shapes, list):
            names = [f"{name}:{place}" for place in range(len(shapes))]
            self.graph.shapes |= dict(zip(names, shapes, strict=True))
            self.values[call.node] = names
            return names
        self.graph.shapes[name] = shapes
        self.values[call.node] = name
        return [name]

    def value(self, argument: Any) -> str:
        """Return the name of an argument that is one tensor, "" for None."""
        return next(iter(self.names(argument)), "")

    def names(self, argument: Any) -> list[str]:
        """Return the names of the tensors in an argument."""
        found = []
        for node in nodes_in(argument):
            value = self.values.get(node, "")
            found += [value] if isinstance(value, str) else value
        return [value for value in found if value]

    def inputs(self, call: Call, *names: str) -> list[str]:
        """Return the operands of a call, or some of its arguments; numbers among them become constants."""
        found = []
        for name in names or call.operands:
            number = call.number(name)
            if number is None:
                found += self.names(call[name])
            else:
                found.append(self.constant(call, number))
        return found

    def constant(self, call: Call, number: float) -> str:
        """Add a number that is known beforehand."""
        value = self.fresh(call.node, ())
        self.graph.add_constant(value, (), number=number)
        return value

    def data(self, call: Call) -> list[str]:
        """Return the operands that are data; where none is, all operands."""
        present = self.inputs(call)
        return [value for value in present if not self.graph.is_constant(value)] or present

    def shape(self, value: str) -> Shape:
        """Return the shape of a value, None where it is not known."""
        return self.graph.shapes.get(value)

    def made(self, call: Call) -> Shape:
        """Return the shape of the first thing that a call gives."""
        shapes = shapes_of(call.node)
        return shapes[0] if isinstance(shapes, list) else shapes

    def item(self, call: Call) -> None:
        """Take one value out of several."""
        source, place = call.arguments["0"], call.arguments["1"]
        value = self.values.get(source, "")
        self.values[call.node] = value[place] if isinstance(value, list) else value
        if source in self._views:
            self._views[call.node] = self._views[source]

    def share(self, call: Call, *, whole: bool) -> None:
        """Note that what a call gives is a view of its first operand, or of a part of it."""
        base = next(nodes_in(call[call.operands[0]]), None)
        if base is not None:
            self._views[call.node] = (base, whole)

    def spread(self, call: Call) -> None:
        """Let an in-place call be seen through its first operand and whatever that is a view of."""
        changed, value = next(nodes_in(call[call.operands[0]]), None), self.value(call.node)
        while changed is not None:
            self.values[changed] = value
            changed, whole = self._views.get(changed, (None, True))
            if changed is not None:
                before = self.value(changed)
                kind, inputs = (VIEW, [value]) if whole else ("scatter", [before, value])
                value = self.step(call, kind, inputs, self.shape(before))
