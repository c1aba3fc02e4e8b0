"""Predicting in bfloat16, and what is said about it."""

import numpy as np
import pytest

from archflow.errors import UnknownNameError, UsageError
from archflow.metrics import kendall_tau
from archflow.predictors import METHODS, FineTuneConfig, Predictor
from archflow.predictors.precision import in_precision, rank_change
from archflow.training import TrainingConfig

LEARNING = FineTuneConfig(TrainingConfig(epochs=30, batch_size=8, learning_rate=0.01))


@pytest.fixture(scope="module")
def fitted(space, table, values):
    return Predictor(space, "gin", device="cpu", fine_tuning=LEARNING).fit(table, values)


def test_bfloat16_rounds_predictions_and_shares_the_weights(fitted, candidates):
    exact = fitted.predict(candidates, warn=False)
    rounded = in_precision(fitted, "bfloat16")
    low, spread = rounded.predict(candidates, return_std=True, warn=False)
    assert not np.array_equal(low, exact)
    assert np.abs(low - exact).max() < 0.2 * np.ptp(exact)
    assert (spread > 0).all()
    assert rounded._fitted[0].module is fitted._fitted[0].module
    np.testing.assert_array_equal(fitted.predict(candidates, warn=False), exact)  # and it stays as it was
    again = in_precision(rounded, "float32")
    np.testing.assert_array_equal(again.predict(candidates, warn=False), exact)
    assert [one.precision for one in (fitted, rounded, again)] == ["float32", "bfloat16", "float32"]


def test_a_predictor_in_bfloat16_saves_what_was_fitted(fitted, candidates, space, tmp_path):
    in_precision(fitted, "bfloat16").save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", space, device="cpu")
    np.testing.assert_array_equal(
        loaded.predict(candidates, warn=False), fitted.predict(candidates, warn=False)
    )


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.encoder is None])
def test_methods_without_an_encoder_refuse_it_and_name_those_with_one(method, space):
    with pytest.raises(UsageError, match=rf"\(gin, .*fgp-gin, .*fgp\+mlp\); {method} computes in float32"):
        in_precision(Predictor(space, method), "bfloat16")


def test_an_unknown_precision_gets_the_choices_and_the_nearest(fitted):
    with pytest.raises(UnknownNameError, match=r"'bfloat61'.*float32.*Did you mean 'bfloat16'\?"):
        in_precision(fitted, "bfloat61")


def test_a_predictor_without_labels_is_refused(space):
    with pytest.raises(UsageError, match="seen no labels yet"):
        in_precision(Predictor(space, "gin", device="cpu"), "bfloat16")


def test_float32_changes_nothing_for_any_method(space, table, values, candidates):
    fitted = Predictor(space, "onehot-rf").fit(table, values)
    same = in_precision(fitted, "float32").predict(candidates, warn=False)
    np.testing.assert_array_equal(same, fitted.predict(candidates, warn=False))


# How much a ranking changes


def test_the_rank_change_is_that_of_both_predictions(fitted, candidates):
    rounded = in_precision(fitted, "bfloat16")
    change = rank_change(rounded, candidates, top=5)
    exact, low = (one.predict(candidates, warn=False) for one in (fitted, rounded))
    best = [set(np.argsort(-mean, kind="stable")[:5].tolist()) for mean in (exact, low)]
    assert (change.precision, change.sample, change.top) == ("bfloat16", len(candidates), 5)
    assert change.kendall_tau == {"target": kendall_tau(low, exact)}
    assert change.changed == {"target": len(best[0] - best[1])}
    assert 0.8 < change.kendall_tau["target"] <= 1


def test_float32_against_itself_changes_nothing(fitted, candidates):
    change = rank_change(fitted, candidates, top=7)
    assert change.kendall_tau["target"] == pytest.approx(1)
    assert change.changed == {"target": 0}


@pytest.mark.parametrize(
    ("size", "top", "sample", "compared"),
    [
        (1000, None, 40, 4),
        (1000, 3, 40, 3),
        (1000, 100, 40, 40),
        (20, 30, 20, 15),
        (20, 2, 20, 10),
        (5, 1, 5, 5),
    ],
)
def test_the_best_of_a_sample_are_the_share_that_is_wished(fitted, candidates, size, top, sample, compared):
    change = rank_change(fitted, candidates, top, size=size)
    assert (change.sample, change.top) == (sample, compared)


def test_what_is_best_follows_the_direction_of_each_target(space, table, values, candidates, monkeypatch):
    predictor = Predictor(
        space, "gin", device="cpu", fine_tuning=LEARNING, targets=("high", "low"), minimize=(False, True)
    ).fit(table, np.stack([values, values[::-1]], axis=1))
    count = len(candidates)
    exact = np.stack([np.arange(count), np.arange(count)], axis=1).astype(float)
    low = exact.copy()
    low[0] = count  # the worst becomes the best of the first target, and the best the worst of the second

    def predict(self, table, *, warn):
        return low if self.precision == "bfloat16" else exact

    monkeypatch.setattr(Predictor, "predict", predict)
    change = rank_change(in_precision(predictor, "bfloat16"), candidates, top=1)
    assert change.changed == {"high": 1, "low": 1}
    low[0] = exact[0]
    low[-1] = -1.0  # now the best of the first, and the worst of the second
    change = rank_change(in_precision(predictor, "bfloat16"), candidates, top=2)
    assert change.changed == {"high": 1, "low": 1}
    first, second = change.sentences()
    assert first.startswith("bfloat16 against float32, high: Kendall's tau 0.9")
    assert second.endswith("on 40 candidates; of the best 2 of them 1 changes")
    assert change.to_json() == {
        "precision": "bfloat16",
        "sample": count,
        "top": 2,
        "kendall_tau": change.kendall_tau,
        "changed": {"high": 1, "low": 1},
    }


def test_one_candidate_has_no_order(fitted, candidates):
    with pytest.raises(UsageError, match="at least 2"):
        rank_change(fitted, candidates[:1])
