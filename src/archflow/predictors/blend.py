"""A blend of predictors, weighted by how well each predicts the labels that it did not see."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.special import ndtr, ndtri

from archflow.errors import TableError, UsageError, plural
from archflow.graphs import ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.blocks import PART, VIEW_OF_FORM, VIEWS, FeatureBlocks
from archflow.predictors.experts import EncoderExpert, Expert, KernelExpert, TreesExpert
from archflow.predictors.gaussian_process import INDUCING, MOST_EXACT, MOST_SPARSE
from archflow.predictors.labels import Labels
from archflow.predictors.value_curve import ValueCurve
from archflow.pretrain import PretrainedEncoder
from archflow.progress import Report, silent
from archflow.protocols import FloatArray

TREES = "trees"
_SHARPNESS = 3.0  # a third more squared error than the best costs a factor e in weight
_FEWEST = 4  # different architectures


class Blend:
    """Experts on normal scores of the labels, weighted by their errors on left-out labels.

    A label's normal score is the Gaussian quantile of its rank, which gives the best labels room where raw
    values crowd. Predictions go back to values along a `ValueCurve`. Architectures that are labelled more
    than once count once, with the mean of their labels.

    Args:
        labels: What to fit.
        views: Names in `VIEWS`, or "trees"; one expert each. "sizes" is left out where nodes have no
            attributes: it is for what they add.
        seed: Seed of everything random.
        blocks: Computes the features.
        encoder: A pre-trained encoder. Its embedding is one more block of the view that sees the same form of
            the graph, and, fine-tuned, it takes half of that view's weight.
        device: Where the encoder is fine-tuned.
        report: Progress.

    Raises:
        TableError: There are fewer than 4 different architectures, or their labels are all equal.
    """

    def __init__(
        self,
        labels: Labels,
        views: Sequence[str],
        seed: int,
        *,
        blocks: FeatureBlocks | None = None,
        encoder: PretrainedEncoder | None = None,
        device: torch.device | None = None,
        report: Report = silent,
    ) -> None:
        given, labels = len(labels.values), _distinct(labels)
        self._labels, self._repeated = labels, given - len(labels.values)
        self._blocks = blocks or FeatureBlocks(labels.table, seed, encoder)
        self._scores = normal_scores(labels.values)
        self._curve = ValueCurve(self._scores, labels.values)
        scored = Labels(labels.table, self._scores)
        same_form = None if encoder is None else VIEW_OF_FORM.get(encoder.config.form)
        self._experts: dict[str, Expert] = {}
        if not labels.table.operations.attributes and len(views) > 1:
            views = [view for view in views if view != "sizes"]
        for number, view in enumerate(views):
            report(number, len(views), f"fitting {view}")
            if view == TREES:
                self._experts[view] = TreesExpert(self._blocks, scored, seed)
            else:
                more = ("embedding",) if view == same_form else ()
                self._experts[view] = KernelExpert(self._blocks, view, scored, seed, more)
        report(len(views), len(views), "")

        left_out = np.stack([expert.left_out for expert in self._experts.values()])
        self._weights = _weights(((left_out - self._scores) ** 2).mean(axis=1))
        mean = self._weights @ left_out
        variance = self._mix(left_out, [e.left_out_variance for e in self._experts.values()], mean)
        # Normalised errors of left-out labels: split-conformal intervals without a split.
        self._surprises = np.sort(np.abs(mean - self._scores) / np.sqrt(variance))
        self._left_out_tau = kendall_tau(mean, self._scores)

        self._last: weakref.ref[ArchitectureTable] | None = None
        self._encoder: EncoderExpert | None = None
        if encoder is not None and same_form in self._experts:
            self._encoder = EncoderExpert(encoder, scored, seed, device or torch.device("cpu"), report)
            self._encoder_share = float(self._weights[list(self._experts).index(same_form)]) / 2

    def mean(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return the predicted target, (A,)."""
        return self._curve(self._mean(table, report))

    def spread(self, table: ArchitectureTable, report: Report = silent) -> FloatArray:
        """Return half of the width of the central interval that holds 68 % of new labels, (A,)."""
        lower, upper = self.interval(table, float(2 * ndtr(1) - 1), report)
        return np.asarray((upper - lower) / 2)

    def interval(
        self, table: ArchitectureTable, coverage: float = 0.8, report: Report = silent
    ) -> tuple[FloatArray, FloatArray]:
        """Return the ends of intervals that hold new labels with the given probability, (A,) each.

        The standard deviation of the prediction times the quantile of the normalised errors of left-out
        labels, as in conformal prediction (Vovk, Gammerman and Shafer 2005), then the curve, which keeps
        coverage because it rises. Labels are left out in folds, not split off once and for all, so that
        coverage is not guaranteed but measured (docs/predictors.md).

        Raises:
            UsageError: The coverage is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise UsageError(f"coverage must be between 0 and 1, not {coverage}")
        mean, variance = self._predict(table, report)
        half = self._quantile(coverage) * np.sqrt(variance)
        return self._curve(mean - half), self._curve(mean + half)

    def explain(self) -> str:
        """Say which parts were used, with which weight, and why."""
        count = len(self._labels.values)
        lines = [
            f"Fitted on {plural(count, 'label')}; left-out labels are ranked with Kendall's tau "
            f"{self._left_out_tau:.2f}."
        ]
        if self._repeated:
            lines.append(
                f"{plural(self._repeated, 'label')} of architectures that have another one: averaged with it."
            )
        if count > MOST_EXACT:
            lines.append(
                f"The Gaussian processes are sparse: {INDUCING:,} of the labels stand for "
                f"{min(count, MOST_SPARSE):,} that they have seen."
            )
        lines.append("Parts by their weight, which falls with the squared error on left-out labels:")
        shares = dict(zip(self._experts, self._weights.tolist(), strict=True))
        for name in sorted(shares, key=lambda name: -shares[name]):
            expert = self._experts[name]
            seen = VIEWS["counts" if name == TREES else name].description
            tau = kendall_tau(expert.left_out, self._scores)
            lines.append(f"- {shares[name]:.0%} {name}: {seen}; left-out tau {tau:.2f}; {expert.explain()}")
        if self._encoder is not None:
            lines.append(
                f"- {self._encoder_share:.0%} of that, half of what its form of the graph has: "
                f"{self._encoder.explain()}"
            )
        return "\n".join(lines)

    def _mean(self, table: ArchitectureTable, report: Report) -> FloatArray:
        """Return the mean of the normal score, (A,)."""
        if self._last is not None and self._last() is table:
            return self._remembered[0]
        means = [
            self._mixed(part, np.stack([expert.mean(part) for expert in self._experts.values()]))
            for part in _parts(table, report)
        ]
        return np.concatenate([np.zeros(0), *means])

    def _predict(self, table: ArchitectureTable, report: Report) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance of the normal score, (A,) each; those of the last table are remembered."""
        if self._last is None or self._last() is not table:
            means, variances = [np.zeros(0)], [np.zeros(0)]
            for part in _parts(table, report):
                predictions = [expert.predict(part) for expert in self._experts.values()]
                every = np.stack([mean for mean, _ in predictions])
                variances.append(self._mix(every, [own for _, own in predictions], self._weights @ every))
                means.append(self._mixed(part, every))
            self._remembered = np.concatenate(means), np.concatenate(variances)
            self._last = weakref.ref(table)
        return self._remembered

    def _mixed(self, part: ArchitectureTable, every: FloatArray) -> FloatArray:
        """Return the blend's mean, (A,), from those of the E experts, (E, A)."""
        mean: FloatArray = self._weights @ every
        if self._encoder is None:
            return mean
        own = every[list(self._experts).index(self._encoder.view)]
        mean += self._encoder_share * (self._encoder.mean(part) - own)
        return mean

    def _mix(self, means: FloatArray, variances: Sequence[FloatArray], mean: FloatArray) -> FloatArray:
        """Return the variance of the mixture, (A,), of E experts' means (E, A) and variances."""
        return np.asarray(self._weights @ (np.stack(variances) + (means - mean) ** 2))

    def _quantile(self, coverage: float) -> float:
        """Return the normalised error that a new label exceeds with probability 1 - coverage."""
        count = len(self._surprises)
        place = math.ceil((count + 1) * coverage) - 1
        if place < count:
            return float(self._surprises[place])
        # More than the labels can tell: go on from the largest as a Gaussian would.
        largest = ndtri((1 + count / (count + 1)) / 2)
        return float(self._surprises[-1] * ndtri((1 + coverage) / 2) / largest)


def _parts(table: ArchitectureTable, report: Report) -> Iterator[ArchitectureTable]:
    """Yield a table in parts whose features are computed at once, and report each when it is done."""
    for begin in range(0, len(table), PART):
        part = table if len(table) <= PART else table[begin : begin + PART]
        yield part
        report(begin + len(part), len(table), "")


def normal_scores(values: FloatArray) -> FloatArray:
    """Return the Gaussian quantiles of the values' ranks, ties averaged, of unit variance, (N,)."""
    from scipy.stats import rankdata  # here, because importing it takes long

    scores = ndtri((rankdata(values) - 0.5) / len(values))
    return np.asarray(scores / scores.std())


def _distinct(labels: Labels) -> Labels:
    """Return each architecture once, where it comes first, with the mean of its labels."""
    _, first, group = np.unique(labels.table.keys(), return_index=True, return_inverse=True)
    if len(first) == len(labels.values):
        return labels
    if len(first) < _FEWEST:
        raise TableError(
            f"the {len(labels.values)} labels are of {plural(len(first), 'different architecture')}; "
            f"at least {_FEWEST} are needed"
        )
    means = np.bincount(group, weights=labels.values) / np.bincount(group)
    order = np.argsort(first)
    return Labels(labels.table[first[order]], means[order])


def _weights(errors: FloatArray) -> FloatArray:
    """Return weights that fall exponentially with the squared error in excess of the best, (E,)."""
    weights = np.exp(-_SHARPNESS * (errors / errors.min() - 1))
    return np.asarray(weights / weights.sum())
