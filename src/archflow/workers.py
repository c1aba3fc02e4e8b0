"""A pool of worker processes in which one death fails one job, and the threads that a process computes on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, cast

from threadpoolctl import ThreadpoolController

from archflow.errors import ArchflowError

Work = Callable[[Any, Any, Callable[..., None]], Any]
"""A module-level function (workplace, job, report) -> result."""

AJob = TypeVar("AJob")
Result = TypeVar("Result")


class PoolError(ArchflowError, RuntimeError):
    """Worker processes that cannot start."""


class JobError(ArchflowError, RuntimeError):
    """A job that raised or whose worker process died; names the job."""


FEW_ROWS = 1000
"""Matrices of fewer rows gain little from several threads, and lose much where other work fills the cores."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LAST_WORDS = 20.0  # seconds that a stopped worker has to save what it is at
_REPORT_EVERY = 0.5


@dataclasses.dataclass(frozen=True)
class Done:
    """A job that returned something."""

    job: Any
    result: Any


@dataclasses.dataclass(frozen=True)
class Failed:
    """A job that raised, whose worker died, or that needed one which failed."""

    job: Any
    reason: str


@dataclasses.dataclass(frozen=True)
class Under:
    """How far a job is."""

    job: Any
    done: int
    total: int
    remark: str


Event = Done | Failed | Under


@dataclasses.dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: Any = None
    started: bool = False


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and every BLAS and OpenMP library compute on one thread for the block."""
    import torch

    before = torch.get_num_threads()
    with _libraries().limit(limits=1):
        torch.set_num_threads(1)  # it has a BLAS within, which nobody else can limit
        try:
            yield
        finally:
            torch.set_num_threads(before)


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the libraries that are loaded; to look for them takes longer than to limit them."""
    import scipy.linalg  # noqa: F401 - has a BLAS of its own

    return ThreadpoolController()


def threads_for(rows: int) -> contextlib.AbstractContextManager[None]:
    """Choose the threads of a block: one for work on fewer than `FEW_ROWS` rows at once, else all.

    Args:
        rows: Of the matrices that the block works on: labels of a Gaussian process, graphs of a batch.
    """
    return one_thread() if rows < FEW_ROWS else contextlib.nullcontext()


def work_through(
    jobs: Sequence[Any],
    needs: Callable[[Any], Any],
    work: Work,
    place: Any,
    workers: int,
) -> Generator[Event]:
    """Do all jobs in worker processes of one thread each.

    Args:
        jobs: What to do, hashable; handed out in this order as far as what they need is done.
        needs: The job that has to be done before a job, or None; one that is not in `jobs` is done.
        work: Called in a worker once a job.
        place: The first argument of `work`; sent to each worker once.
        workers: Number of processes.

    Yields:
        What happened, as it happens. Closing the generator stops the workers; one that is told to stop sees a
        KeyboardInterrupt.
    """
    waiting, done = list(jobs), {need for need in map(needs, jobs) if need is not None} - set(jobs)
    failed: dict[Any, str] = {}
    crew: list[_Worker] = []

    def next_job() -> Any:
        for position, job in enumerate(waiting):
            need = needs(job)
            if need is None or need in done:
                return waiting.pop(position)
        return None

    def hand_out() -> None:
        for number, worker in enumerate(crew):
            if worker.job is None and (job := next_job()) is not None:
                if not _alive(worker):
                    worker.connection.close()
                    worker = crew[number] = _start(work, place)
                worker.job = job
                with contextlib.suppress(OSError):  # a dead worker is noticed when it is read from
                    worker.connection.send(job)

    def doomed() -> Iterator[Failed]:
        while (job := next((one for one in waiting if needs(one) in failed), None)) is not None:
            waiting.remove(job)
            failed[job] = f"what it needs failed: {failed[needs(job)]}"
            yield Failed(job, failed[job])

    try:
        crew += [_start(work, place) for _ in range(min(workers, len(jobs)))]
        hand_out()
        while any(worker.job is not None for worker in crew):
            busy = {worker.connection: worker for worker in crew if worker.job is not None}
            for ready in wait(list(busy)):
                worker = busy[cast("Connection", ready)]
                event = _heard(worker)
                if event is None:
                    continue
                if isinstance(event, Under):
                    yield event
                    continue
                worker.job = None
                if isinstance(event, Done):
                    done.add(event.job)
                else:
                    failed[event.job] = event.reason
                hand_out()
                yield event
                if isinstance(event, Failed):
                    yield from doomed()
    finally:
        _stop(crew)


def run_jobs(
    jobs: Sequence[AJob],
    work: Callable[[AJob], Result],
    *,
    workers: int,
    name: Callable[[AJob], str],
    error: type[JobError] = JobError,
) -> Generator[tuple[AJob, Result]]:
    """Do jobs of which none may fail, as `work_through` does them, and yield each as it finishes.

    Args:
        jobs: What to do, hashable; handed out in this order.
        work: Called in a worker once a job: a module-level function, or a `functools.partial` of one.
        workers: Number of processes.
        name: What a message calls a job, such as "training X with seed 3".
        error: What is raised where a job fails.

    Yields:
        The job and what came of it. Closing the generator early stops the workers.

    Raises:
        JobError: A job raised, or its worker died; in the class that `error` names.
    """
    with contextlib.closing(work_through(jobs, lambda job: None, _call, work, workers)) as events:
        for event in events:
            if isinstance(event, Failed):
                raise error(f"{name(event.job)} failed: {event.reason}")
            if isinstance(event, Done):
                yield event.job, event.result


def _call(work: Callable[[Any], Any], job: Any, report: Callable[..., None]) -> Any:
    return work(job)


def _start(work: Work, place: Any) -> _Worker:
    context = multiprocessing.get_context("spawn")  # forking a process that holds threads can hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work, place), daemon=True)
    with _one_thread_from_birth():
        process.start()
    theirs.close()  # so that a dead worker's pipe reads as closed
    return _Worker(process, ours)


@contextlib.contextmanager
def _one_thread_from_birth() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _heard(worker: _Worker) -> Event | None:
    try:
        kind, *content = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(_LAST_WORDS)
        code = worker.process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if not worker.started:
            raise PoolError(
                f"worker processes cannot start ({how}); a script keeps this call under "
                "if __name__ == '__main__'"
            ) from None
        return Failed(worker.job, f"its worker process died ({how})")
    if kind == "started":
        worker.started = True
        return None
    if kind == "under":
        return Under(worker.job, *content)
    return Done(worker.job, *content) if kind == "done" else Failed(worker.job, *content)


def _alive(worker: _Worker) -> bool:
    return worker.process.exitcode is None


def _stop(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        if worker.job is None:
            worker.process.kill()
        else:
            worker.process.terminate()
    deadline = time.monotonic() + _LAST_WORDS
    for worker in crew:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if _alive(worker):
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


def _serve(connection: Connection, work: Work, place: Any) -> None:
    """Live in a worker: do what arrives until the pipe closes."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    connection.send(("started",))
    said = 0.0

    def report(done: int, total: int, remark: str = "") -> None:
        nonlocal said
        if time.monotonic() - said >= _REPORT_EVERY:
            said = time.monotonic()
            connection.send(("under", done, total, remark))

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):  # the parent is gone, or stops us
        while True:
            job = connection.recv()
            try:
                reply = ("done", work(place, job, report))
            except ArchflowError as error:
                reply = ("failed", str(error))
            except Exception as error:
                reply = ("failed", f"{type(error).__name__}: {error}")
            connection.send(reply)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
