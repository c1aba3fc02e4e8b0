"""What all message-passing encoders share: where nodes start, and how messages travel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archflow.graphs import AttributeScale, Columns, GraphBatch


class NodeEmbedding(nn.Module):
    """The first state of each node: a vector learnt for its operation plus a linear map of its attributes.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of attributes; 0 in spaces without.
        width: D, the width of the states.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, n_operations: int, n_attributes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_operations, width).normal_())
        self.attribute_map = nn.Linear(n_attributes, width, bias=False) if n_attributes else None
        if n_attributes:
            self.register_buffer("centre", torch.zeros(n_attributes))
            self.register_buffer("spread", torch.ones(n_attributes))

    def forward(self, batch: GraphBatch) -> Tensor:
        """Return the first states of a batch's nodes, (N, D)."""
        states = nn.functional.embedding(batch.operation_ids, self.weight)
        if self.attribute_map is None:
            return states
        values = batch.attributes  # (N, F)
        scaled = (torch.copysign(values.abs().log1p(), values) - self.centre) / self.spread
        mapped: Tensor = self.attribute_map(torch.where(values == 0, 0.0, scaled).to(states.dtype))
        return states + mapped


def fit_scale(encoder: nn.Module, columns: Columns) -> None:
    """Let an encoder standardise attributes as they spread over these architectures (`AttributeScale`)."""
    scale = AttributeScale.of(columns)
    for module in encoder.modules():
        if isinstance(module, NodeEmbedding) and module.attribute_map is not None:
            module.centre.copy_(torch.from_numpy(scale.centre))
            module.spread.copy_(torch.from_numpy(scale.spread))


def undirected_edges(batch: GraphBatch) -> tuple[Tensor, Tensor]:
    """Return senders and receivers, (2 E,) each: every edge of the batch in both directions."""
    return torch.cat([batch.sources, batch.targets]), torch.cat([batch.targets, batch.sources])


def sum_by_receiver(messages: Tensor, receivers: Tensor, n_nodes: int) -> Tensor:
    """Add up messages (E, D) at their receivers (E,): (n_nodes, D)."""
    return messages.new_zeros(n_nodes, messages.shape[1]).index_add(0, receivers, messages)
