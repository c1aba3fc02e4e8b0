"""PyTorch modules as architectures, through torch.export or, where that fails, torch.fx."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.importers.aten_calls import Call, nodes_in, shape_of, shapes_of
from archflow.importers.aten_operators import VALUE_READERS, translate
from archflow.importers.aten_translator import AtenTranslator
from archflow.importers.network import ImportedNetwork, OperatorGraph
from archflow.importers.vocabulary import ATTRIBUTES, checked_attributes

_INLINED = frozenset(
    {
        "wrap",
        "wrap_with_set_grad_enabled",
        "wrap_with_autocast",
        "wrap_activation_checkpoint",
        "tag_activation_checkpoint",
        "hints_wrapper",
        "strict_mode",
    }
)


def read_module(
    module: nn.Module | ExportedProgram,
    example_inputs: Tensor | Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    fuse: bool = False,
    attributes: Iterable[str] = ATTRIBUTES,
) -> ImportedNetwork:
    """Turn a module, in evaluation mode, into an architecture.

    torch.export captures it, on tensors without numbers, so that nothing is computed and modules on the meta
    device will do. Where that fails, torch.fx traces it and the trace is run once on the example inputs, to
    learn the sizes. Control flow that depends on sizes alone goes the way of the example inputs; torch.cond,
    while_loop and the like are kept as one node. The module is left as it was.

    Args:
        module: The module, or what torch.export made of one.
        example_inputs: What its forward is called with: a tensor, a sequence of arguments, or a mapping of
            arguments by name. Their numbers do not matter, their sizes do. None for an exported program.
        fuse: Whether a convolution or linear map, the batch norm behind it and the activation behind that
            become one operation, such as conv_relu.
        attributes: The names out of `ATTRIBUTES` that the architecture's nodes carry.

    Returns:
        The architecture and the report; the report's warnings say so where torch.fx was needed, and why.

    Raises:
        UsageError: The example inputs do not fit the module's forward, or the first argument is no module.
        InvalidArchitectureError: Neither can capture the module, or no input reaches an output.
        UnknownNameError: An attribute is not one of `ATTRIBUTES`.
    """
    names = checked_attributes(attributes)
    if isinstance(module, ExportedProgram):
        if example_inputs is not None:
            raise UsageError("an exported program has its example inputs already; leave them out")
        graph = _read_program(module, "exported program")
        return graph.to_network(fuse=fuse, attributes=names)
    if not isinstance(module, nn.Module):
        raise UsageError(f"cannot read a {type(module).__name__}; give an nn.Module or an ExportedProgram")
    source = type(module).__name__
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise UsageError(f"{source} has parameters without a size yet; run it once on real inputs first")
    positional, by_name = _arguments(module, example_inputs)
    with _unchanged(module), _quiet(), torch.random.fork_rng(devices=[]):
        program, reason = _export(module, positional, by_name)
        if program is None:
            trace = _trace(module, positional, by_name, reason)
    if program is not None:
        graph = _read_program(program, f"{source} (torch.export)")
    else:
        graph = _read_trace(trace, f"{source} (torch.fx)")
        graph.warnings.insert(0, f"read with torch.fx, because torch.export failed: {reason}")
    return graph.to_network(fuse=fuse, attributes=names)


def _arguments(module: nn.Module, example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments by place and by name, on the module's device if that is meta."""
    positional: tuple[Any, ...] = ()
    by_name: dict[str, Any] = {}
    if isinstance(example_inputs, Mapping):
        by_name = dict(example_inputs)
    elif isinstance(example_inputs, Tensor):
        positional = (example_inputs,)
    elif isinstance(example_inputs, Sequence) and not isinstance(example_inputs, str):
        positional = tuple(example_inputs)
    else:
        raise UsageError(
            f"example_inputs is {type(example_inputs).__name__}; give a tensor, a tuple of arguments, or a "
            f"dictionary of arguments by name"
        )
    try:
        inspect.signature(module.forward).bind(*positional, **by_name)
    except (TypeError, ValueError) as error:  # ValueError: a forward without a signature
        raise UsageError(f"example_inputs do not fit {type(module).__name__}.forward: {error}") from error
    meta = any(parameter.is_meta for parameter in module.parameters())

    def own(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to("meta") if meta else value.detach().clone()

    positional, by_name = pytree.tree_map(own, (positional, by_name))
    return positional, by_name


@contextlib.contextmanager
def _unchanged(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and all its attributes back afterwards: forward may set some."""
    parts = ("_parameters", "_buffers", "_modules")
    before = []
    for part in module.modules():
        own = dict(vars(part))
        before.append((part, own, {name: dict(own[name]) for name in parts if type(own.get(name)) is dict}))
    module.eval()
    try:
        yield
    finally:
        for part, own, tables in before:
            vars(part).clear()
            vars(part).update(own)
            for name, table in tables.items():
                own[name].clear()
                own[name].update(table)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch warns of, logs and prints while it captures: what fails is raised and reported."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """Return the kind and the first line of an error."""
    text = " ".join(next((line for line in str(error).splitlines() if line.strip()), "").split())
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:200] + '...'}"


def _export(
    module: nn.Module, positional: tuple[Any, ...], by_name: dict[str, Any]
) -> tuple[ExportedProgram | None, str]:
    """Return what torch.export makes of a module, or None and why it fails."""
    reasons = []
    for strict in (False, True):  # each understands what the other does not
        try:
            return torch.export.export(module, positional, by_name, strict=strict), ""
        except Exception as error:  # whatever torch, or the module inside it, raises
            reasons.append(_reason(error))
    return None, reasons[0]


def _trace(
    module: nn.Module, positional: tuple[Any, ...], by_name: dict[str, Any], failure: str
) -> fx.GraphModule:
    """Return the operators that torch.fx's trace of a module runs."""
    given = inspect.signature(module.forward).bind(*positional, **by_name)
    left = {
        name: parameter.default
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if name not in given.arguments and parameter.default is not parameter.empty
    }
    for part in module.modules():  # what runs changes copies of the buffers alone
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else buffer.clone()
    try:
        traced = fx.symbolic_trace(module, concrete_args=left)

        def run(positional: tuple[Any, ...], by_name: dict[str, Any]) -> Any:
            return traced(*positional, **by_name)

        lower = make_fx(run, pre_dispatch=True, _error_on_data_dependent_ops=False)
        with torch.no_grad():
            return lower(positional, by_name)
    except Exception as error:  # whatever torch, or the module inside it, raises
        raise InvalidArchitectureError(
            f"{type(module).__name__}: torch.export fails ({failure}) and so does torch.fx "
            f"({_reason(error)}); check the example inputs, move control flow that depends on data out of "
            f"forward, or read an ONNX file (read_onnx) or a networkx graph (read_networkx) of the network"
        ) from error


def _read_program(program: ExportedProgram, source: str) -> OperatorGraph:
    graph = OperatorGraph(source)
    to, tensors = AtenTranslator(graph), _Tensors(graph)
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(inputs, program.graph_signature.input_specs, strict=True):
        if spec.kind == InputKind.USER_INPUT:
            _add_input(to, node)
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            stored = program.state_dict if spec.target in program.state_dict else program.constants
            to.values[node] = tensors.name(stored[str(spec.target)], node.name)
    results = _add_calls(to, tensors, program.graph_module)
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    for result, kind in zip(results, kinds, strict=True):
        if kind == OutputKind.USER_OUTPUT and result:
            graph.add_output(result)
    return graph


def _read_trace(trace: fx.GraphModule, source: str) -> OperatorGraph:
    graph = OperatorGraph(source)
    to, tensors = AtenTranslator(graph), _Tensors(graph)
    for node in trace.graph.nodes:
        if node.op == "placeholder":
            _add_input(to, node)
    for result in filter(None, _add_calls(to, tensors, trace)):
        graph.add_output(result)
    calls = (Call.of(node) for node in trace.graph.nodes if node.op == "call_function")
    if any(call.name in VALUE_READERS for call in calls):
        graph.warnings.append("what depends on numbers in tensors went the way of the example inputs")
    return graph


class _Tensors:
    """Names for weights and other tensors that stand in a graph, one name each however often they do."""

    def __init__(self, graph: OperatorGraph) -> None:
        self._graph = graph
        self._names: dict[int, str] = {}

    def name(self, tensor: Tensor, label: str) -> str:
        """Return the name of a tensor, which is added when it is new."""
        if id(tensor) not in self._names:
            self._names[id(tensor)] = label
            plain = type(tensor) in (Tensor, nn.Parameter) and not (tensor.is_meta or tensor.is_complex())
            self._graph.add_constant(
                label,
                tuple(tensor.shape),
                parameters=tensor.numel() if isinstance(tensor, nn.Parameter) else 0,
                number=float(tensor) if plain and tensor.numel() == 1 else None,
            )
        return self._names[id(tensor)]


def _add_input(to: AtenTranslator, node: fx.Node) -> None:
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        tokens = not (value.is_floating_point() or value.is_complex())
        to.graph.add_input(node.name, shape_of(value), integers=tokens)
        to.values[node] = node.name
    elif isinstance(value, int | float):
        to.graph.add_constant(node.name, (), number=float(value))
        to.values[node] = node.name


def _add_calls(to: AtenTranslator, tensors: _Tensors, owner: fx.GraphModule) -> list[str]:
    """Add what a traced graph calls, its inputs named before; return what it gives, "" for None."""
    for node in owner.graph.nodes:
        if node.op == "get_attr":
            value = _attribute(owner, node)
            if isinstance(value, Tensor):
                to.values[node] = tensors.name(value, f"{to.prefix}{node.name}")
        elif node.op == "call_function":
            call = Call.of(node)
            if call.library == "python" and call.name == "getitem":
                to.item(call)
            elif call.name in _INLINED and (inner := _inner_graph(owner, call)) is not None:
                _add_inlined(to, tensors, call, *inner)
            else:
                translate(to, call)
        elif node.op == "output":
            return [value for part in pytree.tree_leaves(node.args[0]) for value in _results(to, part)]
    return []


def _results(to: AtenTranslator, part: Any) -> list[str]:
    return (to.names(part) or [""]) if isinstance(part, fx.Node) else [""]


def _attribute(owner: fx.GraphModule, node: fx.Node) -> Any:
    value: Any = owner
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value


def _inner_graph(owner: fx.GraphModule, call: Call) -> tuple[fx.GraphModule, list[fx.Node]] | None:
    """Return the one graph that a call runs, and the arguments of that graph."""
    arguments = list(nodes_in(list(call.arguments.values())))
    for place, node in enumerate(arguments):
        inner = _attribute(owner, node) if node.op == "get_attr" else None
        if isinstance(inner, fx.GraphModule):
            given = arguments[place + 1 :]
            wanted = sum(node.op == "placeholder" for node in inner.graph.nodes)
            return (inner, given) if len(given) == wanted else None
    return None


def _add_inlined(
    to: AtenTranslator, tensors: _Tensors, call: Call, inner: fx.GraphModule, arguments: list[fx.Node]
) -> None:
    inside = AtenTranslator(to.graph, f"{to.prefix}{call.node.name}/")
    places = [node for node in inner.graph.nodes if node.op == "placeholder"]
    for place, node in zip(places, arguments, strict=True):
        inside.values[place] = to.values.get(node, "")
    results = _add_calls(inside, tensors, inner)
    several = isinstance(shapes_of(call.node), list)
    to.values[call.node] = results if several else next(iter(results), "")
