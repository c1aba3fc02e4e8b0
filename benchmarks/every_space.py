"""Every real table, read back and predicted: makes docs/every-space.md.

    ARCHFLOW_DATA=FOLDER python benchmarks/every_space.py

Each row of each table is parsed and written again; then each method is scored with the same draws of labels.
What is done is kept in --work, so that a run that was stopped goes on, and several can share the tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from archflow.benchmark import evaluate
from archflow.datasets import MeasuredTable, read_table
from archflow.files import atomic_path, write_json
from archflow.graphs import DEFAULT_FORM
from archflow.predictors import Predictor
from archflow.predictors.shipped import shipped_encoder
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.progress import progress_bar
from archflow.protocols import Space
from archflow.spaces import get
from harness import hardware, pin_threads

LABELS = 100
METHODS = ("random", "onehot-rf", "gin", "fgp-gin")
EPOCHS = 40
MOST_UNLABELLED = 10_000
PAGE = Path(__file__).parents[1] / "docs" / "every-space.md"


@dataclasses.dataclass(frozen=True)
class Task:
    """A table and what is predicted on it."""

    table: str
    space: str
    target: str
    minimize: bool = False


TASKS = (
    Task("nasbench201", "nasbench201", "cifar10_test_acc"),
    Task("nasbench201_hardware", "nasbench201", "eyeriss_latency_ms", minimize=True),
    Task("nasbench201_proxies", "nasbench201", "nwot"),
    Task("nasbench101", "nasbench101", "cifar10_val_acc_108ep"),
    Task("darts", "darts", "cifar10_val_acc_50ep"),
    Task("nasbench_graph_arxiv", "nasbench_graph", "val_acc"),
    Task("nasbench_graph_cora", "nasbench_graph", "val_acc"),
    Task("nasbench_graph_pubmed", "nasbench_graph", "val_acc"),
    Task("nasbench_macro", "nasbench_macro", "cifar10_test_acc"),
    Task("transnas_micro", "transnas_micro", "val_class_scene"),
    Task("transnas_macro", "transnas_macro", "val_class_object"),
    Task("nasbench_nlp", "nasbench_nlp", "ptb_val_loss", minimize=True),
    Task("nats_size", "nats_size", "cifar10_test_acc_90ep"),
    Task("mnasnet", "mnasnet", "imagenet_top1"),
    Task("fbnet_latency", "fbnet", "lat_pixel3", minimize=True),
    Task("gpt_s", "gpt", "ppl", minimize=True),
)


INTRODUCTION = """\
# Results on every table

Made by one command, which reads the real tables from the folder that `ARCHFLOW_DATA` names:

    python benchmarks/every_space.py

{labels} rows of each table are labelled, drawn with the seeds 0 to {last}, and all others predicted. A cell
holds Kendall's tau / Precision@5 %, the mean over the draws; higher is better. `fgp-gin` starts from the
encoder that archflow ships (NAS-Bench-201 and NAS-Bench-101), elsewhere from one that was pre-trained for
{epochs} epochs on at most {most:,} architectures of the table, without labels. All settings are the defaults.
[The log](LOG.md) says which choices were made while looking at these tables: some defaults on the first two
spaces, and how `mnasnet`, `fbnet` and `gpt` become graphs.
"""


def read_back(space: Space, measured: MeasuredTable) -> int:
    """Count the rows that are written as they were read."""
    return sum(
        space.format(architecture) == text
        for architecture, text in zip(measured.architectures, measured.texts, strict=True)
    )


def encoder_for(space: Space, measured: MeasuredTable, label: str) -> PretrainedEncoder:
    """Return the shipped encoder, or pre-train one on the table's architectures."""
    shipped = shipped_encoder(space, "gin", DEFAULT_FORM)
    if shipped is not None:
        return shipped
    config = PretrainConfig.for_space(space.name, "gin")
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=EPOCHS))
    rows = np.random.default_rng(0).permutation(len(measured))[:MOST_UNLABELLED]
    with progress_bar(f"{label}: pre-training") as report:
        return pretrain(space, measured.architectures[np.sort(rows)], config, report=report)


def run(task: Task, folder: Path, work: Path, seeds: int) -> None:
    """Do what is missing of a task."""
    space = get(task.space)
    label = f"{task.table}, {task.target}"
    results = {method: work / f"{task.table}-{method}.json" for method in METHODS}
    missing = [method for method, path in results.items() if not path.exists()]
    back = work / f"{task.table}-rows.json"
    if not missing and back.exists():
        return
    path = folder / f"{task.table}.parquet"
    measured = read_table(path, space, task.target, duplicates="mean")
    if not back.exists():
        whole = read_table(path, space)
        counts = {"rows": len(whole), "read_back": read_back(space, whole), "distinct": len(measured)}
        write_json(back, {**counts, "space_size": space.size})
        print(
            f"{label}: {counts['read_back']} of {counts['rows']} rows are written as they were read",
            flush=True,
        )
    encoder = encoder_for(space, measured, label) if "fgp-gin" in missing else None
    for method in missing:

        def make_predictor(seed: int, method: str = method) -> Predictor:
            own = encoder if method == "fgp-gin" else None
            return Predictor(space, method, minimize=task.minimize, seed=seed, encoder=own)

        with progress_bar(f"{label}: {method}") as report:
            evaluation = evaluate(
                space, measured, make_predictor, labels=LABELS, seeds=range(seeds), report=report
            )
        mean = evaluation.to_json()["mean"]
        print(
            f"{label}: {method} tau {mean['kendall_tau']:.3f}, P@5% {mean['precision_at']['5']:.2f}",
            flush=True,
        )
        write_json(results[method], {**evaluation.to_json(), "hardware": hardware()})


def page(work: Path, seeds: int) -> str:
    """Write the page from what is kept in `work`, and leave out tables that are not done."""
    done = [
        task
        for task in TASKS
        if all((work / f"{task.table}-{part}.json").exists() for part in (*METHODS, "rows"))
    ]
    lines = [
        *INTRODUCTION.format(labels=LABELS, last=seeds - 1, epochs=EPOCHS, most=MOST_UNLABELLED).splitlines(),
        "",
        "| table | target | " + " | ".join(METHODS) + " |",
        "|---|---|" + "---|" * len(METHODS),
    ]
    best, beaten = 0, 0
    for task in done:
        cells, taus = [], {}
        for method in METHODS:
            record = json.loads((work / f"{task.table}-{method}.json").read_text())
            mean, std = record["mean"], record["std"]
            taus[method] = mean["kendall_tau"]
            cells.append(
                f"{mean['kendall_tau']:.3f} ± {std['kendall_tau']:.3f} / {mean['precision_at']['5']:.2f}"
            )
        best += taus["fgp-gin"] >= max(taus.values())
        beaten += min(taus[method] for method in METHODS[1:]) > taus["random"]
        aim = f"{task.target}, least first" if task.minimize else task.target
        lines.append(f"| {task.table} | {aim} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Every method beats `random` on {beaten} of {len(done)} tables; `fgp-gin` has the highest tau on "
        f"{best}.",
        "",
        "## Rows read back",
        "",
        "Each row is parsed and written again. *Same text* counts the rows whose text comes back as it was.",
        "",
        "| table | space | rows | same text | distinct architectures | size of the space |",
        "|---|---|---|---|---|---|",
    ]
    for task in done:
        rows: dict[str, Any] = json.loads((work / f"{task.table}-rows.json").read_text())
        size = rows["space_size"]
        shown = "no end" if size is None else f"{size:,}" if size < 10**9 else f"{size:.2g}"
        counts = " | ".join(f"{rows[name]:,}" for name in ("rows", "read_back", "distinct"))
        lines.append(f"| {task.table} | {task.space} | {counts} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Do what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/every_space"), help="where results are kept")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labels")
    parser.add_argument(
        "--tables", nargs="+", choices=[task.table for task in TASKS], help="only these tables"
    )
    options = parser.parse_args()
    if "ARCHFLOW_DATA" not in os.environ:
        sys.exit("set ARCHFLOW_DATA to the folder of the tables")
    pin_threads()
    options.work.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        if not options.tables or task.table in options.tables:
            run(task, Path(os.environ["ARCHFLOW_DATA"]), options.work, options.seeds)
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(options.work, options.seeds), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
