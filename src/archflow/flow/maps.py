"""What a simulation computes with: what nodes make of their messages, and where it starts and is read."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from archflow.graphs.columns import IntArray


class Maps(Protocol):
    """What nodes make of their messages, in the precision of the simulation, and what is known of it."""

    @property
    def start(self) -> NDArray[np.floating]:
        """The state of the nodes where a run starts, (k,)."""

    @property
    def zero(self) -> NDArray[np.bool_]:
        """Which operations emit zeros whatever they receive, (d,)."""

    @property
    def passes(self) -> NDArray[np.bool_]:
        """Which operations emit the state of a single sender unchanged, (d,)."""

    @property
    def quiet(self) -> bool:
        """Whether a node that receives zeros emits zeros."""

    @property
    def costly(self) -> bool:
        """Whether computing a state again costs more than finding one that equals it."""

    def update(
        self, operation_ids: IntArray, attributes: NDArray[np.float32], messages: NDArray[np.floating]
    ) -> None:
        """Turn messages, (n, k), into the states that n nodes emit, in place.

        Args:
            operation_ids: Their operations, (n,).
            attributes: Their numbers as the table has them, (n, F).
            messages: What they receive.
        """


@dataclasses.dataclass(frozen=True)
class Ends:
    """The nodes where a run starts and those that are read, and the passes between.

    Attributes:
        starts: The nodes whose state is `Maps.start` at first, (N,) bool; all others are zeros.
        reads: The nodes whose states are summed up in the end, (N,) bool; one or more a graph.
        forward: Whether there is a pass along the edges.
        backward: Whether there is one against them, after the other one if there are both.
    """

    starts: NDArray[np.bool_]
    reads: NDArray[np.bool_]
    forward: bool
    backward: bool

    def at(self, nodes: IntArray | slice) -> Ends:
        """Return the same for some of the nodes."""
        return Ends(self.starts[nodes], self.reads[nodes], self.forward, self.backward)
