"""What all benchmarks share: pinned threads, warm-up, repeats, the hardware's name, a table and JSON."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits


@dataclasses.dataclass(frozen=True)
class Timing:
    """One thing that was timed.

    Attributes:
        name: What it was.
        count: Architectures handled in one run.
        seconds: Wall-clock time of each run.
    """

    name: str
    count: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the median run."""
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Architectures per second, by the median run."""
        return self.count / self.median

    @property
    def spread(self) -> float:
        """Slowest run over fastest run, minus 1: how far to trust the rate."""
        return max(self.seconds) / min(self.seconds) - 1


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--repeats", type=int, default=5, help="timed runs of each (default 5)")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this file")
    return options


def pin_threads(count: int = 1) -> None:
    """Let PyTorch and every BLAS and OpenMP library that is loaded use that many threads."""
    torch.set_num_threads(count)
    threadpool_limits(count)


def measure_in_turn(
    runs: Sequence[tuple[str, int, Callable[[], object]]], *, repeats: int, warm_up: bool = True
) -> list[Timing]:
    """Time several things in turn, so that a busy moment of the machine hits all of them alike.

    Args:
        runs: Name, architectures handled and the call, for each.
        repeats: Timed calls of each.
        warm_up: Whether each is called once untimed before.
    """
    if warm_up:
        for _, _, call in runs:
            call()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for position, (_, _, call) in enumerate(runs):
            start = time.perf_counter()
            call()
            seconds[position].append(time.perf_counter() - start)
    return [Timing(name, count, tuple(taken)) for (name, count, _), taken in zip(runs, seconds, strict=True)]


def product_rate(rows: int, width: int) -> float:
    """Measure single-precision products of (rows, width) with (width, width), in operations a second."""
    states, weights = torch.randn(rows, width), torch.randn(width, width)
    out = torch.empty_like(states)
    (timing,) = measure_in_turn([("product", 1, lambda: torch.mm(states, weights, out=out))], repeats=9)
    return 2 * rows * width**2 / min(timing.seconds)


def copy_rate(count: int) -> float:
    """Measure copying numbers in single precision, in bytes written a second."""
    values = torch.ones(count)
    out = torch.empty_like(values)
    (timing,) = measure_in_turn([("copy", 1, lambda: out.copy_(values))], repeats=9)
    return 4 * count / min(timing.seconds)


def hardware() -> dict[str, str]:
    """Name the processor, the threads in use and the versions that decide speed."""
    packages = ("archflow", "torch", "numpy", "scipy", "torch_geometric")
    versions = {package: _version(package) for package in packages}
    threads = f"{torch.get_num_threads()} of {os.cpu_count()}"
    return {"processor": _processor(), "threads": threads, "python": platform.python_version(), **versions}


def print_hardware() -> None:
    """Print one line that names the hardware and the versions."""
    print(", ".join(f"{name} {value}" for name, value in hardware().items()))


def print_timings(title: str, timings: Sequence[Timing]) -> None:
    """Print a table; each ratio is to the last row, which is the baseline."""
    baseline = timings[-1].rate
    width = max(len(timing.name) for timing in timings)
    print(f"\n{title}")
    print(f"{'':{width}}  {'archs/s':>10}  {'spread':>6}  {'ratio':>7}")
    for timing in timings:
        ratio = timing.rate / baseline
        print(f"{timing.name:{width}}  {timing.rate:>10,.0f}  {timing.spread:>6.0%}  {ratio:>6.1f}x")


def print_seconds(title: str, timings: Sequence[Timing]) -> None:
    """Print a table of seconds; each ratio is of the last row, the baseline, to the row."""
    width = max(len(timing.name) for timing in timings)
    print(f"\n{title}")
    print(f"{'':{width}}  {'seconds':>9}  {'spread':>6}  {'ratio':>8}")
    for timing in timings:
        ratio = timings[-1].median / timing.median
        print(f"{timing.name:{width}}  {timing.median:>9.3f}  {timing.spread:>6.0%}  {ratio:>7.1f}x")


def write_json(path: Path | None, results: Mapping[str, Sequence[Timing]], **others: object) -> None:
    """Write the hardware and all timings, for those who compare machines; nothing without a path."""
    if path is None:
        return
    tables = {
        title: [{**dataclasses.asdict(timing), "archs_per_second": timing.rate} for timing in timings]
        for title, timings in results.items()
    }
    path.write_text(json.dumps({"hardware": hardware(), "results": tables, **others}, indent=1) + "\n")


def peak_memory() -> int:
    """Return the largest resident size that this process has had, in bytes."""
    import resource  # not on Windows, where only this figure is missing

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
