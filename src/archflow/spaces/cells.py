"""Wirings of declared cells, from edges between feature maps or from nodes and what feeds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NoReturn

from archflow.errors import UsageError, short
from archflow.graphs import OUTPUT
from archflow.spaces.words import listed, require_plain_name, unknown

MAX_CONNECTIONS = 10_000
"""Most connections between the nodes of a cell."""

Wiring = list[tuple[int, int]]
"""(source, target) pairs of node numbers: the inputs, then edges or nodes as listed, then the output."""


def wiring_of_edges(edges: Iterable[str], inputs: Sequence[str] | None = None) -> tuple[Wiring, int]:
    """Return the wiring of a cell whose edges carry the operations, and its number of inputs.

    An edge feeds the edges that leave the map where it ends. The map that no edge leaves is the output.

    Args:
        edges: `source>target` over names of maps, the edges into a map before those out of it.
        inputs: The maps that no edge enters; by default there is one.

    Raises:
        UsageError: An edge has another form or closes a cycle, there is more than one output, the inputs are
            others, or there are more than `MAX_CONNECTIONS`.
    """
    pairs = [_pair(edge) for edge in edges]
    leaving, entering = Counter(source for source, _ in pairs), Counter(target for _, target in pairs)
    left: dict[str, str] = {}  # the first target of each map
    for source, target in pairs:
        left.setdefault(source, target)
        if target in left:
            _refuse(
                f"edge {source}>{target} enters map {target}, which edge {target}>{left[target]} has left; "
                f"list edges as the data flows, without a cycle"
            )
    starts = [name for name in left if name not in entering]
    ends = [name for name in entering if name not in left]
    if inputs is None and len(starts) > 1:
        _refuse(f"no edge enters the maps {listed(starts)}; one is the input, unless inputs lists them all")
    if inputs is not None and sorted(inputs) != sorted(starts):
        _refuse(f"the inputs are {listed(inputs)}, but the maps that no edge enters are {listed(starts)}")
    if len(ends) > 1:
        _refuse(f"no edge leaves the maps {listed(ends)}; exactly one is the output")
    _check_count(sum(count * leaving[name] for name, count in entering.items()))
    feeders = {start: [number] for number, start in enumerate(inputs or starts)}
    wiring: Wiring = []
    for node, (source, target) in enumerate(pairs, start=len(starts)):
        wiring += [(feeder, node) for feeder in feeders[source]]
        feeders.setdefault(target, []).append(node)
    wiring += [(feeder, len(starts) + len(pairs)) for end in ends for feeder in feeders[end]]
    return wiring, len(starts)


def wiring_of_nodes(
    sources: Mapping[str, Sequence[str]], inputs: Sequence[str], output: Sequence[str] | None = None
) -> Wiring:
    """Return the wiring of a cell whose nodes carry the operations.

    Args:
        sources: The inputs and earlier nodes that feed each node.
        inputs: Names of the inputs.
        output: What feeds the output; by default the nodes that feed no other node.

    Raises:
        UsageError: A node is fed by what is no input or earlier node, or feeds nothing; two have one name; or
            there are more than `MAX_CONNECTIONS`.
    """
    numbers = {require_plain_name("input", name): number for number, name in enumerate(inputs)}
    if not inputs or len(numbers) < len(inputs):
        _refuse("a cell needs one or more inputs of different names")
    _check_count(sum(map(len, sources.values())))
    used: set[str] = set()
    wiring: Wiring = []
    for node, names in sources.items():
        if require_plain_name("node", node) in numbers or node == OUTPUT:
            _refuse(f"node {short(node)} has the name of an input or of the output")
        wiring += [(number, len(numbers)) for number in _numbers(f"node {node}", names, numbers, sources)]
        used.update(names)
        numbers[node] = len(numbers)
    loose = [name for name in numbers if name not in used]
    ends = [name for name in loose if name in sources] if output is None else output
    wiring += [(number, len(numbers)) for number in _numbers("the output", ends, numbers, sources)]
    lost = [name for name in loose if name not in ends]
    if lost:
        _refuse(f"{short(lost[0])} feeds neither another node nor the output")
    return wiring


def _pair(edge: str) -> tuple[str, str]:
    source, arrow, target = edge.partition(">")
    if not arrow or source.endswith("-"):
        _refuse(f"edge {short(edge)} is not source>target with the names of two maps")
    return require_plain_name("map", source), require_plain_name("map", target)


def _numbers(
    target: str, names: Sequence[str], numbers: Mapping[str, int], nodes: Collection[str]
) -> list[int]:
    """Return the numbers of what feeds a node or the output."""
    if not names or isinstance(names, str):
        _refuse(f"{target} needs a list of the inputs and nodes that feed it")
    if len(set(names)) < len(names):
        _refuse(f"{target} is fed by {short(Counter(names).most_common(1)[0][0])} twice")
    for name in names:
        if name not in numbers and name in nodes:
            _refuse(f"{target} is fed by {short(name)}, which must stand before it; a cell has no cycles")
        if name not in numbers:
            _refuse(f"{target}: {unknown('input or node', name, list(numbers))}")
    return [numbers[name] for name in names]


def _check_count(connections: int) -> None:
    if connections > MAX_CONNECTIONS:
        _refuse(f"a cell has at most {MAX_CONNECTIONS:,} connections between its nodes, not {connections:,}")


def _refuse(reason: str) -> NoReturn:
    raise UsageError(reason)
