"""Engines: the same in one process and in several; what a failure, a death or Ctrl-C does."""

import os
import signal

import pytest

from archflow.errors import TableError, UsageError
from archflow.predictors.streaming.engine import (
    do_parts,
    engine_of,
    in_processes,
    in_this_process,
    saying_what_is_bad,
)
from archflow.predictors.streaming.parts import CandidateFile
from archflow.progress import silent
from archflow.workers import JobError

PARTS = [part for name in "abc" for part in CandidateFile(name, (10, 10), "d", True).parts(10)]


@saying_what_is_bad
def act(place, part, report):
    """Do what the place says about the part's file."""
    report(5, part.rows)
    how = place.get(part.file)
    if how == "bad":
        raise TableError(f"{part.file} is bad")
    if how == "full":
        raise OSError(28, "No space left on device", "there")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stop":
        raise KeyboardInterrupt


def run(engine, place, heard=silent, skip_bad=False):
    return do_parts(PARTS, act, place, engine, skip_bad=skip_bad, report=heard, kept="it is kept")


def test_one_process_and_several_do_the_same():
    for engine in (in_this_process, in_processes(2)):
        assert run(engine, {"b": "bad"}, skip_bad=True) == {"b": "b is bad"}
        with pytest.raises(JobError, match=r"c, rows .*: cannot be written: ") as caught:
            run(engine, {"b": "bad", "c": "full"}, skip_bad=True)
        assert "No space left on device" in str(caught.value)
        assert str(caught.value).endswith("; it is kept")


def test_a_bad_file_stops_the_work():
    with pytest.raises(TableError, match="b is bad; --skip-bad"):
        run(in_this_process, {"b": "bad"})
    assert run(in_this_process, {}) == {}


def test_a_dead_process_is_named():
    with pytest.raises(JobError, match=r"a, rows .* its worker process died .killed by signal 9.; it is"):
        run(in_processes(2), {"a": "die"})


def test_ctrl_c_says_how_to_go_on():
    with pytest.raises(KeyboardInterrupt, match="stopped; it is kept"):
        run(in_this_process, {"b": "stop"})


def test_progress_counts_rows():
    heard = []
    run(in_this_process, {}, lambda done, total, remark: heard.append((done, total, remark)))
    assert heard[0] == (0, 60, "0 of 6 parts")
    assert heard[1] == (5, 60, "0 of 6 parts")
    assert heard[2] == (10, 60, "1 of 6 parts")
    assert heard[-1] == (60, 60, "6 of 6 parts")
    assert [done for done, *_ in heard] == sorted(done for done, *_ in heard)


def test_workers_are_counted():
    assert engine_of(1) is in_this_process
    assert engine_of(2) is not in_this_process
    with pytest.raises(UsageError, match="at least 1, not 0"):
        engine_of(0)
