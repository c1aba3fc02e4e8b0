"""Hypothesis strategies for architectures; importing this module needs hypothesis, which `[dev]` brings."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Operations
from archflow.testing.toys import TOY_OPERATIONS


@st.composite
def architectures(
    draw: st.DrawFn,
    operations: Operations = TOY_OPERATIONS,
    *,
    max_inner: int = 7,
    max_edges: int = 14,
    repeats: bool = True,
) -> Architecture:
    """Draw any labelled DAG: several inputs, dead ends, lonely nodes, nodes behind the output in the order.

    Args:
        draw: Given by hypothesis.
        operations: The vocabulary.
        max_inner: Largest number of nodes besides one input and the output.
        max_edges: Largest number of edges.
        repeats: Whether an edge may occur more than once.

    Returns:
        A strategy; it shrinks towards few nodes, few edges and the first names of the vocabulary.
    """
    choices = [name for name in operations.names if name != OUTPUT]
    names = draw(st.lists(st.sampled_from(choices), max_size=max_inner))
    names.insert(draw(st.integers(0, len(names))), INPUT)
    names.insert(len(names) - draw(st.integers(0, len(names))), OUTPUT)
    sizes = st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False) for _ in names])
    attributes = tuple((name, draw(sizes)) for name in operations.attributes)
    allowed = _allowed_edges(names)
    edges = (
        st.lists(st.sampled_from(allowed), max_size=max_edges, unique=not repeats) if allowed else st.just([])
    )
    return Architecture(tuple(names), tuple(draw(edges)), attributes)


def tables(
    operations: Operations = TOY_OPERATIONS, *, min_size: int = 0, max_size: int = 6
) -> st.SearchStrategy[ArchitectureTable]:
    """Draw a table of architectures.

    Args:
        operations: The vocabulary.
        min_size: Least number of architectures.
        max_size: Largest number of architectures.
    """
    rows = st.lists(architectures(operations), min_size=min_size, max_size=max_size)
    return rows.map(lambda drawn: ArchitectureTable.of(drawn, operations))


def _allowed_edges(names: Sequence[str]) -> list[tuple[int, int]]:
    return [
        (source, target)
        for target, name in enumerate(names)
        for source in range(target)
        if name != INPUT and names[source] != OUTPUT
    ]
