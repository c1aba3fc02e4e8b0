"""Node attributes on one scale: channels in the hundreds beside kernels of three."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from archflow.graphs.columns import Columns


@dataclasses.dataclass(frozen=True, eq=False)
class AttributeScale:
    """Logarithms of attributes, standardised over the nodes that have them.

    Sizes act by their ratios, hence the logarithm: a number a becomes (sign(a) log(1 + |a|) - centre) /
    spread, and 0, which says that a node has none, stays 0. Where an attribute does not vary, all that have
    it get 1, so that it still tells them from the others.

    Attributes:
        centre: Mean logarithm of each attribute, (F,) float32; 0 where it does not vary.
        spread: Its standard deviation, (F,) float32; where it does not vary, its value.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, columns: Columns) -> AttributeScale:
        """Measure the scale on the nodes of some architectures; 0 and 1 for what none of them has."""
        logarithms = logarithm(columns.attributes.astype(np.float64))
        present = columns.attributes != 0
        counts = np.maximum(present.sum(axis=0), 1)
        centre = logarithms.sum(axis=0) / counts  # absent ones are 0
        spread = np.sqrt(((logarithms - centre) ** 2 * present).sum(axis=0) / counts)
        varies = spread > 1e-6 * np.maximum(np.abs(centre), 1)  # the rest is rounding
        alone = np.where(centre == 0, 1, centre)  # of an attribute that no node has
        centre, spread = np.where(varies, centre, 0), np.where(varies, spread, alone)
        return cls(centre.astype(np.float32), spread.astype(np.float32))

    def __call__(self, attributes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring attributes (N, F) to the scale, (N, F) float32."""
        scaled = (logarithm(attributes) - self.centre) / self.spread
        return np.where(attributes == 0, np.float32(0), scaled).astype(np.float32)


LOGARITHM = AttributeScale(np.zeros((), np.float32), np.ones((), np.float32))
"""The logarithm alone, for any number of attributes."""


def logarithm(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return sign(x) log(1 + |x|) of numbers of any shape; what is not there, NaN, stays so."""
    return np.asarray(np.copysign(np.log1p(np.abs(values)), values))
