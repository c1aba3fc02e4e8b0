"""A method fitted to one target, and put back."""

import dataclasses
from statistics import NormalDist

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.predictors import METHODS, Predictor, fine_tuned, gaussian_process
from archflow.predictors.fine_tuned import FineTuned
from archflow.predictors.fitting import Fitting, explanation_of, interval_of, reports_of
from archflow.predictors.gaussian_process import GaussianProcess
from archflow.predictors.labels import Labels
from archflow.predictors.saved import PredictorConfig
from archflow.predictors.targets import Targets
from archflow.spaces.free import Free


@pytest.fixture
def labels(table, values):
    return Labels(table, values)


@pytest.fixture
def config(tuning):
    return PredictorConfig("gin", "pruned", seed=3, fine_tuning=tuning)


@pytest.mark.parametrize("method", ["random", "onehot-rf", "graph-features-rf", "onehot-gp", "gin"])
def test_it_is_what_the_predictor_fits(make, labels, table, values, candidates, config, method):
    fitting = Fitting(dataclasses.replace(config, method=method), [labels], device="cpu")
    expected = make(method, seed=3).fit(table, values)
    assert fitting.fit(labels).mean(candidates).tobytes() == expected.predict(candidates).tobytes()


def test_a_fresh_encoder_has_the_sizes_it_is_given(labels, config):
    sizes = EncoderConfig("gin", width=8, layers=1)
    assert Fitting(config, [labels], sizes=sizes, device="cpu").fit(labels).encoder_config == sizes
    default = Fitting(config, [labels], device="cpu").fit(labels)
    assert default.encoder_config == EncoderConfig.default("gin")


def test_a_pretrained_encoder_brings_its_sizes(labels, config, encoders):
    fitting = Fitting(config, [labels], encoder=encoders["gin"], device="cpu")
    assert fitting.fit(labels).encoder_config == encoders["gin"].config.encoder


def test_weights_are_put_back(labels, candidates, config):
    sizes = EncoderConfig("gin", width=8, layers=1)
    fitted = Fitting(config, [labels], sizes=sizes, device="cpu").fit(labels)
    fitting = Fitting(config, [labels], device="cpu")
    again = fitting.restore(labels, fitted.tensors(), sizes, "here")
    assert isinstance(again, FineTuned)
    assert again.mean(candidates).tobytes() == fitted.mean(candidates).tobytes()
    with pytest.raises(CheckpointError, match="here: "):
        fitting.restore(labels, fitted.tensors(), EncoderConfig("gin", width=16, layers=1), "here")


@pytest.mark.parametrize("method", ["onehot-gp", "gin", "onehot-rf"])
def test_few_labels_are_fitted_and_predicted_on_one_thread(labels, candidates, config, method, monkeypatch):
    """Whatever is multiplied then: two threads on two busy cores take many times as long."""
    seen = []

    def watched(function):
        def wrapped(*args, **options):
            seen.append(torch.get_num_threads())
            return function(*args, **options)

        return wrapped

    for owner, name in (
        (gaussian_process, "_cholesky"),
        (GaussianProcess, "mean"),
        (fine_tuned, "pairwise_hinge"),
        (FineTuned, "_scores"),
        (RandomForestRegressor, "fit"),
    ):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    torch.set_num_threads(2)
    try:
        fitted = Fitting(dataclasses.replace(config, method=method), [labels], device="cpu").fit(labels)
        assert set(seen) == {1}
        if method == "onehot-gp":
            del seen[:]
            fitted.mean(candidates)
            assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_blends_share_their_features(labels, table, values, config):
    blend = dataclasses.replace(config, method="onehot-gp")
    other = Labels(table[:9], values[:9])
    fitting = Fitting(blend, [labels, other], device="cpu")
    assert fitting.fit(labels)._blocks is fitting.fit(other)._blocks


def test_loaded_targets_share_the_scale_of_the_fitted_ones(tmp_path):
    """The scale of attributes is that of all labelled rows; rows without a label do not count."""
    operations = Operations.of(["conv"], attributes=["channels"])
    sizes = np.random.default_rng(0).choice([8, 16, 32, 64, 512], size=(30, 3))
    chains = ArchitectureTable.of(
        [
            Architecture(("input", *["conv"] * 3, "output"), tuple((n, n + 1) for n in range(4)),
                         {"channels": (0, *row, 0)})
            for row in sizes.tolist()
        ],
        operations,
    )  # fmt: skip
    values = np.stack([sizes.sum(axis=1), sizes[:, 0] + 0.5], axis=1).astype(float)
    values[:3] = np.nan
    values[3:12, 1] = np.nan
    predictor = Predictor(Free(operations), "flow-gp").fit(chains[:20], values[:20])
    predictor.save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", Free(operations))
    assert loaded.predict(chains[20:]).tobytes() == predictor.predict(chains[20:]).tobytes()


class Sayer:
    """A method with words and intervals of its own."""

    def mean(self, table):
        return np.zeros(len(table))

    def spread(self, table):
        return np.full(len(table), 2.0)

    def interval(self, table, coverage):
        return np.full(len(table), -coverage), np.full(len(table), 1.0)

    def explain(self):
        return "Because."


class Silent(Sayer):
    interval = explain = None


def test_what_a_method_has_of_its_own_goes_first(table, labels, config):
    assert explanation_of(Sayer(), config, labels) == "Because."
    assert explanation_of(Silent(), config, labels) == f"{METHODS['gin'].description}; fitted on 24 labels."
    lower, upper = interval_of(Sayer(), table, 0.5)
    assert (lower.tolist(), upper.tolist()) == ([-0.5] * 24, [1.0] * 24)
    lower, upper = interval_of(Silent(), table, 0.8)
    np.testing.assert_allclose(upper, 2 * NormalDist().inv_cdf(0.9))
    np.testing.assert_allclose(lower, -upper)


def test_reports_name_one_of_several_targets():
    said = []

    def report(done, total, remark=""):
        said.append((done, total, remark))

    assert reports_of(Targets.of(None, False), report) == [report]
    for number, own in enumerate(reports_of(Targets.of(["acc", "lat"], False), report)):
        own(number, 5)
        own(number, 5, "epoch 2")
    assert said == [(0, 5, "acc"), (0, 5, "acc epoch 2"), (1, 5, "lat"), (1, 5, "lat epoch 2")]
