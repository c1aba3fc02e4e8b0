"""Where an encoder, or what to pre-train one on, comes from when the user brings none."""

import dataclasses

import numpy as np
import pytest

from archflow.errors import CheckpointError, UsageError
from archflow.graphs import Operations
from archflow.predictors import shipped
from archflow.predictors.shipped import (
    shipped_encoder,
    shipped_folder,
    unlabelled_architectures,
    within_budget,
)
from archflow.pretrain import PretrainConfig
from archflow.spaces.free import Free
from archflow.spaces.nasbench201 import NASBench201
from archflow.spaces.nasbench_nlp import NASBenchNLP


@pytest.fixture
def shipping(monkeypatch, tmp_path, encoders):
    """Ship a tiny encoder for one space, encoder and form alone."""

    def folder(space, encoder, form):
        return tmp_path / f"{space}-{encoder}-{form}"

    monkeypatch.setattr(shipped, "shipped_folder", folder)
    encoders["gin"].save(folder("nasbench201", "gin", "pruned"))
    return folder("nasbench201", "gin", "pruned")


def test_the_folder_is_in_the_package_and_names_space_encoder_and_form():
    folder = shipped_folder("nasbench201", "gin", "pruned")
    assert folder.parts[-4:] == ("archflow", "data", "encoders", "nasbench201-gin-pruned")
    assert len({shipped_folder(*n) for n in [("a", "b", "c"), ("a", "b", "d"), ("a", "e", "c")]}) == 3


def test_what_is_shipped_is_found(space, shipping, encoders, table):
    found = shipped_encoder(space, "gin", "pruned")
    assert found.embed(table).tobytes() == encoders["gin"].embed(table).tobytes()


def test_what_is_not_shipped_is_none(space, shipping):
    assert shipped_encoder(space, "gin", "collapsed") is None
    assert shipped_encoder(space, "gated_gcn", "pruned") is None
    assert shipped_encoder(Free(Operations.of(["conv"])), "gin", "pruned") is None


def test_a_damaged_one_is_not_passed_over(space, shipping):
    (shipping / "checkpoint.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a checkpoint, or damaged"):
        shipped_encoder(space, "gin", "pruned")


def test_one_for_another_vocabulary_is_not_taken(shipping):
    class Other(NASBench201):
        operations = dataclasses.replace(
            NASBench201.operations, names=(*NASBench201.operations.names[:-1], "sep_conv", "output")
        )

    with pytest.raises(CheckpointError, match="has never seen operation 'sep_conv'"):
        shipped_encoder(Other(), "gin", "pruned")


def test_fgp_takes_the_shipped_encoder(space, shipping, encoders, make, table, values, candidates):
    shipped_one = make("fgp-gin", encoder=None).fit(table, values)
    given = make("fgp-gin", encoder=encoders["gin"]).fit(table, values)
    assert shipped_one.predict(candidates).tobytes() == given.predict(candidates).tobytes()
    assert shipped_one.encoder.provenance == encoders["gin"].provenance


def test_a_wish_to_pretrain_goes_before_the_shipped_encoder(
    shipping, make, table, values, candidates, pretraining
):
    predictor = make("fgp-gin", encoder=None, pretraining=pretraining["gin"], unlabelled=candidates[:9])
    predictor.fit(table, values)
    assert predictor.encoder.provenance["data"]["architectures"] == 9


def test_a_small_space_is_seen_whole(space):
    assert len(unlabelled_architectures(space, seed=0)) == space.size


def test_of_a_large_space_a_draw(space, monkeypatch):
    monkeypatch.setattr(shipped, "LARGEST_WHOLE", 50)
    one, again, other = (unlabelled_architectures(space, seed) for seed in (0, 0, 1))
    assert len(np.unique(one.columns.operation_ids.reshape(50, 8), axis=0)) == 50
    assert one.digest() == again.digest() != other.digest()


def test_of_a_space_without_end_nothing():
    assert unlabelled_architectures(Free(Operations.of(["conv"])), seed=0) is None


def test_of_a_large_space_that_cannot_be_sampled_nothing():
    class Unsampled(NASBench201):
        size = shipped.LARGEST_WHOLE + 1

        def sample(self, count, rng):
            raise UsageError("no")

    assert unlabelled_architectures(Unsampled(), seed=0) is None


def work_of(table, config):
    """Nodes and edges that a run passes, each distinct graph once an epoch."""
    formed = table.in_form(config.form)
    distinct = formed[np.unique(formed.keys(), return_index=True)[1]].columns
    return (len(distinct.operation_ids) + len(distinct.sources)) * config.training.epochs


def test_a_run_that_fits_is_left_alone(space):
    table, config = space.all()[:300], PretrainConfig()
    assert within_budget(table, config) == (table, config)


@pytest.mark.parametrize("form", ["as-written", "collapsed"])
def test_a_larger_run_is_cut_to_the_budget(space, monkeypatch, form):
    table, config = space.all(), PretrainConfig(form=form)
    monkeypatch.setattr(shipped, "BUDGET", work_of(table, config) // 9)
    smaller, shorter = within_budget(table, config)
    assert 0.9 * shipped.BUDGET < work_of(smaller, shorter) <= shipped.BUDGET
    assert 0.25 < shorter.training.epochs / 200 < 0.45
    assert set(smaller.keys().tolist()) <= set(table.keys().tolist())
    assert dataclasses.replace(shorter, training=config.training) == config
    again, _ = within_budget(table, config)
    assert again.digest() == smaller.digest()
    other, _ = within_budget(table, dataclasses.replace(config, seed=1))
    assert other.digest() != smaller.digest()


def test_no_run_is_cut_to_nothing(space, monkeypatch):
    monkeypatch.setattr(shipped, "BUDGET", 1)
    smaller, shorter = within_budget(space.all(), PretrainConfig())
    assert (len(smaller), shorter.training.epochs) == (1000, 20)
    few, _ = within_budget(space.all()[::800], PretrainConfig())
    assert len(few) == len(np.unique(space.all()[::800].collapsed().keys()))


def test_only_a_run_that_nobody_asked_for_is_cut(make, table, values, candidates, pretraining, monkeypatch):
    monkeypatch.setattr(shipped, "BUDGET", 1)
    monkeypatch.setattr(shipped, "_FEWEST_ARCHITECTURES", 3)
    monkeypatch.setattr(shipped, "_FEWEST_EPOCHS", 1)
    wished = make("fgp-gin", encoder=None, pretraining=pretraining["gin"], unlabelled=candidates)
    wished.fit(table, values)
    assert wished.encoder.provenance["data"]["architectures"] == len(candidates)
    silent = make("fgp-gated_gcn", encoder=None, unlabelled=candidates).fit(table, values)
    assert silent.encoder.provenance["data"]["architectures"] == 3
    assert silent.encoder.config.training.epochs == 1


def test_a_space_without_end_is_drawn_from_where_it_can_be(monkeypatch):
    monkeypatch.setattr(shipped, "LARGEST_WHOLE", 30)
    assert len(unlabelled_architectures(NASBenchNLP(), seed=0)) == 30
    assert unlabelled_architectures(Free(Operations.of(["conv"])), seed=0) is None
