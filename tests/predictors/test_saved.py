"""A predictor's folder: everything comes back, and what is no predictor is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError
from archflow.graphs import Operations
from archflow.predictors.labels import Labels
from archflow.predictors.measured import MeasuredArchitectures
from archflow.predictors.random_order import RandomOrder
from archflow.predictors.saved import PredictorConfig, SavedPredictor
from archflow.predictors.targets import Targets
from archflow.spaces.free import Free
from archflow.training import load_checkpoint, save_checkpoint

TWO = Targets(("accuracy", "latency_ms"), (False, True))


@pytest.fixture
def saved(table, values):
    """Two targets of which the second has fewer labels, and weights of different sizes."""
    labels = Labels(table, values), Labels(table[:9], values[9:18])
    models = {"weight": torch.arange(6.0).reshape(2, 3)}, {"weight": torch.ones(4), "a.b": torch.zeros(1)}
    config = PredictorConfig("gin", minimize=(False, True), seed=3)
    return SavedPredictor(config, TWO, labels, models, EncoderConfig("gin", width=8), {"by": "hand"})


@pytest.mark.parametrize("minimize", [True, False, (False, True)])
def test_choices_survive_json(tuning, minimize):
    config = PredictorConfig("gin", "pruned", minimize, 5, tuning, ("params", "synflow"))
    content = config.to_json()
    assert json.loads(json.dumps(content)) == content
    assert PredictorConfig.from_json(content) == config
    assert PredictorConfig.from_json(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize("key", ["minimize", "fine_tuning"])
def test_choices_that_lack_something(key):
    content = dataclasses.asdict(PredictorConfig())
    del content[key]
    with pytest.raises(CheckpointError, match=f"not the settings of a predictor: '{key}'"):
        PredictorConfig.from_json(content)


def test_choices_that_nobody_knows():
    with pytest.raises(CheckpointError, match=r"not the settings of a predictor: .*'colour'"):
        PredictorConfig.from_json({**dataclasses.asdict(PredictorConfig()), "colour": "red"})


def test_everything_comes_back(saved, space, tmp_path):
    saved.write(tmp_path, space)
    back = SavedPredictor.read(tmp_path, space)
    for name in ("config", "targets", "encoder", "provenance"):
        assert getattr(back, name) == getattr(saved, name)
    for one, other in zip(back.labels, saved.labels, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        assert one.table.digest() == other.table.digest()
    for one, other in zip(back.models, saved.models, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_eleven_targets_stay_apart(table, values, space, tmp_path):
    """Target 1 and target 10 begin alike."""
    targets = Targets.of(None, minimize=False, count=11)
    labels = tuple(Labels(table, values + 100 * number) for number in range(11))
    models = tuple({"w": torch.tensor([float(number)])} for number in range(11))
    SavedPredictor(PredictorConfig("random"), targets, labels, models).write(tmp_path, space)
    back = SavedPredictor.read(tmp_path, space)
    assert [model["w"].item() for model in back.models] == list(range(11))
    assert [round(own.values[0] - values[0]) for own in back.labels] == [100 * n for n in range(11)]
    assert (back.encoder, back.provenance) == (None, None)


def test_measured_columns_come_back(saved, table, values, space, tmp_path):
    columns = np.random.default_rng(0).normal(size=(24, 2))
    columns[3, 1] = np.nan
    joined = MeasuredArchitectures.join(table, columns, ("a", "b"))
    labels = Labels(joined, values), Labels(joined[:9], values[9:18])
    config = dataclasses.replace(saved.config, columns=("a", "b"))
    dataclasses.replace(saved, config=config, labels=labels).write(tmp_path, space)
    back = SavedPredictor.read(tmp_path, space)
    assert back.config.columns == ("a", "b")
    np.testing.assert_array_equal(back.labels[0].table.measured, columns)
    np.testing.assert_array_equal(back.labels[1].table.measured, columns[:9])


def test_what_labels_do_not_give_back_is_gathered(saved, encoders, space, tmp_path):
    """A blend's encoder once for all targets; nothing of methods that are fitted again."""
    models = (RandomOrder(saved.labels[0], 0), RandomOrder(saved.labels[1], 0))
    plain = SavedPredictor.of(saved.config, TWO, saved.labels, models, None, None)
    assert plain.models == ({}, {})
    assert (plain.encoder, plain.pretrained(tmp_path, space.operations)) == (None, None)
    config = dataclasses.replace(saved.config, method="fgp-auto")
    encoder = encoders["gin"]
    kept = SavedPredictor.of(config, TWO, saved.labels, models, encoder, encoder.content())
    assert [bool(model) for model in kept.models] == [True, False]
    kept.write(tmp_path, space)
    again = SavedPredictor.read(tmp_path, space).pretrained(tmp_path, space.operations)
    assert again.content() == encoder.content()
    for name, weights in encoder.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], weights)


@pytest.mark.parametrize("key", ["operations", "config", "targets"])
def test_a_folder_that_lacks_something_names_it(saved, space, tmp_path, key):
    saved.write(tmp_path, space)
    tensors, content = load_checkpoint(tmp_path)
    del content[key]
    save_checkpoint(tmp_path, tensors, content)
    with pytest.raises(CheckpointError, match=f"{tmp_path}: lacks {key}"):
        SavedPredictor.read(tmp_path, space)


def test_labels_of_a_target_that_is_not_named(saved, space, tmp_path):
    saved.write(tmp_path, space)
    tensors, content = load_checkpoint(tmp_path)
    more = {name.replace(".0.", ".2."): value.clone() for name, value in tensors.items() if ".0." in name}
    save_checkpoint(tmp_path, {**tensors, **more}, content)
    with pytest.raises(CheckpointError, match="names 2 targets, but has labels of 3"):
        SavedPredictor.read(tmp_path, space)


def test_another_vocabulary(saved, space, tmp_path):
    saved.write(tmp_path, space)
    with pytest.raises(CheckpointError, match="never seen operation 'conv'"):
        SavedPredictor.read(tmp_path, Free(Operations.of(["conv"])))


def test_writing_leaves_the_labels_alone(saved, space, values, tmp_path):
    saved.write(tmp_path, space)
    assert np.array_equal(saved.labels[0].values, values)
