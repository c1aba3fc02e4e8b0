"""Where a method's pre-trained encoder comes from, and what it refuses to start from."""

import dataclasses

import pytest

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError, UsageError
from archflow.graphs import Operations
from archflow.predictors import Predictor, encoder_source
from archflow.predictors.encoder_source import find_encoder, require_source
from archflow.predictors.methods import METHODS, OPERATION_AWARE
from archflow.predictors.saved import PredictorConfig
from archflow.spaces.free import Free
from archflow.testing import toy_table

NOTHING = dict.fromkeys(("encoder", "unlabelled", "pretraining", "sizes"))


@pytest.fixture
def runs(monkeypatch, encoders):
    """Record what would be pre-trained on and how, instead of doing it."""
    seen = []

    def record(space, table, config, **_):
        seen.append((table, config))
        return encoders["gin"]

    monkeypatch.setattr(encoder_source, "pretrain", record)
    return seen


@pytest.fixture
def find(space, table):
    def command(method, **options):
        given = {"pretraining": None, "unlabelled": None, "device": "cpu", "report": None, **options}
        where = given.pop("space", space)
        return find_encoder(where, PredictorConfig(method, "pruned", seed=4), table, **given)

    return command


def test_the_shipped_encoder_goes_first(find, runs, monkeypatch, encoders):
    monkeypatch.setattr(encoder_source, "shipped_encoder", lambda *wanted: (encoders["gin"], wanted))
    found, wanted = find("fgp-gin")
    assert found is encoders["gin"]
    assert wanted[1:] == ("gin", "pruned")
    assert runs == []


def test_a_method_with_pretext_tasks_of_its_own_takes_none_that_ships(find, runs, monkeypatch, candidates):
    monkeypatch.setattr(encoder_source, "shipped_encoder", lambda *_: pytest.fail("it learnt other tasks"))
    find("fgp+gin", unlabelled=candidates)
    ((_, config),) = runs
    assert config.objectives == OPERATION_AWARE
    assert (config.encoder.name, config.form, config.seed) == ("gin", "pruned", 4)


def test_a_wish_goes_before_everything(find, runs, pretraining, candidates):
    find("fgp-gin", pretraining=pretraining["gin"], unlabelled=candidates)
    ((table, config),) = runs
    assert config is pretraining["gin"]
    assert table is candidates


def test_in_a_space_without_end_the_labelled_are_all_there_is(find, runs, table, pretraining):
    find("fgp-gin", space=Free(table.operations), pretraining=pretraining["gin"])
    assert runs[0][0] is table


def require(space, method, **given):
    require_source(METHODS[method], "pruned", space.operations, **{**NOTHING, **given})


def test_what_fits_is_accepted(space, encoders, pretraining, candidates):
    require(space, "random")
    require(space, "gin", sizes=EncoderConfig("gin"))
    require(space, "fgp-gin", encoder=encoders["gin"])
    require(space, "fgp-gin", pretraining=pretraining["gin"], unlabelled=candidates)


@pytest.mark.parametrize("method", ["random", "onehot-rf", "gin"])
@pytest.mark.parametrize("what", ["encoder", "unlabelled", "pretraining"])
def test_a_method_that_does_not_pretrain_takes_none_of_it(space, encoders, pretraining, method, what):
    given = {"encoder": encoders["gin"], "unlabelled": toy_table(4), "pretraining": pretraining["gin"]}
    with pytest.raises(UsageError, match=f"method '{method}' does not pre-train"):
        require(space, method, **{what: given[what]})


@pytest.mark.parametrize("method", ["random", "gated_gcn", "fgp-gin"])
def test_sizes_are_for_encoders_that_start_afresh(space, method):
    with pytest.raises(UsageError, match=f"method '{method}' takes no sizes of encoder gin"):
        require(space, method, sizes=EncoderConfig("gin"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": EncoderConfig("gated_gcn", width=8)}, "needs encoder gin, but the pre-training"),
        ({"form": "collapsed"}, "needs form pruned, but the pre-training settings has collapsed"),
    ],
)  # fmt: skip
def test_settings_of_another_kind(space, pretraining, change, message):
    with pytest.raises(UsageError, match=message):
        require(space, "fgp-gin", pretraining=dataclasses.replace(pretraining["gin"], **change))


def test_an_encoder_of_another_kind_or_vocabulary(space, encoders):
    with pytest.raises(UsageError, match="needs encoder gin, but the pre-trained encoder has gated_gcn"):
        require(space, "fgp-gin", encoder=encoders["gated_gcn"])
    with pytest.raises(CheckpointError, match=r"the pre-trained encoder: .*another vocabulary"):
        require(Free(Operations.of(["conv"])), "fgp-gin", encoder=encoders["gin"])


def test_auto_says_that_it_would_not_use_what_it_could_pre_train_on(space, candidates):
    with pytest.raises(UsageError, match="'auto' pre-trains only if told how; pass pretraining="):
        Predictor(space, "auto", unlabelled=candidates)
