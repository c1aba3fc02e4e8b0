"""Architectures from networkx graphs and back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import INPUT, OUTPUT, Architecture

if TYPE_CHECKING:
    import networkx

_LARGEST = float(np.finfo(np.float32).max)


def read_networkx(
    graph: networkx.Graph[Any], *, operation: str = "operation", attributes: Iterable[str] = ()
) -> Architecture:
    """Turn a directed graph into an architecture.

    Nodes may have any name and stand in any order; parallel edges of a MultiDiGraph are kept. The inputs are
    the nodes whose operation is "input"; where there is none, one is added before every node that nothing
    enters. The output is the node whose operation is "output"; where there is none, one is added behind every
    node that nothing leaves.

    Args:
        graph: A DiGraph or MultiDiGraph; data of edges is ignored.
        operation: The node attribute that holds the operation's name, a text.
        attributes: Numeric node attributes to keep; 0 for a node that lacks one.

    Returns:
        The architecture; nodes keep the order of the graph wherever its edges allow it.

    Raises:
        UsageError: The graph is undirected or no networkx graph, or networkx is not installed.
        InvalidArchitectureError: A node has no operation, an attribute is no finite number, or the graph is
            empty, has a cycle or breaks another rule of architectures; names the node.
    """
    nx = _networkx()
    if not isinstance(graph, nx.DiGraph):  # a MultiDiGraph is one too
        raise UsageError(f"{_short(graph)} is no directed networkx graph; give a DiGraph or MultiDiGraph")
    if isinstance(attributes, str):
        raise UsageError(f"attributes is the text {attributes!r}; give a list of names")
    if not graph:
        raise InvalidArchitectureError("the graph has no nodes; an architecture needs at least one")
    places = {node: place for place, node in enumerate(graph)}
    operations = [_operation(node, data, operation) for node, data in graph.nodes(data=True)]
    numbers = {
        name: [_number(node, data, name) for node, data in graph.nodes(data=True)] for name in attributes
    }
    _check_acyclic(nx, graph)
    _check_ends(graph, operations)
    edges = [(places[source], places[target]) for source, target in graph.edges()]
    if INPUT not in operations:
        edges += [(len(operations), places[node]) for node, degree in graph.in_degree() if not degree]
        operations.append(INPUT)
    if OUTPUT not in operations:
        edges += [(places[node], len(operations)) for node, degree in graph.out_degree() if not degree]
        operations.append(OUTPUT)
    added = [0.0] * (len(operations) - len(places))
    return Architecture.from_graph(
        operations, edges, {name: [*values, *added] for name, values in numbers.items()}
    )


def to_networkx(architecture: Architecture, *, operation: str = "operation") -> networkx.MultiDiGraph[int]:
    """Turn an architecture into a graph that `read_networkx` turns back.

    Args:
        architecture: The architecture.
        operation: The node attribute that gets the operation's name.

    Returns:
        A MultiDiGraph over 0, 1, ..., n_nodes - 1 in the architecture's order; a node carries the attributes
        that it has.

    Raises:
        UsageError: An attribute has the name that the operation would get, or networkx is not installed.
    """
    nx = _networkx()
    if operation in dict(architecture.attributes):
        raise UsageError(f"an attribute is named {operation!r} too; give the operation another name")
    graph = nx.MultiDiGraph()
    for node, name in enumerate(architecture.operations):
        numbers = {key: values[node] for key, values in architecture.attributes if values[node]}
        graph.add_nodes_from([(node, {operation: name, **numbers})])
    graph.add_edges_from(architecture.edges)
    return graph


def _networkx() -> Any:
    try:
        import networkx
    except ModuleNotFoundError as error:
        raise UsageError(
            "networkx graphs need networkx; install it with: pip install 'archflow[networkx]'"
        ) from error
    return networkx


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:80]}..."


def _operation(node: object, data: dict[str, Any], key: str) -> str:
    name = data.get(key)
    if isinstance(name, str) and name:
        return name
    held = f"its {key!r} is {_short(name)}, no name" if key in data else f"it has no {key!r}"
    raise InvalidArchitectureError(
        f"node {_short(node)}: {held}; name its operation there, or pass operation=ATTRIBUTE"
    )


def _number(node: object, data: dict[str, Any], key: str) -> float:
    value = data.get(key, 0)
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf
    if not abs(number) <= _LARGEST:
        raise InvalidArchitectureError(
            f"node {_short(node)}: {key} is {_short(value)}; an attribute is a finite number below 3.4e38"
        )
    return number


def _check_acyclic(nx: Any, graph: networkx.DiGraph[Any]) -> None:
    try:
        cycle = [_short(edge[0]) for edge in nx.find_cycle(graph)]
    except nx.NetworkXNoCycle:
        return
    shown = cycle if len(cycle) <= 5 else [*cycle[:5], "..."]
    raise InvalidArchitectureError(
        f"node {cycle[0]} lies on a cycle ({' > '.join([*shown, cycle[0]])}); the graph must be acyclic"
    )


def _check_ends(graph: networkx.DiGraph[Any], operations: list[str]) -> None:
    outputs = []
    for node, name in zip(graph, operations, strict=True):
        if name == INPUT and graph.in_degree(node):
            raise InvalidArchitectureError(f"node {_short(node)} is an input; no edge may enter it")
        if name == OUTPUT and graph.out_degree(node):
            raise InvalidArchitectureError(f"node {_short(node)} is the output; no edge may leave it")
        if name == OUTPUT:
            outputs.append(_short(node))
    if len(outputs) > 1:
        raise InvalidArchitectureError(
            f"nodes {outputs[0]} and {outputs[1]} are both {OUTPUT!r}; an architecture has exactly one"
        )
