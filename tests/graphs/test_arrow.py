"""Architectures as Arrow columns: there and back, whole or in slices, and columns that hold none."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.graphs.arrow import METADATA, from_arrow, holds_graphs, to_arrow
from archflow.testing import toy_table
from archflow.testing.strategies import tables


def back(arrow):
    return ArchitectureTable(*from_arrow(arrow))


def as_arrow(table):
    return to_arrow(table.columns, table.operations)


@settings(deadline=None, max_examples=30)
@given(tables(), st.data())
def test_there_and_back_whole_and_in_slices(table, data):
    arrow = as_arrow(table)
    assert list(back(arrow)) == list(table)
    start = data.draw(st.integers(0, len(table)))
    stop = data.draw(st.integers(start, len(table)))
    part = arrow.slice(start, stop - start)
    assert list(back(part)) == list(table)[start:stop]
    joined = pa.concat_tables([part, arrow.slice(0, start)])
    assert list(back(joined)) == [*list(table)[start:stop], *list(table)[:start]]


def test_through_parquet_with_long_and_short_offsets():
    table = toy_table(12)
    arrow = as_arrow(table)
    kinds = [(name, pa.list_(arrow.schema.field(name).type.value_type)) for name in arrow.column_names]
    for written in (arrow, arrow.cast(pa.schema(kinds, arrow.schema.metadata))):
        file = io.BytesIO()
        pq.write_table(written, file, row_group_size=5)
        read = pq.read_table(file)
        assert holds_graphs(read.schema)
        assert back(read).operations == table.operations
        assert list(back(read)) == list(table)


def test_no_copy():
    table = toy_table(5)
    columns, _ = from_arrow(as_arrow(table))
    assert np.shares_memory(columns.operation_ids, table.columns.operation_ids)
    assert np.shares_memory(columns.edge_offsets, table.columns.edge_offsets)


def test_which_schemas_hold_graphs():
    arrow = as_arrow(toy_table(3))
    assert holds_graphs(arrow.schema)
    assert not holds_graphs(arrow.replace_schema_metadata(None).schema)
    assert not holds_graphs(arrow.drop_columns(["sources"]).schema)
    assert not holds_graphs(pa.schema([("arch", pa.string())]))


def replaced(arrow, name, array):
    return arrow.set_column(arrow.schema.get_field_index(name), name, array)


def test_columns_that_hold_no_architectures():
    arrow = as_arrow(ArchitectureTable.of([Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))] * 3))
    edges = arrow["sources"].to_pylist()
    kind = arrow["sources"].type
    for bad in (
        arrow.drop_columns(["targets"]),
        arrow.replace_schema_metadata({METADATA: b"{}"}),
        arrow.replace_schema_metadata({METADATA: b"[1]"}),
        replaced(arrow, "sources", pa.array(edges, pa.large_list(pa.int64()))),
        replaced(arrow, "sources", pa.array([edges[0], None, edges[2]], kind)),
        replaced(arrow, "sources", pa.array([[None] * len(edges[0]), *edges[1:]], kind)),
        replaced(arrow, "sources", pa.array([[], [], []], kind)),
        replaced(arrow, "sources", pa.array([[99] * len(row) for row in edges], kind)),
    ):
        with pytest.raises((ValueError, LookupError, TypeError)):
            from_arrow(bad)


def test_attributes():
    operations = Operations.of(["conv"], attributes=["size"])
    columns = ArchitectureTable.of(list(toy_table(1)), None).columns
    table = ArchitectureTable(
        type(columns)(
            np.array([operations.id("input"), operations.id("conv"), operations.id("output")], np.int16),
            np.array([0, 3]),
            np.array([0, 1], np.int32),
            np.array([1, 2], np.int32),
            np.array([0, 2]),
            np.array([[0], [2.5], [0]], np.float32),
        ),
        operations,
    )
    assert list(back(as_arrow(table))) == list(table)
    with pytest.raises(LookupError):
        from_arrow(as_arrow(table).drop_columns(["attributes"]))
    short = replaced(as_arrow(table), "attributes", pa.array([[1.0]], pa.large_list(pa.float32())))
    with pytest.raises(ValueError, match="lacks attributes"):
        from_arrow(short)
