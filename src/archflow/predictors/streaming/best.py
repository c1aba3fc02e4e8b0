"""The best so many of candidates that arrive batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from archflow.predictors.targets import Order
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class Wish:
    """What is kept of candidates; any split of them into batches gives the same.

    Attributes:
        order: Conditions, and how predictions order candidates; not by Pareto fronts, which no part of the
            candidates knows.
        labels: The labels of each target in its own units, T arrays.
        top: K, how many are kept.
    """

    order: Order
    labels: tuple[FloatArray, ...]
    top: int

    def choose(self, predicted: FloatArray) -> NDArray[np.int64]:
        """Return the rows of the K best of predictions (A, T) that meet the conditions; equals in order."""
        met = np.ones(len(predicted), dtype=bool)
        for condition in self.order.conditions:
            met &= condition.holds(predicted[:, self.order.targets.place(condition.target)])
        rows = np.flatnonzero(met)
        unconditional = dataclasses.replace(self.order, conditions=())
        return rows[unconditional.choose(predicted[rows], self.labels, self.top)[0]]


@dataclasses.dataclass(frozen=True, eq=False)
class Best:
    """The best of the candidates seen so far, best first.

    Attributes:
        files: Number of the file of each, (K,) int64.
        rows: 1-based row number in its file, (K,) int64.
        predicted: Predictions in the targets' units, (K, T) float64.
        texts: Their texts.
    """

    files: NDArray[np.int64]
    rows: NDArray[np.int64]
    predicted: FloatArray
    texts: list[str]

    @classmethod
    def none(cls, targets: int) -> Self:
        """Return the best of nothing."""
        whole = np.zeros(0, dtype=np.int64)
        return cls(whole, whole, np.zeros((0, targets)), [])

    def __len__(self) -> int:
        return len(self.rows)

    def joined(
        self,
        wish: Wish,
        file: int,
        rows: NDArray[np.int64],
        predicted: FloatArray,
        text: Callable[[int], str],
    ) -> Best:
        """Return the best of these and of more candidates, which come later in the order of files and rows.

        Args:
            wish: What is kept.
            file: Number of the file of the new ones.
            rows: Their row numbers, (A,).
            predicted: Their predictions, (A, T).
            text: From a position among the new ones to its text; only asked for those that are kept.
        """
        known = len(self)
        every = np.concatenate([self.predicted, predicted])
        chosen = wish.choose(every)
        return Best(
            np.concatenate([self.files, np.full(len(rows), file)])[chosen],
            np.concatenate([self.rows, rows])[chosen],
            every[chosen],
            [self.texts[i] if i < known else text(i - known) for i in chosen.tolist()],
        )

    def to_json(self) -> dict[str, Any]:
        """Return all but the files as plain JSON values, every digit kept."""
        return {"rows": self.rows.tolist(), "predicted": self.predicted.tolist(), "texts": self.texts}

    def joined_json(self, wish: Wish, file: int, value: Mapping[str, Any]) -> Best:
        """Join what `to_json` returned for a part of a file."""
        rows = np.array(value["rows"], dtype=np.int64)
        predicted = np.array(value["predicted"], dtype=np.float64).reshape(len(rows), self.predicted.shape[1])
        return self.joined(wish, file, rows, predicted, value["texts"].__getitem__)
