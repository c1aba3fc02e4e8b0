"""Encoding a folder: the vectors of one table, in a file for each, each written once."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.errors import CheckpointError, TableError, UsageError
from archflow.flow import FlowSurrogate, SurrogateConfig
from archflow.predictors.streaming import encode_folder
from archflow.testing import TOY_OPERATIONS

NAMES = ["a.parquet", "b.parquet", "c.parquet"]


@pytest.fixture
def surrogate(space):
    return FlowSurrogate.draw(space.operations, SurrogateConfig(width=3))


@pytest.fixture
def encode(surrogate, space, folder, tmp_path):
    def run(encoder=surrogate, **options):
        return encode_folder(encoder, space, folder, tmp_path / "out", **options)

    return run


def vectors_in(folder, letter):
    tables = [pq.read_table(folder / name) for name in NAMES]
    width = sum(name.startswith(letter) and name[1:].isdigit() for name in tables[0].column_names)
    return np.concatenate(
        [np.column_stack([table[f"{letter}{number}"] for number in range(width)]) for table in tables]
    )


@pytest.mark.parametrize("options", [{}, {"chunk": 3}])
def test_the_surrogate(encode, surrogate, cells, texts, tmp_path, options):
    done = encode(**options)
    assert (done.files, done.written, done.rows, done.width, done.skipped) == (3, 3, 90, 3, 0)
    np.testing.assert_allclose(vectors_in(tmp_path / "out", "s"), surrogate(cells), rtol=1e-5, atol=1e-7)
    a, c = (pq.read_table(tmp_path / "out" / name) for name in ("a.parquet", "c.parquet"))
    assert a.column_names == ["arch", "row", "s0", "s1", "s2"]
    assert a["arch"].to_pylist() == texts[:40]
    assert c.column_names == ["row", "s0", "s1", "s2"]
    assert c["row"].to_pylist() == list(range(1, 31))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pretrained_encoder(encode, encoders, cells, tmp_path, workers):
    done = encode(encoders["gin"], workers=workers)
    assert done.width == 8
    expected = encoders["gin"].embed(cells)
    np.testing.assert_allclose(vectors_in(tmp_path / "out", "e"), expected, rtol=1e-4, atol=1e-5)


def test_finished_files_are_skipped(encode, folder, texts, tmp_path, write):
    encode()
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in NAMES}
    assert encode().written == 0
    write(folder / "b.parquet", texts[:5])
    (tmp_path / "out" / "c.parquet").unlink()
    done = encode()
    assert (done.files, done.written, done.rows) == (3, 2, 40 + 5 + 30)
    after = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in NAMES}
    assert [name for name in NAMES if after[name] == before[name]] == ["a.parquet"]
    assert encode(overwrite=True).written == 3


def test_a_stopped_run_goes_on(encode, tmp_path, monkeypatch):
    from archflow.predictors.streaming.encoding import Workplace

    vectors, calls = Workplace.vectors, []

    def stopping(self, table):
        calls.append(len(table))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return vectors(self, table)

    monkeypatch.setattr(Workplace, "vectors", stopping)
    with pytest.raises(KeyboardInterrupt, match=r"stopped; finished files are in .*out"):
        encode()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".archflow", "a.parquet"]
    (tmp_path / "out" / ".b.parquet.xyz.partial").touch()  # as a kill leaves it
    assert encode().written == 2
    assert calls == [40, 20, 20, 30]
    assert not list((tmp_path / "out").glob(".*.partial"))


def test_another_encoder_is_refused_unless_all_is_written_again(encode, space, encoders):
    encode()
    other = FlowSurrogate.draw(space.operations, SurrogateConfig(width=3), seed=1)
    for encoder in (other, encoders["gin"]):
        with pytest.raises(UsageError, match="another encoder"):
            encode(encoder)
    assert encode(other, overwrite=True).written == 3
    assert encode(other).written == 0


def test_damaged_files_and_bad_rows(encode, folder, texts, tmp_path, damage, write):
    damage(folder / "b.parquet")
    write(folder / "a.parquet", [texts[0], "spam", texts[1]])
    with pytest.raises(TableError, match=r"a\.parquet: row 2: arch 'spam'.*--skip-bad"):
        encode()
    done = encode(skip_bad=True)
    assert (done.files, done.rows, done.skipped, list(done.damaged)) == (2, 2 + 30, 1, ["b.parquet"])
    assert done.first_skipped.startswith("row 2")
    assert pq.read_table(tmp_path / "out" / "a.parquet")["row"].to_pylist() == [1, 3]
    assert not (tmp_path / "out" / "b.parquet").exists()
    with pytest.raises(TableError, match="row 2"):
        encode()


def test_files_without_rows(encode, folder, tmp_path, write):
    write(folder / "b.parquet", [])
    assert encode().files == 3
    assert pq.read_table(tmp_path / "out" / "b.parquet").num_rows == 0


def test_bad_use(encode, surrogate, space, folder, tmp_path):
    for options in ({"chunk": 0}, {"workers": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            encode(**options)
    with pytest.raises(UsageError, match="is the folder of architectures"):
        encode_folder(surrogate, space, folder, folder)
    with pytest.raises(CheckpointError, match="another vocabulary"):
        encode(FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note").touch()
    with pytest.raises(UsageError, match="holds something else"):
        encode()
