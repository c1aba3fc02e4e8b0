"""The main job, end to end and offline, on the embedded digits benchmark."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from archflow.benchmark.evaluate import Evaluation, evaluate
from archflow.datasets import MeasuredTable, digits_table, draw_labels
from archflow.networks import DIGITS, train_network
from archflow.predictors import Predictor
from archflow.pretrain import PretrainedEncoder
from archflow.progress import Report, silent
from archflow.protocols import Space
from archflow.spaces import NASBench201

LABELS = 100
METHODS = ("random", "onehot-rf", "fgp-gin", "auto")
TRAINED = 5
NETWORK_SEEDS = (0, 1)


@dataclasses.dataclass(frozen=True)
class TrainedCell:
    """A cell of the ranking's top and what it reached.

    Attributes:
        text: The cell.
        predicted: Predicted validation accuracy, percent.
        reached: Measured validation accuracy, percent, mean over the seeds of the table.
        labelled: Whether it was among the labelled cells.
    """

    text: str
    predicted: float
    reached: float
    labelled: bool


@dataclasses.dataclass(frozen=True)
class Demo:
    """What the demo measured.

    Attributes:
        evaluations: One a method, on the same labels.
        ranked: Number of cells ranked.
        rank_seconds: Seconds it took to rank them.
        top: The best predicted cells, trained.
        best_labelled: Best accuracy among the labels, percent.
        best_of_table: Best accuracy in the whole table, percent.
        seconds: Seconds of the whole demo.
    """

    evaluations: Sequence[Evaluation]
    ranked: int
    rank_seconds: float
    top: Sequence[TrainedCell]
    best_labelled: float
    best_of_table: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the demo as plain values."""
        return {
            **dataclasses.asdict(dataclasses.replace(self, evaluations=())),
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
        }


def run_demo(
    *,
    seed: int = 0,
    device: str = "auto",
    encoder: PretrainedEncoder | None = None,
    methods: Sequence[str] = METHODS,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
    report: Report = silent,
) -> Demo:
    """Fit on 100 labels of the digits benchmark, rank all of NAS-Bench-201 and train the top for real.

    Args:
        seed: Draws the labels and seeds the methods.
        device: Where to train and predict.
        encoder: A pre-trained encoder for fgp-gin; by default the one that archflow ships.
        methods: What to compare; the last one ranks the space.
        on_evaluation: Called with each evaluation as it finishes.
        report: Progress of whatever is running.
    """
    started = time.perf_counter()
    space, table = NASBench201(), digits_table()

    def predictor_of(method: str, seed: int) -> Predictor:
        given = encoder if method.startswith("fgp-") else None
        return Predictor(space, method, seed=seed, device=device, encoder=given)

    evaluations = []
    for method in methods:
        make_predictor = functools.partial(predictor_of, method)
        evaluations.append(evaluate(space, table, make_predictor, labels=LABELS, seeds=[seed], report=report))
        on_evaluation(evaluations[-1])

    labelled, _ = draw_labels(len(table), LABELS, seed)
    predictor = predictor_of(methods[-1], seed)
    predictor.fit(table.architectures[labelled], table.values[labelled], report=report)
    rank_started = time.perf_counter()
    whole = space.all()
    ranking = predictor.rank(whole, top=TRAINED, report=report)
    rank_seconds = time.perf_counter() - rank_started
    return Demo(
        evaluations,
        len(whole),
        rank_seconds,
        _train_top(space, table, labelled, ranking, report),
        float(table.values[labelled].max()),
        float(table.values.max()),
        time.perf_counter() - started,
    )


def _train_top(
    space: Space,
    table: MeasuredTable,
    labelled: np.ndarray[Any, np.dtype[np.int64]],
    ranking: Any,
    report: Report,
) -> list[TrainedCell]:
    known = {table.texts[row] for row in labelled}
    top = []
    for number, (mean, _, architecture) in enumerate(ranking):
        report(number, len(ranking), "training the best predicted cells")
        reached = [train_network(architecture, DIGITS, s).valid_accuracy for s in NETWORK_SEEDS]
        text = space.format(architecture)
        top.append(TrainedCell(text, mean, float(np.mean(reached)), text in known))
    return top
