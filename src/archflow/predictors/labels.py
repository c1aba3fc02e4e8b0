"""The labelled architectures that a method is fitted on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from archflow.datasets import require_labels
from archflow.errors import TableError
from archflow.graphs import ArchitectureTable, Columns, Operations
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True)
class Labels:
    """N labelled architectures.

    Attributes:
        table: The architectures as written.
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

    def tensors(self) -> dict[str, Tensor]:
        """Return everything but the vocabulary as tensors, for a checkpoint."""
        columns = {
            field.name: torch.from_numpy(np.array(getattr(self.table.columns, field.name)))
            for field in dataclasses.fields(Columns)
        }
        return {**columns, "values": torch.from_numpy(self.values.copy())}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], operations: Operations) -> Labels:
        """Rebuild the labels from what `tensors` returned."""
        columns = Columns(*(tensors[field.name].numpy() for field in dataclasses.fields(Columns)))
        return cls(ArchitectureTable(columns, operations), tensors["values"].numpy())
