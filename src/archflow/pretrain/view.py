"""What a pretext task sees of a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

from torch import Tensor, nn

from archflow.graphs import GraphBatch
from archflow.graphs.batch import on_device
from archflow.graphs.columns import IntArray
from archflow.training.distributed import SharedEncoder


@dataclasses.dataclass(frozen=True, eq=False)
class PretextView:
    """A batch, and its embeddings once a task asks for them: tasks that share a view share one encoder call.

    Attributes:
        encoder: The encoder being trained, for tasks that show it other graphs than the batch.
        batch: B graphs with N nodes.
        host_rows: Their rows in the table, (B,) int64.
    """

    encoder: nn.Module
    batch: GraphBatch
    host_rows: IntArray

    @cached_property
    def rows(self) -> Tensor:
        """The graphs' rows in the table, (B,) int64, on the batch's device."""
        return on_device(self.host_rows, self.batch.operation_ids.device)

    @cached_property
    def _embeddings(self) -> Sequence[Tensor]:
        pair: Sequence[Tensor] = self.encoder(self.batch)
        return pair

    @property
    def nodes(self) -> Tensor:
        """The node embeddings, (N, D)."""
        return self._embeddings[0]

    @property
    def graphs(self) -> Tensor:
        """The graph embeddings, (B, D)."""
        return self._embeddings[1]

    @property
    def own_nodes(self) -> slice:
        """The nodes that the encoder sees in this process: all, unless several processes share the batch."""
        return self.encoder.own_nodes(self.batch) if isinstance(self.encoder, SharedEncoder) else slice(None)
