"""Which architectures are so unlike the labelled ones that their predictions are worth little."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from archflow.graphs import LOGARITHM, ArchitectureTable, Columns
from archflow.predictors.blocks import PART, Standardiser
from archflow.predictors.features import operation_counts, path_statistics
from archflow.predictors.gaussian_process import squared_distances
from archflow.protocols import FloatArray

_BEYOND, _LARGER, _FARTHER = 0.5, 1.5, 2.0
_MOST_COMPARED = 2_000  # labelled architectures that distances are measured to
_DISTANCES = 2**22  # held at once
_ROUNDING = 1e-4  # of distances between equal rows
_NAMED = 3
_FAMILIAR, _NEW_OPERATION, _OTHER_SIZE, _LARGE, _FAR = range(5)


class UnlikeWarning(UserWarning):
    """Some of the architectures that were predicted or ranked are unlike the labelled ones."""


class Familiarity:
    """Knows the labelled architectures, whatever a method learnt from them.

    An architecture is unlike them if one of these holds, with the limits that random draws of labels from
    real tables hardly ever pass (docs/predictors.md):

    - a node has an operation that no labelled architecture has;
    - a size (the logarithm of an attribute) is outside the labelled range by more than half of that range;
    - it has more than 1.5 times the nodes of the largest labelled architecture;
    - it is far from all: the operation counts and path statistics of its collapsed graph, standardised on the
      labelled architectures, are more than twice as far from the nearest of theirs as any of theirs are from
      the nearest others. Where more than 2,000 labelled ones differ, that many are drawn to compare with.

    Args:
        labelled: The labelled architectures as written, of all targets together.
    """

    def __init__(self, labelled: ArchitectureTable) -> None:
        columns, self._operations = labelled.columns, labelled.operations
        self._known = np.zeros(len(self._operations), dtype=bool)
        self._known[columns.operation_ids] = True
        sizes, present = LOGARITHM(columns.attributes), columns.attributes != 0
        # Of an attribute that no labelled node has, the range is empty: any value is outside.
        low = np.where(present, sizes, np.inf).min(axis=0, initial=np.inf)
        high = np.where(present, sizes, -np.inf).max(axis=0, initial=-np.inf)
        beyond = _BEYOND * np.maximum(high - low, 0)
        self._smallest, self._largest = low - beyond, high + beyond
        self._most_nodes = _LARGER * np.diff(columns.node_offsets).max()

        features = _features(labelled)
        self._standardise = Standardiser(features)
        rows = np.unique(self._standardise(features), axis=0)
        chosen = np.random.default_rng(0).permutation(len(rows))[:_MOST_COMPARED]
        self._compared = rows[np.sort(chosen)]
        self._farthest = _FARTHER * self._nearest(self._compared, others=True).max(initial=0) + _ROUNDING

    def reasons(self, table: ArchitectureTable) -> NDArray[np.int8]:
        """Return what makes each architecture unlike the labelled ones, (A,): 0 nothing, else the first.

        Args:
            table: A architectures as written.
        """
        parts = [table] if len(table) <= PART else [table[i : i + PART] for i in range(0, len(table), PART)]
        return np.concatenate([self._reasons(part) for part in parts])

    def find_unlike(self, table: ArchitectureTable, done: str) -> NDArray[np.bool_]:
        """Say which architectures are unlike the labelled ones, (A,), and warn of them.

        Args:
            table: A architectures as written.
            done: What is done with them, such as "ranked".

        Warns:
            UnlikeWarning: There are some. It points at the caller of the caller.
        """
        reasons = self.reasons(table)
        if reasons.any():
            warnings.warn(self.describe(table, reasons, done), UnlikeWarning, stacklevel=3)
        return reasons > 0

    def describe(self, table: ArchitectureTable, reasons: NDArray[np.int8], done: str) -> str:
        """Say in a sentence how many of A architectures are unlike the labelled ones and why.

        Args:
            table: The architectures as written.
            reasons: What `reasons` returned for them, (A,), not all 0.
            done: What was done with them, such as "ranked".
        """
        counts = np.bincount(reasons, minlength=_FAR + 1)
        causes = {
            _NEW_OPERATION: f"operations without a label: {self._new_operations(table)}",
            _OTHER_SIZE: f"sizes far outside the labelled range: {self._other_sizes(table)}",
            _LARGE: "many more nodes than any labelled one",
            _FAR: "far from all",
        }
        said = []
        for reason in sorted(causes, key=lambda reason: -counts[reason]):
            one, several = ("is", "are") if reason == _FAR else ("has", "have")
            if counts[reason]:
                said.append(f"{counts[reason]} {one if counts[reason] == 1 else several} {causes[reason]}")
        number = int(np.count_nonzero(reasons))
        return (
            f"{number} of {len(reasons)} {done} architectures {'is' if number == 1 else 'are'} unlike the "
            f"labelled ones ({'; '.join(said)}): label some of them first"
        )

    def _reasons(self, table: ArchitectureTable) -> NDArray[np.int8]:
        columns, limit = table.columns, self._most_nodes
        reasons = np.where(self._distances(table) > self._farthest, _FAR, _FAMILIAR)
        reasons[np.diff(columns.node_offsets) > limit] = _LARGE
        reasons[_rows_of(columns, np.any(self._outside(columns), axis=1))] = _OTHER_SIZE
        reasons[_rows_of(columns, ~self._known[columns.operation_ids])] = _NEW_OPERATION
        return reasons.astype(np.int8)

    def _outside(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each attribute of each node is outside the labelled range, (N, F)."""
        sizes = LOGARITHM(columns.attributes)
        outside = (sizes < self._smallest) | (sizes > self._largest)
        return np.asarray(outside & (columns.attributes != 0))

    def _distances(self, table: ArchitectureTable) -> FloatArray:
        """Return how far each architecture is from the nearest labelled one, (A,)."""
        return self._nearest(self._standardise(_features(table)))

    def _nearest(self, rows: FloatArray, *, others: bool = False) -> FloatArray:
        """Return the distance of each row to the nearest compared one, (A,); with `others`, to another."""
        step, nearest = max(1, _DISTANCES // len(self._compared)), [np.zeros(0)]
        for begin in range(0, len(rows), step):
            squared = squared_distances(rows[begin : begin + step], self._compared)
            if others:
                own = np.arange(len(squared))
                squared[own, begin + own] = np.inf if len(rows) > 1 else 0
            nearest.append(np.sqrt(squared.min(axis=1)))
        return np.concatenate(nearest)

    def _new_operations(self, table: ArchitectureTable) -> str:
        counts = np.bincount(table.columns.operation_ids, minlength=len(self._known)) * ~self._known
        commonest = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        return _listed([self._operations.names[place] for place in commonest])

    def _other_sizes(self, table: ArchitectureTable) -> str:
        outside = self._outside(table.columns).any(axis=0)
        return _listed([self._operations.attributes[place] for place in np.flatnonzero(outside)])


def _features(table: ArchitectureTable) -> FloatArray:
    """Return what distances are measured in, (A, F)."""
    collapsed = table.collapsed()
    return np.hstack([operation_counts(collapsed), path_statistics(collapsed)])


def _rows_of(columns: Columns, nodes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows of some nodes, (N,) bool, each as often as it has such nodes."""
    return columns.node_rows()[nodes]


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
