"""The table at the end of a long run: refused early, written whole, with what was run in it."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from archflow.errors import OutputExistsError, UsageError
from archflow.networks import journal_path
from archflow.networks.results import check_out, write_results

COLUMNS = {"arch": pa.array(["a", 'b"']), "x": pa.array([1.5, None])}


def test_the_journal_lies_beside_the_table():
    assert journal_path(Path("deep/t.csv")) == Path("deep/t.csv.journal.jsonl")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_is_written_whole_and_replaces_another(tmp_path, suffix):
    out = tmp_path / f"t.{suffix}"
    for _ in range(2):
        write_results(out, COLUMNS, {"seed": 3})
    read = pyarrow.csv.read_csv if suffix == "csv" else pyarrow.parquet.read_table
    table = read(out)
    assert table.to_pylist() == [{"arch": "a", "x": 1.5}, {"arch": 'b"', "x": None}]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if suffix == "parquet":
        assert json.loads(table.schema.metadata[b"archflow"]) == {"seed": 3}


def test_paths_that_hold_no_table_are_refused(tmp_path):
    there = tmp_path / "t.csv"
    there.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"t\.csv exists already"):
        check_out(there, overwrite=False)
    check_out(there, overwrite=True)
    for name in ("t.txt", "t", "t.PARQUET"):
        with pytest.raises(UsageError, match=f"{name}: a table ends in .parquet or .csv"):
            check_out(tmp_path / name, overwrite=True)
