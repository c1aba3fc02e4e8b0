"""A space of one's own as a YAML file: docs/own-space.md has the schema."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from archflow.errors import short
from archflow.graphs import INPUT, OUTPUT, Operations
from archflow.spaces.declared import (
    MAX_CHOICES,
    MAX_POSITIONS,
    Declared,
    choices,
    require_operation,
    require_vocabulary,
)
from archflow.spaces.free import Free
from archflow.spaces.template import Choice
from archflow.spaces.words import read_number, require_own_name, unknown
from archflow.spaces.yaml_parts import Part, read_parts

SUFFIXES = (".yaml", ".yml")
"""What the name of a space file ends in."""

MEANINGS = ("parametric", "plain", "identity", "zero")
"""What an operation can be: with weights, without, passing its input on, emitting zeros."""

_SHAPES = ("chain", "cell", "free")
_CHOICES = "choices"  # no operation can have this name: in a chain it tells a repeated position


def from_yaml(path: str | os.PathLike[str]) -> Declared | Free:
    """Read a space from a YAML file.

    Args:
        path: A file in UTF-8 with a name, operations and one of chain, cell and free.

    Returns:
        A `Declared` space; with `free: true` a `Free` one, closed over the operations.

    Raises:
        UsageError: The file is missing or says something else; names the file, the line and the rule.
    """
    root = read_parts(Path(path))
    keys = ("name", "operations", "attributes", *_SHAPES)
    entries = root.entries("a space file", keys, needed=("name", "operations"))
    shapes = [shape for shape in _SHAPES if shape in entries]
    if len(shapes) != 1:
        root.fail(
            f"a space file has one of {', '.join(_SHAPES)}; this one has {' and '.join(shapes) or 'none'}"
        )
    name = entries["name"].text("name")
    with entries["name"].blamed():
        require_own_name(name)
    operations = _operations(entries["operations"], entries.get("attributes"))
    part = entries[shapes[0]]
    if shapes[0] == "chain":
        positions = _positions(part, operations)
        with part.blamed():
            return Declared.chain(name, operations, positions)
    if shapes[0] == "cell":
        return _cell(name, operations, part)
    if part.value != "true":
        part.fail("free must be true, or left out")
    return Free(operations, name=name)


def _operations(part: Part, attributes: Part | None) -> Operations:
    of: dict[str, list[str]] = {meaning: [] for meaning in MEANINGS}
    for name, meaning in part.entries("operations").items():
        if name in (INPUT, OUTPUT, _CHOICES):
            meaning.fail(f"operation {name!r} cannot be declared; the word has a meaning already")
        if meaning.text(f"the meaning of {short(name)}") not in of:
            meaning.fail(unknown("meaning", str(meaning.value), MEANINGS))
        of[str(meaning.value)].append(name)
    numbers = [] if attributes is None else attributes.items("attributes")
    names = [number.text("an attribute's name") for number in numbers]
    with (attributes or part).blamed():
        return require_vocabulary(
            Operations(
                names=(INPUT, *part.entries("operations"), OUTPUT),
                identity=frozenset(of["identity"]),
                zero=frozenset(of["zero"]),
                parametric=frozenset(of["parametric"]),
                attributes=tuple(names),
            )
        )


def _positions(part: Part, operations: Operations) -> list[Sequence[Choice]]:
    positions: list[Sequence[Choice]] = []
    for item in part.items("chain"):
        times = 1
        if isinstance(item.value, dict) and _CHOICES in item.value:
            entries = item.entries("a position", (_CHOICES, "repeat"))
            options = _options(entries[_CHOICES], operations)
            if "repeat" in entries:
                times = _times(entries["repeat"])
        else:
            options = _options(item, operations)
        positions += [options] * times
        if len(positions) > MAX_POSITIONS:
            item.fail(f"more than {MAX_POSITIONS:,} positions")
    return positions


def _times(part: Part) -> int:
    text = part.text("repeat")
    times = int(text) if len(text) <= 6 and text.isascii() and text.isdigit() else 0
    if not 1 <= times <= MAX_POSITIONS:
        part.fail(f"repeat must be a whole number from 1 to {MAX_POSITIONS:,}, not {short(text)}")
    return times


def _cell(name: str, operations: Operations, part: Part) -> Declared:
    entries = part.entries("cell", (_CHOICES, "edges", "nodes", "inputs", "output"))
    if ("edges" in entries) == ("nodes" in entries):
        part.fail("a cell has either edges or nodes")
    shared = _options(entries[_CHOICES], operations) if _CHOICES in entries else None
    inputs = _names(entries["inputs"], "an input") if "inputs" in entries else None
    output = _names(entries["output"], "what feeds the output") if "output" in entries else None
    if "edges" in entries:
        if output is not None:
            entries["output"].fail(
                "a cell of edges has no output key: the map that no edge leaves is the output"
            )
        edges = {}
        for edge, own in _edges(entries["edges"]).items():
            edges[edge] = _own_or_shared(own, shared, operations)
        with entries["edges"].blamed():
            return Declared.on_edges(name, operations, edges, inputs=inputs)
    nodes = {}
    for node, own in entries["nodes"].entries("nodes").items():
        parts = own.entries(f"node {short(node)}", (_CHOICES, "from"), needed=("from",))
        options = _own_or_shared(parts.get(_CHOICES, Part("", own.line, own.file)), shared, operations)
        nodes[node] = options, _names(parts["from"], "what feeds a node")
    with entries["nodes"].blamed():
        return Declared.on_nodes(name, operations, nodes, inputs=inputs or (INPUT,), output=output)


def _edges(part: Part) -> dict[str, Part]:
    """Return what stands beside each edge, nothing where edges are a mere list."""
    if isinstance(part.value, dict):
        return part.entries("edges")
    edges: dict[str, Part] = {}
    for item in part.items("edges"):
        edge = item.text("an edge")
        if edge in edges:
            item.fail(f"edge {short(edge)} is given twice, the first time in line {edges[edge].line}")
        edges[edge] = Part("", item.line, item.file)
    return edges


def _own_or_shared(own: Part, shared: list[Choice] | None, operations: Operations) -> list[Choice]:
    if own.value != "":
        return _options(own, operations)
    if shared is None:
        own.fail("there are no choices, neither here nor for the whole cell")
    return shared


def _options(part: Part, operations: Operations) -> list[Choice]:
    """Read choices: an operation, a mapping of operations to their attributes, or a list of those."""
    options: list[Choice] = []
    for item in [part] if isinstance(part.value, dict) else part.items(_CHOICES):
        if isinstance(item.value, list):
            item.fail("a choice is an operation, or operation: {attribute: numbers}, and no list")
        named = {item.value: Part("", item.line, item.file)} if isinstance(item.value, str) else item.value
        for operation, attributes in named.items():
            with attributes.blamed():
                require_operation(operation, operations)
            sizes = _sizes(attributes, operation, operations)
            with attributes.blamed():
                options += choices(operation, **sizes)
        if len(options) > MAX_CHOICES:
            item.fail(f"a position with more than {MAX_CHOICES:,} choices")
    return options


def _sizes(part: Part, operation: str, operations: Operations) -> dict[str, list[float]]:
    sizes: dict[str, list[float]] = {}
    if part.value == "":
        return sizes
    for attribute, values in part.entries(f"what follows {operation}").items():
        if attribute not in operations.attributes:
            values.fail(unknown("attribute", attribute, operations.attributes))
        sizes[attribute] = []
        for value in values.items(f"{attribute} of {operation}"):
            number = read_number(value.text(f"{attribute} of {operation}"))
            if number is None:
                value.fail(
                    f"{attribute} of {operation} must be a decimal number, not {short(str(value.value))}"
                )
            sizes[attribute].append(number)
    return sizes


def _names(part: Part, what: str) -> list[str]:
    return [item.text(what) for item in part.items(what)]
