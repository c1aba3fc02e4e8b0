"""The demo, on a small table and a tiny encoder instead of the embedded ones."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from archflow.benchmark import demo as demo_module
from archflow.benchmark.demo import run_demo
from archflow.networks import TrainedNetwork
from archflow.predictors import METHODS, FineTuneConfig
from archflow.predictors.methods import DEFAULT


@pytest.fixture
def trainings():
    return []


@pytest.fixture
def quick(monkeypatch, measure, space, trainings):
    """Replace the embedded table, the trainer and the size of the space."""
    table = measure(130, target="valid_acc")

    def train_network(architecture, task, seed):
        trainings.append((architecture, task, seed))
        return TrainedNetwork(60.0 + seed, 0.1, 1)

    class Small(type(space)):
        def all(self):
            return super().all()[::50]

    monkeypatch.setattr(demo_module, "digits_table", lambda: table)
    monkeypatch.setattr(demo_module, "train_network", train_network)
    monkeypatch.setattr(demo_module, "NASBench201", Small)
    return table


@pytest.fixture
def quick_tuning(monkeypatch, tuning):
    """Fine-tune for two epochs wherever no settings are given."""
    monkeypatch.setattr(FineTuneConfig, "default", staticmethod(lambda encoder, *, pretrained: tuning))


def test_the_forest_ranks_and_its_top_is_trained(quick, space, trainings):
    heard = []
    demo = run_demo(seed=1, device="cpu", methods=["random", "onehot-rf"], on_evaluation=heard.append)
    assert heard == list(demo.evaluations)
    assert [evaluation.method for evaluation in demo.evaluations] == ["random", "onehot-rf"]
    assert all(evaluation.labels == demo_module.LABELS for evaluation in demo.evaluations)
    assert demo.evaluations[1].runs[0]["kendall_tau"] > demo.evaluations[0].runs[0]["kendall_tau"]
    assert demo.ranked == len(space.all()[::50])
    assert len(demo.top) == demo_module.TRAINED
    predicted = [cell.predicted for cell in demo.top]
    assert predicted == sorted(predicted, reverse=True)
    labelled = {quick.texts[row] for row in demo_module.draw_labels(130, demo_module.LABELS, 1)[0]}
    for cell in demo.top:
        assert cell.labelled == (cell.text in labelled)
        assert cell.reached == 60 + np.mean(demo_module.NETWORK_SEEDS)
    assert [(space.format(cell), seed) for cell, _, seed in trainings] == [
        (cell.text, seed) for cell in demo.top for seed in demo_module.NETWORK_SEEDS
    ]
    assert {task.name for _, task, _ in trainings} == {"digits"}
    assert demo.best_of_table == quick.values.max()
    assert demo.best_labelled <= demo.best_of_table
    assert demo.seconds > demo.rank_seconds > 0


def test_its_record_is_plain(quick):
    demo = run_demo(device="cpu", methods=["random"])
    value = json.loads(json.dumps(demo.to_json(), allow_nan=False))
    assert set(value) == {field.name for field in dataclasses.fields(demo)}
    assert value["evaluations"][0]["mean"]["kendall_tau"] == demo.evaluations[0].runs[0]["kendall_tau"]
    assert value["top"][0]["text"] == demo.top[0].text


def test_all_its_methods_with_a_given_encoder(quick, quick_tuning, encoder):
    demo = run_demo(device="cpu", encoder=encoder)
    assert [evaluation.method for evaluation in demo.evaluations] == list(demo_module.METHODS)
    for evaluation in demo.evaluations:
        has_encoder = METHODS[evaluation.method].pretrained
        assert ("pretraining" in evaluation.record.config) == has_encoder
        if has_encoder:
            assert evaluation.record.config["pretraining"] == encoder.content()


def test_the_same_seed_is_the_same_demo(quick):
    run = functools.partial(run_demo, device="cpu", methods=["onehot-rf"])
    one, again, other = run(seed=0), run(seed=0), run(seed=1)
    assert one.top == again.top
    assert one.top != other.top


def test_the_methods_exist_and_the_last_one_ranks():
    assert set(demo_module.METHODS) <= set(METHODS)
    assert demo_module.METHODS[-1] == DEFAULT
