"""Evaluation: the promised JSON, scores that repeat, and what cannot be evaluated."""

import dataclasses
import json
import statistics

import numpy as np
import pytest

from archflow import metrics
from archflow.benchmark import evaluate
from archflow.datasets import draw_labels
from archflow.encoders import EncoderConfig
from archflow.errors import TableError, UsageError
from archflow.predictors import METHODS, Predictor
from archflow.pretrain import PretrainConfig
from archflow.records import RunRecord
from archflow.training import TrainingConfig


@pytest.fixture(scope="module")
def table(measure):
    return measure(60)


@pytest.fixture
def score(space, table, tuning):
    """Evaluate a method on the table."""

    def run(method="onehot-rf", *, on=table, labels=20, seeds=(0, 1), report=None, on_run=None, **options):
        extra = {name: value for name, value in (("report", report), ("on_run", on_run)) if value}

        def make_predictor(seed):
            return Predictor(space, method, seed=seed, fine_tuning=tuning, device="cpu", **options)

        return evaluate(space, on, make_predictor, labels=labels, seeds=seeds, **extra)

    return run


def scores_of(evaluation):
    return [
        {name: value for name, value in run.items() if not name.endswith("_seconds")}
        for run in evaluation.runs
    ]


def test_the_json_has_exactly_the_promised_keys(score):
    value = json.loads(json.dumps(score(seeds=(3, 8)).to_json(), allow_nan=False))
    assert list(value) == ["space", "target", "method", "labels", "runs", "mean", "std", "record"]
    assert (value["space"], value["target"], value["method"], value["labels"]) == (
        "nasbench201",
        "accuracy",
        "onehot-rf",
        20,
    )
    keys = ["kendall_tau", "spearman", "precision_at", "fit_seconds", "predict_seconds"]
    assert [run["seed"] for run in value["runs"]] == [3, 8]
    for run in value["runs"]:
        assert list(run) == ["seed", *keys]
    for name in ("mean", "std"):
        assert list(value[name]) == keys
    for scores in (*value["runs"], value["mean"], value["std"]):
        assert list(scores["precision_at"]) == ["1", "5", "10"]
        numbers = [scores[key] for key in keys if key != "precision_at"] + [*scores["precision_at"].values()]
        assert all(type(number) is float for number in numbers)


def test_mean_and_deviation_are_over_runs(score):
    value = score("random", seeds=range(4)).to_json()
    for get in (
        lambda scores: scores["kendall_tau"],
        lambda scores: scores["spearman"],
        lambda scores: scores["precision_at"]["10"],
        lambda scores: scores["fit_seconds"],
    ):
        numbers = [get(run) for run in value["runs"]]
        assert get(value["mean"]) == pytest.approx(statistics.mean(numbers))
        assert get(value["std"]) == pytest.approx(statistics.pstdev(numbers))
    assert value["std"]["kendall_tau"] > 0


def test_scores_are_those_of_the_rows_that_were_not_labelled(space, table, score):
    (run,) = score(seeds=(5,)).runs
    labelled, rest = draw_labels(60, 20, 5)
    assert len(labelled) == 20
    predictor = Predictor(space, "onehot-rf", seed=5)
    predictor.fit(table.architectures[labelled], table.values[labelled])
    expected = metrics.scores(predictor.predict(table.architectures[rest]), table.values[rest])
    assert {name: run[name] for name in expected} == expected


def test_the_forest_sees_what_the_random_order_does_not(score):
    forest, chance = (score(method, seeds=range(3)).to_json()["mean"] for method in ("onehot-rf", "random"))
    assert forest["kendall_tau"] > 0.3
    assert abs(chance["kendall_tau"]) < 0.2


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.pretrained])
def test_the_same_evaluation_twice_has_equal_scores(score, method):
    assert scores_of(score(method)) == scores_of(score(method))


def test_a_seed_draws_its_own_labels(score):
    first, second, both = score(seeds=(0,)), score(seeds=(1,)), score(seeds=(0, 1))
    assert scores_of(first) + scores_of(second) == scores_of(both)
    assert scores_of(first)[0]["kendall_tau"] != scores_of(second)[0]["kendall_tau"]


@pytest.mark.parametrize("method", ["onehot-rf", "gin", "random"])
def test_minimising_a_negated_target_scores_the_same(score, table, method):
    negated = dataclasses.replace(table, columns={"accuracy": -table.values})
    straight, reverse = score(method), score(method, on=negated, minimize=True)
    assert scores_of(straight) == scores_of(reverse)


def test_minimising_counts_the_lowest_as_the_top(space, table):
    """A predictor that knows the truth has every score at its best, whichever way is better."""

    class Oracle(Predictor):
        def predict(self, architectures, **_):
            known = dict(zip(table.architectures, table.values, strict=True))
            return np.array([known[a] for a in architectures])

    for minimize in (False, True):

        def make_predictor(seed, minimize=minimize):
            return Oracle(space, "random", seed=seed, minimize=minimize)

        (run,) = evaluate(space, table, make_predictor, labels=20, seeds=[0]).runs
        assert run["kendall_tau"] == pytest.approx(1)
        assert run["precision_at"] == {"1": 1.0, "5": 1.0, "10": 1.0}


def test_a_pretrained_encoder_is_paid_for_once(space, table, score):
    settings = PretrainConfig(encoder=EncoderConfig(width=8), training=TrainingConfig(1, 16))
    built, told = [], []

    def report(done, total, remark=""):
        told.append(total)

    evaluation = score(
        "fgp-gin", seeds=range(3), pretraining=settings, unlabelled=table.architectures, report=report
    )
    built = evaluation.record.config["pretraining"]
    assert built["provenance"]["data"]["architectures"] == 60
    assert told.count(1) == 1  # one epoch of pre-training in all
    assert len(evaluation.runs) == 3


def test_a_given_encoder_is_used_and_recorded(score, encoder):
    evaluation = score("fgp-gin", encoder=encoder)
    assert evaluation.record.config["pretraining"] == encoder.content()
    assert scores_of(evaluation) == scores_of(score("fgp-gin", encoder=encoder))


def test_the_record_tells_how_to_repeat_it(score, table):
    record = score(seeds=(3, 8), minimize=True).record
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.data_digest == table.digest
    assert record.seeds == {"run_0": 3, "run_1": 8}
    wanted = {"method": "onehot-rf", "minimize": True, "labels": 20}
    assert {name: record.config[name] for name in wanted} == wanted
    assert record.cost["fit_seconds"] > 0


def test_columns_are_those_of_the_rows(space, table, tuning):
    """A column that is the target itself tells everything, and one of other rows nothing."""

    def tau(columns):
        def make_predictor(seed):
            return Predictor(space, "onehot-gp", seed=seed)

        (run,) = evaluate(space, table, make_predictor, labels=30, seeds=[0], columns=columns).runs
        return run["kendall_tau"]

    assert tau(table.values[:, None]) > 0.9
    assert tau(np.random.default_rng(0).permutation(table.values)[:, None]) < 0.8


def test_it_does_not_warn_of_rows_unlike_the_labelled(space, table, score):
    """Labels and rows are of one draw; a warning would be an error here."""
    labelled, rest = draw_labels(60, 4, 0)
    predictor = Predictor(space, "random").fit(table.architectures[labelled], np.arange(4.0))
    assert predictor.unlike(table.architectures[rest]).any()
    score("random", labels=4, seeds=(0,))


def test_runs_are_handed_over_as_they_finish(score):
    runs = []
    evaluation = score(on_run=runs.append)
    assert runs == list(evaluation.runs)


def test_as_few_rows_as_can_be_scored(score, measure):
    assert len(score(on=measure(22), labels=20).runs) == 2


@pytest.mark.parametrize("labels", [21, 22, 23, 1000])
def test_too_many_labels(score, measure, labels):
    with pytest.raises(
        UsageError, match=f"{labels} labels leave too few of 22 rows to score; label at most 20"
    ):
        score(on=measure(22), labels=labels)


@pytest.mark.parametrize("labels", [1, 3])
def test_too_few_labels(score, labels):
    with pytest.raises(TableError, match=f"{labels} labels are too few; at least 4 are needed"):
        score(labels=labels)


@pytest.mark.parametrize("labels", [0, -1])
def test_no_labels(score, labels):
    with pytest.raises(UsageError, match=f"cannot label {labels} of 60 rows"):
        score(labels=labels)


def test_no_seeds(score):
    with pytest.raises(UsageError, match="at least one seed"):
        score(seeds=())


def test_a_constant_target(score, table):
    flat = dataclasses.replace(table, columns={"accuracy": np.full(60, 3.0)})
    with pytest.raises(TableError, match="column 'accuracy' has 60 rows and no two values"):
        score(on=flat)


def test_labels_that_happen_to_be_equal(score, table):
    """One row differs, and the draw misses it."""
    values = np.full(60, 3.0)
    values[draw_labels(60, 20, 0)[1][0]] = 4.0
    with pytest.raises(TableError, match=r"all 20 labels are 3\.0; a constant ranks nothing"):
        score(on=dataclasses.replace(table, columns={"accuracy": values}), seeds=(0,))


def test_a_table_without_a_target(score, table):
    with pytest.raises(UsageError, match="without a target"):
        score(on=dataclasses.replace(table, target=None))
