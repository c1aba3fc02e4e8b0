"""The public benchmark tables, where they are at hand."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from archflow.datasets import check_table, digits_table, read_table, read_texts, require_labels

NEEDS_TABLES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def data(name):
    return Path(os.environ["ARCHFLOW_DATA"]) / f"{name}.parquet"


@NEEDS_TABLES
def test_nasbench201_reads_whole_and_fast(space):
    start = time.process_time()
    table = read_table(data("nasbench201"), space, target="cifar10_test_acc")
    seconds = time.process_time() - start
    assert len(table) == 15_625
    assert len(np.unique(table.architectures.keys())) <= 15_625
    assert table.values.max() == pytest.approx(94.37, abs=0.01)  # the published best
    assert (table.skipped, table.n_unlabelled, table.n_merged) == ((), 0, 0)
    assert seconds < 3  # half a second on a quiet core


@NEEDS_TABLES
def test_nasbench201_check_finds_the_published_number_of_distinct_cells(space):
    report = check_table(data("nasbench201"), space)
    assert report.good_rows == report.rows == 15_625
    assert report.exact_duplicates == 0
    assert report.columns[1].name == "cifar10_test_acc"
    assert report.columns[1].maximum == pytest.approx(94.37, abs=0.01)
    assert 15_625 > report.isomorphic_duplicates > 6_000


@NEEDS_TABLES
@pytest.mark.parametrize(
    "path", sorted(Path(os.environ.get("ARCHFLOW_DATA", ".")).glob("*.parquet")), ids=str
)
def test_every_table_has_architectures_in_text(path):
    assert len(read_texts(path)) > 500


def test_the_embedded_benchmark(space):
    table = digits_table()
    assert table.target == "valid_acc"
    assert {"valid_acc_seed0", "valid_acc_seed1", "valid_acc", "train_seconds", "parameters"} <= set(
        table.columns
    )
    assert len(require_labels(table.values)) == len(table.architectures)
    assert table.n_merged == 0
    both = (table.columns["valid_acc_seed0"] + table.columns["valid_acc_seed1"]) / 2
    np.testing.assert_allclose(table.values, both, atol=1e-6)
    np.testing.assert_array_equal(space.parameters(table.architectures) > 0, True)
