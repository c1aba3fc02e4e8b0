"""The labelled architectures that a method is fitted on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from archflow.datasets import require_labels
from archflow.errors import TableError
from archflow.graphs import ArchitectureTable, Columns, Operations
from archflow.predictors.measured import MeasuredArchitectures
from archflow.predictors.targets import Targets
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True)
class Labels:
    """N labelled architectures.

    Attributes:
        table: The architectures as written, with measured columns if there are any.
        values: The measured target, higher is better, (N,) float64.

    Raises:
        TableError: Lengths differ, a value is not finite, there are fewer than 4 labels or all are equal.
    """

    table: ArchitectureTable
    values: FloatArray

    def __post_init__(self) -> None:
        values = require_labels(self.values)
        object.__setattr__(self, "values", values)
        if len(values) != len(self.table):
            raise TableError(f"{len(self.table)} architectures need as many labels, not {len(values)}")

    @classmethod
    def by_target(cls, table: ArchitectureTable, values: FloatArray, targets: Targets) -> tuple[Labels, ...]:
        """Return the labels of each target, T of them: of the architectures that have one.

        Args:
            table: N architectures as written.
            values: What was measured, (N,), or (N, T) with NaN where nothing was.
            targets: The T targets; the values of those to minimise change sign.

        Raises:
            TableError: As for labels of one target; names the target if there are several.
        """
        if values.ndim == 1:
            return (cls(table, targets.signs * require_labels(values)),)
        if len(values) != len(table):
            raise TableError(f"{len(table)} architectures need as many rows of labels, not {len(values)}")
        labels = []
        for name, sign, column in zip(targets.names, targets.signs, values.T, strict=True):
            if np.isinf(column).any():
                row = int(np.argmax(np.isinf(column)))
                raise TableError(
                    f"target {name}: labels must be finite, or NaN where nothing was measured; "
                    f"label {row + 1} of {len(column)} is {column[row]}"
                )
            rows = np.flatnonzero(~np.isnan(column))
            measured = require_labels(column[rows], where=f"target {name}")
            labels.append(cls(table[rows], sign * measured))
        return tuple(labels)

    @staticmethod
    def joined(labels: Sequence[Labels]) -> ArchitectureTable:
        """Return the labelled architectures of every target, one target after the other."""
        tables = [own.table for own in labels]
        return type(tables[0]).concatenate(tables)

    def tensors(self) -> dict[str, Tensor]:
        """Return everything but the vocabulary as tensors, for a checkpoint."""
        columns = {
            field.name: torch.from_numpy(np.array(getattr(self.table.columns, field.name)))
            for field in dataclasses.fields(Columns)
        }
        if isinstance(self.table, MeasuredArchitectures):
            columns["measured"] = torch.from_numpy(self.table.measured.copy())
        return {**columns, "values": torch.from_numpy(self.values.copy())}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], operations: Operations) -> Labels:
        """Rebuild the labels from what `tensors` returned."""
        columns = Columns(*(tensors[field.name].numpy() for field in dataclasses.fields(Columns)))
        table = ArchitectureTable(columns, operations)
        if "measured" in tensors:
            table = MeasuredArchitectures(columns, operations, tensors["measured"].numpy())
        return cls(table, tensors["values"].numpy())


def label_array(values: ArrayLike) -> FloatArray:
    """Return labels as an array, (N,) or (N, T), float64.

    Raises:
        TableError: They are no numbers, or have other axes.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"labels must be numbers ({error})") from error
    if array.ndim not in (1, 2) or (array.ndim == 2 and not array.shape[1]):
        raise TableError(
            f"labels must have the axis (n,), or (n, targets) with one target or more; "
            f"they have shape {array.shape}"
        )
    return array
