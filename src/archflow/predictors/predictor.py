"""The front door: fit on a few labelled architectures, predict and rank any others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from archflow.datasets import require_labels
from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError, UsageError
from archflow.files import require_absent
from archflow.graphs import DEFAULT_FORM, Architecture, ArchitectureTable, Form, Operations
from archflow.predictors.fine_tuned import FineTuneConfig, FineTuned
from archflow.predictors.labels import Labels
from archflow.predictors.methods import DEFAULT, method_named
from archflow.predictors.onehot_forest import OneHotForest
from archflow.predictors.random_order import RandomOrder
from archflow.predictors.ranking import Ranking
from archflow.predictors.shipped import shipped_encoder, unlabelled_architectures, within_budget
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.pretrain.encoder import require_vocabulary
from archflow.progress import Report, silent
from archflow.protocols import FittedPredictor, FloatArray, Space
from archflow.records import versions
from archflow.training import TrainingConfig, load_checkpoint, resolve_device, save_checkpoint
from archflow.training.checkpoints import require_content, with_prefix, without_prefix

KIND = "predictor"
Architectures = ArchitectureTable | Sequence[Architecture]
_SEEDS = 2**32  # scikit-learn takes no more


@dataclasses.dataclass(frozen=True)
class PredictorConfig:
    """The choices of a predictor.

    Attributes:
        method: A name in the registry of methods.
        form: The form of the graphs that encoders see; the other methods see them as written.
        minimize: Whether a lower target is better.
        seed: Seed of everything random.
        fine_tuning: How encoders are fine-tuned.
    """

    method: str = DEFAULT
    form: Form = DEFAULT_FORM
    minimize: bool = False
    seed: int = 0
    fine_tuning: FineTuneConfig = FineTuneConfig()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PredictorConfig:
        """Rebuild the choices from `dataclasses.asdict`.

        Raises:
            CheckpointError: A key is unknown or missing.
        """
        try:
            tuning = value["fine_tuning"]
            training = TrainingConfig(**tuning["training"])
            return cls(**{**value, "fine_tuning": FineTuneConfig(**{**tuning, "training": training})})
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"not the settings of a predictor: {error}") from error


class Predictor:
    """Rank the architectures of a space from a few labelled ones.

    Args:
        space: The search space.
        method: A name in `METHODS`.
        form: The form of the graphs that encoders see: "as-written", "pruned" or "collapsed".
        minimize: Whether a lower target is better, as with losses and latencies.
        seed: Seed of everything random.
        device: "auto", "cpu", "cuda" and the like.
        encoder: A pre-trained encoder for the fgp methods. Without one, and without `pretraining`, they take
            the encoder that archflow ships for the space. Otherwise `fit` pre-trains one first.
        unlabelled: Architectures to pre-train on; by default the whole space, a sample where it is large, the
            labelled architectures where it has no end.
        pretraining: How to pre-train; by default as published.
        fine_tuning: How encoders are fine-tuned.
        sizes: The sizes of an encoder that starts afresh; a pre-trained one has its own.

    Raises:
        UnknownNameError: There is no such method or form.
        UsageError: The device is not there; an encoder is given to a method that takes none; the encoder, its
            sizes or the pre-training settings are for another kind of encoder or another form.
        CheckpointError: The encoder was trained for another vocabulary.
    """

    def __init__(
        self,
        space: Space,
        method: str = DEFAULT,
        *,
        form: Form = DEFAULT_FORM,
        minimize: bool = False,
        seed: int = 0,
        device: str = "auto",
        encoder: PretrainedEncoder | None = None,
        unlabelled: ArchitectureTable | None = None,
        pretraining: PretrainConfig | None = None,
        fine_tuning: FineTuneConfig | None = None,
        sizes: EncoderConfig | None = None,
    ) -> None:
        self.space = space
        self.method = method_named(method)
        tuning = fine_tuning or FineTuneConfig.default(
            str(self.method.encoder), pretrained=self.method.pretrained
        )
        self.config = PredictorConfig(method, form, minimize, seed, tuning)
        self.encoder = encoder
        self._device, self._unlabelled, self._pretraining = device, unlabelled, pretraining
        self._sizes = sizes
        self._fitted: FittedPredictor | None = None
        self._labels: Labels | None = None
        self._provenance: dict[str, Any] | None = (
            None  # of the pre-trained encoder, kept through save and load
        )
        if not 0 <= seed < _SEEDS:
            raise UsageError(f"seed must be between 0 and {_SEEDS - 1}, not {seed}")
        resolve_device(device)
        PretrainConfig(form=form)  # checks the form's name
        if not self.method.pretrained and any(x is not None for x in (encoder, unlabelled, pretraining)):
            raise UsageError(
                f"method {method!r} does not pre-train; choose one that begins with fgp, "
                "or leave out encoder, unlabelled and pretraining"
            )
        if sizes is not None and (sizes.name != self.method.encoder or self.method.pretrained):
            raise UsageError(
                f"method {method!r} takes no sizes of encoder {sizes.name}; they are for the method "
                f"{sizes.name!r}, and for others part of the pre-training settings"
            )
        if pretraining is not None:
            self._check_pretraining(pretraining, "the pre-training settings")
        if encoder is not None:
            self._check_encoder(encoder)

    def fit(
        self,
        architectures: Architectures,
        values: Sequence[float] | FloatArray,
        *,
        validation: tuple[Architectures, Sequence[float] | FloatArray] | None = None,
        report: Report = silent,
    ) -> Self:
        """Learn from measured architectures.

        Args:
            architectures: N architectures as written.
            values: What was measured for each, (N,).
            validation: More of the same that choose the epoch of a fine-tuned encoder.
            report: Progress.

        Returns:
            This predictor.

        Raises:
            TableError: There are fewer than 4 labels, they are all equal, or one is not finite.
            UnknownNameError: An architecture has an operation that the space lacks.
        """
        labels = self._as_labels(architectures, values)
        if self.method.encoder is None:
            self._fitted = self._fit_baseline(labels)
        else:
            if self.method.pretrained and self.encoder is None:
                self.encoder = self._find_encoder(labels.table, report)
            fine_tuned = self._fresh_encoder()
            if self.encoder is not None:
                fine_tuned.start_from(self.encoder)
                self._provenance = self.encoder.content()
            checked = None if validation is None else self._as_labels(*validation)
            fine_tuned.fit(labels, self.config.fine_tuning, validation=checked, report=report)
            fine_tuned.calibrate(labels)
            self._fitted = fine_tuned
        self._labels = labels
        return self

    def predict(
        self, architectures: Architectures, *, return_std: bool = False, report: Report = silent
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict the target.

        Args:
            architectures: A architectures as written.
            return_std: Whether to return standard deviations too.
            report: Progress.

        Returns:
            The predicted target, (A,), in its own units; with `return_std` the standard deviations too.

        Raises:
            UsageError: The predictor is not fitted.
        """
        table = self._as_table(architectures)
        fitted = self._require_fitted()
        mean = self._sign * fitted.mean(table, report)
        return (mean, fitted.spread(table, report)) if return_std else mean

    def rank(self, candidates: Architectures, top: int | None = None, *, report: Report = silent) -> Ranking:
        """Rank candidates, best predicted first.

        Args:
            candidates: A architectures as written.
            top: How many to return; by default all.
            report: Progress.

        Raises:
            UsageError: The predictor is not fitted, or `top` is below 1.
        """
        if top is not None and top < 1:
            raise UsageError(f"top must be at least 1, not {top}")
        table = self._as_table(candidates)
        fitted = self._require_fitted()
        scores = fitted.mean(table, report)
        rows = np.argsort(-scores, kind="stable")[:top]
        chosen = table[rows]
        return Ranking(rows, self._sign * scores[rows], fitted.spread(chosen, report), chosen)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the predictor as a checkpoint folder.

        Raises:
            UsageError: The predictor is not fitted.
            OutputExistsError: The folder exists and `overwrite` is false.
        """
        fitted = self._require_fitted()
        labels = self._labels
        assert labels is not None
        require_absent(Path(folder), overwrite=overwrite)
        tensors = with_prefix("labels", labels.tensors())
        content: dict[str, Any] = {
            "kind": KIND,
            "space": self.space.name,
            "operations": labels.table.operations.to_json(),
            "config": dataclasses.asdict(self.config),
            "versions": versions(),
        }
        if isinstance(fitted, FineTuned):
            tensors |= with_prefix("model", fitted.tensors())
            content["encoder"] = dataclasses.asdict(fitted.encoder_config)
            content["pretraining"] = self._provenance
        save_checkpoint(Path(folder), tensors, content)

    @classmethod
    def load(cls, folder: Path | str, space: Space, *, device: str = "auto") -> Predictor:
        """Read a predictor that `save` wrote; baselines are fitted again from the labels they kept.

        Args:
            folder: The checkpoint folder.
            space: The search space that it was fitted on.
            device: Where to predict.

        Raises:
            CheckpointError: The checkpoint is damaged, edited, of another kind or for another vocabulary.
        """
        where = str(folder)
        tensors, content = load_checkpoint(Path(folder))
        require_content(content, KIND, ("space", "operations", "config"), where)
        require_vocabulary(Operations.from_json(content["operations"]), space.operations, where)
        config = PredictorConfig.from_json(content["config"])
        predictor = cls(
            space, config.method, form=config.form, minimize=config.minimize, seed=config.seed, device=device,
            fine_tuning=config.fine_tuning,
        )  # fmt: skip
        labels = Labels.restore(without_prefix("labels", tensors), space.operations)
        predictor._restore(labels, without_prefix("model", tensors), content, where)
        return predictor

    def _restore(
        self, labels: Labels, weights: Mapping[str, Tensor], content: Mapping[str, Any], where: str
    ) -> None:
        self._labels = labels
        if self.method.encoder is None:
            self._fitted = self._fit_baseline(labels)
            return
        self._provenance = content["pretraining"]
        fine_tuned = self._fresh_encoder(EncoderConfig(**content["encoder"]))
        fine_tuned.restore(weights, where)
        fine_tuned.calibrate(labels)
        self._fitted = fine_tuned

    @property
    def n_parameters(self) -> int | None:
        """Number of trained parameters of a fitted encoder and its head; None for other methods."""
        if not isinstance(self._fitted, FineTuned):
            return None
        return sum(weights.numel() for weights in self._fitted.module.parameters())

    @property
    def _sign(self) -> float:
        return -1.0 if self.config.minimize else 1.0

    def _fit_baseline(self, labels: Labels) -> FittedPredictor:
        baseline = RandomOrder if self.method.name == "random" else OneHotForest
        return baseline(labels, self.config.seed)

    def _fresh_encoder(self, config: EncoderConfig | None = None) -> FineTuned:
        return FineTuned(
            config or self._encoder_config(),
            self.config.form,
            self.space.operations,
            self.config.seed,
            resolve_device(self._device),
        )

    def _encoder_config(self) -> EncoderConfig:
        if self.encoder is not None:
            return self.encoder.config.encoder
        return self._sizes or EncoderConfig.default(str(self.method.encoder))

    def _find_encoder(self, labelled: ArchitectureTable, report: Report) -> PretrainedEncoder:
        name, form = str(self.method.encoder), self.config.form
        if self._pretraining is None:
            shipped = shipped_encoder(self.space, name, form)
            if shipped is not None:
                return shipped
        config = self._pretraining or PretrainConfig.for_space(
            self.space.name, name, form=form, seed=self.config.seed
        )
        table = self._unlabelled
        if table is None:
            table = unlabelled_architectures(self.space, self.config.seed)
        if table is None:
            table = labelled
        if self._pretraining is None:
            table, config = within_budget(table, config)
        return pretrain(self.space, table, config, device=self._device, report=report)

    def _check_encoder(self, encoder: PretrainedEncoder) -> None:
        require_vocabulary(encoder.operations, self.space.operations, "the pre-trained encoder")
        self._check_pretraining(encoder.config, "the pre-trained encoder")

    def _check_pretraining(self, config: PretrainConfig, where: str) -> None:
        for what, own, wanted in (
            ("encoder", config.encoder.name, self.method.encoder),
            ("form", config.form, self.config.form),
        ):
            if own != wanted:
                raise UsageError(
                    f"method {self.method.name} with form {self.config.form} needs {what} {wanted}, "
                    f"but {where} has {own}"
                )

    def _as_table(self, architectures: Architectures) -> ArchitectureTable:
        if isinstance(architectures, ArchitectureTable):
            require_vocabulary(self.space.operations, architectures.operations, f"space {self.space.name}")
            return architectures
        return ArchitectureTable.of(architectures, self.space.operations)

    def _as_labels(self, architectures: Architectures, values: Sequence[float] | FloatArray) -> Labels:
        return Labels(self._as_table(architectures), self._sign * require_labels(values))

    def _require_fitted(self) -> FittedPredictor:
        if self._fitted is None:
            raise UsageError("this predictor has seen no labels yet; call fit or load first")
        return self._fitted
