"""What a space, an encoder, an objective and a predictor must offer; nothing here does any work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.graphs import Architecture, ArchitectureTable, GraphBatch, Operations
from archflow.progress import Report

FloatArray = NDArray[np.float64]


class Space(Protocol):
    """A search space: its operations, its text format and its architectures."""

    @property
    def name(self) -> str:
        """The name that commands and tables use."""
        ...

    @property
    def operations(self) -> Operations:
        """The vocabulary, with the meaning of each operation."""
        ...

    @property
    def size(self) -> int | None:
        """Number of architectures that `all` returns, or None for a space without end."""
        ...

    def parse(self, text: str) -> Architecture:
        """Read one architecture.

        Raises:
            InvalidArchitectureError: The text is not of this space; names the part and the rule.
        """
        ...

    def format(self, architecture: Architecture) -> str:
        """Write one architecture; `parse(format(a)) == a`.

        Raises:
            InvalidArchitectureError: The architecture is not of this space.
        """
        ...

    def all(self) -> ArchitectureTable:
        """Return every architecture of the space.

        Raises:
            UsageError: The space has no end.
        """
        ...

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw `count` distinct architectures, uniformly.

        Raises:
            UsageError: The space has fewer, or cannot be sampled.
        """
        ...

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a neighbour that differs by one random change and is valid."""
        ...

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count trainable parameters of each architecture's reference network, (A,) float64."""
        ...


class Encoder(Protocol):
    """A network from graphs to embeddings; it leaves its batch unchanged."""

    @property
    def width(self) -> int:
        """D, the width of the graph embedding."""
        ...

    def __call__(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        ...


class View(Protocol):
    """A batch of graphs as a pretext task sees it; `archflow.pretrain.PretextView` is one."""

    @property
    def encoder(self) -> nn.Module:
        """The `Encoder` being trained."""
        ...

    @property
    def batch(self) -> GraphBatch:
        """B graphs with N nodes."""
        ...

    @property
    def rows(self) -> Tensor:
        """The graphs' rows in the table, (B,) int64, on the batch's device."""
        ...

    @property
    def host_rows(self) -> NDArray[np.int64]:
        """The same off the device."""
        ...

    @property
    def nodes(self) -> Tensor:
        """The node embeddings, (N, D)."""
        ...

    @property
    def graphs(self) -> Tensor:
        """The graph embeddings, (B, D)."""
        ...

    @property
    def own_nodes(self) -> slice:
        """The nodes that the encoder sees in this process: all, unless several processes share the batch."""
        ...


class Objective(Protocol):
    """A pretext task: a loss that needs no label."""

    def __call__(self, view: View) -> Tensor:
        """Return the mean loss, (), over a batch."""
        ...


class FittedPredictor(Protocol):
    """A method that has seen labels and predicts the target of other architectures."""

    def mean(self, table: ArchitectureTable, report: Report = ...) -> FloatArray:
        """Return the predicted target, (A,), higher is better."""
        ...

    def spread(self, table: ArchitectureTable, report: Report = ...) -> FloatArray:
        """Return the standard deviation of each prediction, (A,), in the same units."""
        ...


class Strategy(Protocol):
    """A way to choose which architecture to measure next."""

    def ask(self, count: int) -> Sequence[Architecture]:
        """Propose architectures to measure."""
        ...

    def tell(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """Report what was measured."""
        ...
