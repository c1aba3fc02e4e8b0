"""Predicting with the encoder in bfloat16, and how much that changes a ranking."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np

from archflow.encoders.embedding import Precision, require_precision
from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors.fine_tuned import FineTuned
from archflow.predictors.methods import METHODS, Method
from archflow.predictors.predictor import Predictor

SAMPLE = 1000
"""Candidates that are predicted in both precisions."""

_SHARE = 10  # one in so many is the best where no top is wished
_FEWEST = 10  # of the best that are compared in a sample


def require_encoder(method: Method, precision: Precision) -> None:
    """Refuse another precision than float32 for a method that fine-tunes no encoder.

    Raises:
        UnknownNameError: There is no such precision.
        UsageError: The method fine-tunes none; names those that do.
    """
    require_precision(precision)
    if precision != "float32" and method.encoder is None:
        others = ", ".join(name for name, other in METHODS.items() if other.encoder is not None)
        raise UsageError(
            f"{precision} is for methods that fine-tune an encoder ({others}); "
            f"{method.name} computes in float32"
        )


def in_precision(predictor: Predictor, precision: Precision) -> Predictor:
    """Return a predictor that shares what another has learnt and whose encoder computes in a precision.

    Args:
        predictor: Fitted or loaded, by a method that fine-tunes an encoder; it stays as it is.
        precision: "bfloat16" rounds the encoder's weights and states to eight significant bits. The head, and
            all that `fit` does, stay in float32.

    Raises:
        UnknownNameError: There is no such precision.
        UsageError: The method fine-tunes no encoder, or the predictor is not fitted.
    """
    require_encoder(predictor.method, precision)
    other = copy.copy(predictor)
    other.precision = precision
    other._fitted = tuple(copy.copy(fitted) for fitted in predictor._require_fitted())
    for fitted in other._fitted:
        if isinstance(fitted, FineTuned):
            fitted.precision = precision
    return other


@dataclasses.dataclass(frozen=True)
class RankChange:
    """How predictions in a lower precision order a sample of candidates, against those in float32.

    Attributes:
        precision: The lower precision.
        sample: How many candidates were predicted in both.
        top: How many of the best are compared.
        kendall_tau: Kendall's tau-b between both predictions by name of the target.
        changed: How many of the best in float32 are not among the best any more, by name of the target.
    """

    precision: Precision
    sample: int
    top: int
    kendall_tau: dict[str, float]
    changed: dict[str, int]

    def sentences(self) -> list[str]:
        """Say it in a sentence for each target."""
        several = len(self.changed) > 1
        return [
            f"{self.precision} against float32{f', {name}' if several else ''}: Kendall's tau "
            f"{self.kendall_tau[name]:.4f} on {self.sample} candidates; of the best {self.top} of them "
            f"{changed} {'changes' if changed == 1 else 'change'}"
            for name, changed in self.changed.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return dataclasses.asdict(self)


def rank_change(
    predictor: Predictor,
    candidates: ArchitectureTable,
    top: int | None = None,
    *,
    of: int | None = None,
    size: int = SAMPLE,
    seed: int = 0,
) -> RankChange:
    """Predict a sample of candidates in a predictor's precision and in float32, and compare the orders.

    Args:
        predictor: One that `in_precision` returned.
        candidates: A architectures as written, two or more.
        top: K, how many are wished. The best K are compared where the sample is all candidates, else the same
            share of the sample, at least ten; without K a tenth.
        of: How many candidates there are where `candidates` are some of them; by default A.
        size: Most architectures of the sample.
        seed: Draws it.

    Raises:
        UsageError: There are fewer than two candidates, or the predictor is not fitted.
    """
    count = len(candidates) if of is None else of
    rows = np.sort(np.random.default_rng(seed).permutation(len(candidates))[:size])
    sample, single = candidates[rows], in_precision(predictor, "float32")
    wished = len(rows) / _SHARE if top is None else top * len(rows) / max(count, 1)
    best = min(max(math.ceil(wished), 1 if len(rows) == count else _FEWEST), len(rows))
    low, exact = (np.reshape(own.predict(sample, warn=False), (len(rows), -1)) for own in (predictor, single))
    tau, changed = {}, {}
    for target, (name, sign) in enumerate(zip(predictor.targets.names, predictor.targets.signs, strict=True)):
        tau[name] = kendall_tau(low[:, target], exact[:, target])
        before, after = (np.argsort(-sign * own[:, target], kind="stable")[:best] for own in (exact, low))
        changed[name] = len(np.setdiff1d(before, after))
    return RankChange(predictor.precision, len(rows), best, tau, changed)
