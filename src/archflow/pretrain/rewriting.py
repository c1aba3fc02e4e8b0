"""Writing a graph differently so that it computes the same."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from archflow.graphs import INPUT, OUTPUT, GraphBatch, Operations


class Rewriting:
    """Add nodes that change nothing, each at a random edge u -> v.

    An identity operation is put between u and v; a zero operation leads from u to v beside the edge, where
    nodes add up what they receive; any operation reads u and is read by nobody. The vocabulary decides which
    of the three there are; the last one is always possible, except where no operation is left to choose.

    Args:
        operations: The vocabulary.
        share: Probability of an edge to be chosen.
    """

    def __init__(self, operations: Operations, *, share: float = 0.2) -> None:
        self.share = share
        inner = [name for name in operations.names if name not in (INPUT, OUTPUT)]
        kinds = [
            (names, splits, joins)
            for names, splits, joins in (
                (sorted(operations.identity), True, True),
                (sorted(operations.zero), False, True),
                (inner, False, False),
            )
            if names
        ]
        added = [(operations.id(name), kind) for kind in kinds for name in kind[0]]
        self.candidates = torch.tensor([number for number, _ in added], dtype=torch.int64)
        self.splits = torch.tensor([splits for _, (_, splits, _) in added], dtype=torch.bool)
        self.joins = torch.tensor([joins for _, (_, _, joins) in added], dtype=torch.bool)
        self.odds = torch.tensor([1 / len(names) for _, (names, _, _) in added])  # each kind alike

    def __call__(self, batch: GraphBatch) -> GraphBatch:
        """Return a batch, on the CPU, rewritten by torch's generator; added nodes have no attributes."""
        n_edges, n_nodes = len(batch.sources), batch.n_nodes
        if not n_edges or not len(self.candidates):
            return batch
        chosen = torch.rand(n_edges) < self.share
        drawn = torch.multinomial(self.odds, n_edges, replacement=True)
        stays = ~(chosen & self.splits[drawn])
        before, after, drawn = batch.sources[chosen], batch.targets[chosen], drawn[chosen]

        # A new node comes right behind the one that it reads, so that the order stays topological.
        every = torch.arange(n_nodes + len(before))
        order = torch.argsort(torch.cat([2 * every[:n_nodes], 2 * before + 1]), stable=True)
        number = torch.empty_like(order).scatter(0, order, every)
        new, joins = every[n_nodes:], self.joins[drawn]
        sources = number[torch.cat([batch.sources[stays], before, new[joins]])]
        targets = number[torch.cat([batch.targets[stays], new, after[joins]])]
        by_target = torch.argsort(targets * len(every) + sources)
        graph_ids = torch.cat([batch.graph_ids, batch.graph_ids[before]])[order]
        return dataclasses.replace(
            batch,
            operation_ids=torch.cat([batch.operation_ids, self.candidates[drawn]])[order],
            sources=sources[by_target],
            targets=targets[by_target],
            graph_ids=graph_ids,
            node_offsets=_offsets(graph_ids, batch.n_graphs),
            edge_offsets=_offsets(graph_ids[targets], batch.n_graphs),
            attributes=nn.functional.pad(batch.attributes, (0, 0, 0, len(before)))[order],
        )


def _offsets(graph_ids: Tensor, n_graphs: int) -> Tensor:
    return nn.functional.pad(torch.bincount(graph_ids, minlength=n_graphs).cumsum(0), (1, 0))
