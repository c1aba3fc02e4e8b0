"""What flow-based encoders share: updating the nodes of a whole batch in the order in which data flows.

Nodes are put in the order of their generations, so that a generation is a slice. Every edge leads to a later
generation; the generations from first to last are thus an order for the forward direction, and from last to
first one for the reversed edges.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archflow.graphs import GraphBatch, generations
from archflow.graphs.batch import on_device
from archflow.graphs.columns import IntArray, offsets_of
from archflow.graphs.generations import Step

# Sums of exponentials of such scores stay finite and nonzero; states lie in [-1, 1], so that only attention
# weights far from all that training gives lead beyond. There the gradient is that of scores without a limit.
_LARGEST_SCORE = 60.0
# So many values are worth four operations in place of one.
_MANY = 8192
# Less than the exponential of any score: it takes the place of a sum over no senders.
_SMALLEST_TOTAL = 1e-30


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The neighbours of a generation's nodes on one side.

    Attributes:
        nodes: The neighbours of one node after the other, (e,) int64; a repeated edge repeats its node.
        offsets: Where each node's neighbours start, (n + 1,) int64.
    """

    nodes: Tensor
    offsets: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Add up the neighbours' rows of values (N, D): (n, D), zero where there are none."""
        sums: Tensor = torch.embedding_bag(
            values, self.nodes, self.offsets, False, 0, False, None, include_last_offset=True
        )[0]
        return sums


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A way through the generations of a batch.

    Attributes:
        sizes: The number of nodes of each generation, in the order of the nodes.
        visits: The generations in the order of their update.
        senders: What sends to each generation; None where nothing does.
        receivers: What each generation sends to.
    """

    sizes: list[int]
    visits: Sequence[int]
    senders: Sequence[Neighbours | None]
    receivers: Sequence[Neighbours | None]

    def steps(self, *values: Tensor, reverse: bool = False) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """Visit the generations: the number of each and its rows of some values, (N, ...) each."""
        rows = list(zip(*(value.split(self.sizes) for value in values), strict=True))  # type: ignore[no-untyped-call]
        for visit in reversed(self.visits) if reverse else self.visits:
            yield visit, rows[visit]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A batch in the order of its generations.

    Attributes:
        order: The node at each place, (N,) int64.
        places: The place of each node, (N,) int64.
        forward: The way along the edges.
        backward: The way along the reversed edges.
        host_places: `places`, off the device.
        generations: The generations from the second on, off the device.
    """

    order: Tensor
    places: Tensor
    forward: Sweep
    backward: Sweep
    host_places: IntArray
    generations: list[Step]

    @classmethod
    def of(cls, batch: GraphBatch) -> Schedule:
        """Find the generations of a batch and what runs between them."""
        sources, targets = batch.host.sources, batch.host.targets
        first = np.flatnonzero(np.bincount(targets, minlength=batch.n_nodes) == 0)
        later = generations(sources, targets, batch.n_nodes)
        groups = [first, *(step.nodes for step in later)]
        order = np.concatenate(groups)
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        sizes = [len(group) for group in groups]
        device = batch.operation_ids.device
        before = neighbours(places[targets], places[sources], sizes, device)
        after = neighbours(places[sources], places[targets], sizes, device)
        return cls(
            on_device(order, device),
            on_device(places, device),
            Sweep(sizes, range(len(sizes)), before, after),
            Sweep(sizes, range(len(sizes))[::-1], after, before),
            places,
            later,
        )


def neighbours(
    owners: IntArray, others: IntArray, sizes: list[int], device: torch.device
) -> list[Neighbours | None]:
    """Group the ends `others` of edges by their ends `owners`, and those by generations of such sizes.

    Args:
        owners: The place of one end of each edge, (E,).
        others: The place of the other end, (E,).
        sizes: The number of nodes of each generation, in the order of the places.
        device: Where the result goes.
    """
    bounds = offsets_of(np.array(sizes))
    starts = offsets_of(np.bincount(owners, minlength=bounds[-1]))
    nodes = on_device(others[np.argsort(owners, kind="stable")], device)
    offsets = on_device(starts, device)
    groups: list[Neighbours | None] = []
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        first, last = int(starts[begin]), int(starts[end])
        groups.append(
            Neighbours(nodes[first:last], offsets[begin : end + 1] - first) if last > first else None
        )
    return groups


class AsynchronousPass(nn.Module):
    """One update of every node, generation by generation: h_v <- GRU(x_v, m_v).

    The message m_v is the sum of a_u h_u over the edges u -> v, a = softmax over them of w . h_u, from states
    h_u that are updated already; it is zero where no edge arrives. It is the state that the GRU cell updates,
    and x_v, the node's state before the pass, is the cell's input.

    FlowerFormer and DAGNN write the score as w . h_u + w' . x_v. The second term is the same for all edges
    into v, so that the softmax does not see it; it has no parameters here.

    Args:
        width: D, the width of the states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.cell = nn.GRUCell(width, width)
        self.attention = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, states: Tensor, sweep: Sweep) -> Tensor:
        """Update states (N, D), which are in the order of the schedule: (N, D), each in [-1, 1]."""
        cell = self.cell
        if not torch.is_grad_enabled():
            return self._without_gradient(states, sweep)
        updated: Tensor = _Pass.apply(  # type: ignore[no-untyped-call]
            states, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, self.attention, sweep
        )
        return updated

    def _without_gradient(self, inputs: Tensor, sweep: Sweep) -> Tensor:
        """Update as `_Pass` does, but keep nothing."""
        cell, width, most = self.cell, inputs.shape[1], max(sweep.sizes, default=0)
        weight_ih, weight_hh, bias_ih, bias_hh = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
        gate_weight, fresh_weight = weight_hh[: 2 * width].t(), weight_hh[2 * width :].t()
        gate_bias, fresh_bias = (bias_ih + bias_hh)[: 2 * width], bias_hh[2 * width :]
        gates, fresh, recalled = (inputs.new_empty(most, size) for size in (2 * width, width, width))
        states, sent = torch.empty_like(inputs), inputs.new_empty(len(inputs), width + 1)
        for visit, rows in sweep.steps(inputs, states, sent[:, :width], sent[:, width]):
            given, state, product, exponential = rows
            count, senders = len(given), sweep.senders[visit]
            gate = torch.addmm(gate_bias, given, weight_ih[: 2 * width].t(), out=gates[:count])
            new = torch.addmm(bias_ih[2 * width :], given, weight_ih[2 * width :].t(), out=fresh[:count])
            reset, update = gate.chunk(2, dim=1)
            if senders is None:
                gate.sigmoid_()
                _tanh_(new.addcmul_(reset, fresh_bias))
                torch.addcmul(new, update, new, value=-1, out=state)
            else:
                sums = senders.sum(sent)
                message = sums[:, :width] / sums[:, width:].clamp_(min=_SMALLEST_TOTAL)
                gate.addmm_(message, gate_weight).sigmoid_()
                memory = torch.addmm(fresh_bias, message, fresh_weight, out=recalled[:count])
                _tanh_(new.addcmul_(reset, memory))
                torch.lerp(new, message, update, out=state)
            if sweep.receivers[visit] is not None:
                _send(state, self.attention, product, exponential)
        return states


def _send(state: Tensor, attention: Tensor, product: Tensor, exponential: Tensor) -> None:
    """Write e = exp(w . h) of states h, (n, D), to `exponential`, (n,), and e h to `product`, (n, D)."""
    torch.mv(state, attention, out=exponential)
    exponential.clamp_(-_LARGEST_SCORE, _LARGEST_SCORE).exp_()
    torch.mul(state, exponential.unsqueeze(1), out=product)


class _Pass(torch.autograd.Function):
    """`AsynchronousPass` as one operation to autograd, with its gradient written out.

    With e_u = exp(w . h_u), a message is the sum of e_u h_u divided by the sum of e_u: sums over edges of
    what belongs to the sender alone, both at once as rows (e_u h_u, e_u). Gradients are sums of the same
    kind, of what belongs to the receiver alone. So nothing is ever computed or kept for an edge. A node's
    gradient is known once its receivers' are, hence generation by generation in the other direction.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        attention: Tensor,
        sweep: Sweep,
    ) -> Tensor:
        count, width = inputs.shape
        gate_weight, fresh_weight = weight_hh[: 2 * width].t(), weight_hh[2 * width :].t()
        fresh_bias = bias_hh[2 * width :]
        # Reset and update gates, (N, 2 D), and what is new, (N, D), at first of the inputs alone.
        gates = torch.addmm((bias_ih + bias_hh)[: 2 * width], inputs, weight_ih[: 2 * width].t())
        fresh = torch.addmm(bias_ih[2 * width :], inputs, weight_ih[2 * width :].t())
        recalled, states = torch.empty_like(fresh), torch.empty_like(fresh)
        messages, totals = torch.zeros_like(fresh), inputs.new_ones(count, 1)
        sent = inputs.new_empty(count, width + 1)  # (e h, e)
        nodes = gates, *gates.chunk(2, dim=1), fresh, recalled, states, messages, totals
        for visit, rows in sweep.steps(*nodes, sent[:, :width], sent[:, width]):
            gate, reset, update, new, memory, state, message, total, product, exponential = rows
            senders = sweep.senders[visit]
            if senders is not None:
                sums = senders.sum(sent)
                torch.clamp(sums[:, width:], min=_SMALLEST_TOTAL, out=total)
                torch.div(sums[:, :width], total, out=message)
                gate.addmm_(message, gate_weight)
                torch.addmm(fresh_bias, message, fresh_weight, out=memory)
            else:
                memory.copy_(fresh_bias)
            gate.sigmoid_()
            _tanh_(new.addcmul_(reset, memory))
            torch.lerp(new, message, update, out=state)
            if sweep.receivers[visit] is not None:
                _send(state, attention, product, exponential)
        ctx.save_for_backward(
            inputs, weight_ih, weight_hh, attention, gates, fresh, recalled, messages, totals, states, sent
        )
        ctx.sweep = sweep
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, attention, *saved = ctx.saved_tensors
        gates, fresh, recalled, messages, totals, states, sent = saved
        sweep: Sweep = ctx.sweep
        count, width = states.shape
        resets, updates = gates.chunk(2, dim=1)
        # The slope, by a node's state, of: reset and update before their sigmoids, and what is recalled.
        by_fresh = (1 - updates) * (1 - fresh * fresh)
        slopes = states.new_empty(count, 3, width)
        torch.mul(by_fresh * recalled, resets * (1 - resets), out=slopes[:, 0])
        torch.mul(messages - fresh, updates * (1 - updates), out=slopes[:, 1])
        torch.mul(by_fresh, resets, out=slopes[:, 2])
        by_state = gradients[0].clone()  # (N, D)
        by_score = states.new_zeros(count)
        by_gate = torch.empty_like(slopes)
        returned = torch.empty_like(sent)  # g / total and g . m / total, for the gradient g by the message m
        nodes = by_state, by_score, by_gate, slopes, updates, states, messages, totals, sent[:, width:]
        steps = sweep.steps(*nodes, returned[:, :width], returned[:, width], reverse=True)
        for visit, rows in steps:
            own, score, gate, slope, update, state, message, total, exponential, back, share = rows
            receivers = sweep.receivers[visit]
            if receivers is not None:
                sums = receivers.sum(returned).mul_(exponential)
                arrived = sums[:, :width]
                torch.sub((state * arrived).sum(1), sums[:, width], out=score)
                own.add_(arrived).addcmul_(score.unsqueeze(1), attention)
            torch.mul(slope, own.unsqueeze(1), out=gate)
            if sweep.senders[visit] is not None:
                by_message = torch.addmm(own * update, gate.view(-1, 3 * width), weight_hh)
                torch.div(by_message, total, out=back)
                torch.sum(back * message, 1, out=share)
        flat = by_gate.view(count, 3 * width)
        by_weight_hh, by_bias_hh = flat.t() @ messages, flat.sum(0)
        torch.mul(by_state, by_fresh, out=by_gate[:, 2])  # the gradient by what is new, which is not reset
        by_weight_ih, by_bias_ih = flat.t() @ inputs, flat.sum(0)
        by_attention = by_score @ states
        return flat @ weight_ih, by_weight_ih, by_weight_hh, by_bias_ih, by_bias_hh, by_attention, None


def _tanh_(values: Tensor) -> None:
    """Replace values by their tanh; of many on the CPU, a sigmoid takes a third of the time of a tanh."""
    wide = values.dtype in (torch.float32, torch.float64)
    if wide and values.device.type == "cpu" and values.numel() >= _MANY:
        values.mul_(2).sigmoid_().mul_(2).sub_(1)
    else:
        values.tanh_()
