"""A pre-trained encoder: the same embeddings after a trip to disk, and no stranger let in."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from archflow.errors import CheckpointError
from archflow.graphs import Operations
from archflow.pretrain import PretrainedEncoder
from archflow.testing import toy_table
from archflow.training import load_checkpoint, save_checkpoint


@pytest.fixture
def folder(trained, tmp_path):
    trained.save(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_embeddings_survive_a_file_bit_for_bit(trained, table, space, folder):
    for loaded in (PretrainedEncoder.load(folder), PretrainedEncoder.load(folder, space.operations)):
        assert loaded.embed(table).tobytes() == trained.embed(table).tobytes()
        assert (loaded.config, loaded.operations, loaded.space) == (
            trained.config,
            trained.operations,
            "nasbench201",
        )
        assert loaded.provenance == json.loads(json.dumps(trained.provenance))


def test_embeddings_are_a_vector_each_and_tell_architectures_apart(trained, table):
    vectors = trained.embed(table)
    assert vectors.shape == (len(table), trained.config.encoder.width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors[:20].round(6), axis=0)) > 15


def test_isomorphic_architectures_in_the_encoders_form_share_an_embedding(trained, table):
    vectors = trained.embed(table)  # rows 0 and 1 differ in an operation that nothing uses
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert table[0] != table[1]


def test_one_by_one_equals_batched(trained, table):
    one_by_one = np.concatenate([trained.embed(table[row : row + 1]) for row in range(len(table))])
    np.testing.assert_allclose(one_by_one, trained.embed(table), atol=1e-5)


def test_it_embeds_the_form_it_was_trained_on(trained, table):
    np.testing.assert_allclose(trained.embed(table.pruned()), trained.embed(table), atol=1e-6)
    as_written = dataclasses.replace(trained, config=dataclasses.replace(trained.config, form="as-written"))
    assert np.abs(as_written.embed(table) - trained.embed(table)).max() > 1e-3


def test_embedding_reports_its_progress_and_draws_nothing(trained, table):
    told = []
    torch.manual_seed(0)
    state = torch.get_rng_state()
    trained.embed(table, report=lambda done, total: told.append((done, total)))
    done, total = told[-1]
    assert 0 < done == total <= len(table)
    assert torch.equal(torch.get_rng_state(), state)
    assert not trained.module.training


def test_no_architecture_is_no_embedding(trained, table):
    assert len(trained.embed(table[:0])) == 0


def test_tables_in_another_vocabulary_are_refused(trained):
    with pytest.raises(CheckpointError, match=r"this encoder: trained for another vocabulary.*'conv'"):
        trained.embed(toy_table(4))


def test_another_vocabulary_names_the_operation(trained, folder, space):
    names = space.operations.names
    cases = [
        ((*names[:-1], "sep_conv", names[-1]), "it has never seen operation 'sep_conv'"),
        (
            tuple(n for n in names if n != "avg_pool_3x3"),
            "it knows operation 'avg_pool_3x3', which the space lacks",
        ),
        ((names[0], *names[1:-1][::-1], names[-1]), "the operations are in another order"),
    ]
    for other, message in cases:
        with pytest.raises(CheckpointError) as error:
            PretrainedEncoder.load(folder, Operations(other))
        assert str(error.value) == (f"{folder}: trained for another vocabulary than the space's: {message}")


def test_another_kind_of_checkpoint_is_named(tmp_path):
    save_checkpoint(tmp_path, {"weight": torch.ones(1)}, {"kind": "predictor"})
    with pytest.raises(CheckpointError, match="holds a predictor, not a pretrained-encoder"):
        PretrainedEncoder.load(tmp_path)
    save_checkpoint(tmp_path, {"weight": torch.ones(1)}, {})
    with pytest.raises(CheckpointError, match="holds a None, not a pretrained-encoder"):
        PretrainedEncoder.load(tmp_path)


def test_weights_that_do_not_fit_the_settings(folder):
    tensors, content = load_checkpoint(folder)
    content["config"]["encoder"]["width"] = 9
    save_checkpoint(folder, tensors, content)
    with pytest.raises(CheckpointError, match=r"'embedding.weight' has shape \(7, 8\), not \(7, 9\)"):
        PretrainedEncoder.load(folder)


def test_settings_that_are_none(folder):
    tensors, content = load_checkpoint(folder)
    content["config"]["colour"] = "red"
    save_checkpoint(folder, tensors, content)
    with pytest.raises(CheckpointError, match=r"not the settings of a pre-training run: .*colour"):
        PretrainedEncoder.load(folder)


def test_saving_again_replaces(trained, folder, table):
    other = dataclasses.replace(trained, provenance={"note": "second"})
    other.save(folder)
    assert PretrainedEncoder.load(folder).provenance == {"note": "second"}
    assert len(list(folder.iterdir())) == 2


def test_a_checkpoint_without_its_content_says_what_is_missing(tmp_path):
    save_checkpoint(tmp_path, {"encoder.x": torch.ones(1)}, {"kind": "pretrained-encoder", "space": "free"})
    with pytest.raises(CheckpointError, match="lacks operations, config, provenance"):
        PretrainedEncoder.load(tmp_path)
