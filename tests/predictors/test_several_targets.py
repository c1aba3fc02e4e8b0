"""A predictor of several targets: as good as one predictor each, on labels with gaps."""

import math
import os
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from archflow.datasets import read_table
from archflow.errors import ArchflowError, CheckpointError, TableError, UnknownNameError, UsageError
from archflow.metrics import kendall_tau, pareto_fronts
from archflow.predictors import METHODS, Predictor, encoder_source
from archflow.predictors.fitting import Fitting
from archflow.predictors.targets import Condition
from archflow.spaces import get
from archflow.training import load_checkpoint, save_checkpoint

METHODS_TRIED = ["random", "onehot-rf", "gin", "fgp-gin"]
tried_methods = pytest.mark.parametrize("method", METHODS_TRIED)
NAMES = ("accuracy", "latency_ms")
OPTIONS = {"targets": NAMES, "minimize": (False, True)}


@pytest.fixture(scope="module")
def labels(values):
    """Accuracies and latencies, (24, 2); some of either are missing, and of one row both."""
    latency = np.random.default_rng(7).gamma(4, 1, size=len(values))
    both = np.stack([values, latency], axis=1)
    both[[3, 9, 17], 0] = np.nan
    both[[0, 9, 11, 12, 20], 1] = np.nan
    return both


@pytest.fixture(scope="module")
def fitted(make, table, labels):
    """One predictor of both targets a method; tests must not fit it again."""
    return {method: make(method, **OPTIONS).fit(table, labels) for method in METHODS_TRIED}


# What is promised


@tried_methods
def test_it_is_one_predictor_for_each_target(make, fitted, table, labels, candidates, method):
    means, stds = fitted[method].predict(candidates, return_std=True)
    assert means.shape == stds.shape == (len(candidates), 2)
    assert means.dtype == stds.dtype == np.float64
    for place, minimize in enumerate(OPTIONS["minimize"]):
        rows = np.flatnonzero(~np.isnan(labels[:, place]))
        alone = make(method, minimize=minimize).fit(table[rows], labels[rows, place])
        mean, std = alone.predict(candidates, return_std=True)
        assert means[:, place].tolist() == mean.tolist()
        assert stds[:, place].tolist() == std.tolist()
    assert fitted[method].predict(candidates).tolist() == means.tolist()


@tried_methods
def test_one_column_is_one_target_with_gaps(make, table, labels, candidates, method):
    rows = np.flatnonzero(~np.isnan(labels[:, 0]))
    column = make(method).fit(table, labels[:, :1])
    alone = make(method).fit(table[rows], labels[rows, 0])
    assert column.predict(candidates).tobytes() == alone.predict(candidates).tobytes()
    assert column.rank(candidates, 3).mean.shape == (3,)


def test_one_direction_does_for_all(make, table, labels, candidates):
    one, each = (make("onehot-rf", minimize=m).fit(table, labels) for m in (True, (True, True)))
    assert one.rank(candidates).rows.tolist() == each.rank(candidates).rows.tolist()
    assert one.targets.names == each.targets.names == ("target_1", "target_2")


@pytest.mark.parametrize("direction", [[True], (True,), np.array([True])])
def test_one_direction_in_a_list_is_a_direction(make, direction):
    assert make("random", minimize=direction).config.minimize is True


def test_lists_with_gaps_do_as_well(make, fitted, table, labels, candidates):
    again = make("onehot-rf", **OPTIONS).fit(list(table), labels.tolist())
    assert again.predict(candidates).tobytes() == fitted["onehot-rf"].predict(candidates).tobytes()


def test_no_candidates(fitted):
    assert fitted["onehot-rf"].predict([]).shape == (0, 2)
    ranking = fitted["onehot-rf"].rank([], weights={"accuracy": 1}, where="latency_ms<5")
    assert (len(ranking), ranking.mean.shape, list(ranking)) == (0, (0, 2), [])


def test_another_number_of_targets_next_time(make, table, labels, values, candidates):
    predictor = make("onehot-rf").fit(table, labels).fit(table, values)
    alone = make("onehot-rf").fit(table, values)
    assert predictor.predict(candidates).tobytes() == alone.predict(candidates).tobytes()
    assert predictor.targets.names == ("target",)


def test_validation_has_gaps_too(make, table, labels, candidates):
    truth = np.random.default_rng(3).normal(size=(len(candidates), 2))
    truth[:5, 0] = np.nan
    both = make("gin", **OPTIONS).fit(table, labels, validation=(candidates, truth))
    rows = np.flatnonzero(~np.isnan(labels[:, 0]))
    alone = make("gin").fit(table[rows], labels[rows, 0], validation=(candidates[5:], truth[5:, 0]))
    assert both.predict(candidates)[:, 0].tobytes() == alone.predict(candidates).tobytes()


def test_the_encoder_is_pretrained_once(make, pretraining, table, labels, candidates, monkeypatch):
    runs, pretrain = [], encoder_source.pretrain
    monkeypatch.setattr(encoder_source, "pretrain", lambda *a, **o: runs.append(a) or pretrain(*a, **o))
    options = {"encoder": None, "pretraining": pretraining["gin"], "unlabelled": candidates}
    predictor = make("fgp-gin", **options, **OPTIONS).fit(table, labels)
    assert len(runs) == 1
    assert predictor.n_parameters == 2 * make("fgp-gin", **options).fit(table, labels[:, :1]).n_parameters


def test_progress_names_the_target(make, table, labels):
    said = []
    make("gin", **OPTIONS).fit(table, labels, report=lambda done, total, remark="": said.append(remark))
    firsts = [remark.split()[0] for remark in said]
    assert firsts == sorted(firsts)
    assert set(firsts) == set(NAMES)


# Ranked


def test_by_default_the_first_target_decides(fitted, candidates):
    ranking = fitted["onehot-rf"].rank(candidates, 7)
    mean, std = fitted["onehot-rf"].predict(candidates, return_std=True)
    assert ranking.rows.tolist() == np.argsort(-mean[:, 0], kind="stable")[:7].tolist()
    assert ranking.mean.tolist() == mean[ranking.rows].tolist()
    np.testing.assert_allclose(ranking.std, std[ranking.rows])
    assert ranking.front is None
    for row, (means, stds, architecture) in enumerate(ranking):
        assert (means.tolist(), stds.tolist()) == (ranking.mean[row].tolist(), ranking.std[row].tolist())
        assert architecture == candidates[int(ranking.rows[row])]


def test_a_weighted_sum_of_standardised_predictions(fitted, labels, candidates):
    ranking = fitted["onehot-rf"].rank(candidates, weights={"accuracy": 1, "latency_ms": 0.5})
    standard = (fitted["onehot-rf"].predict(candidates) - np.nanmean(labels, axis=0)) / np.nanstd(
        labels, axis=0
    )
    merit = standard[:, 0] - 0.5 * standard[:, 1]
    np.testing.assert_allclose(merit[ranking.rows], np.sort(merit)[::-1])


def test_all_weight_on_one_target_is_its_order(fitted, candidates):
    alone = fitted["onehot-rf"].rank(candidates, weights={"latency_ms": 2}).mean[:, 1]
    assert (np.diff(alone) >= 0).all()  # the lowest first


def test_the_front_comes_first(fitted, candidates):
    ranking = fitted["onehot-rf"].rank(candidates, 9, pareto=True)
    fronts = pareto_fronts(fitted["onehot-rf"].predict(candidates) * [1, -1])
    assert ranking.front.tolist() == fronts[ranking.rows].tolist() == sorted(fronts.tolist())[:9]
    whole = fitted["onehot-rf"].rank(candidates, pareto=True)
    assert whole.rows[:9].tolist() == ranking.rows.tolist()
    assert whole.front.tolist() == sorted(fronts.tolist())


@pytest.mark.parametrize("order", [{}, {"weights": {"accuracy": 1}}, {"pareto": True}])
def test_only_what_meets_the_conditions_is_ranked(fitted, candidates, order):
    mean = fitted["onehot-rf"].predict(candidates)
    least, most = float(np.median(mean[:, 0])), float(np.quantile(mean[:, 1], 0.8))
    where = [f"accuracy>={least!r}", Condition("latency_ms", "<", most)]
    ranking = fitted["onehot-rf"].rank(candidates, where=where, **order)
    meets = (mean[:, 0] >= least) & (mean[:, 1] < most)
    assert sorted(ranking.rows.tolist()) == np.flatnonzero(meets).tolist()


def test_one_target_has_conditions_too(make, table, values, candidates):
    predictor = make("onehot-rf", targets=["accuracy"]).fit(table, values)
    mean = predictor.predict(candidates)
    ranking = predictor.rank(candidates, where="accuracy>90")
    assert ranking.rows.tolist() == [r for r in predictor.rank(candidates).rows.tolist() if mean[r] > 90]
    assert 0 < len(ranking) < len(candidates)
    unnamed = make("onehot-rf").fit(table, values)
    assert unnamed.rank(candidates, where="target>90").rows.tolist() == ranking.rows.tolist()


# Intervals and explanations


@pytest.mark.parametrize("minimize", [False, True])
def test_without_intervals_of_its_own_they_are_gaussian(make, table, values, candidates, minimize):
    predictor = make("onehot-rf", minimize=minimize).fit(table, values)
    mean, std = predictor.predict(candidates, return_std=True)
    for coverage in (0.5, 0.8, 0.95):
        lower, upper = predictor.interval(candidates, coverage)
        half = NormalDist().inv_cdf((1 + coverage) / 2) * std
        np.testing.assert_allclose(lower, mean - half)
        np.testing.assert_allclose(upper, mean + half)
    default = predictor.interval(candidates)
    assert default[0].tolist() == predictor.interval(candidates, 0.8)[0].tolist()


def test_intervals_of_several_targets(fitted, candidates):
    mean, _ = fitted["onehot-rf"].predict(candidates, return_std=True)
    lower, upper = fitted["onehot-rf"].interval(candidates)
    assert lower.shape == upper.shape == (len(candidates), 2)
    assert ((lower <= mean) & (mean <= upper)).all()


class Opinionated:
    """A fitted method with intervals and words of its own; higher is better for it."""

    def mean(self, table, report=None):
        return np.zeros(len(table))

    def spread(self, table, report=None):
        return np.ones(len(table))

    def interval(self, table, coverage):
        return np.full(len(table), -3.0 * coverage), np.full(len(table), 1.0)

    def explain(self):
        return "Because."


def test_a_method_with_intervals_and_words_of_its_own_gives_those(make, table, labels, monkeypatch):
    monkeypatch.setattr(Fitting, "fit", lambda *_, **__: Opinionated())
    predictor = make("random", **OPTIONS).fit(table, labels)
    lower, upper = predictor.interval(table[:3], 0.5)
    assert lower.tolist() == [[-1.5, -1.0]] * 3  # latencies are minimised: the ends swap and change sign
    assert upper.tolist() == [[1.0, 1.5]] * 3
    assert predictor.explain() == "accuracy: Because.\n\nlatency_ms: Because."
    assert make("random").fit(table, labels[:, 1:]).explain() == "Because."


@tried_methods
def test_it_says_what_it_is_and_has_seen(make, fitted, table, values, method):
    paragraphs = fitted[method].explain().split("\n\n")
    for paragraph, name, count in zip(paragraphs, NAMES, (21, 19), strict=True):
        assert paragraph.startswith(f"{name}: ")
        assert METHODS[method].description in paragraph
        assert f"{count} labels" in paragraph
    assert "24 labels" in make(method).fit(table, values).explain()


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 80, math.nan])
def test_a_coverage_out_of_range(fitted, candidates, coverage):
    with pytest.raises(UsageError, match="coverage must be between 0 and 1"):
        fitted["random"].interval(candidates, coverage)


def test_an_unfitted_predictor_has_neither(make, candidates):
    for use in (lambda p: p.interval(candidates), lambda p: p.explain()):
        with pytest.raises(UsageError, match="has seen no labels yet"):
            use(make("random", **OPTIONS))


# Saved and loaded


@tried_methods
def test_loading_gives_the_same(fitted, space, candidates, tmp_path, method):
    fitted[method].save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", space, device="cpu")
    assert (loaded.config, loaded.targets) == (fitted[method].config, fitted[method].targets)
    for one, other in zip(
        loaded.predict(candidates, return_std=True),
        fitted[method].predict(candidates, return_std=True),
        strict=True,
    ):
        assert one.tobytes() == other.tobytes()
    order = {"weights": {"accuracy": 1, "latency_ms": 1}}
    ranked = [predictor.rank(candidates, **order).rows.tolist() for predictor in (loaded, fitted[method])]
    assert ranked[0] == ranked[1]
    loaded.save(tmp_path / "again")
    assert load_checkpoint(tmp_path / "again")[1] == load_checkpoint(tmp_path / "model")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": ["accuracy"]}, "minimize gives 2 directions for 1 target"),
        ({"targets": ["a", "b", "c"]}, "not the targets of a predictor"),
        ({"targets": ["a", "a"]}, "target 'a' is named twice"),
        ({"targets": [1, 2]}, "must be some text, not 1"),
        ({"targets": 2}, "not the targets of a predictor"),
        ({"targets": None}, "not the targets of a predictor"),
        ({}, "lacks targets"),
    ],
)  # fmt: skip
def test_target_names_that_do_not_fit_a_checkpoint(fitted, space, tmp_path, change, message):
    fitted["random"].save(tmp_path / "model")
    tensors, content = load_checkpoint(tmp_path / "model")
    del content["targets"]
    save_checkpoint(tmp_path / "model", tensors, content | change)
    with pytest.raises(CheckpointError, match=message):
        Predictor.load(tmp_path / "model", space)


@pytest.mark.parametrize("names", [["accuracy"], ["accuracy", "latency_ms", "energy"]])
def test_labels_of_another_number_of_targets(fitted, space, tmp_path, names):
    fitted["random"].save(tmp_path / "model")
    tensors, content = load_checkpoint(tmp_path / "model")
    content["targets"], content["config"]["minimize"] = names, False
    save_checkpoint(tmp_path / "model", tensors, content)
    with pytest.raises(CheckpointError, match=rf"names {len(names)} targets?, but has labels of 2"):
        Predictor.load(tmp_path / "model", space)


# Used wrongly


@pytest.mark.parametrize("method", ["random", "gin"])
@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda labels: labels.__setitem__((slice(None), 1), math.nan),
         "target latency_ms: 0 labels are too few; at least 4 are needed"),
        (lambda labels: labels.__setitem__((slice(3, None), 1), math.nan),
         "target latency_ms: 2 labels are too few"),
        (lambda labels: labels.__setitem__((slice(None), 0), 7.0), "accuracy: all 24 labels are"),
        (lambda labels: labels.__setitem__((5, 1), math.inf),
         "target latency_ms: labels must be finite, or NaN where nothing was measured; label 6 of 24 is inf"),
    ],
)  # fmt: skip
def test_bad_labels_name_the_target_and_leave_it_unfitted(make, table, labels, method, break_, message):
    broken = labels.copy()
    break_(broken)
    predictor = make(method, **OPTIONS)
    with pytest.raises(TableError, match=message):
        predictor.fit(table, broken)
    with pytest.raises(UsageError, match="has seen no labels"):
        predictor.predict(table)


def test_equal_labels_of_a_minimised_target_are_shown_as_they_are(make, table, labels):
    broken = labels.copy()
    broken[:, 1] = 5.0
    with pytest.raises(TableError, match=r"target latency_ms: all 24 labels are 5\.0"):
        make("random", **OPTIONS).fit(table, broken)


def test_a_failed_fit_leaves_what_was_there(make, table, labels, candidates):
    predictor = make("onehot-rf", **OPTIONS).fit(table, labels)
    before = predictor.predict(candidates)
    with pytest.raises(TableError):
        predictor.fit(table, np.full_like(labels, 3.0))
    assert predictor.predict(candidates).tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((23, 2), "24 architectures need as many rows of labels, not 23"),
        ((24, 0), r"labels must have the axis \(n,\), or \(n, targets\).* they have shape \(24, 0\)"),
        ((24, 2, 2), r"they have shape \(24, 2, 2\)"),
        ((), r"they have shape \(\)"),
    ],
)
def test_labels_of_other_shapes(make, table, shape, message):
    with pytest.raises(TableError, match=message):
        make("random").fit(table, np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": NAMES}, r"targets has 2 names \(accuracy, latency_ms\) for 3 targets"),
        ({"targets": "accuracy"}, r"targets has 1 name \(accuracy\) for 3 targets"),
        ({"minimize": (True, False)}, "minimize gives 2 directions for 3 targets"),
    ],
)
def test_another_number_of_targets_than_was_said(make, table, labels, options, message):
    with pytest.raises(UsageError, match=message):
        make("random", **options).fit(table, labels[:, [0, 1, 1]])


@pytest.mark.parametrize(
    "options",
    [
        {"targets": ("a", "a")},
        {"targets": NAMES, "minimize": (True,)},
        {"targets": ("a", ""), "minimize": True},
    ],
)
def test_names_that_make_no_sense_are_refused_at_once(make, options):
    with pytest.raises(UsageError):
        make("random", **options)


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"weights": {"acc": 1}}, UnknownNameError),
        ({"weights": {"accuracy": 0}}, UsageError),
        ({"weights": {"accuracy": 1}, "pareto": True}, UsageError),
        ({"where": "latency_ms=5"}, UsageError),
        ({"where": "latency_ms<-100"}, UsageError),
    ],
)
def test_orders_that_make_no_sense(fitted, candidates, order, error):
    with pytest.raises(error) as raised:
        fitted["random"].rank(candidates, **order)
    assert isinstance(raised.value, ArchflowError)
    assert "\n" not in str(raised.value)


# On a public table


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_accuracy_and_flops_of_a_public_space():
    space = get("nasbench_macro")
    path = Path(os.environ["ARCHFLOW_DATA"]) / "nasbench_macro.parquet"
    measured = read_table(path, space, ("cifar10_test_acc", "flops"))
    order = np.random.default_rng(0).permutation(len(measured))
    seen, rest = order[:150], order[150:]
    labels = measured.values[seen]
    labels[:50, 1] = np.nan
    predictor = Predictor(space, "onehot-rf", targets=measured.target, minimize=(False, True))
    predictor.fit(measured.architectures[seen], labels)
    truth = measured.values[rest]
    predicted = predictor.predict(measured.architectures[rest])
    assert kendall_tau(predicted[:, 0], truth[:, 0]) > 0.6
    assert kendall_tau(predicted[:, 1], truth[:, 1]) > 0.6

    bound = float(np.median(truth[:, 1]))
    best, cheap = (
        predictor.rank(measured.architectures[rest], 50, where=where) for where in ((), f"flops<{bound}")
    )
    assert (truth[best.rows, 1] < bound).mean() < 0.1
    assert (truth[cheap.rows, 1] < bound).mean() > 0.5
    assert truth[cheap.rows, 0].mean() > truth[truth[:, 1] < bound, 0].mean()
    front = predictor.rank(measured.architectures[rest], 50, pareto=True)
    true_fronts = pareto_fronts(truth * [1, -1])
    assert np.median(true_fronts[front.rows]) < np.median(true_fronts) / 2
