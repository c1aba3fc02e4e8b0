"""States shared between nodes with equal views, against the plain path and against colouring by loops."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from archflow.encoders import EncoderConfig, fit_scale, sharing
from archflow.encoders.embedding import embed
from archflow.encoders.sharing import SharesStates, Sharing, chunks, view_keys
from archflow.graphs import FORMS, Architecture, ArchitectureTable, GraphBatch
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables
from reference.zigzags import zigzags

NAMES = ("gin", "gated_gcn")


def built(name, operations=TOY_OPERATIONS, **sizes):
    torch.manual_seed(0)
    config = EncoderConfig(name=name, **{"width": 12, **sizes})
    encoder = config.build(len(operations), len(operations.attributes)).eval()
    for layer in encoder.layers:
        if name == "gin":
            nn.init.normal_(layer.epsilon)  # it starts at 0, where a mistake would not show
    return encoder


def plainly(encoder, table):
    with torch.inference_mode():
        return encoder(GraphBatch.of(table.columns))[1].numpy()


def views(architecture, layers, operations=TOY_OPERATIONS):
    """Return the view of every node as nested tuples."""
    rows = architecture.attribute_rows(operations).tolist()
    seen = [(name, *numbers) for name, numbers in zip(architecture.operations, rows, strict=True)]
    for _ in range(layers):
        neighbours = [[] for _ in seen]
        for source, target in architecture.edges:
            neighbours[target].append(seen[source])
            neighbours[source].append(seen[target])
        seen = [(own, tuple(sorted(others))) for own, others in zip(seen, neighbours, strict=True)]
    return seen


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS], ids=["bare", "sized"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("worth", [0.0, 0.75, 1.0])
def test_shared_states_give_the_embeddings_of_the_plain_path(name, operations, form, worth, monkeypatch):
    monkeypatch.setattr(sharing, "_WORTH_SHARING", worth)
    monkeypatch.setattr(sharing, "_BLOCK", 7)  # blocks that end within graphs
    encoder = built(name, operations)

    @settings(max_examples=25, deadline=None)
    @given(tables(operations, min_size=1, max_size=8))
    def check(table):
        formed = table.in_form(form)
        fit_scale(encoder, formed.columns)
        expected = plainly(encoder, formed)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(
            encoder.embed_distinct(formed.columns), expected, rtol=0, atol=1e-5 * scale
        )

    check()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_all_of_nasbench201_equals_the_plain_path(name, form):
    table = NASBench201().all().in_form(form)
    encoder = built(name, table.operations, width=32)
    np.testing.assert_allclose(embed(encoder, table), plainly(encoder, table), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_any_number_of_layers(name, layers):
    encoder, table = built(name, layers=layers), toy_table(60, seed=3)
    np.testing.assert_allclose(encoder.embed_distinct(table.columns), plainly(encoder, table), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_without_edges(name):
    table = ArchitectureTable.of([Architecture(("input", "output"), ())] * 3, TOY_OPERATIONS)
    encoder = built(name)
    np.testing.assert_allclose(encoder.embed_distinct(table.columns), plainly(encoder, table), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nodes", [1, 50, 10**6])
def test_a_table_in_pieces_equals_the_whole(name, nodes, monkeypatch):
    encoder, table = built(name), toy_table(60, seed=5)
    rows = np.random.default_rng(0).integers(60, size=90)  # equal rows in different pieces
    monkeypatch.setattr(sharing, "NODES", nodes)
    seen = []
    original = encoder.embed_distinct
    monkeypatch.setattr(
        encoder,
        "embed_distinct",
        lambda columns, device: (seen.append(len(columns)), original(columns, device))[1],
    )
    np.testing.assert_allclose(embed(encoder, table[rows]), plainly(encoder, table)[rows], atol=1e-5)
    distinct = len(np.unique(view_keys(table[rows].columns, 3)))
    assert sum(seen) == (90 if nodes == 10**6 else distinct)  # within one piece they are found there
    assert distinct < 60 or len(np.unique(rows)) == distinct


def test_gates_of_large_states_equal_the_plain_path():
    """Beyond what the exponentials of nodes can hold the gates are computed edge by edge."""
    encoder, table = built("gated_gcn"), toy_table(30)
    with torch.no_grad():
        for layer in encoder.layers:
            layer.maps.weight[:24].mul_(1000)
    expected = plainly(encoder, table)
    assert np.isfinite(expected).all()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(encoder.embed_distinct(table.columns), expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_double_precision_is_kept(name):
    encoder, table = built(name).double(), toy_table(30)
    shared = encoder.embed_distinct(table.columns)
    assert shared.dtype == torch.float64
    np.testing.assert_allclose(shared, plainly(encoder, table), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_neither_gradients_nor_dropout(name):
    encoder, table = built(name, dropout=0.5).train(), toy_table(10)
    shared = encoder.embed_distinct(table.columns)
    assert not shared.requires_grad
    np.testing.assert_allclose(shared, plainly(encoder.eval(), table), atol=1e-5)


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS], ids=["bare", "sized"])
def test_each_distinct_view_is_computed_once(operations, monkeypatch):
    monkeypatch.setattr(sharing, "_WORTH_SHARING", 1.0)
    table = toy_table(80, seed=4, operations=operations)
    shared = Sharing.of(table.columns, 3)
    counts = [shared.starts.n_nodes, *map(len, shared.layers)]
    for layers, count in enumerate(counts):
        assert count == len(
            {view for architecture in table for view in views(architecture, layers, operations)}
        )
    assert counts == sorted(counts)


def test_keys_are_equal_exactly_for_graphs_of_equal_views():
    table = ArchitectureTable.concatenate([toy_table(80, seed=4), toy_table(80, seed=4)])
    for layers in (1, 2, 3):
        keys = view_keys(table.columns, layers).tolist()
        seen = [frozenset(Counter(views(architecture, layers)).items()) for architecture in table]
        assert len(set(zip(keys, seen, strict=True))) == len(set(keys)) == len(set(seen))


def test_views_reach_as_far_as_the_layers():
    table = ArchitectureTable.of([zigzags("aa", "bb"), zigzags("ab", "ab")])
    keys = [len(set(view_keys(table.columns, layers).tolist())) for layers in range(1, 12)]
    assert keys[0] == 1
    assert keys[-1] == 2
    assert keys == sorted(keys)


def test_equal_graphs_are_computed_once_and_in_blocks_by_falling_senders(monkeypatch):
    monkeypatch.setattr(sharing, "_WORTH_SHARING", 0.0)
    monkeypatch.setattr(sharing, "_BLOCK", 16)
    table = toy_table(40)
    shared = Sharing.of(table[np.arange(80) % 40].columns, 3)
    assert len(shared) == len(np.unique(view_keys(table.columns, 3)))
    assert shared.graphs[:40].tolist() == shared.graphs[40:].tolist()
    for reads in shared.layers:
        blocks = list(reads.blocks())
        assert [state for block in blocks for state in range(len(reads))[block.rows]] == list(
            range(len(reads))
        )
        for block in blocks:
            edges = torch.diff(block.starts) - 1
            assert edges.tolist() == sorted(edges.tolist(), reverse=True)
            assert block.reach == [int((edges >= number).sum()) for number in range(1, int(edges[0]) + 1)]


def test_equal_colours_have_one_place():
    colours = np.array([9, 8, 9, 8, 9], dtype=np.uint64)
    nodes, places = sharing._grouped(colours, np.ones(5, dtype=np.int64), np.arange(5))
    assert nodes.tolist() == [0, 1]
    assert places.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("largest", [3, 1000, 10**6])  # keys of one byte, two and more
def test_counts_fall_within_each_block(largest):
    counts = np.random.default_rng(0).integers(largest + 1, size=500)
    for blocks in (np.zeros(500, dtype=np.int64), np.arange(500) // 64):
        order = sharing._by_falling(counts, blocks)
        assert order.tolist() == sorted(range(500), key=lambda node: (blocks[node], -counts[node]))


@pytest.mark.parametrize("distinct", [0, 1, 700, 50_000])
def test_distinct_colours_are_counted_to_a_few_per_cent(distinct):
    colours = np.random.default_rng(0).integers(2**64, size=distinct, dtype=np.uint64)
    assert 0.95 * distinct <= sharing._distinct_at_least(np.tile(colours, 2)) <= distinct


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_are_gathered_as_they_are(dtype):
    states, rows = torch.randn(300, 5).to(dtype), torch.tensor([7, 0, 299, 7])
    assert torch.equal(sharing.gather(states, rows), states[rows])


@pytest.mark.parametrize("name", NAMES)
def test_these_encoders_share(name):
    assert isinstance(built(name), SharesStates)


def test_chunks_hold_every_row_once(monkeypatch):
    monkeypatch.setattr(sharing, "NODES", 20)
    columns, rows = toy_table(30).columns, np.random.default_rng(0).permutation(30)
    pieces = list(chunks(columns, rows))
    np.testing.assert_array_equal(np.concatenate(pieces), rows)
    sizes = [np.diff(columns.node_offsets)[piece].sum() for piece in pieces]
    assert max(sizes) <= 20
    assert len(pieces) > 5
    assert list(chunks(columns, rows[:0])) == []


@pytest.mark.parametrize("name", ["mlp", "flowerformer", "dagnn"])
def test_other_encoders_do_not_share(name):
    assert not isinstance(EncoderConfig(name=name, width=8).build(4), SharesStates)
