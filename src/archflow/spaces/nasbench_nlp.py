"""NAS-Bench-NLP: cells of recurrent language models, written as recipes.

Source: Klyuchnikov et al., "NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language
Processing", IEEE Access 2022.

A recipe names nodes, and each node's operation and inputs: `x`, the states `h_prev_0`, ... of the step
before, or other nodes; the nodes `h_new_0`, ... are the new states. The graph has one input, which feeds the
nodes `x` and `h_prev_0`, ..., and one output, fed by nodes `h_new_0`, ... that mark what each state is.

The graph gives back the text. A node of several inputs reads each through an identity `port`, and the order
of the ports is that of the inputs; for `blend`, where the order matters, the ports have names. The nodes that
are no state are `node_0`, `node_1`, ... in the order of the graph; where a number is missing, because the
published generator dropped a node that led nowhere, stands a node `dropped`, a zero without edges. A node
`named`, of the same kind, says that the cell is one of three published examples (RNN, LSTM, GRU), whose nodes
have names of their own.
The collapsed form has nothing of this but the ports of `blend`.
"""

from __future__ import annotations

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.protocols import FloatArray
from archflow.spaces.json_text import decode, encode
from archflow.spaces.nasbench_nlp_recipes import (
    ARITIES,
    BLEND,
    EXAMPLES,
    LINEAR,
    NEW,
    PREVIOUS,
    Recipe,
    X,
    draw_recipe,
    in_order,
    mutate_recipe,
    recipe_of,
    with_gaps,
)

MAX_TEXT = 20_000
"""Longest text that `parse` reads, in characters."""

PORT, DROPPED, NAMED = "port", "dropped", "named"
BLEND_PORTS = ("blend_weight", "blend_first", "blend_second")

# The published language model: three layers, (input width, state width), and tied embeddings of 10,000 words.
_LAYERS = ((400, 600), (600, 600), (600, 400))
_EMBEDDING, _WORDS = 400, 10_000


class NASBenchNLP:
    """The NAS-Bench-NLP space: recurrent cells of one to three states and up to 100 more nodes."""

    name = "nasbench_nlp"
    size: int | None = None
    operations = Operations(
        names=(INPUT, X, *PREVIOUS, *ARITIES, PORT, *BLEND_PORTS, *NEW, DROPPED, NAMED, OUTPUT),
        identity=frozenset({PORT}),
        zero=frozenset({DROPPED, NAMED}),
        parametric=frozenset({LINEAR}),
    )
    choices = tuple(ARITIES)

    def parse(self, text: str) -> Architecture:
        """Read a recipe as JSON, such as `{"h_new_0":{"op":"linear","input":["x","h_prev_0"]}}`.

        `linear` takes two or three inputs, `blend` three (a, b and c make a b + (1 - a) c), the
        element-wise ones two, an activation one; only `linear` reads `x`, whose width differs. Nodes with
        other names, or with numbers against the data flow, are read too, and are numbered anew.

        Raises:
            InvalidArchitectureError: The text is no recipe of this space; names the node and rule.
        """
        recipe = recipe_of(decode(text, MAX_TEXT))
        for example in EXAMPLES.values():
            if recipe == example:  # in any order
                return _graph(example, named=True)
        return _graph(recipe)

    def format(self, architecture: Architecture) -> str:
        """Write the recipe as compact JSON: nodes by number, then the new states.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        recipe = _recipe(architecture)
        return encode({name: {"op": op, "input": inputs} for name, (op, inputs) in recipe.items()})

    def all(self) -> ArchitectureTable:
        """Refuse: there is no end of recipes.

        Raises:
            UsageError: Always.
        """
        raise UsageError("nasbench_nlp has no end; draw a sample (--sample) or give a table of candidates")

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct cells as the published generator does; not uniformly, which an endless space forbids.

        One, two or three states and 7, 14 or 21 more nodes, each equally likely, with random operations and
        inputs; nodes that lead nowhere are dropped. A cell is drawn again until it reads all its inputs, and
        no new state reads an old one directly.

        Raises:
            UsageError: `count` is negative.
        """
        if count < 0:
            raise UsageError(f"cannot draw {count} architectures")
        drawn: dict[Architecture, None] = {}
        while len(drawn) < count:
            drawn[_graph(draw_recipe(rng))] = None
        return ArchitectureTable.of(list(drawn), self.operations)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one operation or one input, or put a new node before one input of a node.

        Nodes that lead nowhere after that are dropped. A cell that reads all its inputs, and no old state
        directly in a new one, stays so.

        Raises:
            InvalidArchitectureError: The architecture is not an as-written cell of this space.
        """
        return _graph(mutate_recipe(_recipe(architecture), rng))

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published Penn Treebank model, (A,) float64, in any form of the graphs.

        Three layers of the cell with 600, 600 and 400 units, and embeddings of 400 that also decode. As
        written, a node counts even where it leads nowhere.

        Raises:
            UnknownNameError: The table's vocabulary has an operation that is not of this space.
        """
        for name in table.operations.names:
            self.operations.id(name)
        columns, operations = table.columns, table.operations
        ids, rows = columns.operation_ids, columns.node_rows()
        sources, targets = columns.global_edges()
        is_x = ids == operations.id(X)
        through = ids[targets] == operations.id(PORT)
        is_x[targets[through]] = is_x[sources[through]]
        is_linear = ids == operations.id(LINEAR)
        into = is_linear[targets]
        per_x = sum(width * units for width, units in _LAYERS)
        per_state = sum(units * units for _, units in _LAYERS)
        weights = np.where(is_x[sources[into]], per_x, per_state)
        counts = np.bincount(rows[targets[into]], weights, minlength=len(columns))
        biases = np.bincount(rows[is_linear], minlength=len(columns)) * sum(units for _, units in _LAYERS)
        return np.asarray(counts + biases + (_EMBEDDING + 1) * _WORDS, dtype=np.float64)


def _graph(recipe: Recipe, *, named: bool = False) -> Architecture:
    states = [state for state in NEW if state in recipe]
    operations = [INPUT, X, *PREVIOUS[: len(states)]]
    edges = [(0, node) for node in range(1, len(operations))]
    place = {name: node for node, name in enumerate(operations)}
    for name in with_gaps(in_order(recipe)):
        if name is None:
            operations.append(DROPPED)
            continue
        operation, inputs = recipe[name]
        sources = [place[source] for source in inputs]
        if len(sources) > 1:
            ports = range(len(operations), len(operations) + len(sources))
            edges += zip(sources, ports, strict=True)
            operations += BLEND_PORTS if operation == BLEND else [PORT] * len(sources)
            sources = list(ports)
        place[name] = len(operations)
        edges += [(source, place[name]) for source in sources]
        operations.append(operation)
    output = len(operations) + len(states) + named
    for mark, state in enumerate(states, start=len(operations)):
        edges += [(place[state], mark), (mark, output)]
    return Architecture((*operations, *states, *[NAMED] * named, OUTPUT), tuple(edges))


_NAMED = {_graph(example, named=True): example for example in EXAMPLES.values()}


def _recipe(architecture: Architecture) -> Recipe:
    """Return the recipe of an as-written architecture, in the order of its text."""
    if architecture in _NAMED:
        return _NAMED[architecture]
    operations = architecture.operations
    read: list[list[int]] = [[] for _ in operations]
    state_of: dict[int, str] = {}
    for source, target in architecture.edges:
        read[target].append(source)
        if operations[target] in NEW:
            state_of[source] = operations[target]
    names: dict[int, str] = {}
    nodes: dict[str, dict[str, object]] = {}
    number = 0
    for node, operation in enumerate(operations):
        inputs = [names.get(source, "") for source in read[node]]
        if operation == X or operation in PREVIOUS:
            names[node] = operation
        elif operation == PORT or operation in BLEND_PORTS:
            names[node] = inputs[0] if inputs else ""
        elif operation == DROPPED:
            number += 1
        elif operation in ARITIES:
            names[node] = state_of.get(node, f"node_{number}")
            number += node not in state_of
            nodes[names[node]] = {"op": operation, "input": inputs}
    ordered = [name for name in nodes if name not in NEW] + [state for state in NEW if state in nodes]
    try:
        recipe = recipe_of({name: nodes[name] for name in ordered})
    except InvalidArchitectureError as error:
        raise InvalidArchitectureError(f"not a NAS-Bench-NLP cell as written: {error}") from error
    if _graph(recipe) != architecture:
        raise InvalidArchitectureError(
            "not a NAS-Bench-NLP cell as written: its nodes or their inputs stand in another order"
        )
    return recipe
