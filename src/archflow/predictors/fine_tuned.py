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
from archflow.encoders.embedding import Precision, embed
from archflow.errors import UsageError
from archflow.graphs import Form, GraphBatch, Operations
from archflow.graphs.batch import on_device
from archflow.graphs.table import ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.labels import Labels
from archflow.predictors.value_curve import ValueCurve
from archflow.pretrain import PretrainedEncoder
from archflow.pretrain.objectives import multilayer_perceptron
from archflow.progress import Report, silent
from archflow.protocols import FloatArray
from archflow.training import TrainingConfig, pairwise_hinge, train
from archflow.training.checkpoints import load_weights
from archflow.training.loop import seeded
from archflow.workers import threads_for

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
    along a `ValueCurve`, which keeps the order.

    Args:
        encoder_config: Which encoder.
        form: The form of the graphs that it sees.
        operations: The vocabulary.
        seed: Seed of the head, of a fresh encoder and of training.
        device: Where to train and predict.

    Attributes:
        precision: What the encoder computes in where it predicts; it is fitted in float32 first.
    """

    precision: Precision = "float32"

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
            return pairwise_hinge(scores, targets[on_device(rows.numpy(), self.device)], config.margin)

        def after_epoch(epochs: int, _: float) -> None:
            nonlocal best, best_tau
            if validation is not None and checked is not None:
                tau = kendall_tau(self._scores(checked), validation.values)
                if tau > best_tau:
                    best, best_tau = copy.deepcopy(self.module.state_dict()), tau
            elif 2 * epochs > config.training.epochs:
                averaged.update_parameters(self.module)

        with threads_for(config.training.batch_size):
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
        self._curve = ValueCurve(self._scores(labels.table.in_form(self.form)), labels.values)

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the predicted target, (A,)."""
        return self._curve(self._scores(table.in_form(self.form), report))

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
        slopes = self._curve.slopes(np.mean(passes, axis=0))
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
            precision=self.precision,
            report=lambda done, total: report(done, total, ""),
        )
        return scores.reshape(-1).astype(np.float64)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, for a checkpoint."""
        return dict(self.module.state_dict())

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Put back what `tensors` returned; `load_weights` says what is raised."""
        load_weights(self.module, tensors, where)
        self.module.eval()
