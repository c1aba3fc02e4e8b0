"""Ranking a folder: what ranking one table gives, whatever happens under way."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.errors import OutputExistsError, TableError, UnknownNameError, UsageError
from archflow.graphs import ArchitectureTable
from archflow.predictors import Predictor
from archflow.predictors.streaming import rank_folder
from archflow.spaces.nasbench201 import NASBench201
from archflow.workers import JobError

SIZES = {"a.parquet": 40, "b.parquet": 20, "c.parquet": 30}
PLACES = [(name, row) for name, size in SIZES.items() for row in range(1, size + 1)]


def written(path):
    rows = pq.read_table(path).to_pylist()
    return [(row["file"], row["row"]) for row in rows], rows


@pytest.fixture
def rank(forest, folder, tmp_path):
    def run(predictor=forest, out="out.parquet", **options):
        return rank_folder(predictor, folder, tmp_path / out, **{"top": 25, **options})

    return run


@pytest.mark.parametrize("chunk", [1, 3, 65_536])
def test_the_answer_is_that_of_one_table(rank, forest, cells, texts, tmp_path, chunk):
    """Ninety cells of which twenty are there twice, and a forest, which hardly tells others apart either."""
    found = rank(chunk=chunk)
    expected = forest.rank(cells, 25)
    places, rows = written(tmp_path / "out.parquet")
    assert places == [PLACES[row] for row in expected.rows]
    assert [row["arch"] for row in rows] == [texts[row] for row in expected.rows]
    assert [row["rank"] for row in rows] == list(range(1, 26))
    np.testing.assert_array_equal([row["mean"] for row in rows], expected.mean)
    np.testing.assert_allclose([row["std"] for row in rows], expected.std)
    assert list(found.ranking.architectures) == list(expected.architectures)
    assert (found.n_candidates, found.skipped, found.damaged) == (90, 0, {})
    assert not (tmp_path / "out.parquet.parts").exists()


def test_a_gaussian_process_too(rank, fit, cells):
    predictor = fit("onehot-gp")
    found, expected = rank(predictor, chunk=7), predictor.rank(cells, 25)
    np.testing.assert_allclose(found.ranking.mean, expected.mean, rtol=1e-9)
    np.testing.assert_allclose(found.ranking.std, expected.std, rtol=1e-6)


def test_all_rows_come_once_where_all_are_wanted(rank, tmp_path):
    rank(top=1000)
    places, _ = written(tmp_path / "out.parquet")
    assert sorted(places) == PLACES


@pytest.mark.parametrize(
    "wish", [{"minimize": True}, {"weights": {"target_1": 1, "target_2": 2}}, {"where": "target_2<-8000"}]
)
def test_orders(rank, fit, cells, tmp_path, wish):
    predictor = fit(minimize=True) if wish.pop("minimize", False) else fit(targets=2)
    rank(predictor, **wish)
    places, rows = written(tmp_path / "out.parquet")
    expected = predictor.rank(cells, 25, **wish)
    assert places == [PLACES[row] for row in expected.rows]
    name = "mean_target_2" if wish else "mean"
    means = expected.mean[:, 1] if wish else expected.mean
    np.testing.assert_allclose([row[name] for row in rows], means)


def test_several_processes_give_the_same(rank, tmp_path):
    rank(out="one.parquet")
    rank(out="two.parquet", workers=2)
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one.equals(two)


SCRIPT = """
import sys
import time
from pathlib import Path

import archflow.predictors.streaming.parts as parts
from archflow.predictors import Predictor
from archflow.predictors.streaming import rank_folder
from archflow.spaces.nasbench201 import NASBench201

predict = Predictor.predict


def slowly(self, *arguments, **options):
    time.sleep(0.2)
    return predict(self, *arguments, **options)


if __name__ == "__main__":
    parts.PART_ROWS = 10
    Predictor.predict = slowly
    model, folder, out = map(Path, sys.argv[1:])
    try:
        rank_folder(Predictor.load(model, NASBench201(), device="cpu"), folder, out, 25)
    except KeyboardInterrupt as stop:
        sys.exit(str(stop))
"""


@pytest.fixture
def interrupted(forest, folder, tmp_path):
    """Start a ranking in another process, send it a signal midway, and return what it said."""
    forest.save(tmp_path / "model")
    (tmp_path / "script.py").write_text(SCRIPT)

    def run(number):
        words = [sys.executable, tmp_path / "script.py", tmp_path / "model", folder, tmp_path / "out.parquet"]
        with subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True) as process:
            while len(list(tmp_path.glob("out.parquet.parts/part-*.json"))) < 2:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
            return process.communicate()[1]

    return run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on(interrupted, rank, forest, cells, tmp_path, monkeypatch, number):
    said = interrupted(number)
    state = tmp_path / "out.parquet.parts"
    if number == signal.SIGINT:
        assert said == f"stopped; what is finished is in {state}, the same command goes on\n"
    assert not (tmp_path / "out.parquet").exists()
    finished = len(list(state.glob("part-*.json")))
    assert 2 <= finished < 7
    predicted, predict = [], Predictor.predict

    def counting(self, architectures, **options):
        predicted.append(len(architectures))
        return predict(self, architectures, **options)

    monkeypatch.setattr(Predictor, "predict", counting)
    told = []
    rank(Predictor.load(tmp_path / "model", NASBench201(), device="cpu"), tell=told.append)
    assert told == [f"{finished} of 7 parts finished already, by {state}"]
    assert len(predicted) == 7 - finished + 1  # and the deviations of the best
    places, _ = written(tmp_path / "out.parquet")
    assert places == [PLACES[row] for row in forest.rank(cells, 25).rows]
    assert not state.exists()


def stopped_after(count, monkeypatch, error):
    """Let the writing of the part after so many others fail."""
    from archflow.predictors.streaming.state import State

    finish, done = State.finish, []

    def failing(self, part, result):
        if len(done) == count:
            raise error
        done.append(part)
        finish(self, part, result)

    monkeypatch.setattr(State, "finish", failing)
    return lambda: monkeypatch.setattr(State, "finish", finish)


def test_a_full_disk_leaves_what_is_finished(rank, forest, cells, tmp_path, monkeypatch):
    fsync, writes = os.fsync, []

    def full(handle):
        writes.append(handle)
        if len(writes) > 6:  # the predictor, what run it is, and some parts
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JobError, match=r"cannot be written: .*No space left on device; what is finished"):
        rank()
    monkeypatch.setattr(os, "fsync", fsync)
    state = tmp_path / "out.parquet.parts"
    finished = len(list(state.glob("part-*.json")))
    assert 0 < finished < 7
    assert not list(tmp_path.rglob("*.partial"))
    told = []
    rank(tell=told.append)
    assert told[0].startswith(f"{finished} of 7 parts")
    places, _ = written(tmp_path / "out.parquet")
    assert places == [PLACES[row] for row in forest.rank(cells, 25).rows]


def test_changed_files_are_done_again_and_other_runs_refused(
    rank, fit, folder, texts, space, tmp_path, monkeypatch, write
):
    restore = stopped_after(5, monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rank()
    restore()
    for options, reason in (
        ({"top": 9}, r"another top \(25 there, 9 here\)"),
        ({"predictor": fit(seed=1)}, "another predictor; "),
        ({"where": "target>0"}, "another conditions"),
    ):
        with pytest.raises(UsageError, match=reason):
            rank(**options)
    write(folder / "a.parquet", texts[:3])
    told = []
    found = rank(tell=told.append)
    assert told == [  # a.parquet had three parts, of 14, 14 and 12 rows; one takes their place
        "3 finished parts of files that changed since or are gone: done again",
        f"2 of 5 parts finished already, by {tmp_path / 'out.parquet.parts'}",
    ]
    assert found.n_candidates == 3 + 20 + 30
    expected = fit().rank(
        ArchitectureTable.of([space.parse(t) for t in [*texts[:3], *texts[40:]]], space.operations), 25
    )
    assert found.texts == [space.format(cell) for cell in expected.architectures]


def test_damaged_files_stop_the_work_or_are_left_out_whole(rank, forest, folder, cells, damage, tmp_path):
    damage(folder / "b.parquet")
    (folder / "d.parquet").write_bytes(b"spam")
    with pytest.raises(TableError, match=r"d\.parquet: not a whole Parquet file .*--skip-bad"):
        rank()
    (folder / "d.parquet").rename(tmp_path / "d.parquet")
    with pytest.raises(TableError, match=r"b\.parquet: not a whole Parquet file .*--skip-bad"):
        rank()
    (tmp_path / "d.parquet").rename(folder / "d.parquet")
    found = rank(skip_bad=True)
    assert sorted(found.damaged) == ["b.parquet", "d.parquet"]
    assert found.n_candidates == 70
    kept = np.concatenate([np.arange(40), np.arange(60, 90)])
    expected = forest.rank(cells[kept], 25)
    assert written(tmp_path / "out.parquet")[0] == [PLACES[row] for row in kept[expected.rows]]


def test_damage_in_a_later_part_leaves_the_whole_file_out(rank, folder, damage):
    with pq.ParquetFile(folder / "a.parquet") as file:
        last = file.metadata.row_group(5).column(0)
    damage(folder / "a.parquet", last.data_page_offset + 20)
    found = rank(skip_bad=True, top=1000)
    assert list(found.damaged) == ["a.parquet"]
    assert set(found.files) == {"b.parquet", "c.parquet"}


def test_bad_rows(rank, folder, texts, write):
    write(folder / "a.parquet", [texts[0], "spam", *texts[1:40]])
    with pytest.raises(TableError, match=r"a\.parquet: row 2: arch 'spam': .*--skip-bad"):
        rank()
    found = rank(skip_bad=True)
    assert (found.n_candidates, found.skipped) == (90, 1)
    assert found.first_skipped.startswith("row 2: arch 'spam'")


def test_nothing_to_rank(forest, tmp_path, write, fit, rank):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no file in it"):
        rank_folder(forest, empty, tmp_path / "o.csv")
    write(empty / "f.parquet", ["spam"])
    with pytest.raises(TableError, match=r"nothing to rank; row 1: arch 'spam'"):
        rank_folder(forest, empty, tmp_path / "o.csv", skip_bad=True)
    write(empty / "f.parquet", [])
    with pytest.raises(TableError, match="nothing to rank; the files have no rows"):
        rank_folder(forest, empty, tmp_path / "p.csv")
    with pytest.raises(UsageError, match="no candidate of 90 is predicted to have target>1000"):
        rank(where="target>1000")
    assert not (tmp_path / "out.parquet.parts").exists()


def test_bad_use_is_refused_before_anything_is_written(rank, forest, fit, folder, space, tmp_path):
    for error, options in (
        (UsageError, {"top": 0}),
        (UsageError, {"chunk": 0}),
        (UsageError, {"workers": 0}),
        (TableError, {"out": "out.txt"}),
        (UnknownNameError, {"where": "latency<3"}),
        (UnknownNameError, {"weights": {"latency": 1}}),
        (UsageError, {"out": "cells/out.parquet"}),
        (UsageError, {"predictor": fit("onehot-gp", columns=np.arange(24.0).reshape(-1, 1))}),
    ):
        with pytest.raises(error):
            rank(**options)
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]
    (tmp_path / "out.parquet").write_text("mine")
    with pytest.raises(OutputExistsError):
        rank()
    rank(overwrite=True)
    with pytest.raises(UsageError, match="no labels yet"):
        rank_folder(Predictor(space, "onehot-rf", device="cpu"), folder, tmp_path / "new.csv")


def test_a_graph_that_the_space_cannot_write(fit, tmp_path, space, folder):
    """A valid graph over the operations of cells that is no cell."""
    from archflow.graphs import Architecture
    from archflow.graphs.arrow import to_arrow

    strange = ArchitectureTable.of([Architecture(("input", "output"), ((0, 1),))], space.operations)
    pq.write_table(to_arrow(strange.columns, strange.operations), folder / "c.parquet")
    with pytest.raises(TableError, match=r"c\.parquet: row 1 is no architecture of nasbench201"):
        rank_folder(fit("random"), folder, tmp_path / "o.csv", 1000)
