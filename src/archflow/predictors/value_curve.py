"""From scores, which only order, to values of the target: a rising curve through the labels."""

from __future__ import annotations

import numpy as np

from archflow.protocols import FloatArray


class ValueCurve:
    """A rising curve that matches the quantiles of the labels' scores with those of their values.

    Beyond its ends it goes on as steeply as its end but levels out soon: the best of thousands may beat the
    best of a few dozen, though not by much, at most by half of what the labels of the flatter end rise over a
    tenth of them. It is never quite flat, so that the order of the scores is the order of the values.

    Args:
        scores: Scores of the labelled architectures, in any order, (N,).
        values: Their values, in any order, (N,), not all equal.
    """

    def __init__(self, scores: FloatArray, values: FloatArray) -> None:
        knots, ordered = np.sort(scores), np.sort(values)
        # A vanishing slope keeps scores in order where labels tie and where there are no labels.
        ordered = ordered + 1e-9 * np.ptp(ordered) * np.arange(len(ordered))
        self._knots, first = np.unique(knots, return_index=True)
        self._values, self._flattest = ordered[first], 1e-9 * float(np.ptp(values))

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Return the values of scores, both (A,)."""
        knots, values = self._knots, self._values
        tenth = min(max(1, len(knots) // 10), len(knots) - 1)
        rises = values[tenth] - values[0], values[-1] - values[-1 - tenth]
        runs = knots[tenth] - knots[0], knots[-1] - knots[-1 - tenth]
        level = max(float(min(rises)) / 2, self._flattest)

        def beyond(end: int, distance: FloatArray) -> FloatArray:
            slope = float(rises[end]) / max(float(runs[end]), 1e-12)
            return np.asarray(level * np.tanh(slope / level * distance) + self._flattest * distance)

        below = beyond(0, np.maximum(knots[0] - scores, 0))
        above = beyond(1, np.maximum(scores - knots[-1], 0))
        return np.asarray(np.interp(scores, knots, values) - below + above)

    def slopes(self, scores: FloatArray) -> FloatArray:
        """Return how steep the curve is around scores, (A,), over a tenth of the labels to either side."""
        knots, values = self._knots, self._values
        tenth = max(1, len(knots) // 10)
        place = np.searchsorted(knots, scores)
        low, high = np.maximum(place - tenth, 0), np.minimum(place + tenth, len(knots) - 1)
        low = np.minimum(low, np.maximum(high - tenth, 0))
        return np.asarray((values[high] - values[low]) / np.maximum(knots[high] - knots[low], 1e-12))
