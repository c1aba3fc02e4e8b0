"""What `Predictor.rank` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import Architecture, ArchitectureTable
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Candidates, best predicted first.

    Iterating gives (mean, standard deviation, architecture) triples: two floats with one target, two vectors,
    (T,) each, with several.

    Attributes:
        rows: Row of each in the table of candidates, (K,) int64.
        mean: Predicted target, in its own units, (K,); (K, T) with several.
        std: Standard deviation of the prediction, in the same units and shape.
        architectures: The candidates in this order, as written.
        front: Number of the Pareto front that each lies on, from 0, (K,) int64; None in another order.
        unlike: Whether each is unlike the labelled ones (`Predictor.unlike`), (K,) bool; None where nobody
            looked.
    """

    rows: NDArray[np.int64]
    mean: FloatArray
    std: FloatArray
    architectures: ArchitectureTable
    front: NDArray[np.int64] | None = None
    unlike: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, Any, Architecture]]:
        several = self.mean.ndim > 1
        mean, std = (list(x) if several else x.tolist() for x in (self.mean, self.std))
        return zip(mean, std, self.architectures, strict=True)
