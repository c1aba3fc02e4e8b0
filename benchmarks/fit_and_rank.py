"""How long a user waits: fit on 78 labels and rank all 15,625 NAS-Bench-201 cells, method by method.

    ARCHFLOW_DATA=FOLDER python benchmarks/fit_and_rank.py
    python benchmarks/fit_and_rank.py --labels 390 --reference-epochs 10

The reference is the training alone, without the ranking, of our own FlowerFormer on the same labels,
supervised and in its default configuration, once; `--reference-epochs` shortens it, and the row says so.
`fgp-gin` starts from the encoder that the package ships, whose pre-training is not timed. Labels are
CIFAR-10 test accuracies of the table in ARCHFLOW_DATA, or those of the embedded digits benchmark where it
is not set. Kendall's tau on the other rows says what the seconds buy. At last a ranking by `auto` is
profiled: its time by kind of work.
"""

from __future__ import annotations

import cProfile
import dataclasses
import functools
import os
import pstats
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from archflow.datasets import MeasuredTable, digits_table, draw_labels, read_table
from archflow.flow import OperationFlow
from archflow.graphs import ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors import FineTuneConfig, Predictor
from archflow.predictors.blocks import FeatureBlocks
from archflow.predictors.gaussian_process import GaussianProcess
from archflow.progress import progress_bar
from archflow.spaces import NASBench201
from harness import measure_in_turn, parser, pin_threads, print_hardware, print_seconds, write_json

SPACE = NASBench201()
METHODS = ("auto", "onehot-gp", "fgp-gin")
REFERENCE = "flowerformer"
TABLE, TARGET = "nasbench201.parquet", "cifar10_test_acc"
LABELS = 78
TOP = 100
PARTS: dict[str, Callable[..., object]] = {
    "features": FeatureBlocks.of,
    "flow": OperationFlow.__call__,
    "Gaussian processes": GaussianProcess.mean,
    "trees": ExtraTreesRegressor.predict,
}
"""What a ranking by `auto` spends its time in; features include the flow, and intervals are left out."""


def measured_table() -> tuple[MeasuredTable, str]:
    """Return the table that labels are drawn from, and its name."""
    if "ARCHFLOW_DATA" not in os.environ:
        return digits_table(), "the embedded digits benchmark"
    path = Path(os.environ["ARCHFLOW_DATA"]) / TABLE
    return read_table(path, SPACE, TARGET, duplicates="mean"), f"{TARGET} of {TABLE}"


class Job:
    """A method on one draw of labels.

    Attributes:
        method: Its name.
        predictor: As it was fitted last.
    """

    def __init__(self, method: str, measured: MeasuredTable, cells: ArchitectureTable, labels: int) -> None:
        self.method, self._measured, self._cells = method, measured, cells
        self._labelled, self._rest = draw_labels(len(measured.values), labels, seed=0)
        self.predictor = Predictor(SPACE, method, device="cpu")

    def fit(self, epochs: int | None = None) -> None:
        """Fit anew; an encoder for as many epochs, by default as many as the defaults say."""
        tuning = FineTuneConfig.default(self.method, pretrained=False)
        if epochs is not None:
            tuning = dataclasses.replace(tuning, training=dataclasses.replace(tuning.training, epochs=epochs))
        tuned = None if epochs is None else tuning
        self.predictor = Predictor(SPACE, self.method, device="cpu", fine_tuning=tuned)
        known = self._measured.architectures[self._labelled], self._measured.values[self._labelled]
        with progress_bar(f"fitting {self.method}") as report:
            self.predictor.fit(*known, report=report)

    def rank(self, top: int | None = TOP) -> None:
        """Rank all cells; as a new table, whose keys are a part of the work."""
        self.predictor.rank(ArchitectureTable(self._cells.columns, self._cells.operations), top)

    def do(self, top: int | None = TOP) -> None:
        """Fit and rank."""
        self.fit()
        self.rank(top)

    def tau(self) -> float:
        """Return Kendall's tau on the rows that are not labels."""
        others, truth = self._measured.architectures[self._rest], self._measured.values[self._rest]
        return kendall_tau(np.asarray(self.predictor.predict(others, warn=False)), truth)


def shares(call: Callable[[], object]) -> dict[str, float]:
    """Profile a call, and return the share of its time in each of `PARTS`, features without the flow."""
    profile = cProfile.Profile()
    profile.runcall(call)
    stats = pstats.Stats(profile)
    whole: float = stats.total_tt  # type: ignore[attr-defined]
    taken = {name: _cumulative(stats, part.__code__) / whole for name, part in PARTS.items()}
    taken["features"] -= taken["flow"]
    return {**taken, "all else": 1 - sum(taken.values())}


def listed(figures: dict[str, float], form: str) -> str:
    """Write figures with their names, as a part of a line."""
    return ", ".join(f"{name} {value:{form}}" for name, value in figures.items())


def _cumulative(stats: pstats.Stats, code: CodeType) -> float:
    key = code.co_filename, code.co_firstlineno, code.co_name
    return float(stats.stats[key][3]) if key in stats.stats else 0.0  # type: ignore[attr-defined]


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.add_argument("--labels", type=int, default=LABELS, metavar="N", help=f"by default {LABELS}")
    options.add_argument("--reference-epochs", type=int, metavar="N", help="train the reference only so long")
    arguments = options.parse_args()
    pin_threads()
    print_hardware()
    measured, origin = measured_table()
    labels, cells = arguments.labels, SPACE.all()
    print(f"{labels:,} labels of {len(measured.values):,}: {origin}")
    jobs = {method: Job(method, measured, cells, labels) for method in (*METHODS, REFERENCE)}
    full = FineTuneConfig.default(REFERENCE, pretrained=False).training.epochs
    epochs = arguments.reference_epochs or full
    name = f"{REFERENCE}, {epochs} of {full} epochs, training alone"
    train = functools.partial(jobs[REFERENCE].fit, epochs)
    (reference,) = measure_in_turn([(name, labels, train)], repeats=1, warm_up=False)

    results = {}
    works: dict[str, Callable[[Job], None]] = {
        f"fit and rank, top {TOP} with intervals": Job.do,
        "fit and rank, all with intervals": functools.partial(Job.do, top=None),
        "fit": Job.fit,
        f"rank, top {TOP} with intervals": Job.rank,
    }
    for title, work in works.items():
        runs = [(method, len(cells), functools.partial(work, jobs[method])) for method in METHODS]
        timings = [*measure_in_turn(runs, repeats=arguments.repeats), reference]
        print_seconds(title, timings)
        results[title] = timings
    taus = {method: job.tau() for method, job in jobs.items()}
    taus[f"{REFERENCE}, {epochs} epochs"] = taus.pop(REFERENCE)
    print(f"\nKendall's tau on the other rows: {listed(taus, '.3f')}")
    parts = shares(jobs["auto"].rank)
    print(f"a ranking by auto, profiled: {listed(parts, '.0%')}")
    write_json(arguments.json, results, labels=origin, kendall_tau=taus, shares_of_auto=parts)


if __name__ == "__main__":
    main()
