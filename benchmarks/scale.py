"""How the cost grows from ten thousand architectures to ten million: it should double when they double.

    python benchmarks/scale.py
    python benchmarks/scale.py --counts 1000 10000 --works surrogate --work FOLDER

The cells are those of candidates.py. `surrogate` simulates the paper's flow surrogate of one table of all
of them in memory; gin, auto and any other method rank a folder of them chunk by chunk, as `archflow rank`
does, in this process, with the intervals of the thousand best. A method is fitted beforehand on 72 labels,
numbers of parameters: what it learns does not change what ranking costs. The exponent is that of the power
law through the medians: 1 is linear growth, less is what fixed costs, such as those intervals, make of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from archflow.flow import PUBLISHED, FlowSurrogate
from archflow.graphs import ArchitectureTable
from archflow.predictors import Predictor, UnlikeWarning
from archflow.predictors.streaming import rank_folder
from archflow.progress import progress_bar
from candidates import SPACE, cells, write_folder
from harness import Timing, measure_in_turn, parser, pin_threads, print_hardware, write_json

COUNTS = (10_000, 100_000, 1_000_000, 10_000_000)
WORKS = ("surrogate", "gin", "auto")
LABELS = 72
TOP = 1000
MOST_REPEATED = 1_000_000
"""Larger tables are done once."""


def one_table(count: int) -> ArchitectureTable:
    """Return all cells of a folder in memory."""
    starts = range(0, count, SPACE.size)
    return ArchitectureTable.concatenate(
        [cells(number, min(SPACE.size, count - start)) for number, start in enumerate(starts)]
    )


def work_of(name: str, count: int, work: Path) -> Callable[[], object]:
    """Return what is to be timed, with everything that it needs made."""
    if name == "surrogate":
        surrogate, table = FlowSurrogate.draw(SPACE.operations, PUBLISHED[SPACE.name]), one_table(count)
        return lambda: surrogate(table)
    labelled = SPACE.sample(LABELS, np.random.default_rng(0))
    predictor = Predictor(SPACE, name, device="cpu").fit(labelled, SPACE.parameters(labelled))
    folder = write_folder(work / f"cells-{count}", count)

    def rank() -> None:
        with progress_bar(f"{name}, {count:,} cells") as report, warnings.catch_warnings():
            warnings.simplefilter("ignore", UnlikeWarning)  # the targets are made up
            rank_folder(predictor, folder, work / "best.parquet", TOP, overwrite=True, report=report)

    return rank


def exponent(timings: list[Timing]) -> float:
    """Return b of the power law seconds = a * count^b, fitted to the logarithms."""
    counts, seconds = zip(*((timing.count, timing.median) for timing in timings), strict=True)
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.add_argument("--counts", nargs="+", type=int, default=COUNTS, metavar="N")
    options.add_argument("--works", nargs="+", default=WORKS, metavar="NAME", help="surrogate and methods")
    options.add_argument("--work", type=Path, default=Path("build/scale"), help="where the cells are kept")
    arguments = options.parse_args()
    pin_threads()
    print_hardware()
    results: dict[str, list[Timing]] = {}
    exponents = {}
    for name in arguments.works:
        print(f"\n{name}\n{'cells':>11}  {'seconds':>9}  {'spread':>6}  {'us a cell':>9}")
        timings: list[Timing] = []
        for count in sorted(arguments.counts):
            call = work_of(name, count, arguments.work)
            few = count > MOST_REPEATED
            timings += measure_in_turn(
                [(f"{count:,} cells", count, call)], repeats=1 if few else arguments.repeats, warm_up=not few
            )
            timing = timings[-1]
            print(
                f"{count:>11,}  {timing.median:>9.2f}  {timing.spread:>6.0%}  {1e6 / timing.rate:>9.1f}",
                flush=True,
            )
        results[name] = timings
        if len(timings) > 1:
            exponents[name] = exponent(timings)
            print(f"seconds grow with the {exponents[name]:.3f}th power of the cells")
    write_json(arguments.json, results, exponents=exponents)


if __name__ == "__main__":
    main()
