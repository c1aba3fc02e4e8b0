"""Score a method on a table: draw labels, predict all other rows, compare; several times over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np

from archflow.datasets import MeasuredTable, draw_labels
from archflow.errors import TableError, UsageError
from archflow.metrics import scores
from archflow.predictors import Predictor
from archflow.progress import Report, silent
from archflow.protocols import FloatArray, Space
from archflow.records import RunRecord


class Run(TypedDict):
    """The scores and seconds of one draw of labels."""

    seed: int
    kendall_tau: float
    spearman: float
    precision_at: dict[str, float]
    fit_seconds: float
    predict_seconds: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        space: Name of the space.
        target: The column that was predicted.
        method: Name of the method.
        labels: Labelled rows of each run.
        runs: One entry a seed.
        record: Everything needed to repeat it.
    """

    space: str
    target: str
    method: str
    labels: int
    runs: Sequence[Run]
    record: RunRecord

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation with mean and standard deviation over runs, under the same keys."""
        return {
            "space": self.space,
            "target": self.target,
            "method": self.method,
            "labels": self.labels,
            "runs": [dict(run) for run in self.runs],
            "mean": self._summary(np.mean),
            "std": self._summary(np.std),
            "record": self.record.to_json(),
        }

    def _summary(self, statistic: Callable[[list[float]], Any]) -> dict[str, Any]:
        def over_runs(get: Callable[[Run], float]) -> float:
            return float(statistic([get(run) for run in self.runs]))

        percents = self.runs[0]["precision_at"]
        return {
            "kendall_tau": over_runs(lambda run: run["kendall_tau"]),
            "spearman": over_runs(lambda run: run["spearman"]),
            "precision_at": {
                percent: over_runs(lambda run, percent=percent: run["precision_at"][percent])  # type: ignore[misc]
                for percent in percents
            },
            "fit_seconds": over_runs(lambda run: run["fit_seconds"]),
            "predict_seconds": over_runs(lambda run: run["predict_seconds"]),
        }


def evaluate(
    space: Space,
    table: MeasuredTable,
    make_predictor: Callable[[int], Predictor],
    *,
    labels: int,
    seeds: Sequence[int],
    columns: FloatArray | None = None,
    report: Report = silent,
    on_run: Callable[[Run], None] = lambda run: None,
) -> Evaluation:
    """Draw random labels for each seed, predict all other rows, and score the predictions.

    Args:
        space: The search space.
        table: Measured architectures, read with a target.
        make_predictor: Builds the predictor for a seed. A pre-trained encoder that the first one finds is
            handed on to the next, so that a pre-training run is paid for once.
        labels: Rows that are labelled.
        seeds: One run each; a seed draws the labels and seeds the method.
        columns: Measured columns of the rows to predict from, (A, C), NaN in gaps.
        report: Progress of each fit.
        on_run: Called with each run as it finishes.

    Returns:
        The evaluation.

    Raises:
        TableError: The table is constant or has too few rows.
        UsageError: `labels` is out of range, or there is no seed.
    """
    if not seeds:
        raise UsageError("an evaluation needs at least one seed")
    values = table.values
    if len(values) < 2 or np.ptp(values) == 0:
        raise TableError(f"column {table.target!r} has {len(values)} rows and no two values; nothing to rank")
    if labels > len(values) - 2:
        raise UsageError(
            f"{labels} labels leave too few of {len(values)} rows to score; "
            f"label at most {len(values) - 2}, so that 2 are left"
        )
    runs: list[Run] = []
    encoder, settings = None, {}
    for seed in seeds:
        predictor = make_predictor(seed)
        predictor.encoder = predictor.encoder or encoder
        labelled, rest = draw_labels(len(values), labels, seed)
        started = time.perf_counter()
        known, beside = (None, None) if columns is None else (columns[labelled], columns[rest])
        predictor.fit(table.architectures[labelled], values[labelled], columns=known, report=report)
        fitted = time.perf_counter()
        predicted = np.asarray(
            predictor.predict(table.architectures[rest], columns=beside, warn=False, report=report)
        )
        predicted_at = time.perf_counter()
        sign = -1.0 if predictor.config.minimize else 1.0
        run: Run = {
            "seed": int(seed),
            **scores(sign * predicted, sign * values[rest]),
            "fit_seconds": round(fitted - started, 4),
            "predict_seconds": round(predicted_at - fitted, 4),
        }
        runs.append(run)
        on_run(run)
        encoder, settings = predictor.encoder, predictor.config.to_json()
    config = {name: value for name, value in settings.items() if name != "seed"} | {"labels": labels}
    if encoder is not None:
        config["pretraining"] = encoder.content()
    record = RunRecord(
        config=config,
        seeds={f"run_{number}": int(seed) for number, seed in enumerate(seeds)},
        data_digest=table.digest,
        scores={"kendall_tau": [run["kendall_tau"] for run in runs]},
        cost={
            "fit_seconds": sum(run["fit_seconds"] for run in runs),
            "predict_seconds": sum(run["predict_seconds"] for run in runs),
        },
    )
    return Evaluation(space.name, str(table.target), settings["method"], labels, runs, record)
