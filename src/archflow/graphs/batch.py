"""What encoders see: a batch of graphs as tensors."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archflow.graphs.columns import Columns, IntArray


class HostGraphs(NamedTuple):
    """What can be asked of a batch's graphs off the device: the arrays that `GraphBatch` names so."""

    operation_ids: IntArray
    sources: IntArray
    targets: IntArray
    node_offsets: IntArray
    edge_offsets: IntArray
    attributes: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class GraphBatch:
    """B graphs with N nodes and E edges in all; nodes count over the whole batch.

    Attributes:
        operation_ids: Operation of every node, (N,) int64.
        sources: Source node of every edge, (E,) int64.
        targets: Target node of every edge, (E,) int64.
        graph_ids: The graph of every node, (N,) int64, ascending.
        node_offsets: Where each graph's nodes start, (B + 1,) int64.
        edge_offsets: Where each graph's edges start, (B + 1,) int64.
        attributes: Numbers of every node, (N, F) float32; F is often 0.
    """

    operation_ids: Tensor
    sources: Tensor
    targets: Tensor
    graph_ids: Tensor
    node_offsets: Tensor
    edge_offsets: Tensor
    attributes: Tensor

    @classmethod
    def of(cls, columns: Columns, device: torch.device | str = "cpu") -> Self:
        """Build a batch from columns by array slicing alone."""
        host = HostGraphs(
            columns.operation_ids.astype(np.int64),
            *columns.global_edges(),
            columns.node_offsets.copy(),
            columns.edge_offsets.copy(),
            columns.attributes.copy(),
        )
        moved = {name: on_device(array, device) for name, array in host._asdict().items()}
        batch = cls(graph_ids=on_device(columns.node_rows(), device), **moved)
        batch.__dict__["host"] = host
        return batch

    @cached_property
    def host(self) -> HostGraphs:
        """The graphs off the device; they only come back from there if `of` did not send them."""
        return HostGraphs(*(getattr(self, name).cpu().numpy() for name in HostGraphs._fields))

    def to_columns(self) -> Columns:
        """Take the batch apart again: exactly the columns it was built from."""
        shift = torch.repeat_interleave(self.node_offsets[:-1], torch.diff(self.edge_offsets))
        return Columns(
            self.operation_ids.cpu().numpy().astype(np.int16),
            self.node_offsets.cpu().numpy(),
            (self.sources - shift).cpu().numpy().astype(np.int32),
            (self.targets - shift).cpu().numpy().astype(np.int32),
            self.edge_offsets.cpu().numpy(),
            self.attributes.cpu().numpy(),
        )

    @property
    def n_graphs(self) -> int:
        """B, the number of graphs."""
        return len(self.node_offsets) - 1

    @property
    def n_nodes(self) -> int:
        """N, the number of nodes of all graphs."""
        return len(self.operation_ids)

    def to(self, device: torch.device | str) -> Self:
        """Return the batch on another device."""
        fields = {field.name: getattr(self, field.name).to(device) for field in dataclasses.fields(self)}
        moved = dataclasses.replace(self, **fields)
        if (
            "host" in self.__dict__ or self.operation_ids.device.type == "cpu"
        ):  # where it costs nothing to have
            moved.__dict__["host"] = self.host
        return moved

    def mean_over_nodes(self, values: Tensor) -> Tensor:
        """Average node values over each graph: (N, D) to (B, D)."""
        sums = values.new_zeros(self.n_graphs, values.shape[1]).index_add(0, self.graph_ids, values)
        return sums / torch.diff(self.node_offsets).to(values.dtype).unsqueeze(1)


def on_device(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """Return an array as a tensor on a device: of a GPU without waiting for it, on the CPU without a copy."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":  # which only copies from pinned memory while others go on
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
