"""What a blend is made of: predictors of normal scores that know how well they would have done unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from archflow.graphs import ArchitectureTable
from archflow.predictors.blocks import VIEW_OF_FORM, VIEWS, FeatureBlocks, Standardiser
from archflow.predictors.fine_tuned import FineTuneConfig, FineTuned
from archflow.predictors.gaussian_process import MOST_EXACT, GaussianProcess
from archflow.predictors.labels import Labels
from archflow.pretrain import PretrainedEncoder
from archflow.progress import Report, silent
from archflow.protocols import FloatArray
from archflow.training import TrainingConfig
from archflow.workers import threads_for

_MOST_APART = 32  # columns of a block that get a kernel each
_TREES = 200
_FEATURES_A_SPLIT = 1 / 3
_GRAPHS_SEEN, _GRAPHS_A_STEP = 15_000, 32  # in fine-tuning


class Expert(Protocol):
    """A fitted part of a blend.

    Attributes:
        left_out: Its prediction of each label without that label, (N,).
        left_out_variance: The variance of that, (N,).
    """

    left_out: FloatArray
    left_out_variance: FloatArray

    def mean(self, table: ArchitectureTable) -> FloatArray:
        """Return the mean, (A,), of architectures as written."""
        ...

    def predict(self, table: ArchitectureTable) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance, (A,) each; takes longer than the mean alone."""
        ...

    def explain(self) -> str:
        """Say in a few words what it saw."""
        ...


class KernelExpert:
    """A Gaussian process with a kernel over each block of a view, and over each column of those apart.

    Of a block with more than 32 columns those are taken in which most labelled architectures differ from the
    commonest value.

    Args:
        blocks: Computes the blocks.
        view: Name of the view.
        labels: Architectures with their normal scores.
        seed: Seed of what is random with many labels.
        more: Further blocks.
    """

    def __init__(
        self, blocks: FeatureBlocks, view: str, labels: Labels, seed: int, more: tuple[str, ...] = ()
    ) -> None:
        self._blocks, table = blocks, labels.table
        names = [*VIEWS[view].blocks, *blocks.beside, *more]
        own = {name: blocks.of(table, name) for name in names}
        # Each part is a block, or one column of it.
        whole = [name for name in names if np.ptp(own[name], axis=0).any()]
        self._parts: list[tuple[str, slice]] = [(name, slice(None)) for name in whole]
        for name in VIEWS[view].apart:
            own[name] = blocks.of(table, name)
            self._parts += [(name, slice(column, column + 1)) for column in _telling(own[name])]
        self._parts = self._parts or [(names[0], slice(None))]
        parts = [own[name][:, columns] for name, columns in self._parts]
        self._standardisers = [Standardiser(part) for part in parts]
        self._process = GaussianProcess(
            [scale(part) for scale, part in zip(self._standardisers, parts, strict=True)], labels.values, seed
        )
        self.left_out = self._process.left_out
        self.left_out_variance = self._process.left_out_variance

    def mean(self, table: ArchitectureTable) -> FloatArray:
        """Return the mean, (A,)."""
        with threads_for(len(self.left_out)):
            return np.concatenate([np.zeros(0), *map(self._process.mean, self._pieces(table))])

    def predict(self, table: ArchitectureTable) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance, (A,) each."""
        with threads_for(len(self.left_out)):
            parts = list(map(self._process.predict, self._pieces(table)))
        means, variances = zip(*parts, strict=True) if parts else ((), ())
        return np.concatenate([np.zeros(0), *means]), np.concatenate([np.zeros(0), *variances])

    def _pieces(self, table: ArchitectureTable) -> Iterator[list[FloatArray]]:
        """Yield the standardised parts of some rows, as many as are best predicted at once, (a, F_b) each."""
        own = [self._blocks.of(table, name)[:, columns] for name, columns in self._parts]
        step = self._process.rows_at_once
        for begin in range(0, len(table), step):
            blocks = (part[begin : begin + step] for part in own)
            yield [scale(block) for scale, block in zip(self._standardisers, blocks, strict=True)]

    def explain(self) -> str:
        """Name the blocks by their share of the kernel, and the noise."""
        weights: dict[str, float] = {}
        for (name, _), weight in zip(self._parts, self._process.weights.tolist(), strict=True):
            weights[name] = weights.get(name, 0.0) + weight
        total = sum(weights.values()) + self._process.noise
        heavy = sorted(((weight / total, name) for name, weight in weights.items()), reverse=True)
        named = ", ".join(f"{name} {share:.0%}" for share, name in heavy if share >= 0.05)
        return f"{named or 'no block stands out'}; noise {self._process.noise:.2f}"


def _telling(block: NDArray[np.float32]) -> list[int]:
    """Return the columns in which rows differ, at most 32: those with the fewest rows of one value."""
    commonest = [int(np.unique(column, return_counts=True)[1].max()) for column in block.T]
    columns = [place for place, count in enumerate(commonest) if count < len(block)]
    return sorted(sorted(columns, key=lambda place: commonest[place])[:_MOST_APART])


class TreesExpert:
    """Extremely randomised trees (Geurts, Ernst and Wehenkel 2006) on counts and one-hot nodes.

    Args:
        blocks: Computes the blocks.
        labels: Architectures with their normal scores.
        seed: Seed of the trees.
    """

    def __init__(self, blocks: FeatureBlocks, labels: Labels, seed: int) -> None:
        from sklearn.ensemble import ExtraTreesRegressor  # here, because importing it is slow

        self._blocks, targets = blocks, labels.values
        self._trees = ExtraTreesRegressor(
            _TREES,
            max_features=_FEATURES_A_SPLIT,
            bootstrap=True,
            oob_score=True,
            max_samples=min(len(targets), MOST_EXACT),
            random_state=seed,
        )
        self._trees.fit(self._features(labels.table), targets)
        # A tree that did not see a label predicts it unseen; 200 trees leave none without such a tree.
        self.left_out = np.asarray(self._trees.oob_prediction_, dtype=np.float64)
        error = float(np.mean((self.left_out - targets) ** 2))
        self.left_out_variance = np.full(len(targets), max(error, 1e-6))

    def mean(self, table: ArchitectureTable) -> FloatArray:
        """Return the mean, (A,)."""
        return self._trees.predict(self._features(table)) if len(table) else np.zeros(0)

    def predict(self, table: ArchitectureTable) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance, (A,) each; the variance is the mean squared error out of the bag."""
        return self.mean(table), np.full(len(table), self.left_out_variance[0])

    def explain(self) -> str:
        """Say how many trees there are."""
        return f"{_TREES} extremely randomised trees"

    def _features(self, table: ArchitectureTable) -> NDArray[np.float32]:
        names = (*VIEWS["counts"].blocks, *self._blocks.beside)
        blocks = [self._blocks.of(table, name) for name in names]
        # Column by column: a node of a tree reads one number of every row that reaches it.
        features = np.empty((len(table), sum(block.shape[1] for block in blocks)), np.float32, order="F")
        return np.concatenate(blocks, axis=1, out=features)


class EncoderExpert:
    """A pre-trained encoder, fine-tuned in about the same few seconds whatever the number of labels.

    Args:
        encoder: Where to start from.
        labels: Architectures with their normal scores.
        seed: Seed of the head and of training.
        device: Where to train and predict.
        report: Progress.

    Attributes:
        view: The view that sees the same form of the graph.
    """

    def __init__(
        self,
        encoder: PretrainedEncoder,
        labels: Labels,
        seed: int,
        device: torch.device,
        report: Report = silent,
    ) -> None:
        config = encoder.config
        self.view = VIEW_OF_FORM[config.form]
        self._name = config.encoder.name
        self._fitted = FineTuned(config.encoder, config.form, encoder.operations, seed, device)
        self._fitted.start_from(encoder)
        epochs = max(1, round(_GRAPHS_SEEN / max(len(labels.values), _GRAPHS_A_STEP)))
        training = TrainingConfig(
            epochs=epochs, batch_size=_GRAPHS_A_STEP, learning_rate=1e-3, gradient_norm=1.0
        )
        self._fitted.fit(labels, FineTuneConfig(training), report=report)
        self._fitted.calibrate(labels)

    def mean(self, table: ArchitectureTable) -> FloatArray:
        """Return the predicted normal score, (A,)."""
        return self._fitted.mean(table)

    def explain(self) -> str:
        """Name the encoder."""
        return f"the pre-trained {self._name} encoder, fine-tuned on all labels"
