"""Features of large tables a chunk of rows at a time, so that memory does not grow with the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from archflow.graphs import ArchitectureTable, Columns
from archflow.graphs.columns import offsets_of
from archflow.protocols import FloatArray

_MOST_ROWS = 65_536
_MOST_NUMBERS = 2**23  # that a chunk may hold at once: 64 MiB in float64


def in_chunks(
    compute: Callable[[Columns], FloatArray], table: ArchitectureTable, width: int, *, states: int = 1
) -> FloatArray:
    """Compute features of a table chunk by chunk.

    A chunk has at most 65,536 rows and needs, by the two counts below, at most 2^23 numbers at once; a row
    that needs more is a chunk of its own.

    Args:
        compute: From the graphs of B architectures to their features, (B, width).
        table: A architectures.
        width: Number of features.
        states: Numbers that `compute` keeps for every node and every edge.

    Returns:
        The features of every row, (A, width) float64.
    """
    columns = table.columns
    sizes = np.diff(columns.node_offsets) + np.diff(columns.edge_offsets)
    numbers = offsets_of(sizes * states + width)
    features = np.empty((len(columns), width))
    begin = 0
    while begin < len(columns):
        fits = int(np.searchsorted(numbers, numbers[begin] + _MOST_NUMBERS, side="right")) - 1
        end = max(begin + 1, min(fits, begin + _MOST_ROWS))
        features[begin:end] = compute(columns.slice(begin, end))
        begin = end
    return features
