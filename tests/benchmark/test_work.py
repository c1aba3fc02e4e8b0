"""One job: a run's scores and costs, and an encoder that is pre-trained once."""

import dataclasses
import json

import numpy as np
import pytest

from archflow import metrics
from archflow.benchmark import read_protocol
from archflow.benchmark.data import read_data
from archflow.benchmark.jobs import plan
from archflow.benchmark.work import Workplace, finished_encoder, work
from archflow.datasets import digits_table, paper_split
from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError
from archflow.predictors import FineTuneConfig, Predictor
from archflow.pretrain import PretrainedEncoder
from archflow.records import RunRecord


@pytest.fixture
def prepared(protocol_file, tmp_path):
    """Return a workplace and the runs of the tiny protocol by method, of 30 labels and permutation 2021."""

    def build(*replacements):
        path = protocol_file(*replacements)
        protocol = read_protocol(path)
        data = read_data(protocol, path, None)
        runs = plan(protocol, {name: table.identity() for name, table in data.items()})
        chosen = [run for run in runs if run.config["labels"] == "30" and run.seeds["permutation"] == 2021]
        return Workplace(data, tmp_path / "encoders", "cpu"), {run.config["method"]: run for run in chosen}

    return build


def test_a_run_is_scored_on_the_papers_test_rows(prepared, space):
    place, runs = prepared()
    record = work(place, runs["gin"])
    table = digits_table()
    split = paper_split(1200, 2021, 30 / 600)
    predictor = Predictor(
        space,
        "gin",
        seed=21,
        device="cpu",
        sizes=EncoderConfig("gin", width=8, layers=1),
        fine_tuning=FineTuneConfig(**{"training": _training("gin", False), "margin": 0.5}),
    )
    graphs, values = table.architectures, table.values
    predictor.fit(
        graphs[split.labelled],
        values[split.labelled],
        validation=(graphs[split.validation], values[split.validation]),
    )
    predicted = predictor.predict(graphs[split.test])
    measured = values[split.test]
    assert record.scores["kendall_tau"] == metrics.kendall_tau(predicted, measured)
    assert record.scores["spearman"] == metrics.spearman(predicted, measured)
    assert record.scores["precision_at"] == {
        str(percent): metrics.precision_at(predicted, measured, percent) for percent in (1, 5, 10, 50)
    }
    assert record.config == runs["gin"].config
    assert record.seeds == {"model": 21, "permutation": 2021}
    assert record.data_digest == table.digest
    width = 8
    assert record.cost["parameters"] > width * width
    assert record.cost["ranked_per_second"] == pytest.approx(
        len(measured) / record.cost["predict_seconds"], rel=0.05
    )
    assert "pretrain_seconds" not in record.cost
    RunRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))


def _training(encoder, pretrained):
    return dataclasses.replace(FineTuneConfig.default(encoder, pretrained=pretrained).training, epochs=2)


def test_a_run_repeats_to_the_last_digit(prepared):
    place, runs = prepared()
    assert work(place, runs["gin"]).scores == work(place, runs["gin"]).scores


def test_an_encoder_is_pretrained_for_its_runs(prepared):
    place, runs = prepared()
    run = runs["gin + flow+proxy"]
    assert not finished_encoder(place, run.encoder)
    reports = []
    assert work(place, run.encoder, lambda *report: reports.append(report[:2])) is None
    assert reports[-1] == (2, 2)
    assert finished_encoder(place, run.encoder)
    encoder = PretrainedEncoder.load(place.encoders / run.encoder.id)
    assert encoder.provenance["data"]["architectures"] == 1200  # the test rows among them
    assert encoder.config.seed == 21
    record = work(place, run)
    assert record.cost["pretrain_seconds"] == encoder.provenance["seconds"] > 0
    assert record.cost["pretrain_share_seconds"] == pytest.approx(encoder.provenance["seconds"] / 4, abs=1e-4)
    assert "transductive" in record.config["pretrained_on"]
    assert record.scores != work(place, runs["gin"]).scores


def test_a_proxy_reaches_the_pretraining(prepared, tmp_path):
    place, runs = prepared()
    work(place, runs["gin + flow+proxy"].encoder)
    losses = PretrainedEncoder.load(next(place.encoders.iterdir())).provenance["losses"]
    table = place.data["digits"]
    other = dataclasses.replace(table, proxy=np.random.default_rng(0).normal(size=1200))
    elsewhere = Workplace({"digits": other}, tmp_path / "elsewhere", "cpu")
    work(elsewhere, runs["gin + flow+proxy"].encoder)
    assert PretrainedEncoder.load(next(elsewhere.encoders.iterdir())).provenance["losses"] != losses


def test_minimising_turns_the_order(prepared):
    place, runs = prepared()
    down, down_runs = prepared(("valid_acc}", "valid_acc, minimize: true}"))
    one, other = work(place, runs["random"]), work(down, down_runs["random"])
    assert one.scores["kendall_tau"] == pytest.approx(other.scores["kendall_tau"], abs=0.2)
    assert one.scores["precision_at"] != other.scores["precision_at"]


def test_a_damaged_encoder_says_what_to_delete(prepared):
    place, runs = prepared()
    run = runs["gin + flow+proxy"]
    work(place, run.encoder)
    folder = place.encoders / run.encoder.id
    for weights in folder.glob("weights-*"):
        weights.write_bytes(b"spam")
    for again in (lambda: finished_encoder(place, run.encoder), lambda: work(place, run)):
        with pytest.raises(CheckpointError, match=r"damaged.*; delete .*to pre-train that encoder again"):
            again()


def test_a_foreign_encoder_is_refused(prepared, encoder):
    place, runs = prepared()
    run = runs["gin + flow+proxy"]
    encoder.save(place.encoders / run.encoder.id)
    with pytest.raises(CheckpointError, match="holds another encoder"):
        work(place, run)
