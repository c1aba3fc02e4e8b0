"""What the check says about the public benchmark tables, where they are at hand."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from archflow.datasets import check_table, write_table
from archflow.spaces import get

pytestmark = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def data(name):
    return Path(os.environ["ARCHFLOW_DATA"]) / f"{name}.parquet"


def about_columns(name, space):
    """Return (kind, column) of what is said about columns by themselves."""
    report = check_table(data(name), get(space))
    assert not report.failed
    by_row = ("duplicates", "disagreement")
    return {(f.kind, f.column) for f in report.findings if f.column and not f.kind.endswith(by_row)}


@pytest.mark.parametrize(
    ("table", "space", "expected"),
    [
        # Cells that cut their output off guess: 10 % in ten classes. The tail above them is theirs and real.
        (
            "nasbench201",
            "nasbench201",
            {
                (kind, f"cifar10_{part}_acc")
                for part in ("val", "test")
                for kind in ("placeholder", "heavy-tail")
            },
        ),
        ("nasbench201_hardware", "nasbench201", {("ties", "eyeriss_latency_ms")}),
        ("nasbench_macro", "nasbench_macro", {("outliers", "cifar10_test_acc")}),
        ("transnas_macro", "transnas_macro", set()),
        (
            "transnas_micro",
            "transnas_micro",
            {("placeholder", "val_class_scene"), ("placeholder", "val_room_layout")},
        ),
        ("darts", "darts", {("heavy-tail", "cifar10_val_acc_50ep")}),
        # Nothing about latency and size, whose distributions are wide but light.
        ("nasbench_graph_cora", "nasbench_graph", {("heavy-tail", "val_acc"), ("heavy-tail", "test_acc")}),
    ],
)
def test_what_is_said_about_the_columns(table, space, expected):
    assert about_columns(table, space) == expected


def test_failed_proxies_are_told_by_their_placeholder():
    report = check_table(data("nasbench201_proxies"), get("nasbench201"))
    failed = [f for f in report.findings if f.kind == "placeholder"]
    assert {(f.column, f.numbers["value"]) for f in failed} == {
        (name, -1e8) for name in ("epe_nas", "jacov", "nwot", "zen")
    }
    assert {f.rows for f in failed} == {(2773,)}
    (cut,) = [f for f in report.findings if f.kind == "cut-off"]
    assert cut.rows == (2773,)  # the one cell that lets nothing through


def test_isomorphic_cells_measure_the_noise_of_training():
    report = check_table(data("nasbench201"), get("nasbench201"), target="cifar10_test_acc")
    (noise,) = [f for f in report.findings if f.kind == "isomorphic-disagreement"]
    assert 0.05 < noise.numbers["difference"] < 0.5  # the benchmark's own seeds differ by some tenths
    assert 0.95 < noise.numbers["ceiling"] < 1
    assert not any(f.kind == "copy" for f in report.findings)  # validation accuracy is another measurement


def test_a_leak_between_two_parts_of_nasbench201_by_function_alone(tmp_path):
    whole = pq.read_table(data("nasbench201")).to_pydict()
    halves = []
    for name, start in (("train.csv", 0), ("test.csv", 1)):
        write_table(tmp_path / name, {key: values[start:2000:2] for key, values in whole.items()})
        halves.append(tmp_path / name)
    report = check_table(halves[0], get("nasbench201"), halves[1], "cifar10_test_acc")
    (shared,) = [f for f in report.findings if f.kind == "shared-architectures"]
    assert shared.numbers["exact"] == 0
    assert 0 < shared.numbers["isomorphic"] < shared.numbers["functional"] == shared.count
    (values,) = [f for f in report.findings if f.kind == "shared-values"]
    assert values.numbers["relative"] < 0.2


def test_a_table_shares_every_row_with_itself():
    report = check_table(data("darts"), get("darts"), data("darts"))
    (shared,) = [f for f in report.findings if f.kind == "shared-architectures"]
    assert shared.numbers["exact"] == shared.count == report.rows
    assert {f.numbers["differing"] for f in report.findings if f.kind == "shared-values"} >= {0}
