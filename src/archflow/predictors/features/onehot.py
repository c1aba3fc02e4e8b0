"""The flattened one-hot encoding: operations, attributes and the adjacency matrix, written out."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from archflow.graphs import ArchitectureTable


def onehot(table: ArchitectureTable, slots: int) -> csr_array:
    """Encode graphs as flat vectors, node by node in their order as written.

    Args:
        table: A architectures over d operations and F attributes.
        slots: Nodes that the encoding has room for; nodes beyond it and their edges are left out.

    Returns:
        For each slot its one-hot operation, its attributes and its row of the adjacency matrix (edge
        multiplicities): (A, slots * (d + F + slots)) float32, sparse.
    """
    columns, n_operations, n_attributes = (
        table.columns,
        len(table.operations),
        len(table.operations.attributes),
    )
    width = n_operations + n_attributes + slots
    rows = columns.node_rows()
    places = np.arange(len(rows)) - columns.node_offsets[rows]
    has_room = places < slots
    numbered, named = np.nonzero(columns.attributes * has_room[:, None])

    edge_rows = np.repeat(np.arange(len(columns)), np.diff(columns.edge_offsets))
    edges = np.flatnonzero((columns.sources < slots) & (columns.targets < slots))
    parts = [  # row, place of the node, position among the node's features, value
        (rows[has_room], places[has_room], columns.operation_ids[has_room], np.ones(has_room.sum())),
        (rows[numbered], places[numbered], n_operations + named, columns.attributes[numbered, named]),
        (
            edge_rows[edges],
            columns.sources[edges],
            n_operations + n_attributes + columns.targets[edges],
            np.ones(len(edges)),
        ),
    ]
    row, place, position, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    encoded = csr_array(
        (value.astype(np.float32), (row, place.astype(np.int64) * width + position)),
        shape=(len(columns), slots * width),
    )
    encoded.sum_duplicates()  # parallel edges add up
    return encoded
