"""What `Predictor.rank` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import Architecture, ArchitectureTable
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Candidates, best predicted first.

    Iterating gives (mean, standard deviation, architecture) triples.

    Attributes:
        rows: Row of each in the table of candidates, (K,) int64.
        mean: Predicted target, in its own units, (K,).
        std: Standard deviation of the prediction, in the same units, (K,).
        architectures: The candidates in this order, as written.
    """

    rows: NDArray[np.int64]
    mean: FloatArray
    std: FloatArray
    architectures: ArchitectureTable

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[float, float, Architecture]]:
        return zip(self.mean.tolist(), self.std.tolist(), self.architectures, strict=True)
