"""Parts done by a Ray cluster: one that is started here for the purpose, or one that is joined."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from archflow.datasets.sources import one_line
from archflow.errors import ArchflowError, UsageError, short
from archflow.predictors.streaming.engine import Engine, Hear, PartWork
from archflow.predictors.streaming.parts import Part
from archflow.progress import silent
from archflow.workers import Done, Failed, PoolError, one_thread

AUTO = "auto"
"""The address of the cluster that this machine belongs to."""

_DEATHS = 3  # so many processes may die at a part before it counts as failed
_AHEAD = 3  # parts handed out for each processor, so that none waits for the next
_STORE = 80 * 2**20  # bytes of a local Ray's object store, which holds next to nothing
_ANSWER = 5.0  # seconds that a connection may take
_TRIAL = 20.0  # seconds that joining a cluster may take
_LAST_WORDS = 20.0  # seconds that stopped parts have to remove what they half wrote

# Joining what is no cluster takes Ray minutes, in which it cannot be stopped; so another process tries first.
_JOIN = """
import sys
import ray
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level="error")
except Exception as error:
    print(" ".join(str(error).split()))
    sys.exit(1)
"""


def in_ray(workers: int = 1, address: str | None = None, *, gpus: float = 0) -> Engine:
    """Return the engine of a Ray cluster.

    A part whose process or machine dies is done again, until three have died of it. The folders must have the
    same paths on all machines of the cluster, and archflow the same version. A process works on one thread.
    Where Ray is initialised already, that cluster is used, and is left running.

    Args:
        workers: Processes of a Ray that is started on this machine and stopped in the end; only without an
            address.
        address: "auto" or HOST:PORT of a cluster to join; this machine must belong to it.
        gpus: GPUs, or the share of one, that each process has to itself.

    Raises:
        UsageError: Ray is not installed, a number is too small, or no cluster answers at the address.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    if gpus < 0:
        raise UsageError(f"gpus must be at least 0, not {gpus}")
    if not _import_ray().is_initialized() and address is not None:
        _require_cluster(address)
    return functools.partial(_in_ray, workers, address, gpus)


def _import_ray() -> Any:
    """Import Ray, which sends no statistics then, and does not say on stdout that a process died."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
    except ImportError as error:
        raise UsageError("the Ray engine needs ray; install it with: pip install 'archflow[ray]'") from error
    return ray


def _require_cluster(address: str) -> None:
    """Refuse an address at which no cluster can be joined, within half a minute."""
    where = "this machine belongs to" if address == AUTO else f"answers at {address}"
    if address != AUTO:
        host, port = _split(address)
        try:
            socket.create_connection((host, port), timeout=_ANSWER).close()
        except (OSError, UnicodeError) as error:
            raise UsageError(f"no Ray cluster {where} ({one_line(error)})") from error
    try:
        trial = subprocess.run(  # noqa: S603 - no shell, and the address is one argument
            [sys.executable, "-c", _JOIN, address], capture_output=True, text=True, timeout=_TRIAL
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"no Ray cluster {where} within {_TRIAL:.0f} seconds") from None
    if trial.returncode:
        raise UsageError(f"no Ray cluster {where} that can be joined ({one_line(trial.stdout)})")


def _split(address: str) -> tuple[str, int]:
    """Return the host and the port of an address."""
    match = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 2**16:
        raise UsageError(f"a Ray address is auto or HOST:PORT, such as 10.0.0.1:6379, not {short(address)}")
    return match[1].strip("[]"), int(match[2])


@contextlib.contextmanager
def _connected(workers: int, address: str | None) -> Iterator[Any]:
    """Start or join a cluster for the block, and yield Ray; leaving it stops what still runs."""
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    try:
        with _own_sigterm():
            _connect(ray, workers, address)
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is not None:
            ray.init(address, **quiet)
        else:
            ray.init("local", num_cpus=workers, include_dashboard=False, object_store_memory=_STORE, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise PoolError(f"Ray cannot be used here ({one_line(error)})") from error


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Let SIGTERM do after the block what it did before; Ray would print a stack on stderr and abort."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _in_ray(
    workers: int,
    address: str | None,
    gpus: float,
    parts: Sequence[Part],
    work: PartWork,
    place: Any,
    hear: Hear,
) -> Generator[Done | Failed]:
    if not parts:
        return
    lasting = _import_ray().is_initialized()
    with _connected(workers, address) as ray:
        capacity = functools.partial(_capacity, ray, "GPU" if gpus else "CPU", gpus or 1)
        if not capacity():
            raise UsageError(f"the Ray cluster has no {'GPU' if gpus else 'CPU'} to work on")
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_do)
        shared = [ray.put(place)]  # in a list, so that not every part unpacks it again
        waiting, deaths = deque(parts), Counter[Part]()
        running: dict[Any, Part] = {}
        try:
            while waiting or running:
                while waiting and len(running) < max(1, _AHEAD * capacity()):
                    part = waiting.popleft()
                    running[task.remote(work, shared, part, Path.cwd())] = part
                for reference in ray.wait(list(running))[0]:
                    part = running.pop(reference)
                    try:
                        event = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        event = Failed(part, _reason(error.cause))
                    except ray.exceptions.RayError as error:
                        deaths[part] += 1
                        if deaths[part] < _DEATHS:
                            waiting.append(part)
                            continue
                        event = Failed(part, f"its worker process died {_DEATHS} times ({_reason(error)})")
                    yield event
        finally:
            # Ray may abort when it cancels what is about to start; the end of the connection stops it anyway.
            if lasting:
                _cancel(ray, running)


def _capacity(ray: Any, kind: str, each: float) -> int:
    """Return how many parts the cluster, as it is now, can do at once."""
    return int(ray.cluster_resources().get(kind, 0) / each)


def _reason(error: Exception) -> str:
    """Return what Ray says, without what it quotes of its logs."""
    return str(error).strip().partition("\n")[0]


def _cancel(ray: Any, running: Iterable[Any]) -> None:
    """Stop what runs, and return when it has stopped."""
    left = list(running)
    for force in (False, True):
        for reference in left:
            ray.cancel(reference, force=force)
        if left:
            _, left = ray.wait(left, num_returns=len(left), timeout=_LAST_WORDS)


def _do(work: PartWork, shared: Sequence[Any], part: Part, folder: Path) -> Done | Failed:
    """Do a part in a process of the cluster.

    Args:
        work: What to do.
        shared: Reference to its first argument.
        part: Its second.
        folder: What relative paths are relative to.
    """
    try:
        with one_thread(), contextlib.chdir(folder):
            return Done(part, work(_place(shared[0]), part, silent))
    except ArchflowError as error:
        return Failed(part, str(error))
    except Exception as error:
        return Failed(part, f"{type(error).__name__}: {error}")


@functools.lru_cache(maxsize=1)
def _place(reference: Any) -> Any:
    """Unpack the place, once a process: what it loads is kept with it."""
    import ray

    return ray.get(reference)
