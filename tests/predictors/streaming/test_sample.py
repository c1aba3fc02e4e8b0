"""Drawing from a folder."""

import pytest

from archflow.errors import TableError, UsageError
from archflow.predictors.streaming import sample
from archflow.predictors.streaming.sample import drawn_from


def test_all_rows_are_drawn_where_all_are_wanted(folder, space, cells):
    drawn = drawn_from(folder, space, 10_000)
    assert sorted(drawn.keys().tolist()) == sorted(cells.keys().tolist())


@pytest.mark.parametrize("count", [0, 1, 3, 8, 40])
def test_as_many_are_drawn_as_are_wanted(folder, space, cells, count):
    drawn = drawn_from(folder, space, count)
    assert len(drawn) == count
    assert set(drawn.keys().tolist()) <= set(cells.keys().tolist())


def test_parts_are_drawn_at_random(folder, space, monkeypatch):
    monkeypatch.setattr(sample, "_PARTS", 2)
    keys = [tuple(drawn_from(folder, space, 6, seed).keys().tolist()) for seed in range(6)]
    assert len(set(keys)) > 2
    assert tuple(drawn_from(folder, space, 6, 0).keys().tolist()) == keys[0]


def test_bad_rows_and_damaged_files_are_passed_over(folder, space, cells, write):
    write(folder / "b.parquet", ["no cell"] * 20)
    (folder / "c.parquet").write_bytes(b"spam")
    drawn = drawn_from(folder, space, 10_000)
    assert sorted(drawn.keys().tolist()) == sorted(cells[:40].keys().tolist())


def test_a_folder_without_files_is_refused(tmp_path, space):
    with pytest.raises(UsageError, match="no file in it"):
        drawn_from(tmp_path, space)
    with pytest.raises(TableError, match="no such folder"):
        drawn_from(tmp_path / "away", space)
