"""The settings of a pre-training run: checked when made, and the same after a trip through JSON."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.errors import CheckpointError, UnknownNameError, UsageError
from archflow.flow import PUBLISHED, SurrogateConfig
from archflow.graphs import FORMS
from archflow.pretrain import PretrainConfig
from archflow.training import TrainingConfig

DEFAULT = PretrainConfig()
UNUSUAL = PretrainConfig(
    encoder=EncoderConfig(name="gated_gcn", width=5, layers=1, dropout=0.25),
    form=next(form for form in FORMS if form != DEFAULT.form),
    objectives={"flow-forward": 0.1, "contrastive": 2.0},
    standardize=not DEFAULT.standardize,
    surrogate=SurrogateConfig(width=3, std=0.7, alpha=0.9),
    decoder_layers=3,
    training=TrainingConfig(7, 3, learning_rate=0.1, weight_decay=0.2, gradient_norm=0.3),
    seed=12,
    patience=4,
    weighted=True,
)


def test_it_survives_json():
    plain = json.loads(json.dumps(UNUSUAL.to_json(), allow_nan=False))
    assert PretrainConfig.from_json(plain) == UNUSUAL


def test_every_field_differs_from_its_default_above():
    for field in dataclasses.fields(PretrainConfig):
        assert getattr(UNUSUAL, field.name) != getattr(DEFAULT, field.name), field.name


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("space", PUBLISHED)
def test_settings_for_the_papers_spaces(space, encoder):
    config = PretrainConfig.for_space(space, encoder, form="as-written", seed=4)
    assert (config.encoder.name, config.form, config.seed) == (encoder, "as-written", 4)
    assert config.surrogate == PUBLISHED[space]
    # The method, section 3
    assert config.objectives == {"flow": 0.5, "proxy": 0.5}
    assert config.training.learning_rate == 1e-3
    assert config.training.weight_decay == 1e-6


def test_a_space_that_the_paper_lacks_takes_the_default_surrogate():
    assert PretrainConfig.for_space("free", "gin").surrogate == SurrogateConfig()


def test_other_objectives_for_a_space_change_nothing_else():
    weights = {"operation-flow": 0.5, "proxy": 0.5}
    config = PretrainConfig.for_space("nasbench101", "gin", objectives=weights, seed=2)
    assert config.objectives == weights
    default = PretrainConfig.for_space("nasbench101", "gin", seed=2)
    assert dataclasses.replace(config, objectives=default.objectives) == default


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_form(form):
    assert PretrainConfig(form=form).form == form


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "prune"}, r"unknown form 'prune'.*Did you mean 'pruned'"),
        ({"objectives": {"flw": 1.0}}, r"unknown objective 'flw'.*Did you mean 'flow'"),
        ({"encoder": "gib"}, r"unknown encoder 'gib'.*Did you mean 'gin'"),
    ],
)
def test_unknown_names_are_refused(change, message):
    with pytest.raises(UnknownNameError, match=message):
        dataclasses.replace(PretrainConfig.for_space("nasbench201", change.pop("encoder", "gin")), **change)


@pytest.mark.parametrize("weight", [0, -0.1, math.nan, math.inf])
def test_weights_out_of_range_are_refused(weight):
    with pytest.raises(UsageError, match="weight of objective 'flow' must be a finite number above 0, not"):
        PretrainConfig(objectives={"flow": weight, "proxy": 1.0})


def test_no_objective_is_refused():
    with pytest.raises(UsageError, match="needs an objective; choose from: flow, "):
        PretrainConfig(objectives={})


def test_the_order_of_objectives_does_not_matter():
    one, other = (PretrainConfig(objectives=o) for o in ({"flow": 1, "proxy": 2}, {"proxy": 2, "flow": 1}))
    assert one == other
    assert list(other.objectives) == ["flow", "proxy"]
    assert hash(one) == hash(other)


def test_settings_with_other_objectives_are_others():
    one, other = (PretrainConfig(objectives=o) for o in ({"flow": 1}, {"flow": 2}))
    assert one != other
    assert len({one: 0, other: 1}) == 2


def test_a_decoder_needs_a_layer():
    with pytest.raises(UsageError, match="decoder_layers"):
        PretrainConfig(decoder_layers=0)


def test_a_run_without_patience_ends_with_its_last_epoch():
    config = PretrainConfig(training=TrainingConfig(3, 8))
    assert [config.finished([1.0] * epochs) for epochs in range(5)] == [False, False, False, True, True]


def test_progress_is_a_hundredth_of_the_lowest_loss_so_far():
    config = PretrainConfig(patience=2)
    assert not config.finished([1.0, 5.0, 0.98, 5.0])  # 0.98 is progress
    assert config.finished([1.0, 5.0, 0.995])  # 0.995 is not
    assert not config.finished([1.0, 0.995, 0.985])  # which is measured from 1, not from 0.995
    assert config.finished([1.0, 0.5, 0.9, 0.8])  # falling again, but not below the lowest


@given(st.lists(st.floats(0, 2), max_size=12), st.integers(1, 4))
def test_a_plateau_is_so_many_epochs_after_the_last_progress(losses, patience):
    config = PretrainConfig(patience=patience)
    progress, lowest = 0, math.inf
    for epoch, loss in enumerate(losses, 1):
        if loss < 0.99 * lowest:
            progress, lowest = epoch, loss
    assert config.finished(losses) == (len(losses) - progress >= patience)


@pytest.mark.parametrize("patience", [0, -3])
def test_patience_out_of_range_is_refused(patience):
    with pytest.raises(UsageError, match=f"patience must be at least 1, or None to train on, not {patience}"):
        PretrainConfig(patience=patience)


def test_the_quick_schedule_changes_nothing_but_the_training_and_the_weights():
    plain = dataclasses.replace(UNUSUAL, weighted=False)
    quick = plain.quick()
    assert quick.training.schedule == "cosine"
    assert quick.training.epochs < DEFAULT.training.epochs
    assert quick.weighted
    assert dataclasses.replace(quick, training=plain.training, weighted=False) == plain
    assert quick.quick() == quick


def test_choices_that_came_later_are_left_out_where_they_change_nothing():
    value = DEFAULT.to_json()
    assert not {"patience", "weighted"} & set(value)
    assert PretrainConfig.from_json(value) == DEFAULT
    assert {"patience", "weighted"} <= set(UNUSUAL.to_json())


@pytest.mark.parametrize("part", ["encoder", "surrogate", "training"])
def test_a_missing_part_is_named(part):
    value = UNUSUAL.to_json()
    del value[part]
    with pytest.raises(CheckpointError, match=f"not the settings of a pre-training run: '{part}'"):
        PretrainConfig.from_json(value)


@pytest.mark.parametrize("part", [None, "encoder", "surrogate", "training"])
def test_an_unknown_key_is_named(part):
    value = UNUSUAL.to_json()
    (value if part is None else value[part])["colour"] = "red"
    with pytest.raises(CheckpointError, match=r"not the settings of a pre-training run: .*'colour'"):
        PretrainConfig.from_json(value)


def test_a_part_of_the_wrong_kind():
    with pytest.raises(CheckpointError, match="not the settings of a pre-training run"):
        PretrainConfig.from_json({**UNUSUAL.to_json(), "encoder": 3})
