"""Predictors of every real table: ranking, the top, intervals and seconds; makes docs/predictor-results.md.

    ARCHFLOW_DATA=FOLDER python benchmarks/predictors.py

Rows are labelled by the draws of `archflow evaluate`, and all others are predicted. What is done is kept in
--work, so that a run that was stopped goes on, and several processes can share the tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from archflow.datasets import MeasuredTable, draw_labels, read_table
from archflow.files import atomic_path, write_json
from archflow.metrics import kendall_tau, precision_at, regret
from archflow.predictors import Predictor
from archflow.progress import progress_bar
from archflow.spaces import get
from every_space import TASKS, Task
from harness import hardware, pin_threads

METHODS = ("onehot-rf", "onehot-gp", "graph-features-rf", "flow-gp", "auto")
CHOSEN_ON = frozenset(
    [
        "nasbench201",
        "nasbench201_hardware",
        "nasbench_graph_cora",
        "transnas_micro",
        "nasbench_nlp",
        "nats_size",
        "fbnet_latency",
    ]
)
"""Tables that choices of `auto` were made on; the others were not looked at before it was done."""

SHIPPED = frozenset(["nasbench201", "nasbench101"])
"""Tables of spaces that archflow ships an encoder for."""

LABELS = (50, 200)
AIM_SEEDS = 5
COVERAGES = (0.8, 0.95)
PAGE = Path(__file__).parents[1] / "docs" / "predictor-results.md"


@dataclasses.dataclass(frozen=True)
class Aim:
    """What `auto` should reach with some labels of a table.

    Attributes:
        table: Name of the table.
        labels: Rows that are labelled.
        tau: Kendall's tau to reach.
        precision: Precision@1 % to reach, if any.
        before: The best published or simple predictor, as measured before `auto` was there.
    """

    table: str
    labels: int
    tau: float
    precision: float | None
    before: str


AIMS = (
    Aim("nasbench201", 78, 0.83, 0.49, "FlowerFormer 0.767 / 0.23; FGP as published 0.836 / 0.49"),
    Aim("nasbench201", 390, 0.90, 0.60, "FlowerFormer 0.890 / 0.55; GRAF with a forest 0.786 / 0.44"),
    Aim("nasbench101", 72, 0.72, 0.38, "FlowerFormer as published 0.75; FGP 0.763 / 0.41"),
    Aim("nasbench_graph_arxiv", 131, 0.64, None, "one-hot Gaussian process 0.57 / 0.16"),
    Aim("nasbench_graph_cora", 131, 0.42, None, "one-hot Gaussian process 0.36 / 0.03"),
    Aim("nasbench_macro", 50, 0.85, None, "one-hot Gaussian process 0.83 / 0.48"),
    Aim("transnas_micro", 50, 0.70, None, "0.59"),
    Aim("nasbench_nlp", 100, 0.42, None, "0.35"),
    Aim("darts", 100, 0.65, None, "0.62"),
)

INTRODUCTION = """\
# What predictors reach on every table

Made by one command, which reads the real tables from the folder that `ARCHFLOW_DATA` names:

    python benchmarks/predictors.py

Rows are labelled as `archflow evaluate` draws them; all others are predicted and scored. Aims have the seeds
0 to {last_of_aims}, the comparison on every table the seeds 0 to {last}. Seconds are those of a machine that
did other work, too. All settings are the defaults; no method has a pre-trained encoder unless its name begins
with `fgp`. Choices of `auto` were made on the tables marked *, with other draws; the others played no part.
[The log](LOG.md) has more. Below, a cell holds Kendall's tau / Precision@1 %, the mean over the draws; the
regret of the ten best predictions is in standard deviations of the target.
"""


def score(task: Task, measured: MeasuredTable, labels: int, method: str, seed: int) -> dict[str, float]:
    """Score a method with one draw of labels."""
    sign = -1.0 if task.minimize else 1.0
    labelled, rest = draw_labels(len(measured.values), labels, seed)
    started = time.perf_counter()
    predictor = Predictor(get(task.space), method, minimize=task.minimize, seed=seed)
    predictor.fit(measured.architectures[labelled], measured.values[labelled])
    fitted = time.perf_counter()
    others, truth = measured.architectures[rest], measured.values[rest]
    predicted = np.asarray(predictor.predict(others, warn=False))
    ranked = time.perf_counter()
    scores = {
        "tau": kendall_tau(predicted, truth),
        "precision_1": precision_at(sign * predicted, sign * truth, 1),
        "precision_5": precision_at(sign * predicted, sign * truth, 5),
        "regret": regret(sign * predicted, sign * truth, 10) / float(truth.std()),
        "fit_seconds": fitted - started,
        "rank_seconds": ranked - fitted,
    }
    for share in COVERAGES:
        lower, upper = predictor.interval(others, share)
        scores[f"coverage_{share:.0%}"] = float(((truth >= lower) & (truth <= upper)).mean())
    return {name: float(value) for name, value in scores.items()}


def cases(seeds: int) -> list[tuple[str, int, str, int]]:
    """Return what is to be scored: (table, labels, method, seed); the aims come first."""
    methods = {aim: ("auto", *(("fgp-auto",) if aim.table in SHIPPED else ())) for aim in AIMS}
    aimed = [(aim.table, aim.labels, method) for aim, own in methods.items() for method in own]
    every = [(task.table, labels, method) for labels in LABELS for task in TASKS for method in METHODS]
    drawn = ((aimed, AIM_SEEDS), (every, seeds))
    return [(*case, seed) for part, draws in drawn for seed in range(draws) for case in dict.fromkeys(part)]


def path_of(work: Path, case: tuple[str, int, str, int]) -> Path:
    """Return where the scores of a case are kept."""
    return work / f"{'-'.join(map(str, case))}.json"


def mean_of(work: Path, table: str, labels: int, method: str, seeds: int) -> dict[str, float] | None:
    """Return the mean scores over the draws, or None where one is missing."""
    paths = [path_of(work, (table, labels, method, seed)) for seed in range(seeds)]
    if not all(path.exists() for path in paths):
        return None
    runs = [json.loads(path.read_text())["scores"] for path in paths]
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def aims_table(work: Path) -> list[str]:
    """Write what was aimed at beside what was reached."""
    lines = [
        "| table | labels | method | before | aim | tau | P@1 % | P@5 % | regret of 10 | fit s | rank s | "
        "reached |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for aim in AIMS:
        for method in ("auto", "fgp-auto"):
            mean = mean_of(work, aim.table, aim.labels, method, AIM_SEEDS)
            if mean is None:
                continue
            reached = mean["tau"] >= aim.tau and mean["precision_1"] >= (aim.precision or 0)
            goal = f"{aim.tau:.2f}" + (f" / {aim.precision:.2f}" if aim.precision else "")
            numbers = " | ".join(
                f"{mean[name]:.3f}" for name in ("tau", "precision_1", "precision_5", "regret")
            )
            seconds = f"{mean['fit_seconds']:.1f} | {mean['rank_seconds']:.1f}"
            lines.append(
                f"| {_marked(aim.table)} | {aim.labels} | {method} | {aim.before} | {goal} | {numbers} | "
                f"{seconds} | {'yes' if reached else 'no'} |"
            )
    return lines


def every_table(work: Path, labels: int, seeds: int) -> list[str]:
    """Write the methods side by side, how far `auto` is from the best of the others, and its coverage."""
    lines = [
        f"| table, target | {' | '.join(METHODS)} | auto - best other | covered by 80 % | by 95 % |",
        "|---|" + "---|" * (len(METHODS) + 3),
    ]
    gaps: dict[bool, list[float]] = {True: [], False: []}
    covered: dict[str, list[float]] = {f"coverage_{share:.0%}": [] for share in COVERAGES}
    for task in TASKS:
        means = {method: mean_of(work, task.table, labels, method, seeds) for method in METHODS}
        done = {method: mean for method, mean in means.items() if mean is not None}
        if len(done) < len(METHODS):
            continue
        best = max(mean["tau"] for method, mean in done.items() if method != "auto")
        gap = done["auto"]["tau"] - best
        gaps[task.table in CHOSEN_ON].append(gap)
        for name, values in covered.items():
            values.append(done["auto"][name])
        cells = " | ".join(f"{mean['tau']:.3f} / {mean['precision_1']:.2f}" for mean in done.values())
        aim = f"{task.target}, least first" if task.minimize else task.target
        shares = " | ".join(f"{done['auto'][name]:.1%}" for name in covered)
        lines.append(f"| {_marked(task.table)}, {aim} | {cells} | {gap:+.3f} | {shares} |")
    for chosen, words in ((True, "that choices were made on"), (False, "that played no part")):
        if gaps[chosen]:
            lines += [
                "",
                f"On the {len(gaps[chosen])} tables {words}, `auto` is {np.mean(gaps[chosen]):+.3f} from the "
                f"best of the others in the mean, at worst {min(gaps[chosen]):+.3f}.",
            ]
    if covered["coverage_80%"]:
        held = ", ".join(
            f"{name.removeprefix('coverage_')} intervals hold {np.mean(values):.1%} of the measurements "
            f"(from {min(values):.1%} to {max(values):.1%})"
            for name, values in covered.items()
        )
        lines += ["", f"Over all tables, {held}."]
    return lines


def _marked(table: str) -> str:
    return f"{table} *" if table in CHOSEN_ON else table


def page(work: Path, seeds: int) -> str:
    """Write the page from what is kept in `work`, without what is not done."""
    introduction = INTRODUCTION.format(last=seeds - 1, last_of_aims=AIM_SEEDS - 1)
    parts = [introduction, "## What was aimed at", "", *aims_table(work)]
    for labels in LABELS:
        parts += ["", f"## {labels} labels", "", *every_table(work, labels, seeds)]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Do what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/predictors"), help="where results are kept")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labels on every table")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    if "ARCHFLOW_DATA" not in os.environ:
        sys.exit("set ARCHFLOW_DATA to the folder of the tables")
    pin_threads()
    options.work.mkdir(parents=True, exist_ok=True)
    tasks = {task.table: task for task in TASKS}
    missing = [case for case in cases(options.seeds) if not path_of(options.work, case).exists()]
    read: dict[str, MeasuredTable] = {}
    with progress_bar("scoring predictors") as report:
        for number, case in enumerate(missing):
            table, labels, method, seed = case
            report(number, len(missing), f"{table}, {labels} labels, {method}")
            if path_of(options.work, case).exists():  # done by another process meanwhile
                continue
            if table not in read:
                path = Path(os.environ["ARCHFLOW_DATA"]) / f"{table}.parquet"
                read[table] = read_table(
                    path, get(tasks[table].space), tasks[table].target, duplicates="mean"
                )
            scores = score(tasks[table], read[table], labels, method, seed)
            write_json(path_of(options.work, case), {"scores": scores, "hardware": hardware()})
    with atomic_path(options.page) as temporary:
        temporary.write_text(page(options.work, options.seeds), encoding="utf-8")
    print(f"wrote {options.page}")


if __name__ == "__main__":
    main()
