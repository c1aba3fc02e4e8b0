"""A labelling run: resumed without repeating, refused when its journal is another's, written whole."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from archflow.errors import OutputExistsError, TableError, UsageError
from archflow.networks import DIGITS, TrainedNetwork, TrainingError, journal_path, label, train_network
from archflow.networks.label import TrainingJournal
from archflow.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
CELLS = list(SPACE.sample(4, np.random.default_rng(0)))
TEXTS = [SPACE.format(cell) for cell in CELLS]
TINY = dataclasses.replace(DIGITS, channels=(2, 4), train_images=60, batch_size=20, epochs=1)
HEADER = {"space": "nasbench201", "task": TINY.to_json(), "seeds": [0, 1]}
KEYS = [(text, seed) for text in TEXTS for seed in (0, 1)]


def fake_trainer(architecture, task, seed):
    """Count every training in a file that the environment names; the accuracy tells which it was."""
    text = SPACE.format(architecture)
    with Path(os.environ["ARCHFLOW_TEST_TRAININGS"]).open("a") as file:
        file.write(f"{text} {seed}\n")
    return TrainedNetwork(TEXTS.index(text) * 10.0 + seed, 0.5, 7)


def raising_trainer(architecture, task, seed):
    if architecture == CELLS[1]:
        raise ValueError("no such luck")
    return TrainedNetwork(50.0, 0.5, 7)


def dying_trainer(architecture, task, seed):
    if architecture == CELLS[1]:
        os._exit(3)
    return TrainedNetwork(50.0, 0.5, 7)


def interrupt_after(count):
    def progress(done, total):
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_run_goes_on_without_repeating(tmp_path, monkeypatch):
    out, counted = tmp_path / "deep" / "table.parquet", tmp_path / "trainings.txt"
    monkeypatch.setenv("ARCHFLOW_TEST_TRAININGS", str(counted))
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped with 3 of 8 trainings in .*the same command goes on"
    ):
        label(SPACE, CELLS, TINY, seeds=(0, 1), out=out, progress=interrupt_after(3), trainer=fake_trainer)
    assert not out.exists()
    assert len(journal_path(out).read_text().splitlines()) == 1 + 3
    with journal_path(out).open("a") as file:
        file.write('{"arch": "|nor_')  # the line a crash tore

    before = counted.read_text().splitlines()[:3]  # a fourth may have begun
    counted.write_text("")
    told = []
    run = label(
        SPACE,
        CELLS,
        TINY,
        seeds=(0, 1),
        out=out,
        workers=2,
        progress=lambda done, total: told.append((done, total)),
        trainer=fake_trainer,
    )
    assert (run.architectures, run.trainings, run.restored) == (4, 5, 3)
    assert told == [(done, 8) for done in range(3, 9)]
    assert sorted(before + counted.read_text().splitlines()) == sorted(
        f"{text} {seed}" for text, seed in KEYS
    )

    table = pyarrow.parquet.read_table(out)
    assert table.column("arch").to_pylist() == TEXTS
    assert table.column("valid_acc_seed0").to_pylist() == [0, 10, 20, 30]
    assert table.column("valid_acc_seed1").to_pylist() == [1, 11, 21, 31]
    assert table.column("valid_acc").to_pylist() == [0.5, 10.5, 20.5, 30.5]
    assert table.column("train_seconds").to_pylist() == [0.5] * 4
    assert table.column("parameters").to_pylist() == [7] * 4
    made = json.loads(table.schema.metadata[b"archflow"])
    assert made["task"] == TINY.to_json()
    assert made["seeds"] == [0, 1]
    assert {"archflow", "torch", "scikit-learn"} <= set(made["versions"])
    assert [path.name for path in out.parent.iterdir()] == ["table.parquet"]  # neither journal nor leftovers


def test_a_worker_trains_as_this_process_does(tmp_path):
    out = tmp_path / "table.csv"
    label(SPACE, CELLS[:1], TINY, seeds=(5,), out=out)
    (row,) = pyarrow.csv.read_csv(out).to_pylist()
    here = train_network(CELLS[0], TINY, 5)
    assert row["arch"] == TEXTS[0]
    assert row["valid_acc_seed5"] == pytest.approx(here.valid_accuracy, abs=1e-4)
    assert row["parameters"] == here.parameters


@pytest.mark.parametrize(
    ("trainer", "reason"),
    [(raising_trainer, "ValueError: no such luck"), (dying_trainer, "its worker process died")],
)
def test_a_failed_training_is_named_and_the_rest_kept(tmp_path, trainer, reason):
    out = tmp_path / "table.parquet"
    with pytest.raises(TrainingError) as caught:
        label(SPACE, CELLS, TINY, seeds=(0,), out=out, trainer=trainer)
    assert str(caught.value).startswith(f"training {TEXTS[1]} with seed 0 failed: {reason}")
    assert TEXTS[0] in journal_path(out).read_text()


def test_an_existing_table_is_refused(tmp_path):
    out = tmp_path / "table.parquet"
    out.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"table\.parquet exists already"):
        label(SPACE, CELLS, TINY, seeds=(0,), out=out)
    assert out.read_text() == "mine"
    assert not journal_path(out).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, "no seed is given"),
        ({"seeds": (1, 0, 1)}, "seed 1 is given 2 times"),
        ({"seeds": (-1,)}, "seed -1 is below 0"),
        ({"workers": 0}, "workers is 0; it must be 1 or more"),
        ({"out": Path("table.txt")}, r"table.txt: a table ends in .parquet or .csv"),
        ({"architectures": []}, "no architecture is given"),
        ({"architectures": [CELLS[0], CELLS[0]]}, r"architecture \|.*\| is given 2 times"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, change, message):
    arguments = {"architectures": CELLS, "seeds": (0,), "out": tmp_path / "table.parquet", **change}
    with pytest.raises(UsageError, match=message):
        label(SPACE, task=TINY, **arguments)


def test_a_space_without_networks_is_named(tmp_path):
    class Other(NASBench201):
        name = "other"
        operations = dataclasses.replace(
            SPACE.operations,
            names=(*SPACE.operations.names[:-1], "gcn", "output"),
            parametric=SPACE.operations.parametric | {"gcn"},
        )

    with pytest.raises(UsageError, match="space 'other' has no networks: no module for gcn"):
        label(Other(), CELLS, TINY, seeds=(0,), out=tmp_path / "table.parquet")


def journal_of(path, rows):
    with TrainingJournal(path, HEADER, KEYS) as journal:
        for key in rows:
            journal.append(key, TrainedNetwork(91.25, 0.1 + 0.2, 1234))


def test_a_journal_gives_back_what_was_written(tmp_path):
    path = tmp_path / "j.jsonl"
    journal_of(path, KEYS[:3])
    with TrainingJournal(path, HEADER, KEYS) as journal:
        assert journal.rows == dict.fromkeys(KEYS[:3], TrainedNetwork(91.25, 0.1 + 0.2, 1234))


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_dropped_and_overwritten(tmp_path, cut):
    path = tmp_path / "j.jsonl"
    journal_of(path, KEYS[:3])
    path.write_bytes(path.read_bytes()[:-cut])
    journal_of(path, KEYS[2:4])
    with TrainingJournal(path, HEADER, KEYS) as journal:
        assert list(journal.rows) == KEYS[:4]


def test_a_torn_first_line_begins_anew(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"space": "nasb')
    journal_of(path, KEYS[:1])
    with TrainingJournal(path, HEADER, KEYS) as journal:
        assert list(journal.rows) == KEYS[:1]


@pytest.mark.parametrize(
    "damage", ["", "garbage", "[]", '{"arch": "|none~0|"}', "{\x00}", '{"arch":1,"seed":"a"}']
)
def test_a_damaged_middle_line_is_named(tmp_path, damage):
    path = tmp_path / "j.jsonl"
    journal_of(path, KEYS[:3])
    lines = path.read_text().splitlines()
    lines[2] = damage
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match=r"j\.jsonl, line 3: not a finished training .*; delete the line"):
        TrainingJournal(path, HEADER, KEYS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"task": {**TINY.to_json(), "epochs": 9}},
            "holds trainings with task .*'epochs': 1.*, not .*'epochs': 9",
        ),
        ({"seeds": [0]}, r"holds trainings with seeds \[0, 1\], not \[0\]"),
        ({"space": "other"}, "holds trainings with space nasbench201, not other"),
    ],
)
def test_a_journal_of_another_run_is_refused_and_kept(tmp_path, change, message):
    path = tmp_path / "j.jsonl"
    journal_of(path, KEYS[:2])
    before = path.read_bytes()
    with pytest.raises(TableError, match=message):
        TrainingJournal(path, {**HEADER, **change}, KEYS)
    assert path.read_bytes() == before


def test_a_journal_of_other_architectures_is_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    journal_of(path, KEYS[:2])
    with pytest.raises(TableError, match=r"line 2: \|.*\| with seed 0 is not part of this run"):
        TrainingJournal(path, HEADER, KEYS[2:])


@pytest.mark.parametrize("content", ["arch,valid_acc\n", "arch,valid_acc", "\n{}\n", "[]\n"])
def test_another_file_is_no_journal(tmp_path, content):
    path = tmp_path / "j.jsonl"
    path.write_text(content)
    with pytest.raises(TableError, match="line 1: not the first line of a label journal"):
        TrainingJournal(path, HEADER, KEYS)
    assert path.read_text() == content
