"""The registry of encoders, their configuration, and embedding whole tables."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from archflow.encoders import ENCODERS, EncoderConfig, embedding, sharing
from archflow.encoders.embedding import embed
from archflow.errors import UnknownNameError, UsageError
from archflow.graphs import ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, check_encoder, renumbered, toy_table
from archflow.testing.toys import SIZED_TOY_OPERATIONS
from reference.zigzags import zigzags


def built(name="gin", **sizes):
    torch.manual_seed(0)
    return EncoderConfig(name=name, **{"width": 12, **sizes}).build(len(TOY_OPERATIONS))


def distinct(count):
    table = toy_table(3 * count)
    return table[np.sort(np.unique(table.keys(), return_index=True)[1])[:count]]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(embedding, "BATCH", 16)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_conforms(name):
    check_encoder(EncoderConfig(name=name, width=20, layers=2).build)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_configuration_decides_the_sizes(name):
    encoder = EncoderConfig(name=name, width=6, layers=2, dropout=0.4).build(9)
    assert isinstance(encoder, ENCODERS[name])
    assert encoder.width == 6
    assert len(encoder.embedding.weight) == 9
    assert {part.p for part in encoder.modules() if isinstance(part, nn.Dropout)} == {0.4}
    sizes = [
        sum(weights.numel() for weights in EncoderConfig(name, width=6, layers=layers).build(9).parameters())
        for layers in (1, 2, 3)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_usual_sizes_are_those_of_the_class(name):
    config = EncoderConfig.default(name)
    own = inspect.signature(ENCODERS[name]).parameters
    assert (config.width, config.layers, config.dropout) == tuple(
        own[size].default for size in ("width", "layers", "dropout")
    )


def test_an_unknown_encoder_gets_the_choices_and_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown encoder 'ginn'; .*gated_gcn.*Did you mean 'gin'\?"):
        EncoderConfig(name="ginn")


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 0},
        {"layers": 0},
        {"layers": -1},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"dropout": np.nan},
        {"width": 2.5},
    ],
)
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(UsageError, match=r"whole width >= 1 and layers >= 1, and dropout in \[0, 1\)"):
        EncoderConfig(**sizes)


@pytest.mark.parametrize("name", ENCODERS)
def test_embedding_a_table_equals_one_by_one(name):
    encoder, table = built(name), toy_table(41, seed=2)
    embeddings = embed(encoder, table)
    assert embeddings.shape == (41, 12)
    assert embeddings.dtype == np.float32
    encoder.eval()
    with torch.inference_mode():
        alone = [encoder(GraphBatch.of(table[[row]].columns))[1].numpy()[0] for row in range(41)]
    np.testing.assert_allclose(embeddings, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [15, 16, 17, 32])
def test_the_batch_size_changes_nothing(count, monkeypatch):
    encoder, table = built("mlp"), toy_table(count)
    small = embed(encoder, table)
    monkeypatch.setattr(embedding, "BATCH", 1024)
    np.testing.assert_allclose(embed(encoder, table), small, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_the_training_mode_is_restored(training):
    encoder = built().train(training)
    embed(encoder, toy_table(3))
    assert encoder.training is training
    assert all(module.training is training for module in encoder.modules())


@pytest.mark.parametrize("training", [False, True])
def test_the_training_mode_is_restored_after_an_error(training):
    encoder = built().train(training)

    def broken(embeddings):
        raise RuntimeError("broken head")

    with pytest.raises(RuntimeError, match="broken head"):
        embed(encoder, toy_table(3), head=broken)
    assert encoder.training is training


def test_the_training_mode_of_a_frozen_part_is_restored():
    encoder = built().train()
    encoder.layers[0].eval()
    embed(encoder, toy_table(3))
    assert not encoder.layers[0].training


def test_dropout_is_off_unless_asked_for():
    encoder, table = built(dropout=0.5).train(), toy_table(20)
    np.testing.assert_array_equal(embed(encoder, table), embed(encoder, table))
    first, second = embed(encoder, table, dropout=True), embed(encoder, table, dropout=True)
    assert np.abs(first - second).max() > 1e-3
    encoder.eval()
    assert np.abs(embed(encoder, table, dropout=True) - embed(encoder, table)).max() > 1e-3
    assert not encoder.training


def test_a_head_is_applied_to_each_batch():
    encoder, table = built(), toy_table(20)
    torch.manual_seed(1)
    head = nn.Linear(12, 1)
    scores = embed(encoder, table, head=lambda embeddings: head(embeddings).squeeze(1))
    weight, bias = head.weight.detach().numpy()[0], head.bias.item()
    assert scores.shape == (20,)
    np.testing.assert_allclose(scores, embed(encoder, table) @ weight + bias, rtol=1e-4, atol=1e-5)


def test_nothing_is_kept_for_a_backward_pass():
    encoder = built()
    embed(encoder, toy_table(5))
    assert all(parameter.grad is None for parameter in encoder.parameters())
    encoder(GraphBatch.of(toy_table(5).columns))[1].sum().backward()  # and training goes on afterwards


def test_progress_is_told_after_each_batch():
    table, told = distinct(40), []
    embed(built("mlp"), table, report=lambda done, total: told.append((done, total)))
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_progress_is_told_after_each_piece_of_shared_states(monkeypatch):
    table, told = distinct(40), []
    monkeypatch.setattr(sharing, "NODES", 100)
    embed(built(), table, report=lambda done, total: told.append((done, total)))
    assert len(told) > 1
    assert told[-1] == (40, 40)
    assert told == sorted(told)


def test_isomorphic_graphs_are_embedded_once():
    table, seen = distinct(10), []
    rng = np.random.default_rng(0)
    others = ArchitectureTable.of([renumbered(a, rng)[0] for a in table], TOY_OPERATIONS)
    both = ArchitectureTable.concatenate([table, others])[rng.permutation(20)]
    encoder = built("mlp")
    encoder.register_forward_pre_hook(lambda module, batch: seen.append(batch[0].n_graphs))
    embeddings = embed(encoder, both)
    assert seen == [10]
    one_by_one = np.concatenate([embed(encoder, both[[row]]) for row in range(20)])
    np.testing.assert_allclose(embeddings, one_by_one, rtol=1e-5, atol=1e-6)


def test_what_a_deep_encoder_tells_apart_stays_apart():
    """Two zigzags of eleven nodes with ends aa and bb, or twice ab."""
    table = ArchitectureTable.of([zigzags("aa", "bb"), zigzags("ab", "ab")])
    torch.manual_seed(0)
    encoder = EncoderConfig(name="gated_gcn", width=32, layers=8).build(len(table.operations)).double()
    with torch.no_grad():
        for parameter in encoder.layers.parameters():
            parameter.mul_(2)  # fresh weights pass little on over eight layers, trained ones do
    first, second = (embed(encoder, table[[row]])[0] for row in range(2))
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_allclose(embed(encoder, table), [first, second], rtol=1e-5, atol=1e-5)


def test_a_float16_encoder_gives_single_precision_embeddings_by_the_plain_path(monkeypatch):
    encoder = built().half()
    monkeypatch.delattr(type(encoder), "embed_distinct")
    plain = embed(encoder, toy_table(4))
    monkeypatch.undo()
    assert embed(encoder, toy_table(4)).dtype == np.float32
    np.testing.assert_array_equal(embed(encoder, toy_table(4)), plain)


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS])
@pytest.mark.parametrize("name", ENCODERS)
def test_bfloat16_rounds_embeddings_and_leaves_the_encoder_alone(name, operations):
    table = toy_table(60, operations=operations)
    torch.manual_seed(0)
    encoder = EncoderConfig(name, width=32, layers=2).build(len(operations), len(operations.attributes))
    exact, low = embed(encoder, table), embed(encoder, table, precision="bfloat16")
    assert low.dtype == np.float32
    assert not np.array_equal(low, exact)
    np.testing.assert_allclose(low, exact, atol=0.05 * np.abs(exact).max())
    assert all(weights.dtype == torch.float32 for weights in encoder.state_dict().values())
    np.testing.assert_array_equal(embed(encoder, table), exact)


def test_the_head_of_a_bfloat16_encoder_computes_in_float32():
    torch.manual_seed(1)
    head = nn.Linear(12, 3)
    scores = embed(built(), toy_table(9), head=head, precision="bfloat16")
    by_hand = head(torch.from_numpy(embed(built(), toy_table(9), precision="bfloat16")))
    np.testing.assert_allclose(scores, by_hand.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_an_unknown_precision_gets_the_choices_and_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'bfloat61'; .*float32.*Did you mean 'bfloat16'"):
        embed(built(), toy_table(2), precision="bfloat61")


@pytest.mark.parametrize("name", ENCODERS)
def test_an_empty_table_gives_no_rows_of_the_same_width(name):
    assert embed(built(name), toy_table(0)).shape == (0, 12)
