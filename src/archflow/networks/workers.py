"""A pool of worker processes that train networks and that knows which job a dead worker had."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from typing import cast

from archflow.errors import ArchflowError
from archflow.graphs import Architecture
from archflow.networks.tasks import Task
from archflow.networks.train import TrainedNetwork

Trainer = Callable[[Architecture, Task, int], TrainedNetwork]
"""A module-level function (architecture, task, seed) -> what was measured; `train_network` is one."""

Job = tuple[str, Architecture, int]
"""An architecture's text, the architecture and a training seed."""


class TrainingError(ArchflowError, RuntimeError):
    """A network that could not be trained; names the architecture and the seed."""


def train_all(
    jobs: Sequence[Job], task: Task, trainer: Trainer, workers: int
) -> Generator[tuple[Job, TrainedNetwork]]:
    """Train every job in worker processes and yield each as it finishes.

    Args:
        jobs: What to train; handed out in this order.
        task: The data and the budget.
        trainer: Called in a worker once a job.
        workers: Number of processes, each on one core.

    Yields:
        The job and what its training measured. Closing the generator early stops the workers.

    Raises:
        TrainingError: A training raised, or its worker died.
    """
    context = multiprocessing.get_context("spawn")  # forking a process that holds threads can hang
    waiting = iter(jobs)
    busy: dict[Connection, Job] = {}
    processes = []

    def hand_out(connection: Connection) -> None:
        job = next(waiting, None)
        if job is not None:
            busy[connection] = job
            with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when it is read from
                connection.send(job[1:])

    try:
        for _ in range(min(workers, len(jobs))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, trainer, task), daemon=True)
            process.start()
            theirs.close()  # so that a dead worker's pipe reads as closed
            processes.append(process)
            hand_out(ours)
        while busy:
            for ready in wait(list(busy)):
                connection = cast("Connection", ready)
                job = busy.pop(connection)
                reply = _receive(connection, job)
                hand_out(connection)
                yield job, reply
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _receive(connection: Connection, job: Job) -> TrainedNetwork:
    try:
        reply = connection.recv()
    except (EOFError, ConnectionResetError):
        reply = "its worker process died (killed, or out of memory)"
    if isinstance(reply, TrainedNetwork):
        return reply
    raise TrainingError(f"training {job[0]} with seed {job[2]} failed: {reply}")


def _work(connection: Connection, trainer: Trainer, task: Task) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            architecture, seed = connection.recv()
            reply: TrainedNetwork | str
            try:
                reply = trainer(architecture, task, seed)
            except Exception as error:
                reply = f"{type(error).__name__}: {error}"
            connection.send(reply)
