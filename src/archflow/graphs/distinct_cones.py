"""Nodes of many DAGs with equal cones, found once for all that depends on cones alone.

A node's cone is the node and all that reaches it, as a tree of walks: what it is itself, and the cones of its
senders, one an edge.
"""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from archflow.graphs.columns import IntArray, offsets_of, ragged_positions
from archflow.graphs.generations import Step, generations
from archflow.graphs.keys import UintArray, distinct_rows, mix


@dataclasses.dataclass(frozen=True)
class DistinctCones:
    """The distinct cones of a forest of DAGs: a forest itself, in the order of its generations.

    Attributes:
        first: A node with each cone, (n,) int64.
        places: The cone of every node, (N,) int64.
        steps: The generations of the cones from the second on.
    """

    first: IntArray
    places: IntArray
    steps: list[Step]

    @classmethod
    def of(cls, colours: UintArray, senders: IntArray, receivers: IntArray) -> Self:
        """Group nodes by their cones.

        Cones are compared as 64-bit hashes: two different ones are taken for one with a probability of about
        1 in 2^64 a pair.

        Args:
            colours: A hash of what each node is itself, (N,).
            senders: Sending node of every edge, (E,).
            receivers: Receiving node of every edge, (E,).
        """
        colours, turns = colours.copy(), np.zeros(len(colours), dtype=np.int64)
        steps = generations(senders, receivers, len(colours))
        for turn, step in enumerate(steps, start=1):
            arriving = np.add.reduceat(mix(colours[step.senders], np.uint64(2)), step.starts[:-1])
            colours[step.nodes] = mix(colours[step.nodes] ^ mix(arriving, np.uint64(3)), np.uint64(4))
            turns[step.nodes] = turn

        first, places = distinct_rows(colours)
        order = np.argsort(turns[first], kind="stable")
        first, places = first[order], np.argsort(order)[places]
        kept = np.zeros(len(colours), dtype=bool)
        kept[first] = True
        return cls(first, places, [_among(step, kept, places) for step in steps])

    @property
    def sizes(self) -> list[int]:
        """The number of cones of each generation."""
        later = [len(step.nodes) for step in self.steps]
        return [len(self.first) - sum(later), *later] if len(self.first) else []

    def edges(self) -> tuple[IntArray, IntArray]:
        """Return the sending and the receiving cone of every edge between cones, (e,) int64 each."""
        none = [np.zeros(0, dtype=np.int64)]
        receivers = [step.nodes.repeat(np.diff(step.starts)) for step in self.steps]
        senders = [step.senders for step in self.steps]
        return np.concatenate(none + senders), np.concatenate(none + receivers)


def _among(step: Step, kept: NDArray[np.bool_], places: IntArray) -> Step:
    """Return a generation of cones: the nodes of a generation that are kept, by their places."""
    chosen = kept[step.nodes]
    counts = np.diff(step.starts)[chosen]
    senders = step.senders[ragged_positions(step.starts[:-1][chosen], counts)]
    return Step(places[step.nodes[chosen]], places[senders], offsets_of(counts))
