"""Proxies of whole tables: resumed without repeating, one network for equal functions, written whole."""

import dataclasses
import json
import math
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch

from archflow import spaces
from archflow.errors import OutputExistsError, TableError, UnknownNameError, UsageError
from archflow.graphs import ArchitectureTable
from archflow.networks import (
    PROXIES,
    SKELETONS,
    ImageBatch,
    JobError,
    ProxyConfig,
    Skeleton,
    build_network,
    count_flops,
    count_parameters,
    journal_path,
    measure_proxies,
    score_network,
)
from archflow.networks.proxies import table as tables
from archflow.networks.proxies.table import ProxyJournal

SPACE = spaces.get("nasbench201")
TINY = {name: {"reduced": Skeleton((5, 6), cells=1, image=(3, 8, 8), classes=10)} for name in SKELETONS}
# The first two compute one function, and so do the third and the last; the fourth ignores its images.
TEXTS = [
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
    "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
]
CELLS = ArchitectureTable.of([SPACE.parse(text) for text in TEXTS], SPACE.operations)
CONFIG = ProxyConfig(("naswot", "params", "synflow"), batch_size=8)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(tables, "SKELETONS", TINY)


def counting_measure(space_name, table, skeleton, config, names, job):
    """Count every network in a file that the environment names; the value tells which it was."""
    with Path(os.environ["ARCHFLOW_TEST_NETWORKS"]).open("a") as file:
        file.write(f"{job[0]}\n")
    return dict.fromkeys(names, float(TEXTS.index(job[0])))


def dying_measure(space_name, table, skeleton, config, names, job):
    if job[0] == TEXTS[2]:
        os._exit(3)
    return dict.fromkeys(names, 1.0)


def raising_measure(space_name, table, skeleton, config, names, job):
    if job[0] == TEXTS[2]:
        raise ValueError("no such luck")
    return dict.fromkeys(names, 1.0)


def interrupt_after(count):
    def report(done, total, remark=""):
        if done == count:
            raise KeyboardInterrupt

    return report


def expected(row, names, config):
    """Score a row's collapsed network in this process."""
    skeleton = TINY[SPACE.name]["reduced"]
    batch = ImageBatch.draw(
        config.images, config.batch_size, image_shape=skeleton.image, classes=10, seed=config.seed
    )
    torch.manual_seed(config.seed)
    network = build_network(SPACE.name, CELLS.collapsed()[row], skeleton).to(
        memory_format=torch.channels_last
    )
    images = batch.images.contiguous(memory_format=torch.channels_last)  # so that rounding is the same
    return score_network(network, ImageBatch(images, batch.labels), names, seed=config.seed)


def test_each_row_holds_what_its_network_scores(tmp_path):
    out, names = tmp_path / "t.csv", [name for name in PROXIES if name not in ("params", "flops")]
    config = ProxyConfig(PROXIES, batch_size=8, seed=3, images="digits")
    run = measure_proxies(SPACE, CELLS, config, out=out, workers=2)
    assert (run.architectures, run.networks, run.restored) == (5, 4, 0)
    assert run.undefined == {"naswot": 1, "jacov": 1, "zen": 1}
    rows = pyarrow.csv.read_csv(out).to_pylist()
    assert [row["arch"] for row in rows] == TEXTS
    for place in range(4):
        for name, value in expected(place, names, config).items():
            found = rows[place][name]
            if math.isnan(value):
                assert found is None
            else:
                assert found == pytest.approx(value, rel=1e-3, abs=1e-6), (place, name)
    assert {name: rows[4][name] for name in names} == {name: rows[2][name] for name in names}


def test_parameters_and_operations_are_of_each_cell_as_written(tmp_path):
    out = tmp_path / "t.csv"
    run = measure_proxies(SPACE, CELLS, ProxyConfig(("flops", "params")), out=out)
    assert (run.networks, run.undefined) == (0, {})
    table, skeleton = pyarrow.csv.read_csv(out), TINY[SPACE.name]["reduced"]
    assert table.column_names == ["arch", "flops", "params"]
    assert table["params"].to_pylist() == count_parameters(SPACE.name, CELLS, skeleton).tolist()
    assert table["flops"].to_pylist() == count_flops(SPACE.name, CELLS, skeleton).tolist()
    assert table["params"][0].as_py() < table["params"][1].as_py()  # the second has a dead convolution


def test_the_table_says_what_was_run_and_with_which_seed(tmp_path):
    out = tmp_path / "deep" / "t.parquet"
    texts, config = [f" {text}" for text in TEXTS], dataclasses.replace(CONFIG, seed=4)
    measure_proxies(SPACE, CELLS, config, out=out, texts=texts)
    table = pyarrow.parquet.read_table(out)
    assert table.column_names == ["arch", "naswot", "params", "synflow"]
    assert table["arch"].to_pylist() == texts
    flows = [expected(0, ["synflow"], settings)["synflow"] for settings in (config, CONFIG)]
    assert table["synflow"][0].as_py() == pytest.approx(flows[0], rel=1e-9)
    assert table["synflow"][0].as_py() != pytest.approx(flows[1], rel=1e-4)
    made = json.loads(table.schema.metadata[b"archflow"])
    assert made["space"] == "nasbench201"
    assert made["proxies"] == ["naswot", "params", "synflow"]
    assert (made["skeleton"], made["images"], made["batch_size"], made["seed"]) == ("reduced", "noise", 8, 4)
    assert made["network"] == {"channels": [5, 6], "cells": 1, "image": [3, 8, 8], "classes": 10}
    assert {"archflow", "torch", "numpy"} <= set(made["versions"])
    assert [path.name for path in out.parent.iterdir()] == ["t.parquet"]  # neither journal nor leftovers


def test_nasbench101_has_proxies_too(tmp_path):
    space = spaces.get("nasbench101")
    text = '{"matrix":[[0,1,1],[0,0,1],[0,0,0]],"ops":["input","conv3x3-bn-relu","output"]}'
    cells = ArchitectureTable.of([space.parse(text)], space.operations)
    run = measure_proxies(space, cells, CONFIG, out=tmp_path / "t.csv")
    assert (run.architectures, run.networks, run.undefined) == (1, 1, {})
    assert pyarrow.csv.read_csv(tmp_path / "t.csv")["arch"].to_pylist() == [text]


def test_an_interrupted_run_goes_on_without_repeating(tmp_path, monkeypatch):
    out, counted = tmp_path / "t.csv", tmp_path / "networks.txt"
    monkeypatch.setenv("ARCHFLOW_TEST_NETWORKS", str(counted))
    monkeypatch.setattr(tables, "_measure", counting_measure)
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped with 2 of 4 networks in .*the same command goes on from there"
    ):
        measure_proxies(SPACE, CELLS, CONFIG, out=out, report=interrupt_after(2))
    assert not out.exists()
    with journal_path(out).open("a") as file:
        file.write('{"arch": "|nor_')  # the line a crash tore
    before = counted.read_text().splitlines()[:2]  # a third may have begun
    counted.write_text("")
    told = []
    run = measure_proxies(
        SPACE, CELLS, CONFIG, out=out, report=lambda done, total, remark="": told.append((done, total))
    )
    assert (run.networks, run.restored) == (2, 2)
    assert told == [(2, 4), (3, 4), (4, 4)]
    assert before + counted.read_text().splitlines() == TEXTS[:4]
    assert pyarrow.csv.read_csv(out)["naswot"].to_pylist() == [0, 1, 2, 3, 2]


@pytest.mark.parametrize(
    ("measure", "reason"),
    [(raising_measure, "ValueError: no such luck"), (dying_measure, "its worker process died")],
)
def test_a_failed_network_is_named_and_the_rest_kept(tmp_path, monkeypatch, measure, reason):
    monkeypatch.setattr(tables, "_measure", measure)
    out = tmp_path / "t.csv"
    with pytest.raises(JobError, match=reason) as caught:
        measure_proxies(SPACE, CELLS, CONFIG, out=out)
    assert str(caught.value).startswith(f"measuring '{TEXTS[2]}' failed: ")
    assert [json.loads(line)["arch"] for line in journal_path(out).read_text().splitlines()[1:]] == TEXTS[:2]


def test_a_dead_worker_stops_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_measure", dying_measure)
    with pytest.raises(JobError, match="its worker process died"):
        measure_proxies(SPACE, CELLS, CONFIG, out=tmp_path / "t.csv", workers=2)
    assert multiprocessing.active_children() == []


HEADER = {"space": "nasbench201", "proxies": ["naswot", "params", "synflow"]}


def journal_of(path, values):
    with ProxyJournal(path, HEADER, TEXTS) as journal:
        for text, value in zip(TEXTS, values, strict=False):
            journal.append(text, {"naswot": value, "synflow": 0.1 + 0.2})


def test_a_journal_gives_back_what_was_written(tmp_path):
    journal_of(tmp_path / "j.jsonl", [1.5, math.nan])
    assert "NaN" not in (tmp_path / "j.jsonl").read_text()
    with ProxyJournal(tmp_path / "j.jsonl", HEADER, TEXTS) as journal:
        assert journal.rows[TEXTS[0]] == {"naswot": 1.5, "synflow": 0.1 + 0.2}
        assert math.isnan(journal.rows[TEXTS[1]]["naswot"])


@pytest.mark.parametrize(
    "damage", ["", "garbage", "[]", '{"arch": "|none~0|", "naswot": 1}', '{"arch":1,"naswot":[],"synflow":1}']
)
def test_a_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / "j.jsonl"
    journal_of(path, [1, 2, 3])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], damage, *lines[3:]]) + "\n")
    with pytest.raises(TableError, match=r"line 3: not a finished network .*; delete the line to measure"):
        ProxyJournal(path, HEADER, TEXTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "holds networks with seed 0, not 1"),
        ({"images": "digits"}, "holds networks with images noise, not digits"),
        ({"proxies": ("naswot",)}, r"holds networks with proxies \['naswot', 'params', 'synflow'\], not"),
    ],
)
def test_a_journal_of_other_settings_is_refused_and_kept(tmp_path, monkeypatch, change, message):
    out = tmp_path / "t.csv"
    monkeypatch.setattr(tables, "_measure", raising_measure)
    with pytest.raises(JobError):
        measure_proxies(SPACE, CELLS, CONFIG, out=out)
    before = journal_path(out).read_bytes()
    with pytest.raises(TableError, match=message):
        measure_proxies(SPACE, CELLS, dataclasses.replace(CONFIG, **change), out=out)
    assert journal_path(out).read_bytes() == before


def test_a_journal_of_other_architectures_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_measure", raising_measure)
    with pytest.raises(JobError):
        measure_proxies(SPACE, CELLS, CONFIG, out=tmp_path / "t.csv")
    with pytest.raises(TableError, match=r"line 2: '\|nor_conv_3x3~0.*' is not part of this run"):
        measure_proxies(SPACE, CELLS[2:], CONFIG, out=tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"proxies": ()}, UsageError, "no proxy is given; choose from: params, flops, synflow"),
        ({"proxies": ("zen", "zen")}, UsageError, "proxy zen is given 2 times; give each once"),
        ({"proxies": ("nwot",)}, UnknownNameError, "unknown proxy 'nwot'.*Did you mean 'naswot'"),
        ({"skeleton": "half"}, UnknownNameError, "unknown skeleton 'half'; choose from: reduced"),
        ({"images": "cifar"}, UnknownNameError, "unknown kind of images 'cifar'"),
        ({"batch_size": 1}, UsageError, "a batch of 1 images orders nothing"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        measure_proxies(SPACE, CELLS, dataclasses.replace(CONFIG, **change), out=tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_arguments_out_of_range_are_refused(tmp_path):
    out = tmp_path / "t.csv"
    with pytest.raises(UsageError, match="workers is 0; it must be 1 or more"):
        measure_proxies(SPACE, CELLS, CONFIG, out=out, workers=0)
    with pytest.raises(UsageError, match="no architecture is given"):
        measure_proxies(SPACE, CELLS[:0], CONFIG, out=out)
    with pytest.raises(UsageError, match=r"t.txt: a table ends in .parquet or .csv"):
        measure_proxies(SPACE, CELLS, CONFIG, out=tmp_path / "t.txt")
    darts = spaces.get("darts")
    with pytest.raises(UsageError, match="space 'darts' has no networks; nasbench201 and nasbench101 have"):
        measure_proxies(darts, darts.sample(1, np.random.default_rng(0)), CONFIG, out=out)
    out.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"t\.csv exists already"):
        measure_proxies(SPACE, CELLS, CONFIG, out=out)
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
