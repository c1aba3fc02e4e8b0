"""A method fitted to one target: from its labels, or put back from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

from torch import Tensor

from archflow.encoders import EncoderConfig
from archflow.errors import plural
from archflow.graphs import ArchitectureTable, Operations
from archflow.predictors.blend import Blend
from archflow.predictors.blocks import FeatureBlocks
from archflow.predictors.fine_tuned import FineTuned
from archflow.predictors.graph_features_forest import GraphFeaturesForest
from archflow.predictors.labels import Labels
from archflow.predictors.methods import method_named
from archflow.predictors.onehot_forest import OneHotForest
from archflow.predictors.random_order import RandomOrder
from archflow.predictors.saved import PredictorConfig
from archflow.predictors.targets import Targets
from archflow.pretrain import PretrainedEncoder
from archflow.progress import Report, silent
from archflow.protocols import FittedPredictor, FloatArray
from archflow.training import resolve_device
from archflow.workers import threads_for

_BASELINES: Mapping[str, Callable[[Labels, int], FittedPredictor]] = {
    "random": RandomOrder,
    "onehot-rf": OneHotForest,
    "graph-features-rf": GraphFeaturesForest,
}


class Fitting:
    """Fits a method to one target after the other; blends share the features of architectures.

    Args:
        config: The choices.
        labels: The labels of every target.
        encoder: The pre-trained encoder to start from, where the method needs one or is given one.
        sizes: The sizes of an encoder that starts afresh.
        device: Where to train and predict: "auto", "cpu", "cuda" and the like.
    """

    def __init__(
        self,
        config: PredictorConfig,
        labels: Sequence[Labels],
        *,
        encoder: PretrainedEncoder | None = None,
        sizes: EncoderConfig | None = None,
        device: str = "auto",
    ) -> None:
        self._config, self._method = config, method_named(config.method)
        self._encoder, self._sizes, self._device = encoder, sizes, resolve_device(device)
        if self._method.views is not None:
            self._blocks = FeatureBlocks(Labels.joined(labels), config.seed, encoder)

    def fit(
        self, labels: Labels, *, validation: Labels | None = None, report: Report = silent
    ) -> FittedPredictor:
        """Fit the method to one target.

        Args:
            labels: What to fit.
            validation: More labels, that choose the epoch of a fine-tuned encoder.
            report: Progress.
        """
        with threads_for(len(labels.values)):
            return self._fit(labels, validation, report)

    def _fit(self, labels: Labels, validation: Labels | None, report: Report) -> FittedPredictor:
        method, seed = self._method, self._config.seed
        if method.views is not None:
            return Blend(
                labels, method.views, seed,
                blocks=self._blocks, encoder=self._encoder, device=self._device, report=report,
            )  # fmt: skip
        if method.encoder is None:
            return _BASELINES[method.name](labels, seed)
        given = self._sizes if self._encoder is None else self._encoder.config.encoder
        model = self._fresh(given or EncoderConfig.default(method.encoder), labels.table.operations)
        if self._encoder is not None:
            model.start_from(self._encoder)
        model.fit(labels, self._config.fine_tuning, validation=validation, report=report)
        model.calibrate(labels)
        return model

    def restore(
        self, labels: Labels, weights: Mapping[str, Tensor], encoder: EncoderConfig | None, where: str
    ) -> FittedPredictor:
        """Put back what was fitted to one target; a method without weights is fitted again.

        Args:
            labels: What was fitted.
            weights: The weights of a fine-tuned encoder by name.
            encoder: Which encoder these are of, if any.
            where: The checkpoint, for messages.

        Raises:
            CheckpointError: The weights are no such encoder's.
        """
        if self._method.encoder is None:
            return self.fit(labels)
        sizes = encoder or EncoderConfig.default(self._method.encoder)
        model = self._fresh(sizes, labels.table.operations)
        model.restore(weights, where)
        model.calibrate(labels)
        return model

    def _fresh(self, encoder: EncoderConfig, operations: Operations) -> FineTuned:
        return FineTuned(encoder, self._config.form, operations, self._config.seed, self._device)


def explanation_of(fitted: FittedPredictor, config: PredictorConfig, labels: Labels) -> str:
    """Return what a method says of itself, else its description and the number of labels."""
    own = getattr(fitted, "explain", None)
    if own is not None:
        return str(own())
    return f"{method_named(config.method).description}; fitted on {plural(len(labels.values), 'label')}."


def interval_of(
    fitted: FittedPredictor, table: ArchitectureTable, coverage: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of a method's own intervals, else of Gaussian ones, (A,) each.

    Args:
        fitted: What was fitted to one target.
        table: A architectures as written.
        coverage: The probability that an interval holds a new measurement.
    """
    own = getattr(fitted, "interval", None)
    if own is not None:
        lower, upper = own(table, coverage)
        return lower, upper
    mean = fitted.mean(table)
    half = NormalDist().inv_cdf((1 + coverage) / 2) * fitted.spread(table)
    return mean - half, mean + half


def reports_of(targets: Targets, report: Report) -> list[Report]:
    """Return for each target a report that names it, if there are several."""
    if len(targets.names) == 1:
        return [report]
    return [
        lambda done, total, remark="", name=name: report(done, total, f"{name} {remark}".rstrip())
        for name in targets.names
    ]
