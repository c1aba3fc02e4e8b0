"""Folders as parts: which files, how they are cut, what identifies them, and files that are none."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import TableError, UsageError
from archflow.predictors.streaming.parts import CandidateFile, files_in, inspect


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 20))
def test_parts_hold_each_row_once_in_order(groups, rows):
    file = CandidateFile("f", tuple(groups), "d", True)
    parts = list(file.parts(rows))
    assert [row for part in parts for row in range(part.first_row, part.first_row + part.rows)] == list(
        range(file.rows)
    )
    for part in parts:
        assert sum(groups[part.first_group : part.stop_group]) == part.rows > 0
        assert sum(groups[: part.first_group]) == part.first_row
    assert all(part.rows >= rows for part in parts[:-1])
    assert len({part.id for part in parts}) == len(parts)


def test_a_whole_file_is_one_part_even_without_rows():
    assert CandidateFile("f", (3, 0, 4), "d", True).whole().rows == 7
    empty = CandidateFile("f", (), "d", True)
    assert (empty.whole().rows, list(empty.parts(1))) == (0, [])


def test_what_is_read_of_a_file(folder):
    a, b, c = map(inspect, files_in(folder))
    assert (a.name, a.groups, a.texts) == ("a.parquet", (7, 7, 7, 7, 7, 5), True)
    assert (b.groups, b.texts) == ((20,), True)
    assert (c.groups, c.texts) == ((11, 11, 8), False)
    assert len({a.digest, b.digest, c.digest}) == 3
    assert str(next(c.parts(10))) == "c.parquet, rows 1 to 11"


def test_a_change_changes_the_digest(folder, texts, write):
    path = folder / "a.parquet"
    before = inspect(path).digest
    assert inspect(path).digest == before
    os.utime(path, ns=(1, 1))
    touched = inspect(path).digest
    write(path, texts[:39])
    os.utime(path, ns=(1, 1))
    assert len({before, touched, inspect(path).digest}) == 3


def test_only_parquet_files_by_name(tmp_path):
    for name in ("b.parquet", "a.PARQUET", ".hidden.parquet", "c.csv", "_SUCCESS"):
        (tmp_path / name).touch()
    (tmp_path / "d.parquet").mkdir()
    assert [path.name for path in files_in(tmp_path)] == ["a.PARQUET", "b.parquet"]


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(TableError, match="no such folder"):
        files_in(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no file in it ends with \.parquet"):
        files_in(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"PAR1", "not a whole Parquet file"),
        (b"spam" * 100, "not a whole Parquet file"),
        ({"cell": ["x"]}, "no column 'arch'; the columns are: cell"),
        ({"arch": [1]}, "column 'arch' holds int64, where text was expected"),
    ],
)
def test_files_without_architectures(tmp_path, content, reason):
    path = tmp_path / "f.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(pa.table(content), path)
    with pytest.raises(TableError, match=reason) as caught:
        inspect(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_off(folder):
    path = folder / "b.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="not a whole Parquet file"):
        inspect(path)


def test_kinds_of_text(tmp_path):
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        pq.write_table(pa.table({"arch": pa.array(["x"], kind)}), tmp_path / "f.parquet")
        assert inspect(tmp_path / "f.parquet").texts
    twice = pa.Table.from_arrays([pa.array(["x"])] * 2, names=["arch", "arch"])
    pq.write_table(twice, tmp_path / "f.parquet")
    with pytest.raises(TableError, match="occurs 2 times"):
        inspect(tmp_path / "f.parquet")
