"""The front door: fit on a few labelled architectures, predict and rank any others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archflow.encoders import EncoderConfig
from archflow.encoders.embedding import Precision
from archflow.errors import UsageError
from archflow.files import require_absent
from archflow.graphs import DEFAULT_FORM, Architecture, ArchitectureTable, Form
from archflow.predictors.encoder_source import find_encoder, require_source
from archflow.predictors.familiarity import Familiarity
from archflow.predictors.fine_tuned import FineTuneConfig, FineTuned
from archflow.predictors.fitting import Fitting, explanation_of, interval_of, reports_of
from archflow.predictors.labels import Labels, label_array
from archflow.predictors.measured import beside, fitted_columns, require_values, wished_columns
from archflow.predictors.methods import DEFAULT, method_named
from archflow.predictors.ranking import Ranking
from archflow.predictors.saved import PredictorConfig, SavedPredictor
from archflow.predictors.targets import Condition, Order, Targets, squeezed
from archflow.pretrain import PretrainConfig, PretrainedEncoder
from archflow.pretrain.encoder import require_vocabulary
from archflow.progress import Report, silent
from archflow.protocols import FittedPredictor, FloatArray, Space
from archflow.training import resolve_device

Architectures = ArchitectureTable | Sequence[Architecture]
_SEEDS = 2**32  # scikit-learn takes no more


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
        columns: Names of the measured columns that `fit` will get, for messages and commands; by default
            "column_1", "column_2", ...
        seed: Seed of everything random.
        device: "auto", "cpu", "cuda" and the like.
        encoder: A pre-trained encoder for the fgp methods or `auto`. Without one, and without `pretraining`,
            an fgp method takes the encoder that archflow ships for the space; where it ships none, `fit`
            pre-trains one first. `auto` does without.
        unlabelled: Architectures to pre-train on; by default the whole space, a sample where it is large, the
            labelled architectures where it has no end.
        pretraining: How to pre-train; by default as published.
        fine_tuning: How encoders are fine-tuned.
        sizes: The sizes of an encoder that starts afresh; a pre-trained one has its own.

    Attributes:
        precision: What its encoder computes in; `in_precision` gives one with another.

    Raises:
        UnknownNameError: There is no such method or form.
        UsageError: The device is not there; an encoder is given to a method that takes none; the encoder, its
            sizes or the pre-training settings are for another kind of encoder or another form; names and
            directions of targets are not equally many, or a name is given twice; the method takes no columns.
        CheckpointError: The encoder was trained for another vocabulary.
    """

    precision: Precision = "float32"

    def __init__(
        self,
        space: Space,
        method: str = DEFAULT,
        *,
        form: Form = DEFAULT_FORM,
        minimize: bool | Sequence[bool] = False,
        targets: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
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
        self._columns = wished_columns(self.method, columns)
        self.config = PredictorConfig(
            method, form, directions[0] if one_answer else directions, seed, tuning, self._columns or ()
        )
        self.encoder = encoder
        self._device, self._unlabelled, self._pretraining = device, unlabelled, pretraining
        self._sizes = sizes
        self._fitted: tuple[FittedPredictor, ...] = ()  # one a target, as the labels
        self._labels: tuple[Labels, ...] = ()
        self._familiarity: Familiarity | None = None  # with the labelled architectures, once it is needed
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
        columns: ArrayLike | None = None,
        validation: tuple[Architectures, ArrayLike] | None = None,
        report: Report = silent,
    ) -> Self:
        """Learn from measured architectures; each target by itself, from those that have a label for it.

        Args:
            architectures: N architectures as written.
            values: What was measured for each, (N,); for T targets (N, T), NaN where nothing was measured.
            columns: What else was measured, (N, C), NaN where nothing was; candidates need the same columns.
            validation: More of the same that choose the epoch of a fine-tuned encoder.
            report: Progress.

        Returns:
            This predictor.

        Raises:
            TableError: A target has fewer than 4 labels, they are all equal, or one is not finite; a measured
                column is empty or holds an infinite number.
            UsageError: The names or directions are for another number of targets, or the names of columns for
                another number of those; the method takes no columns.
            UnknownNameError: An architecture has an operation that the space lacks.
        """
        table, array = self._as_table(architectures), label_array(values)
        targets = Targets.of(self._names, self.config.minimize, 1 if array.ndim == 1 else array.shape[1])
        names = fitted_columns(self.method, self._columns, columns)
        config = dataclasses.replace(self.config, columns=names)
        labels = Labels.by_target(beside(table, columns, names), array, targets)
        checked: tuple[Labels | None, ...] = (None,) * len(labels)
        if validation is not None and self.method.encoder is not None:
            checked = Labels.by_target(self._as_table(validation[0]), label_array(validation[1]), targets)
        for own in labels:
            require_values(own.table, names)
        if self.encoder is None:
            self.encoder = find_encoder(
                self.space, config, table, self._pretraining, self._unlabelled, self._device, report
            )
        if self.encoder is not None:
            self._provenance = self.encoder.content()
        fitting = Fitting(config, labels, encoder=self.encoder, sizes=self._sizes, device=self._device)
        self._fitted = tuple(
            fitting.fit(own, validation=choosing, report=to)
            for own, choosing, to in zip(labels, checked, reports_of(targets, report), strict=True)
        )
        self.config, self._labels, self.targets, self._familiarity = config, labels, targets, None
        return self

    def predict(
        self,
        architectures: Architectures,
        *,
        columns: ArrayLike | None = None,
        return_std: bool = False,
        warn: bool = True,
        report: Report = silent,
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict the targets.

        Args:
            architectures: A architectures as written.
            columns: The measured columns that `fit` had, (A, C).
            return_std: Whether to return standard deviations too.
            warn: Whether to look for architectures unlike the labelled ones, and warn of them.
            report: Progress.

        Returns:
            The predicted target, (A,), or targets, (A, T), in their own units; with `return_std` the standard
            deviations too.

        Raises:
            UsageError: The predictor is not fitted, or not with so many columns.
            TableError: The columns have another number of rows, or hold an infinite number.

        Warns:
            UnlikeWarning: Some are unlike the labelled ones; says how many and why.
        """
        plain, table = self._candidates(architectures, columns)
        if warn:
            self._known().find_unlike(plain, "predicted")
        spread = self._spreads(table, report) if return_std else None  # first: some then know the mean
        mean = squeezed(self._means(table, report))
        return mean if spread is None else (mean, spread)

    def unlike(self, architectures: Architectures) -> NDArray[np.bool_]:
        """Say which architectures are so unlike the labelled ones that predictions of them are worth little.

        `archflow.predictors.familiarity.Familiarity` says what counts: operations without a label, sizes far
        outside the labelled range, many more nodes, or a graph that is far from all. It is the same for every
        method, because it looks at the architectures alone.

        Args:
            architectures: A architectures as written.

        Returns:
            (A,) bool.

        Raises:
            UsageError: The predictor is not fitted.
        """
        return self._known().reasons(self._as_table(architectures)) > 0

    def interval(
        self, architectures: Architectures, coverage: float = 0.8, *, columns: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Predict intervals that should hold new measurements with the given probability.

        A method that has intervals of its own gives those; of the others it is the mean and the quantile of
        a Gaussian with the standard deviation of `predict`.

        Args:
            architectures: A architectures as written.
            coverage: The probability.
            columns: The measured columns that `fit` had, (A, C).

        Returns:
            The lower and the upper ends, (A,) each, or (A, T), in the targets' units.

        Raises:
            UsageError: The predictor is not fitted, or not with so many columns, or the coverage is not
                between 0 and 1.
            TableError: The columns have another number of rows, or hold an infinite number.
        """
        if not 0 < coverage < 1:
            raise UsageError(f"coverage must be between 0 and 1, not {coverage}")
        _, table = self._candidates(architectures, columns)
        ends = np.stack([interval_of(model, table, coverage) for model in self._fitted], axis=2)
        lower, upper = np.sort(self.targets.signs * ends, axis=0)
        return squeezed(lower), squeezed(upper)

    def explain(self) -> str:
        """Say what the predictor does and what it has seen, in sentences; a paragraph for each target.

        Raises:
            UsageError: The predictor is not fitted.
        """
        each = zip(self._require_fitted(), self._labels, strict=True)
        texts = [explanation_of(fitted, self.config, labels) for fitted, labels in each]
        if len(texts) == 1:
            return texts[0]
        return "\n\n".join(f"{name}: {text}" for name, text in zip(self.targets.names, texts, strict=True))

    def rank(
        self,
        candidates: Architectures,
        top: int | None = None,
        *,
        columns: ArrayLike | None = None,
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
            columns: The measured columns that `fit` had, (A, C).
            weights: Weights by name of the target, of predictions standardised by the labels' mean and
                deviation; a target without one does not count. More weight always asks for better.
            where: Conditions that the predictions of a candidate must meet, such as "latency_ms<5".
            pareto: First those that no other beats in every target, then those that only these beat, and so
                on; within a front by the sum of the standardised predictions.
            report: Progress.

        Raises:
            UsageError: The predictor is not fitted, or not with so many columns, `top` is below 1, weights or
                conditions make no sense, or no candidate meets the conditions.
            TableError: The columns have another number of rows, or hold an infinite number.
            UnknownNameError: A weight or a condition is for no target.

        Warns:
            UnlikeWarning: Some of those returned are unlike the labelled ones; says how many and why.
        """
        if top is not None and top < 1:
            raise UsageError(f"top must be at least 1, not {top}")
        plain, table = self._candidates(candidates, columns)
        order = Order.of(self.targets, weights, where, pareto)
        every = top is None and not order.conditions
        spreads = self._spreads(table, report) if every else None  # first, as in `predict`
        predicted = self._means(table, report)
        values = [sign * own.values for sign, own in zip(self.targets.signs, self._labels, strict=True)]
        rows, fronts = order.choose(predicted, values, top)
        chosen = plain[rows]
        unlike = self._known().find_unlike(chosen, "ranked")
        spread = self._spreads(table[rows], report) if spreads is None else spreads[rows]
        return Ranking(rows, squeezed(predicted[rows]), spread, chosen, fronts, unlike)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the predictor as a checkpoint folder.

        Raises:
            UsageError: The predictor is not fitted.
            OutputExistsError: The folder exists and `overwrite` is false.
        """
        fitted = self._require_fitted()
        require_absent(Path(folder), overwrite=overwrite)
        SavedPredictor.of(
            self.config, self.targets, self._labels, fitted, self.encoder, self._provenance
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
            columns=config.columns or None, seed=config.seed, device=device, fine_tuning=config.fine_tuning,
        )  # fmt: skip
        predictor._labels, predictor._provenance = saved.labels, saved.provenance
        predictor.encoder = saved.pretrained(Path(folder), space.operations)
        fitting = Fitting(config, saved.labels, encoder=predictor.encoder, device=device)
        predictor._fitted = tuple(
            fitting.restore(labels, model, saved.encoder, str(folder))
            for labels, model in zip(saved.labels, saved.models, strict=True)
        )
        return predictor

    @property
    def n_parameters(self) -> int | None:
        """Number of trained parameters of fitted encoders and their heads; None for other methods."""
        models = [fitted.module for fitted in self._fitted if isinstance(fitted, FineTuned)]
        return sum(weights.numel() for module in models for weights in module.parameters()) or None

    def _means(self, table: ArchitectureTable, report: Report) -> FloatArray:
        """Return the predicted targets in their own units, (A, T)."""
        reports = reports_of(self.targets, report)
        means = [own.mean(table, to) for own, to in zip(self._require_fitted(), reports, strict=True)]
        return np.asarray(self.targets.signs * np.stack(means, axis=1))

    def _spreads(self, table: ArchitectureTable, report: Report) -> FloatArray:
        """Return the standard deviations of the predictions, (A,) or (A, T)."""
        reports = reports_of(self.targets, report)
        spreads = [own.spread(table, to) for own, to in zip(self._require_fitted(), reports, strict=True)]
        return squeezed(np.stack(spreads, axis=1))

    def _as_table(self, architectures: Architectures) -> ArchitectureTable:
        if isinstance(architectures, ArchitectureTable):
            require_vocabulary(self.space.operations, architectures.operations, f"space {self.space.name}")
            return architectures
        return ArchitectureTable.of(architectures, self.space.operations)

    def _candidates(
        self, architectures: Architectures, columns: ArrayLike | None
    ) -> tuple[ArchitectureTable, ArchitectureTable]:
        """Return architectures that are to be predicted, without and with their measured columns."""
        plain = self._as_table(architectures)
        self._require_fitted()
        return plain, beside(plain, columns, self.config.columns)

    def _known(self) -> Familiarity:
        self._require_fitted()
        if self._familiarity is None:
            self._familiarity = Familiarity(Labels.joined(self._labels))
        return self._familiarity

    def _require_fitted(self) -> tuple[FittedPredictor, ...]:
        if not self._fitted:
            raise UsageError("this predictor has seen no labels yet; call fit or load first")
        return self._fitted
