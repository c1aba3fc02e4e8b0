"""A pool of worker processes that knows which job a dead worker had."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

import torch

from archflow.errors import ArchflowError

Job = TypeVar("Job")
Result = TypeVar("Result")


class JobError(ArchflowError, RuntimeError):
    """A job that raised or whose worker process died; names the job."""


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job], Result],
    *,
    workers: int,
    name: Callable[[Job], str],
    error: type[JobError] = JobError,
) -> Generator[tuple[Job, Result]]:
    """Do every job in worker processes and yield each as it finishes.

    Args:
        jobs: What to do; taken and handed out in this order. Jobs are sent to another process.
        work: Called in a worker once a job, with PyTorch on one thread: a module-level function, or a
            `functools.partial` of one.
        workers: Number of processes, each on one core.
        name: What a message calls a job, such as "training X with seed 3".
        error: What is raised where a job fails.

    Yields:
        The job and what came of it. Closing the generator early stops the workers.

    Raises:
        JobError: A job raised, or its worker died; in the class that `error` names.
    """
    context = multiprocessing.get_context("spawn")  # forking a process that holds threads can hang
    waiting = iter(jobs)
    busy: dict[Connection, Job] = {}
    processes = []

    def hand_out(connection: Connection, job: Job) -> None:
        busy[connection] = job
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when it is read from
            connection.send(job)

    try:
        for job in itertools.islice(waiting, workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()  # so that a dead worker's pipe reads as closed
            processes.append(process)
            hand_out(ours, job)
        while busy:
            for ready in wait(list(busy)):
                connection = cast("Connection", ready)
                job = busy.pop(connection)
                done, reply = _receive(connection)
                if not done:
                    raise error(f"{name(job)} failed: {reply}")
                for following in itertools.islice(waiting, 1):
                    hand_out(connection, following)
                yield job, reply
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _receive(connection: Connection) -> tuple[bool, Any]:
    try:
        reply: tuple[bool, Any] = connection.recv()
    except (EOFError, ConnectionResetError):
        return False, "its worker process died (killed, or out of memory)"
    return reply


def _work(connection: Connection, work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            job = connection.recv()
            try:
                reply = True, work(job)
            except Exception as error:
                reply = False, f"{type(error).__name__}: {error}"
            connection.send(reply)
