"""Fine-tuning: which weights are kept, and how scores become values."""

import copy
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.errors import CheckpointError, UsageError
from archflow.metrics import kendall_tau
from archflow.predictors import FineTuneConfig, fine_tuned
from archflow.predictors.fine_tuned import FineTuned
from archflow.predictors.labels import Labels
from archflow.spaces import get
from archflow.training import TrainingConfig

CPU = torch.device("cpu")
SMALL = EncoderConfig(width=8, layers=2)


def fresh(config=SMALL, *, seed=0, form="pruned"):
    return FineTuned(config, form, get("nasbench201").operations, seed, CPU)


@pytest.fixture(scope="module")
def labels(table, values):
    return Labels(table, values)


def with_epochs(tuning, epochs):
    return dataclasses.replace(tuning, training=dataclasses.replace(tuning.training, epochs=epochs))


# Training


@pytest.mark.parametrize("name", ENCODERS)
def test_it_learns_the_order_of_its_labels(labels, name):
    model = fresh(dataclasses.replace(SMALL, name=name, width=16))
    learning = FineTuneConfig(TrainingConfig(epochs=60, batch_size=8, learning_rate=0.01, gradient_norm=1.0))
    model.fit(labels, learning)
    model.calibrate(labels)
    assert kendall_tau(model.mean(labels.table), labels.values) > 0.6


def test_fitting_leaves_the_random_state_and_ends_in_evaluation_mode(labels, tuning):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    model = fresh()
    model.fit(labels, tuning)
    model.calibrate(labels)
    model.spread(labels.table)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.module.training


@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_without_validation_the_second_half_is_averaged(labels, tuning, epochs):
    model, after = fresh(), []
    model.fit(
        labels,
        with_epochs(tuning, epochs),
        report=lambda done, total, remark="": after.append(copy.deepcopy(model.module.state_dict())),
    )
    half = after[epochs // 2 :]
    assert len(after) == epochs
    for name, weight in model.module.state_dict().items():
        mean = torch.stack([state[name].double() for state in half]).mean(dim=0)
        torch.testing.assert_close(weight.double(), mean, rtol=1e-5, atol=1e-6)


def test_validation_keeps_the_best_epoch(labels, tuning, candidates, monkeypatch):
    truth = np.random.default_rng(7).normal(size=len(candidates))
    taus, states, model = [], [], fresh(seed=2)

    def watched(predicted, measured):
        taus.append(kendall_tau(predicted, measured))
        states.append(copy.deepcopy(model.module.state_dict()))
        return taus[-1]

    monkeypatch.setattr(fine_tuned, "kendall_tau", watched)
    model.fit(labels, with_epochs(tuning, 8), validation=Labels(candidates, truth))
    assert len(taus) == 8
    best = int(np.argmax(taus))
    assert best != 7  # the last epoch is not the best, or this test shows nothing
    for name, weight in model.module.state_dict().items():
        assert torch.equal(weight, states[best][name]), name
    model.calibrate(labels)
    assert kendall_tau(model.mean(candidates), truth) == pytest.approx(max(taus))


def test_no_epoch_keeps_the_first_weights(labels, tuning):
    model, untouched = fresh(), fresh()
    for validation in (None, labels):
        model.fit(labels, with_epochs(tuning, 0), validation=validation)
        for name, weight in model.module.state_dict().items():
            assert torch.equal(weight, untouched.module.state_dict()[name])


def test_a_pretrained_encoders_weights_are_taken_over(encoders):
    model = fresh()
    head = copy.deepcopy(model.module["head"].state_dict())
    model.start_from(encoders["gin"])
    for name, weight in encoders["gin"].module.state_dict().items():
        assert torch.equal(model.module["encoder"].state_dict()[name], weight)
    assert all(torch.equal(model.module["head"].state_dict()[name], head[name]) for name in head)


def test_fine_tuning_leaves_the_pretrained_encoder_as_it_was(encoders, labels, tuning):
    before = copy.deepcopy(encoders["gin"].module.state_dict())
    model = fresh()
    model.start_from(encoders["gin"])
    model.fit(labels, tuning)
    assert all(torch.equal(encoders["gin"].module.state_dict()[name], before[name]) for name in before)
    assert any(not torch.equal(model.module["encoder"].state_dict()[name], before[name]) for name in before)


def test_an_encoder_of_another_width_is_refused(encoders):
    model = fresh(EncoderConfig(width=9, layers=2))
    with pytest.raises(CheckpointError, match=r"pre-trained encoder: .* has shape \(7, 8\), not \(7, 9\)"):
        model.start_from(encoders["gin"])


def test_the_form_is_what_the_encoder_sees(labels, tuning, table):
    means = []
    for form in ("pruned", "as-written"):
        model = fresh(form=form)
        model.fit(labels, tuning)
        model.calibrate(labels)
        means.append(model.mean(table))
        same = np.abs(model.mean(table.pruned()) - model.mean(table)).max() < 1e-3
        assert same == (form == "pruned")
    assert np.abs(means[0] - means[1]).max() > 1e-3


def test_defaults_depend_on_pretraining_but_stay_the_papers_loss():
    for encoder, pretrained in itertools.product(("gin", "flowerformer"), (False, True)):
        config = FineTuneConfig.default(encoder, pretrained=pretrained)
        assert config.training.gradient_norm == 1  # the method, section 4
        assert config.margin == 0.5


def test_flowerformer_is_trained_as_published():
    training = FineTuneConfig.default("flowerformer", pretrained=False).training
    assert (training.learning_rate, training.schedule, training.warm_up_epochs) == (8e-4, "cosine", 30)


@pytest.mark.parametrize("margin", [math.nan, math.inf, -1.0])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(UsageError, match="margin"):
        FineTuneConfig(margin=margin)


# From scores to values


def calibrated(labels, scores, values):
    """Return a model whose labelled architectures have the given scores and values, as a function."""
    model = fresh()
    asked = {}

    def scripted(formed, report=None, *, dropout=False):
        return np.asarray(asked["scores"], dtype=np.float64)

    model._scores = scripted
    asked["scores"] = scores
    model.calibrate(Labels(labels.table[: len(values)], values))

    def values_of(scores):
        asked["scores"] = scores
        return model.mean(labels.table[:1])

    return values_of


def test_sorted_scores_become_sorted_values(labels):
    scores, values = [0.4, -1.0, 2.0, 0.0], [90.0, 10.0, 30.0, 70.0]
    values_of = calibrated(labels, scores, values)
    np.testing.assert_allclose(values_of(np.sort(scores)), np.sort(values), rtol=1e-7)
    assert values_of([-0.5])[0] == pytest.approx((10 + 30) / 2)  # half way between the scores -1 and 0


def test_beyond_the_labels_values_go_on_rising_but_not_wildly(labels):
    rng = np.random.default_rng(0)
    values = rng.normal(90, 3, size=24)
    values_of = calibrated(labels, rng.normal(size=24), values)
    predicted = values_of(np.linspace(-10, 10, 400))
    assert (np.diff(predicted) > 0).all()
    assert predicted[0] < values.min()
    assert predicted[-1] > values.max()
    assert np.isfinite(values_of([-1e30, 1e30])).all()


@pytest.mark.parametrize("tied", [[1.0, 1.0, 1.0, 2.0], [1.0, 2.0, 2.0, 2.0], [5.0, 5.0, 7.0, 7.0]])
def test_tied_labels_do_not_tie_predictions(labels, tied):
    values_of = calibrated(labels, [0.1, 0.2, 0.3, 0.4], tied)
    predicted = values_of(np.linspace(0, 0.5, 30))
    assert (np.diff(predicted) > 0).all()
    assert abs(predicted.mean() - np.mean(tied)) < 1


@pytest.mark.parametrize("scores", [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1e-300, 1.0, 1.0]])
def test_tied_scores_give_finite_values_among_the_labels(labels, scores):
    values_of = calibrated(labels, scores, [1.0, 2.0, 3.0, 4.0])
    predicted = values_of(scores)
    assert np.isfinite(predicted).all()
    assert (predicted >= 1).all()
    assert (predicted <= 4 + 1e-6).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e-3, 1e3, 1e12, 1e200])
def test_units_carry_through(labels, scale):
    scores, values = [0.4, -1.0, 2.0, 0.0], np.array([90.0, 10.0, 30.0, 70.0])
    plain, scaled = calibrated(labels, scores, values), calibrated(labels, scores, scale * values)
    probe = np.linspace(-3, 4, 20)
    np.testing.assert_allclose(scaled(probe), scale * plain(probe), rtol=1e-6)


# Doubt


def test_doubt_comes_from_dropout(labels, tuning, candidates):
    for dropout in (0.0, 0.3):
        model = fresh(dataclasses.replace(SMALL, dropout=dropout))
        model.fit(labels, tuning)
        model.calibrate(labels)
        spread = model.spread(candidates)
        assert spread.shape == (len(candidates),)
        assert (spread > 0).all() if dropout else (spread < 1e-9).all()
        assert spread.tobytes() == model.spread(candidates).tobytes()  # the same doubt when asked again
        assert not model.module.training
