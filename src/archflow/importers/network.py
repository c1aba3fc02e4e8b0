"""From the operators of some framework to an architecture: the graph that all importers fill.

An importer makes an `OperatorGraph`, adds inputs, constants and operators in the order in which they run,
names the outputs and calls `to_network`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from archflow.errors import InvalidArchitectureError, short
from archflow.graphs import INPUT, OUTPUT, Architecture
from archflow.importers.folding import fold, fuse_chains
from archflow.importers.operators import Constant, Operator, Shape, elements, live
from archflow.importers.sizes import COUNTED, input_numbers, operator_numbers
from archflow.importers.vocabulary import ATTRIBUTES, FUSED, NAMES, VIEW, checked_attributes

_LISTED = 5  # external files that the report's text names

MAX_NODES = 200_000
"""Most operators that a network may have."""


@dataclasses.dataclass(frozen=True)
class ImportReport:
    """What became of the operators of an imported network.

    Attributes:
        source: Where it came from, such as a file name.
        read: Operators read, those of local functions once for each call.
        removed: Operators left out at the canonical level: views, constants, arithmetic with one number.
        folded: Operators that went into another one.
        dropped: Operators that lead to no output.
        unknown: Operations outside the vocabulary that the architecture has, and how many of each.
        control_flow: If, loop and scan operators, each kept as one node.
        parameters: Trainable weights in all.
        flops: Floating-point operations of one pass, two a multiply-add.
        unknown_sizes: Nodes whose output has no known size, so that flops or positions are left out.
        external_data: Files with weights beside the network's own, as it names them; none was opened.
        warnings: Everything else a reader should know, one line each.
    """

    source: str
    read: int = 0
    removed: int = 0
    folded: int = 0
    dropped: int = 0
    unknown: Mapping[str, int] = dataclasses.field(default_factory=dict)
    control_flow: int = 0
    parameters: int = 0
    flops: int = 0
    unknown_sizes: int = 0
    external_data: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {self.read} operators read, {self.removed} removed, {self.folded} folded, "
            f"{self.dropped} dropped; {self.parameters:,} parameters, {self.flops:,} flops"
        ]
        if self.unknown:
            names = ", ".join(f"{count} {name}" for name, count in self.unknown.items())
            lines.append(f"outside the vocabulary: {names}")
        if self.control_flow:
            lines.append(f"{self.control_flow} of control flow, each kept as one node")
        if self.unknown_sizes:
            lines.append(f"{self.unknown_sizes} nodes of unknown size")
        if self.external_data:
            more = ["..."] if len(self.external_data) > _LISTED else []
            names = ", ".join([*self.external_data[:_LISTED], *more])
            lines.append(f"weights in other files, not opened: {names}")
        return "\n".join((*lines, *self.warnings))


@dataclasses.dataclass(frozen=True)
class ImportedNetwork:
    """A network as an architecture.

    Attributes:
        architecture: Its graph, with the attributes that were asked for.
        report: What was read, removed, folded, and what was not understood.
    """

    architecture: Architecture
    report: ImportReport


class OperatorGraph:
    """A network's operators as an importer adds them; values go by name, as in ONNX.

    Views and whatever follows from constants alone are removed as they are added, so what remains are
    operators on data.

    Args:
        source: What errors and the report call the network.

    Attributes:
        shapes: The shape of values where it is known; importers fill it before they add operators.
        warnings: Lines for the report; importers append.
        external_data: For the report; importers append.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.shapes: dict[str, Shape] = {}
        self.warnings: list[str] = []
        self.external_data: list[str] = []
        self._inputs: dict[str, bool] = {}  # whether it holds whole numbers
        self._outputs: list[str] = []
        self._constants: dict[str, Constant] = {}
        self._aliases: dict[str, str] = {}
        self._given: set[str] = set()
        self._operators: list[Operator] = []
        self._read = self._removed = 0

    def add_input(self, value: str, shape: Shape, *, integers: bool = False) -> None:
        """Add a tensor of data that goes into the network.

        Args:
            value: Its name.
            shape: Its sizes, None where one is unknown.
            integers: Whether it holds whole numbers, such as tokens.

        Raises:
            InvalidArchitectureError: The name is given already.
        """
        self._give(value, "an input")
        self.shapes[value] = shape
        self._inputs[value] = integers

    def add_constant(
        self, value: str, shape: Shape, *, parameters: int = 0, number: float | None = None
    ) -> None:
        """Add a tensor that is no data: a weight, a buffer, a number, or what follows from sizes alone.

        Args:
            value: Its name.
            shape: Its sizes.
            parameters: Trainable weights in it: 0 for a buffer.
            number: Its value, where it is one number.

        Raises:
            InvalidArchitectureError: The name is given already.
        """
        self._give(value, "a constant")
        self.shapes[value] = shape
        self._constants[value] = Constant(shape, parameters, number)

    def is_constant(self, value: str) -> bool:
        """Return whether a value follows from constants and sizes alone."""
        return value in self._constants

    def number(self, value: str) -> float | None:
        """Return the number that a value is, None where it is data, a tensor or not known."""
        constant = self._constants.get(value)
        return None if constant is None else constant.number

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        numbers: Mapping[str, float] | None = None,
        label: str = "",
    ) -> None:
        """Add an operator.

        Args:
            kind: A name of the vocabulary, `VIEW`, or an unknown operation's name.
            inputs: Names of data and weights, in the order that the operation defines: data first, then
                weights, then biases. Left out are sizes, axes, running statistics and constant masks; ""
                is skipped. A view has one input, from which the numbers come.
            outputs: Names of what it gives; "" is skipped.
            numbers: Attributes that only the importer knows: kernel, stride, dilation, groups, heads,
                channels; flops of attention and recurrent layers. For folding: "exponent" of power and of
                norm, "minimum" and "maximum" of clip, NaN where a bound is not known beforehand.
            label: What errors call it.

        Raises:
            InvalidArchitectureError: It reads what nothing gives, or gives what is given already.
        """
        self._read += 1
        if self._read > MAX_NODES:
            raise InvalidArchitectureError(f"{self.source}: more than {MAX_NODES} operators")
        inputs, outputs = [value for value in inputs if value], [value for value in outputs if value]
        label = label or kind
        for value in inputs:
            if value not in self._given:
                raise InvalidArchitectureError(
                    f"{self.source}: {label[:200]} reads {short(value)}, which nothing before it gives"
                )
        for value in outputs:
            self._give(value, label)
        if all(value in self._constants for value in inputs):
            self._add_derived(kind, inputs, outputs)
        elif kind == VIEW:
            self._removed += 1
            self._aliases |= dict.fromkeys(outputs, self._aliases.get(inputs[0], inputs[0]))
        else:
            self._operators.append(
                Operator(
                    kind,
                    [self._aliases.get(value, value) for value in inputs],
                    outputs,
                    [self.shapes.get(value) for value in inputs],
                    self.shapes.get(outputs[0]) if outputs else None,
                    dict(numbers or {}),
                )
            )

    def add_output(self, value: str) -> None:
        """Name a tensor that the network returns.

        Raises:
            InvalidArchitectureError: Nothing gives it.
        """
        if value not in self._given:
            raise InvalidArchitectureError(
                f"{self.source}: output {short(value)} is given by no operator, input or weight"
            )
        self._outputs.append(self._aliases.get(value, value))

    def to_network(self, *, fuse: bool = False, attributes: Iterable[str] = ATTRIBUTES) -> ImportedNetwork:
        """Fold and convert the graph; once, for it is used up.

        Args:
            fuse: Whether a convolution or linear map, the batch norm behind it and the activation behind
                that become one operation, such as conv_relu (`folding.fuse_chains`).
            attributes: The names out of `ATTRIBUTES` that the architecture's nodes carry.

        Raises:
            InvalidArchitectureError: No input reaches an output.
            UnknownNameError: An attribute is not one of `ATTRIBUTES`.
        """
        names = checked_attributes(attributes)
        outputs = [value for value in self._outputs if value not in self._constants]
        if constant := len(self._outputs) - len(outputs):
            self.warnings.append(f"left out outputs that do not depend on the inputs: {constant}")
        alive = live(self._operators, outputs)
        dropped = len(self._operators) - len(alive)
        operators, outputs, removed = fold(alive, outputs, self._constants)
        if fuse:
            operators = fuse_chains(operators, outputs, self._constants)
        architecture, parameters, flops, unknown_sizes = self._convert(operators, outputs, names)
        counts = Counter(operator.kind for operator in operators)
        report = ImportReport(
            source=self.source,
            read=self._read,
            removed=self._removed + removed,
            folded=len(alive) - removed - len(operators),
            dropped=dropped,
            unknown={kind: counts[kind] for kind in sorted(counts.keys() - NAMES - FUSED.keys())},
            control_flow=counts["if"] + counts["loop"],
            parameters=parameters,
            flops=flops,
            unknown_sizes=unknown_sizes,
            external_data=tuple(dict.fromkeys(self.external_data)),
            warnings=tuple(self.warnings),
        )
        return ImportedNetwork(architecture, report)

    def _give(self, value: str, label: str) -> None:
        if value in self._given:
            raise InvalidArchitectureError(
                f"{self.source}: {short(value)} is given twice, the second time by {label[:200]}"
            )
        self._given.add(value)

    def _add_derived(self, kind: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._removed += 1
        number = self.number(inputs[0]) if kind == VIEW and inputs else None
        for value in outputs:
            self._constants[value] = Constant(self.shapes.get(value), number=number, parts=tuple(inputs))

    def _convert(
        self, operators: Sequence[Operator], outputs: Sequence[str], names: Sequence[str]
    ) -> tuple[Architecture, int, int, int]:
        """Return the architecture, all parameters, all flops and the number of nodes of unknown size."""
        used = {value for operator in operators for value in operator.inputs}.union(outputs)
        inputs = [value for value in self._inputs if value in used]
        if not outputs or not inputs:
            raise InvalidArchitectureError(f"{self.source}: no input reaches an output")
        if idle := len(self._inputs) - len(inputs):
            self.warnings.append(f"left out inputs that reach no output: {idle}")
        numbers = [input_numbers(self.shapes[value], integers=self._inputs[value]) for value in inputs]
        channels = {value: own["channels"] for value, own in zip(inputs, numbers, strict=True)}
        measured = operator_numbers(operators, channels, self._constants)
        unknown_sizes = sum(
            elements(operator.output_shape) is None
            or (FUSED.get(operator.kind, operator.kind) in COUNTED and not own["flops"])
            for operator, own in zip(operators, measured, strict=True)
        )
        numbers += measured

        nodes = {value: node for node, value in enumerate(inputs)}
        edges = []
        for node, operator in enumerate(operators, len(inputs)):
            edges += [(nodes[value], node) for value in operator.inputs if value not in self._constants]
            nodes |= dict.fromkeys(operator.outputs, node)
        last = len(numbers)
        edges += [(nodes[value], last) for value in outputs]
        try:
            architecture = Architecture(
                (*(INPUT for _ in inputs), *(operator.kind for operator in operators), OUTPUT),
                tuple(edges),
                tuple((name, (*(own.get(name, 0) for own in numbers), 0)) for name in names),
            )
        except InvalidArchitectureError as error:  # a number beyond float32
            raise InvalidArchitectureError(f"{self.source}: {error}") from error
        parameters, flops = (
            int(sum(own.get(name, 0) for own in numbers)) for name in ("parameters", "flops")
        )
        return architecture, parameters, flops, unknown_sizes
