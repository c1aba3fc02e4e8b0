"""Architectures as Arrow columns of lists: what saved tables and Parquet files of graphs hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from archflow.graphs.columns import Columns, IntArray
from archflow.graphs.operations import Operations

METADATA = b"archflow.operations"
"""The key of the vocabulary in the schema's metadata."""

LISTS = {"operations": pa.int16(), "sources": pa.int32(), "targets": pa.int32()}
"""The columns of lists and what each holds; vocabularies with attributes add `attributes`, of float32."""


def to_arrow(columns: Columns, operations: Operations) -> pa.Table:
    """Return the graphs as lists of operation ids, sources and targets, a row an architecture; no copy."""
    arrays = {
        "operations": pa.LargeListArray.from_arrays(columns.node_offsets, columns.operation_ids),
        "sources": pa.LargeListArray.from_arrays(columns.edge_offsets, columns.sources),
        "targets": pa.LargeListArray.from_arrays(columns.edge_offsets, columns.targets),
    }
    if width := columns.attributes.shape[1]:
        arrays["attributes"] = pa.LargeListArray.from_arrays(
            columns.node_offsets * width, columns.attributes.reshape(-1)
        )
    return pa.table(arrays).replace_schema_metadata({METADATA: json.dumps(operations.to_json())})


def holds_graphs(schema: pa.Schema) -> bool:
    """Whether a schema is that of `to_arrow`, as far as names and metadata tell."""
    return METADATA in (schema.metadata or {}) and set(LISTS) <= set(schema.names)


def operations_of(schema: pa.Schema) -> Operations:
    """Return the vocabulary that a schema names.

    Raises:
        ValueError: Its metadata hold none, or something else.
        LookupError: The same.
        TypeError: The same.
    """
    return Operations.from_json(json.loads(schema.metadata[METADATA]))


def from_arrow(table: pa.Table) -> tuple[Columns, Operations]:
    """Return the graphs and the vocabulary of what `to_arrow` returned; no copy where a column is one chunk.

    Args:
        table: A rows; slices of larger tables too.

    Raises:
        ValueError: Columns or lists are missing or of another kind, or a row is no architecture
            (InvalidArchitectureError).
        LookupError: A column or the vocabulary is missing.
        TypeError: The vocabulary is something else.
        pa.ArrowException: The columns do not hold together.
    """
    table.validate(full=True)
    operations = operations_of(table.schema)
    ids, node_offsets = _lists(table, "operations", LISTS["operations"])
    (sources, edge_offsets), (targets, others) = (
        _lists(table, name, LISTS[name]) for name in ("sources", "targets")
    )
    if not np.array_equal(edge_offsets, others):
        raise ValueError("an edge lacks its source or its target")
    attributes: NDArray[np.float32] = np.zeros((len(ids), 0), dtype=np.float32)
    if width := len(operations.attributes):
        numbers, offsets = _lists(table, "attributes", pa.float32())
        if not np.array_equal(offsets, node_offsets * width):
            raise ValueError("a node lacks attributes")
        attributes = numbers.reshape(-1, width)
    columns = Columns(ids, node_offsets, sources, targets, edge_offsets, attributes)
    columns.check(operations)
    return columns, operations


def _lists(table: pa.Table, name: str, width: pa.DataType) -> tuple[NDArray[Any], IntArray]:
    """Return the numbers of a column of lists, one list after the other, and their offsets from 0."""
    column, kind = table.column(name), pa.large_list(width)
    if column.type == pa.list_(width):  # what other writers of Parquet make of it
        column = column.cast(kind)
    if column.type != kind or column.null_count:
        raise ValueError(f"column {name} is {column.type}, not whole lists of {width}")
    array = (
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([pa.array([], kind), *column.chunks])
    )
    offsets = array.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    values = array.values.slice(first, last - first)
    if values.null_count:
        raise ValueError(f"column {name} has gaps")
    return values.to_numpy(), offsets - first if first else offsets
