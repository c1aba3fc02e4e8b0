"""Ten million NAS-Bench-101 cells: how large they are, and what ranking them takes in time and memory.

    ARCHFLOW_DATA=FOLDER python benchmarks/ten_million.py
    python benchmarks/ten_million.py --count 100000 --methods gin --work FOLDER

The cells are those of candidates.py, written once to a folder of --work and used again. Then, for each
method, `archflow rank` runs on the folder as a user starts it, fitting on 72 labels included. Labels are
CIFAR-10 accuracies after 108 epochs of the table in ARCHFLOW_DATA, or numbers of parameters where it is
not set. Beside it stands the reading of the folder alone, by one process: no ranking of it can be quicker
than that over the workers.

Memory is that of all processes of the command together: the sum of each one's largest resident size, which
counts shared pages once a process, whenever it was; an upper bound of the true peak.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from archflow.datasets import draw_labels, read_table, write_table
from archflow.spaces import NASBench101
from candidates import read_folder, write_folder
from harness import Timing, parser, pin_threads, print_hardware, print_timings, write_json

SPACE = NASBench101()
LABELS = 72
TABLE, TARGET = "nasbench101.parquet", "cifar10_val_acc_108ep"
METHODS = ("gin", "auto")
POLL = 0.1
"""Seconds between two looks at the memory."""


def write_labels(path: Path) -> str:
    """Write the table of labels, and return where they are from."""
    if "ARCHFLOW_DATA" in os.environ:
        measured = read_table(Path(os.environ["ARCHFLOW_DATA"]) / TABLE, SPACE, TARGET, duplicates="mean")
        rows, _ = draw_labels(len(measured.values), LABELS, seed=0)
        architectures, values, origin = measured.architectures[rows], measured.values[rows], TARGET
    else:
        architectures = SPACE.sample(LABELS, np.random.default_rng(0))
        values, origin = SPACE.parameters(architectures), "number of parameters"
    texts = [SPACE.format(architecture) for architecture in architectures]
    write_table(path, {"arch": texts, "value": values.tolist()})
    return origin


class Memory:
    """The largest resident size of a process and all that it starts, in bytes; Linux only, elsewhere 0."""

    def __init__(self, process: int) -> None:
        self._process, self._peaks = process, dict[int, int]()

    def look(self) -> None:
        """Note the peaks that the processes have had so far."""
        for process in self._family():
            try:
                lines = Path(f"/proc/{process}/status").read_text().splitlines()
            except OSError:  # it has ended meanwhile
                continue
            for line in lines:
                if line.startswith("VmHWM:"):
                    self._peaks[process] = int(line.split()[1]) * 1024

    @property
    def peak(self) -> int:
        """The sum of the largest sizes of all processes seen."""
        return sum(self._peaks.values())

    @property
    def processes(self) -> int:
        """How many processes there were."""
        return len(self._peaks)

    def _family(self) -> list[int]:
        family = [self._process]
        for process in family:  # grows on the way
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                try:
                    family += map(int, children.read_text().split())
                except OSError:
                    continue
        return family


def rank(method: str, folder: Path, work: Path, top: int, workers: int) -> tuple[float, Memory]:
    """Run the command, and return its seconds and its memory."""
    command = [
        sys.executable, "-m", "archflow", "rank", "--space", SPACE.name, "--method", method,
        "--labels", str(work / "labels.csv"), "--target", "value", "--candidates", str(folder),
        "--top", str(top), "--workers", str(workers), "--device", "cpu",
        "--out", str(work / f"best-{method}.parquet"), "--overwrite",
    ]  # fmt: skip
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        memory = Memory(process.pid)
        while process.poll() is None:
            memory.look()
            time.sleep(POLL)
    if process.returncode:
        sys.exit(f"archflow rank --method {method} failed")
    return time.perf_counter() - start, memory


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.set_defaults(repeats=1)
    options.add_argument("--count", type=int, default=10_000_000, help="cells (default 10,000,000)")
    options.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME")
    options.add_argument("--top", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--work", type=Path, default=Path("build/scale"), help="where the folder is kept")
    arguments = options.parse_args()
    pin_threads()
    print_hardware()
    count = arguments.count
    folder = write_folder(arguments.work / f"cells-{count}", count)
    on_disk = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    origin = write_labels(arguments.work / "labels.csv")
    seconds, in_memory = read_folder(folder)
    print(f"{LABELS} labels: {origin}")
    print(f"{count:,} cells: {in_memory / 1e9:.3f} GB in memory, {on_disk / 1e9:.3f} GB as Parquet")
    timings, memory = [], {}
    for method in arguments.methods:
        runs = [
            rank(method, folder, arguments.work, arguments.top, arguments.workers)
            for _ in range(arguments.repeats)
        ]
        timings.append(Timing(method, count, tuple(taken for taken, _ in runs)))
        memory[method] = max(seen.peak for _, seen in runs)
        print(
            f"{method}: {timings[-1].median:.1f} s, at most {memory[method] / 1e9:.2f} GB in "
            f"{runs[0][1].processes} processes"
        )
    timings.append(Timing("reading alone, one process", count, (seconds,)))
    title = f"archflow rank, top {arguments.top:,} of {count:,} cells, {arguments.workers} workers"
    print_timings(title, timings)
    size = f"{count:,} cells"
    figures = {
        "table_bytes": {size: in_memory},
        "parquet_bytes": {size: on_disk},
        "peak_bytes": {size: memory},
    }
    write_json(arguments.json, {title: timings}, labels=origin, **figures)


if __name__ == "__main__":
    main()
