"""`archflow demo`, on a small table and a tiny encoder instead of the embedded ones."""

import json

import numpy as np
import pytest

from archflow.benchmark import demo as demo_module
from archflow.datasets import read_table
from archflow.networks import TrainedNetwork


@pytest.fixture
def quick(monkeypatch, table, space):
    cells = space.sample(130, np.random.default_rng(3))
    accuracy = np.random.default_rng(4).normal(80, 5, size=130)
    path = table("digits.parquet", arch=[space.format(cell) for cell in cells], valid_acc=accuracy)

    class Small(type(space)):
        def all(self):
            return super().all()[::100]

    monkeypatch.setattr(demo_module, "digits_table", lambda: read_table(path, space, "valid_acc"))
    monkeypatch.setattr(demo_module, "train_network", lambda *_: TrainedNetwork(77.25, 0.1, 1))
    monkeypatch.setattr(demo_module, "NASBench201", Small)


@pytest.mark.usefixtures("quick")
def test_it_compares_ranks_and_trains(run, encoder):
    outcome = run("demo", "--pretrained", encoder, "--device", "cpu")
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[0] for line in lines[1:5]] == list(demo_module.METHODS)
    assert all(-1 <= float(line[1]) <= 1 for line in lines[1:5])
    assert len(lines) == 6 + demo_module.TRAINED
    assert {line[2] for line in lines[6:]} == {"77.25"}
    assert f"{demo_module.LABELS} of them" in outcome.err
    assert "All 157 cells ranked" in outcome.err
    assert "best of these five 77.25 %" in outcome.err


@pytest.mark.usefixtures("quick")
def test_json_alone_on_stdout_and_the_seed_reaches_it(run, encoder, tmp_path):
    record = json.loads(run("demo", "--pretrained", encoder, "--seed", "3", "--json", "-").out)
    assert [entry["method"] for entry in record["evaluations"]] == list(demo_module.METHODS)
    assert record["evaluations"][0]["runs"][0]["seed"] == 3
    assert record["ranked"] == 157
    assert len(record["top"]) == demo_module.TRAINED


def test_errors(refused, tmp_path):
    refused("demo", "--pretrained", tmp_path / "no", code=1, parts=[tmp_path / "no", "no checkpoint here"])
