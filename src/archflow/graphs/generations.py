"""Nodes grouped by generation, so that a pass over many DAGs is a few array operations."""

from __future__ import annotations

import dataclasses

import numpy as np

from archflow.graphs.columns import IntArray, offsets_of, ragged_positions


@dataclasses.dataclass(frozen=True)
class Step:
    """One generation: its nodes, and where their messages come from.

    Attributes:
        nodes: The nodes of the generation, (n,) int64, each with at least one incoming edge.
        senders: The nodes that send to them, (e,) int64, grouped by receiver.
        starts: Where each receiver's senders start, (n + 1,) int64.
    """

    nodes: IntArray
    senders: IntArray
    starts: IntArray


def generations(senders: IntArray, receivers: IntArray, n_nodes: int) -> list[Step]:
    """Group the nodes of a forest of DAGs by their longest path from a node without incoming edges.

    Args:
        senders: Sending node of every edge, (E,).
        receivers: Receiving node of every edge, (E,).
        n_nodes: Number of nodes of all graphs together.

    Returns:
        One step a generation, from generation 1 on (generation 0 receives nothing). Swapping `senders`
        and `receivers` gives the generations of the reversed graphs.
    """
    by_sender = np.argsort(senders, kind="stable")
    out_targets, out_counts = receivers[by_sender], np.bincount(senders, minlength=n_nodes)
    out_starts = offsets_of(out_counts)
    by_receiver = np.argsort(receivers, kind="stable")
    in_sources, in_counts = senders[by_receiver], np.bincount(receivers, minlength=n_nodes)
    in_starts = offsets_of(in_counts)

    waiting = in_counts.copy()
    frontier = np.flatnonzero(waiting == 0)
    steps: list[Step] = []
    while True:
        reached = out_targets[ragged_positions(out_starts[frontier], out_counts[frontier])]
        if not len(reached):
            return steps
        np.subtract.at(waiting, reached, 1)
        ready = np.sort(reached[waiting[reached] == 0])  # once for each edge from the last generation
        frontier = ready[np.diff(ready, prepend=-1) > 0]
        counts = in_counts[frontier]
        edges = ragged_positions(in_starts[frontier], counts)
        steps.append(Step(frontier, in_sources[edges], offsets_of(counts)))
