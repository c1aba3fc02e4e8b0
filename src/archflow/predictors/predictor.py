"""The front door: fit on a few labelled architectures, predict and rank any others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from archflow.encoders import EncoderConfig
from archflow.errors import UsageError, plural
from archflow.files import require_absent
from archflow.graphs import DEFAULT_FORM, Architecture, ArchitectureTable, Form
from archflow.predictors.blend import Blend
from archflow.predictors.blocks import FeatureBlocks
from archflow.predictors.encoder_source import find_encoder, require_source
from archflow.predictors.fine_tuned import FineTuneConfig, FineTuned
from archflow.predictors.graph_features_forest import GraphFeaturesForest
from archflow.predictors.labels import Labels, label_array
from archflow.predictors.methods import DEFAULT, method_named
from archflow.predictors.onehot_forest import OneHotForest
from archflow.predictors.random_order import RandomOrder
from archflow.predictors.ranking import Ranking
from archflow.predictors.saved import PredictorConfig, SavedPredictor
from archflow.predictors.targets import Condition, Order, Targets
from archflow.pretrain import PretrainConfig, PretrainedEncoder
from archflow.pretrain.encoder import require_vocabulary
from archflow.progress import Report, silent
from archflow.protocols import FittedPredictor, FloatArray, Space
from archflow.training import resolve_device
from archflow.training.checkpoints import with_prefix

Architectures = ArchitectureTable | Sequence[Architecture]
_SEEDS = 2**32  # scikit-learn takes no more
_BASELINES: Mapping[str, Callable[[Labels, int], FittedPredictor]] = {
    "random": RandomOrder,
    "onehot-rf": OneHotForest,
    "graph-features-rf": GraphFeaturesForest,
}


class Predictor:
    """Rank the architectures of a space from a few labelled ones.

    Args:
        space: The search space.
        method: A name in `METHODS`.
        form: The form of the graphs that encoders see: "as-written", "pruned" or "collapsed".
        minimize: Whether a lower target is better, as with losses and latencies; of several targets one
            answer for all, or one for each.
        targets: Names of the targets, for conditions, weights and messages; by default "target", or
            "target_1", "target_2", ... where there are several.
        seed: Seed of everything random.
        device: "auto", "cpu", "cuda" and the like.
        encoder: A pre-trained encoder for the fgp methods and `auto`. Without one, and without `pretraining`,
            they take the encoder that archflow ships for the space. Where it ships none, `fit` pre-trains one
            first for an fgp method, and `auto` does without.
        unlabelled: Architectures to pre-train on; by default the whole space, a sample where it is large, the
            labelled architectures where it has no end.
        pretraining: How to pre-train; by default as published.
        fine_tuning: How encoders are fine-tuned.
        sizes: The sizes of an encoder that starts afresh; a pre-trained one has its own.

    Raises:
        UnknownNameError: There is no such method or form.
        UsageError: The device is not there; an encoder is given to a method that takes none; the encoder, its
            sizes or the pre-training settings are for another kind of encoder or another form; names and
            directions of targets are not equally many, or a name is given twice.
        CheckpointError: The encoder was trained for another vocabulary.
    """

    def __init__(
        self,
        space: Space,
        method: str = DEFAULT,
        *,
        form: Form = DEFAULT_FORM,
        minimize: bool | Sequence[bool] = False,
        targets: str | Sequence[str] | None = None,
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
        self.targets = Targets.of(targets, minimize)
        self._names = None if targets is None else self.targets.names
        directions = self.targets.minimize
        one_answer = np.ndim(minimize) == 0 or len(directions) == 1
        self.config = PredictorConfig(method, form, directions[0] if one_answer else directions, seed, tuning)
        self.encoder = encoder
        self._device, self._unlabelled, self._pretraining = device, unlabelled, pretraining
        self._sizes = sizes
        self._fitted: tuple[FittedPredictor, ...] = ()  # one a target, as the labels
        self._labels: tuple[Labels, ...] = ()
        self._provenance: Mapping[str, Any] | None = None  # of the pre-trained encoder, also once loaded
        if not 0 <= seed < _SEEDS:
            raise UsageError(f"seed must be between 0 and {_SEEDS - 1}, not {seed}")
        resolve_device(device)
        PretrainConfig(form=form)  # checks the form's name
        require_source(
            self.method, form, space.operations,
            encoder=encoder, unlabelled=unlabelled, pretraining=pretraining, sizes=sizes,
        )  # fmt: skip

    def fit(
        self,
        architectures: Architectures,
        values: ArrayLike,
        *,
        validation: tuple[Architectures, ArrayLike] | None = None,
        report: Report = silent,
    ) -> Self:
        """Learn from measured architectures; each target by itself, from those that have a label for it.

        Args:
            architectures: N architectures as written.
            values: What was measured for each, (N,); for T targets (N, T), NaN where nothing was measured.
            validation: More of the same that choose the epoch of a fine-tuned encoder.
            report: Progress.

        Returns:
            This predictor.

        Raises:
            TableError: A target has fewer than 4 labels, they are all equal, or one is not finite.
            UsageError: The names or directions are for another number of targets.
            UnknownNameError: An architecture has an operation that the space lacks.
        """
        table, array = self._as_table(architectures), label_array(values)
        targets = Targets.of(self._names, self.config.minimize, 1 if array.ndim == 1 else array.shape[1])
        labels = Labels.by_target(table, array, targets)
        checked: tuple[Labels | None, ...] = (None,) * len(labels)
        if validation is not None and self.method.encoder is not None:
            checked = Labels.by_target(self._as_table(validation[0]), label_array(validation[1]), targets)
        if self.encoder is None:
            self.encoder = find_encoder(
                self.space, self.config, table, self._pretraining, self._unlabelled, self._device, report
            )
        if self.encoder is not None:
            self._provenance = self.encoder.content()
        self._prepare(table)
        self._fitted = tuple(
            self._fit_one(own, choosing, to)
            for own, choosing, to in zip(labels, checked, self._reports(targets, report), strict=True)
        )
        self._labels, self.targets = labels, targets
        return self

    def predict(
        self, architectures: Architectures, *, return_std: bool = False, report: Report = silent
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict the targets.

        Args:
            architectures: A architectures as written.
            return_std: Whether to return standard deviations too.
            report: Progress.

        Returns:
            The predicted target, (A,), or targets, (A, T), in their own units; with `return_std` the standard
            deviations too.

        Raises:
            UsageError: The predictor is not fitted.
        """
        table = self._as_table(architectures)
        mean = self._means(table, report)
        return (_squeezed(mean), self._spreads(table, report)) if return_std else _squeezed(mean)

    def interval(self, architectures: Architectures, coverage: float = 0.8) -> tuple[FloatArray, FloatArray]:
        """Predict intervals that should hold new measurements with the given probability.

        A method that has intervals of its own gives those; of the others it is the mean and the quantile of
        a Gaussian with the standard deviation of `predict`.

        Args:
            architectures: A architectures as written.
            coverage: The probability.

        Returns:
            The lower and the upper ends, (A,) each, or (A, T), in the targets' units.

        Raises:
            UsageError: The predictor is not fitted, or the coverage is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise UsageError(f"coverage must be between 0 and 1, not {coverage}")
        table = self._as_table(architectures)
        lower, upper = [], []
        for sign, fitted in zip(self.targets.signs, self._require_fitted(), strict=True):
            own = getattr(fitted, "interval", None)
            if own is None:
                mean = fitted.mean(table)
                half = NormalDist().inv_cdf((1 + coverage) / 2) * fitted.spread(table)
                ends = mean - half, mean + half
            else:
                ends = own(table, coverage)
            ends = ends if sign > 0 else (-ends[1], -ends[0])
            lower.append(ends[0])
            upper.append(ends[1])
        return _squeezed(np.stack(lower, axis=1)), _squeezed(np.stack(upper, axis=1))

    def explain(self) -> str:
        """Say what the predictor does and what it has seen, in sentences; a paragraph for each target.

        Raises:
            UsageError: The predictor is not fitted.
        """
        parts = []
        for name, fitted, labels in zip(
            self.targets.names, self._require_fitted(), self._labels, strict=True
        ):
            own = getattr(fitted, "explain", None)
            count = plural(len(labels.values), "label")
            text = f"{self.method.description}; fitted on {count}." if own is None else own()
            parts.append(f"{name}: {text}" if len(self._fitted) > 1 else text)
        return "\n\n".join(parts)

    def rank(
        self,
        candidates: Architectures,
        top: int | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        where: str | Condition | Sequence[str | Condition] = (),
        pareto: bool = False,
        report: Report = silent,
    ) -> Ranking:
        """Rank candidates, best predicted first.

        Of several targets the first decides, or a weighted sum, or the Pareto fronts.

        Args:
            candidates: A architectures as written.
            top: How many to return; by default all.
            weights: Weights by name of the target, of predictions standardised by the labels' mean and
                deviation; a target without one does not count. More weight always asks for better.
            where: Conditions that the predictions of a candidate must meet, such as "latency_ms<5".
            pareto: First those that no other beats in every target, then those that only these beat, and so
                on; within a front by the sum of the standardised predictions.
            report: Progress.

        Raises:
            UsageError: The predictor is not fitted, `top` is below 1, weights or conditions make no sense,
                or no candidate meets the conditions.
            UnknownNameError: A weight or a condition is for no target.
        """
        if top is not None and top < 1:
            raise UsageError(f"top must be at least 1, not {top}")
        table = self._as_table(candidates)
        self._require_fitted()
        order = Order.of(self.targets, weights, where, pareto)
        predicted = self._means(table, report)
        values = [sign * own.values for sign, own in zip(self.targets.signs, self._labels, strict=True)]
        rows, fronts = order.choose(predicted, values, top)
        chosen = table[rows]
        return Ranking(rows, _squeezed(predicted[rows]), self._spreads(chosen, report), chosen, fronts)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the predictor as a checkpoint folder.

        Raises:
            UsageError: The predictor is not fitted.
            OutputExistsError: The folder exists and `overwrite` is false.
        """
        fitted = self._require_fitted()
        require_absent(Path(folder), overwrite=overwrite)
        trained = [model for model in fitted if isinstance(model, FineTuned)]
        SavedPredictor(
            self.config,
            self.targets,
            self._labels,
            tuple(self._weights_of(model) for model in fitted),
            trained[0].encoder_config if trained else None,
            self._provenance,
        ).write(Path(folder), self.space)

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
        saved = SavedPredictor.read(Path(folder), space)
        config = saved.config
        predictor = cls(
            space, config.method, form=config.form, minimize=config.minimize, targets=saved.targets.names,
            seed=config.seed, device=device, fine_tuning=config.fine_tuning,
        )  # fmt: skip
        predictor._labels, predictor._provenance = saved.labels, saved.provenance
        if saved.provenance is not None and predictor.method.takes_encoder:
            predictor.encoder = PretrainedEncoder.restore(
                saved.models[0], saved.provenance, str(folder), space.operations
            )
        predictor._prepare(ArchitectureTable.concatenate([labels.table for labels in saved.labels]))
        predictor._fitted = tuple(
            predictor._restore_one(labels, model, saved.encoder, str(folder))
            for labels, model in zip(saved.labels, saved.models, strict=True)
        )
        return predictor

    def _weights_of(self, fitted: FittedPredictor) -> Mapping[str, Tensor]:
        """Return what labels alone do not give back: a fine-tuned encoder, or a blend's pre-trained one."""
        if isinstance(fitted, FineTuned):
            return fitted.tensors()
        if self.encoder is not None and fitted is self._fitted[0]:
            return with_prefix("encoder", self.encoder.module.state_dict())
        return {}

    @property
    def n_parameters(self) -> int | None:
        """Number of trained parameters of fitted encoders and their heads; None for other methods."""
        models = [fitted.module for fitted in self._fitted if isinstance(fitted, FineTuned)]
        return sum(weights.numel() for module in models for weights in module.parameters()) or None

    def _fit_one(
        self, labels: Labels, validation: Labels | None = None, report: Report = silent
    ) -> FittedPredictor:
        """Fit the method to one target; the encoder of a method that pre-trains is found before."""
        if self.method.views is not None:
            return Blend(
                labels, self.method.views, self.config.seed,
                blocks=self._blocks, encoder=self.encoder, device=resolve_device(self._device), report=report,
            )  # fmt: skip
        if self.method.encoder is None:
            return _BASELINES[self.method.name](labels, self.config.seed)
        fine_tuned = self._fresh_encoder()
        if self.encoder is not None:
            fine_tuned.start_from(self.encoder)
        fine_tuned.fit(labels, self.config.fine_tuning, validation=validation, report=report)
        fine_tuned.calibrate(labels)
        return fine_tuned

    def _prepare(self, table: ArchitectureTable) -> None:
        """Let the blends of all targets share their features."""
        if self.method.views is not None:
            self._blocks = FeatureBlocks(table, self.config.seed, self.encoder)

    def _restore_one(
        self, labels: Labels, weights: Mapping[str, Tensor], encoder: EncoderConfig | None, where: str
    ) -> FittedPredictor:
        """Put back what was fitted to one target; a method without weights is fitted again."""
        if self.method.encoder is None:
            return self._fit_one(labels)
        fine_tuned = self._fresh_encoder(encoder)
        fine_tuned.restore(weights, where)
        fine_tuned.calibrate(labels)
        return fine_tuned

    def _means(self, table: ArchitectureTable, report: Report) -> FloatArray:
        """Return the predicted targets in their own units, (A, T)."""
        reports = self._reports(self.targets, report)
        means = [own.mean(table, to) for own, to in zip(self._require_fitted(), reports, strict=True)]
        return np.asarray(self.targets.signs * np.stack(means, axis=1))

    def _spreads(self, table: ArchitectureTable, report: Report) -> FloatArray:
        """Return the standard deviations of the predictions, (A,) or (A, T)."""
        reports = self._reports(self.targets, report)
        spreads = [own.spread(table, to) for own, to in zip(self._require_fitted(), reports, strict=True)]
        return _squeezed(np.stack(spreads, axis=1))

    @staticmethod
    def _reports(targets: Targets, report: Report) -> list[Report]:
        """Return for each target a report that names it, if there are several."""
        if len(targets.names) == 1:
            return [report]
        return [
            lambda done, total, remark="", name=name: report(done, total, f"{name} {remark}".rstrip())
            for name in targets.names
        ]

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

    def _as_table(self, architectures: Architectures) -> ArchitectureTable:
        if isinstance(architectures, ArchitectureTable):
            require_vocabulary(self.space.operations, architectures.operations, f"space {self.space.name}")
            return architectures
        return ArchitectureTable.of(architectures, self.space.operations)

    def _require_fitted(self) -> tuple[FittedPredictor, ...]:
        if not self._fitted:
            raise UsageError("this predictor has seen no labels yet; call fit or load first")
        return self._fitted


def _squeezed(columns: FloatArray) -> FloatArray:
    """Return (A, T) as it is, or (A,) where T is 1."""
    return columns[:, 0] if columns.shape[1] == 1 else columns
