"""Batches: every offset written out, and taken apart again."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.graphs.batch import on_device
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables

# input, conv, pool, skip, none, output are the operations 0 to 5.
THREE = ArchitectureTable.of(
    [
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2), (0, 2))),
        Architecture(("input", "output"), ()),
        Architecture(("input", "input", "pool", "output"), ((0, 2), (1, 2), (2, 3), (2, 3))),
    ],
    TOY_OPERATIONS,
)


def fields_of(batch):
    return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}


def test_three_graphs_written_out():
    batch = GraphBatch.of(THREE.columns)
    assert (batch.n_graphs, batch.n_nodes) == (3, 9)
    assert batch.operation_ids.tolist() == [0, 1, 5, 0, 5, 0, 0, 2, 5]
    assert batch.graph_ids.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert batch.node_offsets.tolist() == [0, 3, 5, 9]
    assert batch.sources.tolist() == [0, 0, 1, 5, 6, 7, 7]
    assert batch.targets.tolist() == [1, 2, 2, 7, 7, 8, 8]
    assert batch.edge_offsets.tolist() == [0, 3, 3, 7]
    whole = {name: values for name, values in fields_of(batch).items() if name != "attributes"}
    assert all(values.dtype == torch.int64 for values in whole.values())
    assert (batch.attributes.shape, batch.attributes.dtype) == ((9, 0), torch.float32)


def test_the_mean_over_nodes_written_out():
    batch = GraphBatch.of(THREE.columns)
    values = torch.arange(18, dtype=torch.float32).reshape(9, 2)
    assert batch.mean_over_nodes(values).tolist() == [[2.0, 3.0], [7.0, 8.0], [13.0, 14.0]]
    assert batch.mean_over_nodes(values.double()).dtype == torch.float64


@settings(deadline=None)
@given(tables(min_size=1), st.integers(0, 2**32))
def test_the_mean_over_nodes_equals_the_loop(table, seed):
    batch = GraphBatch.of(table.columns)
    values = torch.randn(batch.n_nodes, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = torch.stack(
        [
            values[begin:end].mean(dim=0)
            for begin, end in zip(batch.node_offsets[:-1], batch.node_offsets[1:], strict=True)
        ]
    )
    torch.testing.assert_close(batch.mean_over_nodes(values), expected, rtol=0, atol=1e-12)


def test_the_mean_over_nodes_is_differentiable():
    batch = GraphBatch.of(THREE.columns)
    values = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(batch.mean_over_nodes, (values,))


@settings(deadline=None)
@given(tables())
def test_a_batch_comes_apart_exactly(table):
    columns = GraphBatch.of(table.columns).to_columns()
    for field in dataclasses.fields(columns):
        expected, actual = getattr(table.columns, field.name), getattr(columns, field.name)
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype


@settings(deadline=None)
@given(tables(), tables())
def test_a_batch_of_two_tables_is_the_two_batches_shifted(first, second):
    joined = fields_of(GraphBatch.of(ArchitectureTable.concatenate([first, second]).columns))
    left, right = GraphBatch.of(first.columns), GraphBatch.of(second.columns)
    shifts = {
        "operation_ids": 0,
        "sources": left.n_nodes,
        "targets": left.n_nodes,
        "graph_ids": left.n_graphs,
        "node_offsets": left.n_nodes,
        "edge_offsets": len(left.sources),
    }
    for name, shift in shifts.items():
        tail = getattr(right, name) + shift
        parts = [getattr(left, name), tail[1:] if name.endswith("offsets") else tail]
        assert torch.equal(joined[name], torch.cat(parts)), name


def test_no_graphs():
    batch = GraphBatch.of(THREE[:0].columns)
    assert (batch.n_graphs, batch.n_nodes) == (0, 0)
    assert batch.mean_over_nodes(torch.zeros(0, 4)).shape == (0, 4)
    assert len(batch.to_columns()) == 0


def test_moving_to_another_device_keeps_the_values():
    batch = GraphBatch.of(THREE.columns)
    for name, values in fields_of(batch.to("cpu")).items():
        assert torch.equal(values, getattr(batch, name))
    assert all(values.device.type == "meta" for values in fields_of(batch.to("meta")).values())
    assert all(
        values.device.type == "meta" for values in fields_of(GraphBatch.of(THREE.columns, "meta")).values()
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_on_the_gpu_comes_apart_exactly():
    batch = GraphBatch.of(THREE.columns, "cuda")
    assert batch.sources.is_cuda
    assert list(ArchitectureTable(batch.to_columns(), TOY_OPERATIONS)) == list(THREE)
    values = torch.randn(9, 2)
    expected = GraphBatch.of(THREE.columns).mean_over_nodes(values)
    torch.testing.assert_close(batch.mean_over_nodes(values.cuda()).cpu(), expected)


def test_a_memory_mapped_table_makes_batches_without_a_warning(tmp_path):
    table = toy_table(5)
    table.save(tmp_path / "table.arrow")
    batch = GraphBatch.of(ArchitectureTable.load(tmp_path / "table.arrow").columns)
    assert batch.node_offsets.tolist() == table.columns.node_offsets.tolist()


def test_what_is_asked_off_the_device_was_never_only_there():
    away = GraphBatch.of(THREE.columns, "meta")  # whose numbers nobody can read
    for batch in (away, GraphBatch.of(THREE.columns).to("meta")):
        assert batch.host.operation_ids.tolist() == [0, 1, 5, 0, 5, 0, 0, 2, 5]
        assert batch.host.sources.tolist() == [0, 0, 1, 5, 6, 7, 7]
        assert batch.host.targets.tolist() == [1, 2, 2, 7, 7, 8, 8]
        assert batch.host.node_offsets.tolist() == [0, 3, 5, 9]
        assert batch.host.edge_offsets.tolist() == [0, 3, 3, 7]
        assert batch.host.attributes.shape == (9, 0)
    with pytest.raises(NotImplementedError):
        away.sources.cpu()


def test_the_host_side_of_a_changed_batch_is_that_of_its_tensors():
    batch = GraphBatch.of(THREE.columns)
    turned = dataclasses.replace(batch, sources=batch.targets, targets=batch.sources)
    assert turned.host.sources.tolist() == batch.host.targets.tolist()
    assert turned.to("cpu").host.sources.tolist() == batch.host.targets.tolist()


def test_an_array_on_the_cpu_is_shared():
    array = np.arange(3)
    tensor = on_device(array, "cpu")
    array[0] = 7
    assert tensor.tolist() == [7, 1, 2]
