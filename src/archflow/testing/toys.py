"""Small random graphs with everything that goes wrong in large ones, and renumbering."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations

TOY_OPERATIONS = Operations(
    names=(INPUT, "conv", "pool", "skip", "none", OUTPUT),
    identity=frozenset({"skip"}),
    zero=frozenset({"none"}),
    parametric=frozenset({"conv"}),
)
"""Two plain operations, one identity and one zero."""

SIZED_TOY_OPERATIONS = dataclasses.replace(TOY_OPERATIONS, attributes=("channels", "kernel"))
"""The same operations, on nodes with attributes."""

_SIZES = (0.0, 0.0, 0.1, 1.0, 3.0, -7.0, 512.0, 4e9)


def random_architecture(
    rng: np.random.Generator, operations: Operations = TOY_OPERATIONS, *, max_inner: int = 6
) -> Architecture:
    """Draw a labelled DAG that may have two inputs, dead ends, lonely nodes and a repeated edge.

    Args:
        rng: Source of every choice.
        operations: The vocabulary.
        max_inner: Largest number of nodes between the first input and the output.
    """
    choices = [name for name in operations.names if name != OUTPUT]  # a second input among them
    inner = [str(rng.choice(choices)) for _ in range(rng.integers(0, max_inner + 1))]
    names = (INPUT, *inner, OUTPUT)
    edges = [
        (source, target)
        for target, name in enumerate(names)
        for source in range(target)
        if name != INPUT and rng.random() < 0.45
    ]
    if edges and rng.random() < 0.3:
        edges.append(edges[int(rng.integers(len(edges)))])
    sizes = [(name, tuple(rng.choice(_SIZES, size=len(names)).tolist())) for name in operations.attributes]
    return Architecture(names, tuple(edges), tuple(sizes))


def toy_table(
    count: int = 40, *, seed: int = 0, operations: Operations = TOY_OPERATIONS, max_inner: int = 6
) -> ArchitectureTable:
    """Return random architectures; the first is an input and an output without an edge.

    Args:
        count: Number of architectures.
        seed: Seed of the draw.
        operations: The vocabulary.
        max_inner: Largest number of nodes between the first input and the output.
    """
    rng = np.random.default_rng(seed)
    bare = Architecture((INPUT, OUTPUT), ())
    drawn = [random_architecture(rng, operations, max_inner=max_inner) for _ in range(count - 1)]
    return ArchitectureTable.of([bare, *drawn][:count], operations)


def renumbered(
    architecture: Architecture, rng: np.random.Generator
) -> tuple[Architecture, NDArray[np.int64]]:
    """Renumber the nodes at random, in an order that is topological again.

    Args:
        architecture: Any architecture.
        rng: Source of the order.

    Returns:
        The same graph with other node numbers, and the new number of each old node, (n_nodes,).
    """
    waiting = np.zeros(architecture.n_nodes, dtype=np.int64)
    for _, target in architecture.edges:
        waiting[target] += 1
    places = np.full(architecture.n_nodes, -1, dtype=np.int64)
    for place in range(architecture.n_nodes):
        node = int(rng.choice(np.flatnonzero((waiting == 0) & (places < 0))))
        places[node] = place
        for source, target in architecture.edges:
            waiting[target] -= source == node
    names = tuple(architecture.operations[node] for node in np.argsort(places))
    edges = tuple((int(places[source]), int(places[target])) for source, target in architecture.edges)
    order = np.argsort(places)
    sizes = [(name, tuple(np.array(values)[order].tolist())) for name, values in architecture.attributes]
    return Architecture(names, edges, tuple(sizes)), places
