"""The worker pool: order, needs, failures, deaths, and what becomes of workers."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - a library that is loaded later would not hear of three threads
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from archflow.errors import UsageError
from archflow.workers import (
    FEW_ROWS,
    Done,
    Failed,
    PoolError,
    Under,
    one_thread,
    threads_for,
    work_through,
)

HERE = Path(__file__).parent


def act(place, job, report):
    """Do what a job's name says."""
    kind, _, detail = job.partition(" ")
    if kind == "refuse":
        raise UsageError("not like this")
    if kind == "break":
        raise ZeroDivisionError("by zero")
    if kind == "exit":
        os._exit(int(detail))
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "report":
        report(1, 3, "loss 0.5")
    if kind == "threads":
        return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.getpid()
    if kind == "sleep":
        Path(detail).write_text(str(os.getpid()))
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            Path(detail).write_text("saved")
            raise
    return f"{place} {job}"


def run(jobs, workers=1, needs=None, work=act):
    with closing(work_through(jobs, (needs or {}).get, work, "here", workers)) as events:
        return list(events)


def test_jobs_are_done_in_order_in_another_process_of_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    *events, last = run(["a", "report", "b", "threads"])
    assert events == [
        Done("a", "here a"),
        Under("report", 1, 3, "loss 0.5"),
        Done("report", "here report"),
        Done("b", "here b"),
    ]
    assert last.result[:2] == (1, "1")
    assert last.result[2] != os.getpid()
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_nothing_to_do_starts_nothing():
    assert run([]) == []


def test_failures_and_deaths_fail_one_job_each():
    jobs = ["refuse", "a", "break", "exit 3", "b", "kill", "c"]
    events = run(jobs)
    assert [event.job for event in events] == jobs
    assert [event.job for event in events if isinstance(event, Done)] == ["a", "b", "c"]
    reasons = {event.job: event.reason for event in events if isinstance(event, Failed)}
    assert reasons == {
        "refuse": "not like this",
        "break": "ZeroDivisionError: by zero",
        "exit 3": "its worker process died (exit code 3)",
        "kill": "its worker process died (killed by signal 9)",
    }


def test_what_is_needed_comes_first_and_takes_others_down_with_it():
    needs = {"x": "first", "y": "refuse", "z": "y", "w": "done elsewhere"}
    events = run(["x", "y", "z", "w", "first", "refuse"], needs=needs, workers=2)
    order = [event.job for event in events]
    assert order.index("first") < order.index("x")
    assert {event.job for event in events if isinstance(event, Done)} == {"x", "w", "first"}
    reasons = {event.job: event.reason for event in events if isinstance(event, Failed)}
    assert reasons["y"] == "what it needs failed: not like this"
    assert reasons["z"] == "what it needs failed: what it needs failed: not like this"


def wait_for(condition):
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited for two minutes")


def is_gone(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # One that has ended but that nobody has waited for is a zombie.
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def test_a_stopped_worker_can_save_what_it_is_at(tmp_path):
    note = tmp_path / "note"
    events = work_through([f"sleep {note}", "report"], lambda job: None, act, "here", 2)
    assert next(events).job == "report"
    wait_for(note.exists)
    events.close()
    assert note.read_text() == "saved"


def test_workers_end_when_their_parent_is_killed(tmp_path):
    note = tmp_path / "note"
    code = (
        f"import sys\nsys.path.insert(0, {str(HERE)!r})\n"
        "import test_workers\n"
        f"if __name__ == '__main__':\n    test_workers.run(['sleep {note}'])\n"
    )
    (tmp_path / "script.py").write_text(code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    try:
        wait_for(lambda: note.exists() and note.read_text())
    finally:
        parent.kill()
        parent.wait()
    worker = int(note.read_text())
    wait_for(lambda: is_gone(worker))


def unreadable():
    raise OSError("not in a worker")


class Place:
    """Something that a worker cannot unpickle."""

    def __reduce__(self):
        return unreadable, ()


def test_workers_that_cannot_start_are_one_error(capfd):
    with (
        pytest.raises(PoolError, match="cannot start"),
        closing(work_through(["a", "b"], lambda job: None, act, Place(), 1)) as events,
    ):
        list(events)
    assert "not in a worker" in capfd.readouterr().err


# Threads


def threads_in_use():
    """Return the threads of PyTorch, and of all other libraries."""
    return {torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())}


@pytest.fixture
def _three_threads():
    with threadpool_limits(3):
        torch.set_num_threads(3)
        yield
        torch.set_num_threads(1)


@pytest.mark.usefixtures("_three_threads")
def test_one_thread_holds_every_library_to_one_and_gives_the_others_back():
    assert threads_in_use() == {3}
    with one_thread():
        assert threads_in_use() == {1}
        with one_thread():
            assert threads_in_use() == {1}
        assert threads_in_use() == {1}
    assert threads_in_use() == {3}
    with suppress(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert threads_in_use() == {3}


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize(("rows", "threads"), [(0, 1), (FEW_ROWS - 1, 1), (FEW_ROWS, 3)])
def test_few_rows_get_one_thread_and_many_get_all(rows, threads):
    with threads_for(rows):
        assert threads_in_use() == {threads}
