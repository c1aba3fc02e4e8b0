"""The registry of published tables: its entries, and the known tables from the real files."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.datasets import write_table
from archflow.datasets.published import PUBLISHED, published
from archflow.errors import UnknownNameError
from archflow.spaces import SPACES, get

RAW = Path(os.environ.get("ARCHFLOW_DATA", "none")).parent / "raw"
NEEDS_FILES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ or not RAW.is_dir(),
    reason="the published files are not shipped; set ARCHFLOW_DATA to a folder beside one called raw",
)


@pytest.mark.parametrize(("name", "entry"), PUBLISHED.items())
def test_entries(name, entry):
    assert entry.name == name
    assert re.fullmatch(r"\w+", name)
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/[\w/.-]+", entry.url)
    assert entry.url.rpartition("/")[2] == entry.file
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.space in SPACES
    assert 0 < entry.size < 10_000_000
    assert entry.rows > 0
    assert entry.licence
    assert entry.about


def test_names_and_files_are_distinct():
    for field in ("url", "file", "sha256"):
        assert len({getattr(entry, field) for entry in PUBLISHED.values()}) == len(PUBLISHED)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match=r"unknown table 'nasbench20'.*Did you mean 'nasbench201'"):
        published("nasbench20")


@NEEDS_FILES
def test_the_registry_agrees_with_the_list_of_sources():
    sources = json.loads((RAW.parent / "data" / "sources.json").read_text())
    assert [source["table"] for source in sources] == list(PUBLISHED)
    for source in sources:
        entry = published(source["table"])
        assert (source["url"], source["sha256"], source["bytes"]) == (entry.url, entry.sha256, entry.size)
        assert Path(source["file"]).name == entry.file


@NEEDS_FILES
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_files_give_the_known_tables(name, tmp_path):
    entry = published(name)
    columns = entry.columns(RAW / entry.file)
    assert len(columns["arch"]) == entry.rows
    expected = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / f"{name}.parquet").to_pydict()
    lacking = {"cifar10_val_acc"} if name == "nasbench201" else set()  # not in that file
    assert set(expected) - set(columns) == lacking
    for column in set(expected) - lacking:
        assert dict(zip(columns["arch"], columns[column], strict=True)) == dict(
            zip(expected["arch"], expected[column], strict=True)
        )
    write_table(tmp_path / "table.parquet", columns)
    assert pq.read_table(tmp_path / "table.parquet").num_rows == entry.rows


@NEEDS_FILES
def test_the_parameters_of_the_macro_file_are_those_that_the_space_counts():
    """An independent check that the digits mean what the space takes them for."""
    entry, space = published("nasbench_macro"), get("nasbench_macro")
    columns = entry.columns(RAW / entry.file)
    order = {space.format(network): row for row, network in enumerate(space.all())}
    counted = space.parameters(space.all())[[order[text] for text in columns["arch"]]]
    np.testing.assert_array_equal(counted, columns["params"])
