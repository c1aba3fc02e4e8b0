"""Where an encoder, or what to pre-train one on, comes from when the user brings none."""

import dataclasses

import numpy as np
import pytest

from archflow.errors import CheckpointError, UsageError
from archflow.graphs import Operations
from archflow.predictors import shipped
from archflow.predictors.shipped import shipped_encoder, shipped_folder, unlabelled_architectures
from archflow.spaces.free import Free
from archflow.spaces.nasbench201 import NASBench201


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
