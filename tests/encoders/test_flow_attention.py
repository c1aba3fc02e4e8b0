"""Attention along common paths: which nodes see each other, in blocks and in stacks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.encoders import flow_attention
from archflow.encoders.asynchronous import Schedule
from archflow.encoders.flow_attention import FlowAttention, FlowPairs
from archflow.graphs import ArchitectureTable, GraphBatch
from archflow.spaces import NASBench201
from archflow.testing import TOY_OPERATIONS, random_architecture, toy_table
from reference.flowerformer import on_common_paths


def mixed_table():
    """Graphs of 2 to 45 nodes in no order of size."""
    rng = np.random.default_rng(0)
    sizes = [0, 40, 3, 12, 1, 43, 6, 25, 14, 0, 5, 9]
    return ArchitectureTable.of(
        [random_architecture(rng, max_inner=size) for size in sizes * 2], TOY_OPERATIONS
    )


def seen_rows(pairs):
    """All pairs of rows of which one sees the other, and the number of rows."""
    seen, begin = set(), 0
    for size, mask in zip(pairs.sizes, pairs.masks, strict=True):
        rows = mask.shape[-1]
        assert mask.shape == (size // rows, 1, rows, rows)
        assert bool(mask.diagonal(dim1=2, dim2=3).all())
        block, _, row, column = mask.nonzero().T
        start = begin + block * rows
        seen |= set(zip((start + row).tolist(), (start + column).tolist(), strict=True))
        begin += size
    for stack in pairs.stacks:
        size, _, _, count = stack.mask.shape
        assert set(stack.mask.unique().tolist()) <= {0.0, -np.inf}
        row, column, _, graph = (stack.mask == 0).nonzero().T
        seen |= set(
            zip(
                (begin + row * count + graph).tolist(), (begin + column * count + graph).tolist(), strict=True
            )
        )
        begin += size * count
    return seen, begin


@pytest.mark.parametrize("many", [None, 1, 3])
@pytest.mark.parametrize("pairs", [1, 1 << 22])
def test_each_node_sees_its_common_paths_alone(pairs, many, monkeypatch):
    monkeypatch.setattr(flow_attention, "_PAIRS", pairs)
    monkeypatch.setattr(flow_attention, "_MANY", many)
    table = mixed_table()
    batch = GraphBatch.of(table.columns)
    schedule = Schedule.of(batch)
    found = FlowPairs.of(batch, schedule, stacked=many is not None)
    assert bool(found.stacks) is (many is not None)
    nodes = torch.cat([found.nodes, *(stack.nodes for stack in found.stacks)])
    assert nodes[found.rows].tolist() == list(range(batch.n_nodes))
    seen, rows = seen_rows(found)
    assert rows == len(nodes)
    assert sum(found.sizes) == len(found.nodes)
    node_at = dict(zip(found.rows.tolist(), schedule.order.tolist(), strict=True))
    actual = {(node_at[row], node_at[column]) for row, column in seen if row in node_at and column in node_at}
    expected = {
        (offset + v, offset + u)
        for graph, offset in zip(table, batch.node_offsets.tolist(), strict=False)
        for v, u in on_common_paths(graph)
    }
    assert actual == expected
    assert not any((row in node_at) != (column in node_at) for row, column in seen)


def test_small_graphs_share_a_block():
    batch = GraphBatch.of(NASBench201().sample(32, np.random.default_rng(0)).columns)
    assert FlowPairs.of(batch, Schedule.of(batch)).masks[0].shape == (16, 1, 16, 16)


def test_many_small_graphs_of_one_size_are_a_stack():
    batch = GraphBatch.of(NASBench201().sample(64, np.random.default_rng(0)).columns)
    pairs = FlowPairs.of(batch, Schedule.of(batch), stacked=True)
    assert [stack.mask.shape for stack in pairs.stacks] == [(8, 8, 1, 64)]
    assert pairs.sizes == []


@pytest.mark.parametrize("width", [5, 16, 24])
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 12))
def test_stacks_give_what_blocks_give(width, seed, count):
    torch.manual_seed(seed)
    attention = FlowAttention(width).double()
    batch = GraphBatch.of(toy_table(count, seed=seed).columns)
    schedule = Schedule.of(batch)
    states = torch.randn(batch.n_nodes, width, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(flow_attention, "_MANY", 2)
        stacked = attention(states, FlowPairs.of(batch, schedule, stacked=True))
        torch.testing.assert_close(stacked, attention(states, FlowPairs.of(batch, schedule)))


@pytest.mark.parametrize("scale", [1e-3, 1e2, 1e4])
def test_extreme_scores_of_a_stack_stay_finite(scale):
    torch.manual_seed(0)
    attention = FlowAttention(16)
    batch = GraphBatch.of(NASBench201().sample(64, np.random.default_rng(0)).columns)
    schedule = Schedule.of(batch)
    states = scale * torch.randn(batch.n_nodes, 16)
    with torch.no_grad():
        stacked = attention(states, FlowPairs.of(batch, schedule, stacked=True))
        blocks = attention(states, FlowPairs.of(batch, schedule))
    assert stacked.isfinite().all()
    torch.testing.assert_close(stacked, blocks, rtol=1e-4, atol=1e-4 * scale)


def test_the_number_of_heads_divides_the_width():
    assert [FlowAttention(width).heads for width in (1, 7, 11, 12, 16, 36, 64)] == [1, 7, 1, 6, 8, 6, 8]
