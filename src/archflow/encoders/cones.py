"""Cones that look alike share their states: a pass over a batch, each distinct state once.

A node's cone is the node and all that reaches it. What a pass makes of a node depends on its cone alone, as a
tree of walks: its own start, and the trees of its senders. Two nodes of any two graphs with equal trees have
equal states, pass after pass in the same direction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from archflow.encoders.asynchronous import Schedule, Sweep, neighbours
from archflow.encoders.sharing import start_colours
from archflow.graphs import Columns, GraphBatch
from archflow.graphs.batch import on_device
from archflow.graphs.distinct_cones import DistinctCones

_BLOCK = 1024  # cones whose gates, messages and states fit a core's cache together


@runtime_checkable
class SharesCones(Protocol):
    """An encoder whose states depend on cones alone, of one direction or the other.

    `embed` prefers `embed_cones` to calling it: a subclass with another `forward` needs another of both.
    """

    def embed_cones(self, columns: Columns, device: torch.device | str) -> Tensor:
        """Return what the encoder gives as graph embeddings, (A, D), without dropout or gradients."""
        ...


@dataclasses.dataclass(frozen=True)
class Cones:
    """The distinct cones of a batch, generation by generation; on a CPU large generations are several.

    Attributes:
        first: A node with each cone, (n,) int64.
        places: The cone of every node, (N,) int64.
        sweep: The way through the cones, in this order.
    """

    first: Tensor
    places: Tensor
    sweep: Sweep

    @classmethod
    def of(cls, batch: GraphBatch, *, backward: bool = False) -> Self:
        """Group the nodes of a batch by their cones, of reversed edges if `backward`."""
        host = batch.host
        senders, receivers = (host.targets, host.sources) if backward else (host.sources, host.targets)
        found = DistinctCones.of(start_colours(host.operation_ids, host.attributes), senders, receivers)
        sizes, device = found.sizes, batch.operation_ids.device
        if device.type == "cpu":
            sizes = [min(_BLOCK, size - begin) for size in found.sizes for begin in range(0, size, _BLOCK)]
        senders, receivers = found.edges()
        before = neighbours(receivers, senders, sizes, device)
        after = neighbours(senders, receivers, sizes, device)
        sweep = Sweep(sizes, range(len(sizes)), before, after)
        return cls(on_device(found.first, device), on_device(found.places, device), sweep)

    def spread(self, compute: Callable[..., Tensor], schedule: Schedule, *values: Tensor) -> Tensor:
        """Compute a pass once for each cone and give it to every node that has one.

        Args:
            compute: Called with the rows of the values that belong to `first`, and the sweep: (n, D).
            schedule: The schedule of the batch.
            values: What the pass starts from, (N, D) each, in the order of the schedule.

        Returns:
            What the pass makes of every node, (N, D), in the order of the schedule.
        """
        rows = schedule.places.index_select(0, self.first)
        states = compute(*(value.index_select(0, rows) for value in values), self.sweep)
        return states.index_select(0, self.places.index_select(0, schedule.order))
