"""TA-GATES: operations that change while information flows forth and back (Ning et al., NeurIPS 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archflow.encoders.asynchronous import Schedule, Sweep
from archflow.encoders.cones import Cones
from archflow.encoders.message_passing import NodeEmbedding
from archflow.graphs import GraphBatch
from archflow.graphs.batch import on_device

# How far a time step moves the embedding of an operation, as in the paper's reference implementation.
_STEP = 0.1
_EPSILON = 1e-5


class TAGATES(nn.Module):
    """An architecture is encoded the way it is trained: forward, backward, update, and forward again.

    Each node's operation starts at its own embedding o_v. A time step lets information f_v flow along the
    edges, each operation gating what arrives (`Flow`); turns it, at nodes that send nothing, by two linear
    maps with a relu between into the start of a flow b_v on reversed edges; and updates all operations,
    o_v <- o_v + 0.1 U [o_v, f_v, b_v], U again two linear maps with a relu between. The last time step only
    goes forward. Node embeddings are a linear map of its f_v; the graph embedding is their mean over nodes.

    Departures from the paper: a flow visits each node once, after all its senders, and norms what it finds,
    so that it reaches the end of a graph of any depth (the paper stacks a fixed number of rounds); time steps
    do not share weights; gradients also pass through o_v and f_v into the update; operations of one kind
    start alike (the paper tells them apart by random numbers or zero-cost scores); input nodes count in the
    mean.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of node attributes.
        width: D, the width of information, operations and embeddings.
        layers: Number of time steps.
        dropout: Share of the information of each flow dropped in training.
    """

    def __init__(
        self,
        n_operations: int,
        n_attributes: int = 0,
        *,
        width: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.start = nn.Parameter(torch.empty(width).normal_())
        self.layers = nn.ModuleList(TimeStep(width, dropout) for _ in range(layers - 1))
        self.layers.append(Flow(width))
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(width, width)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        schedule = Schedule.of(batch)
        operations = self.embedding(batch).index_select(0, schedule.order)  # (N, D)
        # Each flow starts where nothing arrives, which in the order of the schedule comes first.
        ends = np.bincount(schedule.host_places[batch.host.sources], minlength=batch.n_nodes) == 0
        last = on_device(np.flatnonzero(ends), operations.device)
        first = schedule.forward.sizes[0]
        start = nn.functional.pad(self.start.expand(first, -1), (0, 0, 0, batch.n_nodes - first))
        *steps, flow = self.layers
        # The first flow depends on cones alone; the batches of training are too small to gain from it.
        cones = None if torch.is_grad_enabled() else Cones.of(batch)
        for step in steps:
            operations = step(operations, start, last, schedule, cones)
            cones = None
        states = self.dropout(flow(operations, start, schedule.forward))
        nodes = self.readout(states).index_select(0, schedule.places)
        return nodes, batch.mean_over_nodes(nodes)


class TimeStep(nn.Module):
    """One training step of `TAGATES`: forward flow, backward flow, update of the operations.

    Args:
        width: D, the width of input and output.
        dropout: Share of the information of each flow dropped in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.forth, self.back = Flow(width), Flow(width)
        self.turn = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.update = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, operations: Tensor, start: Tensor, last: Tensor, schedule: Schedule, cones: Cones | None = None
    ) -> Tensor:
        """Update operations: (N, D) to (N, D), in the order of the schedule.

        Args:
            operations: Embedding of each node's operation, (N, D).
            start: Where the forward flow starts, (N, D).
            last: The nodes that send nothing, (n,).
            schedule: The generations of the batch.
            cones: The cones of the batch, if operations are those that nodes start from.
        """
        if cones is None:
            forth = self.forth(operations, start, schedule.forward)  # (N, D)
        else:
            forth = cones.spread(self.forth, schedule, operations, start)
        forth = self.dropout(forth)
        turned = torch.zeros_like(forth).index_copy(0, last, self.turn(forth.index_select(0, last)))
        back = self.dropout(self.back(operations, turned, schedule.backward))  # (N, D)
        updated: Tensor = operations + _STEP * self.update(torch.cat([operations, forth, back], dim=1))
        return updated


class Flow(nn.Module):
    """f_v = relu(norm(sigmoid(G o_v) * W m_v + b)), m_v = start_v + sum of f_u over edges u -> v.

    Each node is visited after all its senders. The norm brings the D numbers of a node to mean 0 and variance
    1; G has a bias, W has none. To autograd the whole flow is one operation with its gradient written out.

    Args:
        width: D, the width of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = nn.Linear(width, width)
        self.messages = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.empty(width).uniform_(-1, 1))

    def forward(self, operations: Tensor, start: Tensor, sweep: Sweep) -> Tensor:
        """Return the information of every node, (N, D).

        Args:
            operations: Embedding of each node's operation, (N, D).
            start: What nodes have before anything arrives, (N, D).
            sweep: The way through the generations of the batch.
        """
        gates = torch.sigmoid(self.gates(operations))
        states: Tensor = _Flow.apply(  # type: ignore[no-untyped-call]
            gates, start, self.messages.weight, self.bias, sweep
        )
        return states


class _Flow(torch.autograd.Function):
    """`Flow`, given the gates."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, start: Tensor, weight: Tensor, bias: Tensor, sweep: Sweep) -> Tensor:
        width, transposed = [gates.shape[1]], weight.t()
        messages = start.clone()
        mapped, mixed, states = (torch.empty_like(gates) for _ in range(3))
        means, scales = (gates.new_empty(len(gates), 1) for _ in range(2))
        gates_, messages_, mapped_, mixed_, states_, means_, scales_ = (
            torch.split(part, sweep.sizes) for part in (gates, messages, mapped, mixed, states, means, scales)
        )
        for visit in sweep.visits:
            senders = sweep.senders[visit]
            if senders is not None:
                messages_[visit].add_(senders.sum(states))
            torch.mm(messages_[visit], transposed, out=mapped_[visit])
            torch.addcmul(bias, gates_[visit], mapped_[visit], out=mixed_[visit])
            normed, mean, scale = torch.native_layer_norm(mixed_[visit], width, None, None, _EPSILON)
            means_[visit].copy_(mean)
            scales_[visit].copy_(scale)
            torch.clamp(normed, min=0, out=states_[visit])
        ctx.save_for_backward(gates, weight, messages, mapped, mixed, states, means, scales)
        ctx.sweep = sweep
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, weight, messages, mapped, mixed, states, means, scales = ctx.saved_tensors
        sweep: Sweep = ctx.sweep
        width = [gates.shape[1]]
        by_state = gradients[0].clone()
        by_message, by_mapped, by_mixed = (torch.empty_like(gates) for _ in range(3))
        gates_, mixed_, states_, means_, scales_, by_state_, by_message_, by_mapped_, by_mixed_ = (
            torch.split(part, sweep.sizes)
            for part in (gates, mixed, states, means, scales, by_state, by_message, by_mapped, by_mixed)
        )
        for visit in reversed(sweep.visits):
            receivers, own = sweep.receivers[visit], by_state_[visit]
            if receivers is not None:
                own.add_(receivers.sum(by_message))
            own.mul_(states_[visit] > 0)
            by_mixed_[visit].copy_(
                torch.ops.aten.native_layer_norm_backward(
                    own, mixed_[visit], width, means_[visit], scales_[visit], None, None, [True, False, False]
                )[0]
            )
            torch.mul(by_mixed_[visit], gates_[visit], out=by_mapped_[visit])
            torch.mm(by_mapped_[visit], weight, out=by_message_[visit])
        by_weight = by_mapped.t() @ messages
        return by_mixed.mul(mapped), by_message, by_weight, by_mixed.sum(0), None
