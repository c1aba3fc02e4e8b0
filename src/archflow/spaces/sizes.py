"""What spaces of shapes and sizes share: choices in their texts, and node attributes by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from archflow.errors import InvalidArchitectureError, short, unknown_name
from archflow.graphs import ArchitectureTable, Operations
from archflow.protocols import FloatArray

_PLAIN = re.compile(r'[\w.+"-]+( [\w.+"-]+)*', re.ASCII)


def choose(what: str, text: str, choices: Sequence[str]) -> int:
    """Return which of its choices a part of a text is.

    Raises:
        InvalidArchitectureError: It is none of them; says what it is and lists them.
    """
    if text in choices:
        return choices.index(text)
    plain = len(text) <= 20 and _PLAIN.fullmatch(text)
    raise InvalidArchitectureError(
        f"{what} is {text if plain else short(text)}; it must be {', '.join(choices[:-1])} or {choices[-1]}"
    )


def node_sizes(table: ArchitectureTable, operations: Operations) -> dict[str, FloatArray]:
    """Return the attributes of all nodes of a table by name, (N,) float64 each; 0 where a node has none.

    Args:
        table: Architectures in any form.
        operations: The vocabulary of their space, whose attributes are returned.

    Raises:
        UnknownNameError: The table's vocabulary has an operation or attribute that the space lacks.
    """
    columns, vocabulary = table.columns, table.operations
    for name in vocabulary.names:
        operations.id(name)
    sizes = {name: np.zeros(len(columns.operation_ids)) for name in operations.attributes}
    for name, values in zip(vocabulary.attributes, columns.attributes.T, strict=True):
        if name not in sizes:
            raise unknown_name("attribute", name, operations.attributes)
        sizes[name] = values.astype(np.float64)
    return sizes


def sum_by_row(table: ArchitectureTable, per_node: FloatArray) -> FloatArray:
    """Add up a number of each node, (N,), over the architectures of a table: (A,) float64."""
    sums = np.bincount(table.columns.node_rows(), per_node, minlength=len(table))
    return sums.astype(np.float64)
