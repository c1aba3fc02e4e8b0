"""An encoder, fresh or pre-trained, fine-tuned with a new head to rank the labelled architectures."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from archflow.encoders import EncoderConfig, fit_scale
from archflow.encoders.embedding import embed
from archflow.errors import UsageError
from archflow.graphs import Form, GraphBatch, Operations
from archflow.graphs.table import ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.labels import Labels
from archflow.pretrain import PretrainedEncoder
from archflow.pretrain.objectives import multilayer_perceptron
from archflow.progress import Report, silent
from archflow.protocols import FloatArray
from archflow.training import TrainingConfig, pairwise_hinge, train
from archflow.training.checkpoints import load_weights
from archflow.training.loop import seeded

_PASSES = 8


@dataclasses.dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune, by default much as the FGP paper does (docs/paper-to-code.md).

    Attributes:
        training: Epochs, batch size and optimizer settings.
        margin: How far apart the scores of a pair should be, in the pairwise hinge.
    """

    training: TrainingConfig = TrainingConfig(epochs=300, batch_size=16, gradient_norm=1.0)
    margin: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.margin < np.inf:
            raise UsageError(f"margin must be a finite number of at least 0, not {self.margin}")

    @classmethod
    def default(cls, encoder: str, *, pretrained: bool) -> FineTuneConfig:
        """Return the defaults for an encoder.

        FlowerFormer is trained as published (CVPR 2024), with a warm-up and a cosine. A pre-trained encoder
        takes smaller steps (docs/LOG.md doubts the gain).
        """
        config = cls()
        changes: dict[str, Any] = {}
        if encoder == "flowerformer":
            changes = {"learning_rate": 8e-4, "schedule": "cosine", "warm_up_epochs": 30}
        if pretrained:
            changes["learning_rate"] = 3e-4
        return cls(dataclasses.replace(config.training, **changes), config.margin)


class FineTuned:
    """An encoder and a two-layer head, trained end to end with a pairwise hinge.

    Without validation architectures the weights are averaged over the second half of the epochs; with them
    the epoch with the best Kendall tau on them is kept, as in the paper. Scores become values of the target
    by matching the quantiles of the labelled scores with those of the labels, which keeps the order.

    Args:
        encoder_config: Which encoder.
        form: The form of the graphs that it sees.
        operations: The vocabulary.
        seed: Seed of the head, of a fresh encoder and of training.
        device: Where to train and predict.
    """

    def __init__(
        self,
        encoder_config: EncoderConfig,
        form: Form,
        operations: Operations,
        seed: int,
        device: torch.device,
    ) -> None:
        self.encoder_config = encoder_config
        self.form, self.seed, self.device = form, seed, device
        self._pretrained = False
        width = encoder_config.width
        with seeded(seed):
            self.module = nn.ModuleDict(
                {
                    "encoder": encoder_config.build(len(operations), len(operations.attributes)),
                    "head": multilayer_perceptron([width, width, 1]),
                }
            ).to(device)

    def start_from(self, pretrained: PretrainedEncoder) -> None:
        """Take over the weights of a pre-trained encoder."""
        load_weights(self.module["encoder"], pretrained.module.state_dict(), "the pre-trained encoder")
        self._pretrained = True

    def fit(
        self,
        labels: Labels,
        config: FineTuneConfig,
        *,
        validation: Labels | None = None,
        report: Report = silent,
    ) -> None:
        """Train on labels.

        Args:
            labels: The labelled architectures.
            config: How to train.
            validation: Labelled architectures that choose the epoch.
            report: Progress.
        """
        columns = labels.table.in_form(self.form).columns
        if not self._pretrained:
            fit_scale(self.module["encoder"], columns)
        targets = torch.from_numpy(labels.values).to(self.device)
        checked = None if validation is None else validation.table.in_form(self.form)
        best, best_tau = self.module.state_dict(), -np.inf
        averaged: Any = AveragedModel(self.module)

        def loss(rows: Tensor) -> Tensor:
            batch = GraphBatch.of(columns.take(rows.numpy()), self.device)
            scores = self.module["head"](self.module["encoder"](batch)[1]).squeeze(1)
            return pairwise_hinge(scores, targets[rows.to(self.device)], config.margin)

        def after_epoch(epochs: int, _: float) -> None:
            nonlocal best, best_tau
            if validation is not None and checked is not None:
                tau = kendall_tau(self._scores(checked), validation.values)
                if tau > best_tau:
                    best, best_tau = copy.deepcopy(self.module.state_dict()), tau
            elif 2 * epochs > config.training.epochs:
                averaged.update_parameters(self.module)

        train(
            self.module,
            loss,
            len(labels.values),
            config.training,
            seed=self.seed,
            after_epoch=after_epoch,
            report=report,
        )
        self.module.load_state_dict(best if validation is not None else averaged.module.state_dict())
        self.module.eval()

    def calibrate(self, labels: Labels) -> None:
        """Match the quantiles of the labelled architectures' scores with those of their values."""
        scores = np.sort(self._scores(labels.table.in_form(self.form)))
        values = np.sort(labels.values)
        # A vanishing slope keeps scores in order where labels tie and where there are no labels.
        values = values + 1e-9 * np.ptp(values) * np.arange(len(values))
        scores, first = np.unique(scores, return_index=True)
        self._knots, self._flattest = (scores, values[first]), 1e-9 * float(np.ptp(labels.values))

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the predicted target, (A,)."""
        return self._to_values(self._scores(table.in_form(self.form), report))

    def spread(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the standard deviation of the prediction over passes with dropout on, (A,).

        A rough measure of the encoder's own doubt (Gal and Ghahramani, ICML 2016), not a calibrated interval.
        Scores become values at the slope of the labels around them.
        """
        formed = table.in_form(self.form)
        passes = []
        for number in range(_PASSES):
            with seeded(self.seed, number):
                passes.append(self._scores(formed, report, dropout=True))
        knots, values = self._knots
        tenth = max(1, len(knots) // 10)
        place = np.searchsorted(knots, np.mean(passes, axis=0))
        low, high = np.maximum(place - tenth, 0), np.minimum(place + tenth, len(knots) - 1)
        low = np.minimum(low, np.maximum(high - tenth, 0))
        slopes = (values[high] - values[low]) / np.maximum(knots[high] - knots[low], 1e-12)
        return np.asarray(np.std(passes, axis=0) * slopes)

    def _scores(
        self, formed: ArchitectureTable, report: Report = silent, *, dropout: bool = False
    ) -> FloatArray:
        scores = embed(
            self.module["encoder"],
            formed,
            head=self.module["head"],
            device=self.device,
            dropout=dropout,
            report=lambda done, total: report(done, total, ""),
        )
        return scores.reshape(-1).astype(np.float64)

    def _to_values(self, scores: FloatArray) -> FloatArray:
        """Read values off the curve; beyond its ends, go on as steeply as its end but level out soon.

        The best of thousands may beat the best of a few dozen, though not by much: at most by half of what
        the labels of the flatter end rise over a tenth of them. It is never quite flat, to keep the order.
        """
        knots, values = self._knots
        tenth = min(max(1, len(knots) // 10), len(knots) - 1)
        rises = values[tenth] - values[0], values[-1] - values[-1 - tenth]
        runs = knots[tenth] - knots[0], knots[-1] - knots[-1 - tenth]
        level = max(float(min(rises)) / 2, self._flattest)

        def beyond(end: int, distance: FloatArray) -> FloatArray:
            slope = float(rises[end]) / max(float(runs[end]), 1e-12)
            return np.asarray(level * np.tanh(slope / level * distance) + self._flattest * distance)

        below = beyond(0, np.maximum(knots[0] - scores, 0))
        above = beyond(1, np.maximum(scores - knots[-1], 0))
        return np.asarray(np.interp(scores, knots, values) - below + above)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, for a checkpoint."""
        return dict(self.module.state_dict())

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Put back what `tensors` returned; `load_weights` says what is raised."""
        load_weights(self.module, tensors, where)
        self.module.eval()
