"""What all message-passing encoders share."""

from __future__ import annotations

import torch
from torch import Tensor

from archflow.graphs import GraphBatch


def undirected_edges(batch: GraphBatch) -> tuple[Tensor, Tensor]:
    """Return senders and receivers, (2 E,) each: every edge of the batch in both directions."""
    return torch.cat([batch.sources, batch.targets]), torch.cat([batch.targets, batch.sources])


def sum_by_receiver(messages: Tensor, receivers: Tensor, n_nodes: int) -> Tensor:
    """Add up messages (E, D) at their receivers (E,): (n_nodes, D)."""
    return messages.new_zeros(n_nodes, messages.shape[1]).index_add(0, receivers, messages)
