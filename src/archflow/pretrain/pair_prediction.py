"""Predicting which pairs of nodes are joined, by an edge or by a directed path: naive pretext tasks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from archflow.graphs import GraphBatch
from archflow.protocols import View


class PairPrediction(nn.Module):
    """Predict for each ordered pair of a graph's nodes whether data flows from one to the other.

    The mean binary cross-entropy over all pairs of different nodes of one graph.

    Args:
        width: D, the width of the embeddings.
        paths: Whether nodes count as joined by any directed path, or by an edge alone.
        hidden: Width of the two maps whose inner products are the scores.
    """

    def __init__(self, width: int, *, paths: bool, hidden: int = 64) -> None:
        super().__init__()
        self.scores = PairScores(width, hidden)
        self.paths = paths

    def forward(self, view: View) -> Tensor:
        """Return the loss, ()."""
        joined = edges_between(view.batch)
        targets = reachable(joined) if self.paths else joined
        return pair_loss(self.scores(view.batch, view.nodes), targets, view.batch)


class PairScores(nn.Module):
    """Score ordered pairs u, v by <A u, B v> / sqrt(H) + c: two maps, so that the direction counts.

    Args:
        width: D, the width of the node vectors.
        hidden: H, the width of the maps.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.maps = nn.Linear(width, 2 * hidden, bias=False)
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, batch: GraphBatch, nodes: Tensor) -> Tensor:
        """Return the scores, (B, n, n), n nodes in the largest graph, of node vectors (N, D)."""
        from_nodes, to_nodes = by_graph(batch, self.maps(nodes)).chunk(2, dim=2)  # (B, n, H) each
        scores: Tensor = from_nodes @ to_nodes.transpose(1, 2) / math.sqrt(from_nodes.shape[2])
        return scores + self.offset


def places(batch: GraphBatch) -> Tensor:
    """Return the number of each node within its graph, (N,) int64."""
    every = torch.arange(batch.n_nodes, device=batch.graph_ids.device)
    return every - batch.node_offsets[batch.graph_ids]


def _largest(batch: GraphBatch) -> int:
    """Return the number of nodes of the largest graph."""
    return int(np.diff(batch.host.node_offsets).max())


def by_graph(batch: GraphBatch, values: Tensor) -> Tensor:
    """Return node values (N, D) graph by graph, (B, n, D), zeros behind the last node of smaller graphs."""
    padded = values.new_zeros(batch.n_graphs, _largest(batch), values.shape[1])
    return padded.index_put((batch.graph_ids, places(batch)), values)


def edges_between(batch: GraphBatch) -> Tensor:
    """Return where an edge goes from one node to another, (B, n, n) bool."""
    shape = batch.n_graphs, _largest(batch), _largest(batch)
    joined = batch.graph_ids.new_zeros(*shape, dtype=torch.bool)
    numbers = places(batch)
    joined[batch.graph_ids[batch.sources], numbers[batch.sources], numbers[batch.targets]] = True
    return joined


def reachable(joined: Tensor) -> Tensor:
    """Return where a directed path of one edge or more leads, (B, n, n) bool, given the edges, alike."""
    reached = joined.float()
    for _ in range(max(joined.shape[1] - 2, 0).bit_length()):  # each time the paths become twice as long
        reached = (reached + reached @ reached).clamp(max=1)
    return reached > 0


def pair_loss(scores: Tensor, targets: Tensor, batch: GraphBatch) -> Tensor:
    """Return the mean binary cross-entropy, (), over the ordered pairs of different nodes of one graph.

    Args:
        scores: (B, n, n) logits.
        targets: (B, n, n) bool.
        batch: The graphs, for which pairs of places are nodes.

    Returns:
        The loss; 0, with a gradient of 0, where no graph has two nodes.
    """
    counts = torch.diff(batch.node_offsets)  # (B,)
    is_node = torch.arange(scores.shape[1], device=scores.device) < counts.unsqueeze(1)  # (B, n)
    is_pair = is_node.unsqueeze(2) & is_node.unsqueeze(1)
    is_pair &= ~torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    losses = nn.functional.binary_cross_entropy_with_logits(
        scores, targets.to(scores.dtype), weight=is_pair.to(scores.dtype), reduction="sum"
    )
    return losses / is_pair.sum().clamp(min=1)
