"""`archflow proxies`."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow import networks
from archflow.datasets import read_table
from archflow.networks import ProxyConfig, ProxyRun, Skeleton, journal_path
from archflow.networks.proxies import table as tables


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of the library, which does nothing."""
    found = {}

    def measure_proxies(space, table, config, *, out, **options):
        found.update(options, space=space.name, table=table, config=config, out=out)
        return ProxyRun(out, len(table), 7, 0, {})

    monkeypatch.setattr(networks, "measure_proxies", measure_proxies)
    return found


def test_it_measures_a_table_for_real(run, monkeypatch, space, table, cells, tmp_path):
    tiny = {"nasbench201": {"reduced": Skeleton((2, 4), cells=1, image=(3, 8, 8), classes=10)}}
    monkeypatch.setattr(tables, "SKELETONS", tiny)
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    given, out = (
        table("cells.csv", arch=[cells[3], dead, cells[3]], accuracy=[1, 2, 3]),
        tmp_path / "t.parquet",
    )
    outcome = run(
        "proxies --space nasbench201 --proxies naswot,params --batch-size 8", "--table", given, "--out", out
    )
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        f"{out}: 3 architectures, 2 networks",
        "naswot is undefined for 1 architecture, a gap in the table",
    ]
    measured = read_table(out, space)
    assert measured.texts == [cells[3], dead, cells[3]]
    assert np.isnan(measured.columns["naswot"]).tolist() == [False, True, False]
    made = json.loads(pq.read_schema(out).metadata[b"archflow"])
    assert (made["space"], made["batch_size"]) == ("nasbench201", 8)


def test_every_option_reaches_the_library(run, asked, space, tmp_path):
    out = tmp_path / "t.csv"
    out.write_text("old")
    outcome = run(
        "proxies --space nasbench201 --sample 5 --proxies", "synflow, zen", "--skeleton", "full",
        "--batch-size", "16", "--images", "digits", "--seed", "6", "--workers", "3", "--overwrite",
        "--out", out,
    )  # fmt: skip
    assert outcome.err == f"{out}: 5 architectures, 7 networks\n"
    assert asked["config"] == ProxyConfig(
        ("synflow", "zen"), skeleton="full", images="digits", batch_size=16, seed=6
    )
    assert (asked["space"], asked["out"], asked["workers"]) == ("nasbench201", out, 3)
    assert (asked["texts"], asked["overwrite"]) == (None, True)
    drawn = space.sample(5, np.random.default_rng(6))
    assert [space.format(cell) for cell in asked["table"]] == [space.format(cell) for cell in drawn]


def test_all_of_a_space(run, asked, tmp_path):
    outcome = run("proxies --space nasbench201 --all --out", tmp_path / "t.csv")
    assert "15625 architectures" in outcome.err
    assert asked["config"] == ProxyConfig(("synflow", "naswot"))


def test_bad_rows_are_refused_or_left_out(run, refused, asked, table, cells, tmp_path):
    given, out = table("cells.csv", arch=[cells[0], "|what~0|", cells[1]]), tmp_path / "t.csv"
    command = ("proxies --space nasbench201 --table", given, "--out", out)
    refused(*command, code=1, parts=[given, "row 2", "|what~0|", "--skip-bad"])
    outcome = run(*command, "--skip-bad")
    assert outcome.err.startswith("left out 1 bad row; the first: row 2: ")
    assert asked["texts"] == [cells[0], cells[1]]


def test_what_an_interrupted_run_left_is_counted(run, monkeypatch, tmp_path):
    out = tmp_path / "t.csv"
    monkeypatch.setattr(
        networks, "measure_proxies", lambda *_, **__: ProxyRun(out, 9, 1, 5, {"zen": 2, "jacov": 1})
    )
    outcome = run("proxies --space nasbench201 --sample 9 --out", out)
    assert outcome.err.splitlines() == [
        f"{out}: 9 architectures, 1 network, 5 more from an interrupted run",
        "zen is undefined for 2 architectures, a gap in the table",
        "jacov is undefined for 1 architecture, a gap in the table",
    ]


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, tmp_path):
    def measure_proxies(*_, **__):
        raise KeyboardInterrupt("stopped with 3 of 8 networks in j; the same command goes on from there")

    monkeypatch.setattr(networks, "measure_proxies", measure_proxies)
    outcome = run("proxies --space nasbench201 --sample 4 --out", tmp_path / "t.csv", code=1)
    assert outcome.err == "archflow: stopped with 3 of 8 networks in j; the same command goes on from there\n"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--space nasbench201 --sample 2 --proxies nwot", "unknown proxy 'nwot'; choose from: fisher,"),
        ("--space nasbench201 --sample 2 --proxies ,", "no proxy is given; choose from: params, flops,"),
        ("--space nasbench201 --sample 2 --proxies zen,zen", "proxy zen is given 2 times"),
        (
            "--space nasbench201 --sample 2 --skeleton half",
            "unknown skeleton 'half'; choose from: full, reduced",
        ),
        ("--space nasbench201 --sample 2 --images cifar", "unknown kind of images 'cifar'"),
        (
            "--space nasbench201 --sample 2 --images digits --batch-size 2000",
            "there are 1797 digits, not 2000",
        ),
        ("--space darts --sample 2", "space 'darts' has no networks; nasbench201 and nasbench101 have"),
        ("--space nasbench201 --sample 20000", "cannot draw 20000 distinct architectures"),
        ("--space nasbench201", "say what to measure with one of --table, --all and --sample"),
        (
            "--space nasbench201 --all --sample 2",
            "say what to measure with one of --table, --all and --sample",
        ),
        ("--space nasbench201 --sample 2 --workers 0", "--workers"),
        ("--space nasbench201 --sample 2 --batch-size 1", "--batch-size"),
    ],
)
def test_errors(refused, tmp_path, options, part):
    refused("proxies", *options.split(), "--out", tmp_path / "t.csv", code=2, parts=[part])
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_holds_no_table_is_refused(refused, tmp_path):
    command = "proxies --space nasbench201 --sample 2 --out"
    refused(command, tmp_path / "t.txt", code=2, parts=["t.txt: a table ends in .parquet or .csv"])
    (tmp_path / "t.csv").write_text("mine")
    refused(command, tmp_path / "t.csv", code=2, parts=["t.csv exists already", "--overwrite"])


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_table(tmp_path):
    def command(name):
        words = "proxies --space nasbench201 --sample 25 --proxies naswot,synflow --batch-size 8 --out"
        return [sys.executable, "-m", "archflow", *words.split(), str(tmp_path / name)]

    subprocess.run(command("whole.parquet"), check=True, capture_output=True)
    journal = journal_path(tmp_path / "killed.parquet")
    with subprocess.Popen(command("killed.parquet"), stderr=subprocess.DEVNULL) as process:
        while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "killed.parquet").exists()
    again = subprocess.run(command("killed.parquet"), check=True, capture_output=True, text=True)
    assert "more from an interrupted run" in again.stderr
    assert pq.read_table(tmp_path / "killed.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))
    assert not journal.exists()
