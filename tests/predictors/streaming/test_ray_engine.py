"""The Ray engine: the same as in this process, whatever dies under way."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from archflow.errors import TableError, UsageError
from archflow.flow import PUBLISHED, FlowSurrogate
from archflow.predictors.streaming import encode_folder, in_ray, rank_folder, ray_engine
from archflow.predictors.streaming.engine import do_parts, in_this_process, saying_what_is_bad
from archflow.predictors.streaming.parts import CandidateFile
from archflow.predictors.streaming.ranking import rank_part
from archflow.progress import silent
from archflow.workers import JobError

ray = pytest.importorskip("ray")

PARTS = [part for name in "abc" for part in CandidateFile(name, (10, 10), "d", True).parts(10)]


@pytest.fixture(scope="module")
def cluster():
    """A Ray of two processes, and its address."""
    before = signal.getsignal(signal.SIGTERM)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's processes cannot import it
    with ray_engine._connected(2, None):
        yield ray.get_runtime_context().gcs_address
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def _no_cluster_yet(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@saying_what_is_bad
def act(place, part, report):
    """Do what the place says about the part's file, and note that it was done."""
    how = place["how"].get(part.file)
    if how == "bad":
        raise TableError(f"{part.file} is bad")
    if how == "full":
        raise OSError(28, "No space left on device", "there")
    if how == "break":
        raise ZeroDivisionError("one by none")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(place["notes"]) / part.id).touch()


@pytest.fixture
def do(tmp_path):
    """Do parts in the cluster, and return the bad files and the parts that were done."""

    def run(how, parts=PARTS, skip_bad=False):
        place = {"how": how, "notes": str(tmp_path)}
        bad = do_parts(parts, act, place, in_ray(), skip_bad=skip_bad, report=silent, kept="it is kept")
        return bad, [part.file for part in parts if (tmp_path / part.id).exists()]

    return run


@pytest.mark.usefixtures("cluster")
def test_bad_files_and_failures_are_those_of_other_engines(do):
    assert do({"b": "bad"}, skip_bad=True) == ({"b": "b is bad"}, ["a", "a", "c", "c"])
    with pytest.raises(TableError, match="b is bad; --skip-bad"):
        do({"b": "bad"})
    with pytest.raises(JobError, match=r"c, rows .*: cannot be written: .*No space left.*; it is kept"):
        do({"c": "full"})
    with pytest.raises(JobError, match=r"a, rows .*: ZeroDivisionError: one by none; it is kept"):
        do({"a": "break"})


@pytest.mark.usefixtures("cluster")
def test_a_part_that_kills_is_named(do, monkeypatch):
    monkeypatch.setattr(ray_engine, "_DEATHS", 2)
    with pytest.raises(JobError, match=r"a, rows .*: its worker process died 2 times \(.*; it is kept"):
        do({"a": "die"}, parts=PARTS[1:])


def tell_about_itself(place, part, report):
    """Return, in place of what is wrong, how often the place was used and on how many threads."""
    place.append(part)
    return f"{len(place)} {torch.get_num_threads()} {os.environ['RAY_USAGE_STATS_ENABLED']}"


@pytest.mark.usefixtures("cluster")
def test_a_process_has_one_thread_and_unpacks_the_place_once(monkeypatch):
    waited, wait = [], ray.wait
    monkeypatch.setattr(ray, "wait", lambda those, **options: (waited.append(len(those)), wait(those))[1])
    parts = CandidateFile("a", (1,) * 30, "d", True).parts(1)
    told = [event.result.split() for event in in_ray()(list(parts), tell_about_itself, [], silent)]
    assert len(told) == 30
    assert max(int(times) for times, *_ in told) >= 15  # of thirty parts in two processes
    assert {tuple(others) for _, *others in told} == {("1", "0")}
    assert max(waited) == 2 * ray_engine._AHEAD  # and never all


def wait_long(place, part, report):
    """Note the beginning and the end."""
    (Path(place) / f"{part.id}.begun").touch()
    try:
        for _ in range(1000):
            time.sleep(0.1)
    finally:
        (Path(place) / f"{part.id}.ended").touch()


@pytest.mark.usefixtures("cluster")
def test_ctrl_c_stops_the_work(tmp_path):
    def find(pattern):
        return {path.stem for path in tmp_path.glob(pattern)}

    def interrupt_once_two_have_begun():
        while len(find("*.begun")) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_once_two_have_begun)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(in_ray()(PARTS, wait_long, str(tmp_path), silent))
    thread.join()
    assert find("*.begun") == find("*.ended")


# Folders


@pytest.fixture
def rank(forest, folder, tmp_path):
    def run(out, **options):
        rank_folder(forest, folder, tmp_path / out, 25, **options)
        return pq.read_table(tmp_path / out)

    return run


@pytest.mark.usefixtures("cluster")
def test_ranking_is_that_of_one_process(rank, folder, tmp_path, monkeypatch, write, damage):
    monkeypatch.chdir(folder.parent)
    assert rank("ray.parquet", engine=in_ray()).equals(rank("here.parquet"))
    write(folder / "d.parquet", ["spam"] * 50)
    damage(folder / "d.parquet")
    with pytest.raises(TableError, match=r"d\.parquet: not a whole Parquet file .*--skip-bad"):
        rank("ray.parquet", engine=in_ray(), overwrite=True)
    again = {"skip_bad": True, "overwrite": True}
    assert rank("ray.parquet", engine=in_ray(), **again).equals(rank("here.parquet", **again))


def rank_and_die(place, part, report):
    """Rank a part; the first of file c dies the first time, once it is written down."""
    answer = rank_part(place, part, report)
    note = place.folder.parent / "died"
    if (part.file, part.first_row) == ("c.parquet", 0) and not note.exists():
        note.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


@pytest.mark.usefixtures("cluster")
def test_no_row_is_missing_or_there_twice_where_a_process_dies(rank, tmp_path, monkeypatch):
    expected = rank("here.parquet")
    monkeypatch.setattr("archflow.predictors.streaming.ranking.rank_part", rank_and_die)
    assert rank("ray.parquet", engine=in_ray()).equals(expected)
    assert (tmp_path / "died").exists()


@pytest.mark.usefixtures("cluster")
def test_encoding_is_that_of_one_process(space, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    surrogate = FlowSurrogate.draw(space.operations, PUBLISHED["nasbench201"], 5)
    for name, engine in (("here", in_this_process), ("ray", in_ray())):
        encode_folder(surrogate, space, "cells", name, engine=engine)
    for file in ("a.parquet", "b.parquet", "c.parquet"):
        here, there = (pq.read_table(tmp_path / name / file) for name in ("here", "ray"))
        assert here.equals(there)


SCRIPT = """
import os
import sys
import threading
import time
from pathlib import Path

import archflow.predictors.streaming.parts as parts
import archflow.predictors.streaming.ranking as ranking
from archflow.predictors import Predictor
from archflow.predictors.streaming import in_ray
from archflow.spaces.nasbench201 import NASBench201

rank_part = ranking.rank_part


def slowly(place, part, report):
    note = place.folder.parent / "died"
    if not note.exists():
        note.touch()
        os._exit(1)
    for _ in range(10):
        time.sleep(0.05)
    return rank_part(place, part, report)


if __name__ == "__main__":
    parts.PART_ROWS = 10
    ranking.rank_part = slowly
    model, folder, out = map(Path, sys.argv[1:4])
    predictor = Predictor.load(model, NASBench201(), device="cpu")
    try:
        ranking.rank_folder(predictor, folder, out, 25, engine=in_ray(address=sys.argv[4]))
    except KeyboardInterrupt as stop:
        sys.exit(str(stop))
"""


def test_ctrl_c_leaves_what_another_run_goes_on_from(cluster, rank, forest, folder, tmp_path):
    """The other process joins the cluster and leaves it running; Ray keeps its remarks to itself."""
    forest.save(tmp_path / "model")
    (tmp_path / "script.py").write_text(SCRIPT)
    state = tmp_path / "ray.parquet.parts"
    words = [tmp_path / "script.py", tmp_path / "model", folder, tmp_path / "ray.parquet", cluster]
    with subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(list(state.glob("part-*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate()
    assert said == ("", f"stopped; what is finished is in {state}, the same command goes on\n")
    assert (tmp_path / "died").exists()
    finished = len(list(state.glob("part-*.json")))
    told = []
    assert rank("ray.parquet", engine=in_ray(), tell=told.append).equals(rank("here.parquet"))
    # A part may just have been written when its process was stopped.
    assert told in [[f"{count} of 7 parts finished already, by {state}"] for count in range(finished, 8)]


# Used wrongly


@pytest.mark.usefixtures("_no_cluster_yet")
@pytest.mark.parametrize(
    "address", ["", "here", "localhost:", "localhost:0", "localhost:99999", "ray://localhost:10001", ":6379"]
)
def test_what_is_no_address(address):
    with pytest.raises(UsageError, match="a Ray address is auto or HOST:PORT"):
        in_ray(address=address)


@pytest.mark.usefixtures("_no_cluster_yet")
def test_an_address_where_no_cluster_answers(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "spam")
    with pytest.raises(UsageError, match=r"no Ray cluster this machine belongs to that can be joined \(.+\)"):
        in_ray(address="auto")
    monkeypatch.setattr(ray_engine, "_TRIAL", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"no Ray cluster answers at {address} within 2 seconds"):
            in_ray(address=address)
    with pytest.raises(UsageError, match=rf"no Ray cluster answers at {address} \(.*refused"):
        in_ray(address=address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match="no Ray cluster this machine belongs to within 2 seconds"):
        in_ray(address="auto")


@pytest.mark.usefixtures("cluster")
def test_a_cluster_without_what_is_needed():
    with pytest.raises(UsageError, match="the Ray cluster has no GPU to work on"):
        list(in_ray(gpus=1000)(PARTS, act, {}, silent))


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'archflow\[ray\]'"):
        in_ray()


def test_numbers_that_are_too_small():
    with pytest.raises(UsageError, match="workers must be at least 1, not 0"):
        in_ray(0)
    with pytest.raises(UsageError, match="gpus must be at least 0, not -1"):
        in_ray(gpus=-1)
