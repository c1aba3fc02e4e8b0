"""`archflow label`."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow import networks
from archflow.datasets import read_table
from archflow.networks import DIGITS, LabelRun


def test_it_trains_drawn_cells_for_real(run, monkeypatch, space, tmp_path):
    tiny = dataclasses.replace(DIGITS, channels=(2, 4), train_images=60, batch_size=20, epochs=1)
    monkeypatch.setattr(networks, "get_task", lambda name: tiny)
    out = tmp_path / "t.parquet"
    outcome = run("label", "--space", "nasbench201", "--count", "2", "--seed", "6", "--out", out)
    assert outcome.out == ""
    assert outcome.err == f"{out}: 2 architectures, 2 trainings\n"
    measured = read_table(out, space, "valid_acc")
    assert measured.texts == [space.format(cell) for cell in space.sample(2, np.random.default_rng(6))]
    assert ((measured.values >= 0) & (measured.values <= 100)).all()
    assert pq.read_table(out).column_names[0] == "arch"
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_every_option_reaches_the_library(run, monkeypatch, space, tmp_path):
    asked = {}

    def label(space, architectures, task, **options):
        asked.update(options, space=space.name, count=len(architectures), task=task)
        return LabelRun(options["out"], 5, 7, 3)

    monkeypatch.setattr(networks, "label", label)
    out = tmp_path / "t.csv"
    out.write_text("old")
    outcome = run(
        "label", "--space", "nasbench201", "--task", "digits", "--count", "5", "--seeds", "2",
        "--workers", "3", "--overwrite", "--out", out,
    )  # fmt: skip
    assert outcome.err == f"{out}: 5 architectures, 7 trainings, 3 more from an interrupted run\n"
    assert (asked["space"], asked["count"], asked["task"]) == ("nasbench201", 5, DIGITS)
    assert list(asked["seeds"]) == [0, 1]
    assert (asked["workers"], asked["overwrite"], asked["out"]) == (3, True, out)


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, tmp_path):
    def label(*_, **__):
        raise KeyboardInterrupt("stopped with 3 of 8 trainings in j; the same command goes on from there")

    monkeypatch.setattr(networks, "label", label)
    outcome = run("label", "--space", "nasbench201", "--count", "4", "--out", tmp_path / "t.csv", code=1)
    assert outcome.err == (
        "archflow: stopped with 3 of 8 trainings in j; the same command goes on from there\n"
    )


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--space nasbench201 --count 2 --task cifar", "unknown task 'cifar'; choose from: digits"),
        ("--space nasbench101 --count 2", "space 'nasbench101' has no networks"),
        ("--space nasbench201 --count 20000", "cannot draw 20000 distinct architectures"),
        ("--space free --count 2", "the free space cannot be sampled"),
    ],
)
def test_errors(refused, tmp_path, options, part):
    refused("label", *options.split(), "--out", tmp_path / "t.csv", code=2, parts=[part])
    assert list(tmp_path.iterdir()) == []
