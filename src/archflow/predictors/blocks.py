"""Blocks of features that kernels and trees read, and which of them go together as a view."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archflow.flow import OperationFlow
from archflow.graphs import ArchitectureTable, AttributeScale, Form
from archflow.graphs.scale import logarithm
from archflow.predictors.features import (
    attribute_sequence,
    attribute_sums,
    edge_counts,
    graph_features,
    onehot,
    operation_counts,
    path_statistics,
)
from archflow.predictors.measured import MeasuredArchitectures
from archflow.pretrain import PretrainedEncoder
from archflow.protocols import FloatArray

PART = 32_768
"""Rows whose blocks are computed, and kept for the next reader, at once."""

_MOST_ONEHOT, _KEPT = 2_048, 512  # columns of the one-hot encoding, and to how many more are projected
_FARTHEST = 8.0  # standard deviations


@dataclasses.dataclass(frozen=True)
class View:
    """A way to see architectures.

    Attributes:
        description: What it sees, in words.
        blocks: The blocks of features that it is made of.
        apart: Blocks each column of which has a kernel of its own.
    """

    description: str
    blocks: tuple[str, ...]
    apart: tuple[str, ...] = ()


_FUNCTION = ("flow", "operations", "edges", "paths")
_WRITTEN = ("written operations", "written edges", "written paths")
_SIZES = ("size sequence", "size sums")

VIEWS: Mapping[str, View] = {
    "function": View(
        "what the graph computes: flow, operations, edges and paths once collapsed", (*_FUNCTION, *_SIZES)
    ),
    "as-written": View(
        "the graph as written: one-hot nodes, operations, edges and paths, and the flow",
        ("one-hot", *_WRITTEN, "flow", *_SIZES),
    ),
    "additive": View(
        "what the graph computes, each count and path statistic by itself: a sum of effects",
        ("flow", "edges", *_SIZES),
        apart=("operations", "paths"),
    ),
    "sizes": View("the nodes in their order, one-hot, and their sizes", ("one-hot", *_SIZES)),
    "one-hot": View("the nodes in their order, one-hot", ("one-hot",)),
    "everything": View("all blocks of features in one sum", ("one-hot", *_WRITTEN, *_FUNCTION, *_SIZES)),
    "graph-features": View("the features of GRAF", ("graph features",)),
    "counts": View(
        "operations, edges, paths, one-hot nodes and GRAF's features",
        ("one-hot", *_WRITTEN, *_FUNCTION[1:], "graph features", *_SIZES),
    ),
}
"""Every view by name."""

VIEW_OF_FORM: Mapping[Form, str] = {"collapsed": "function", "pruned": "function", "as-written": "as-written"}
"""The view that sees what an encoder of each form sees."""


class FeatureBlocks:
    """Computes blocks of features; those of the table that was last asked for are remembered.

    Args:
        labelled: The labelled architectures as written; they decide for how many nodes one-hot has room.
            Their measured columns, if they have any, are one more block.
        seed: Seed of the flow's random maps.
        encoder: A pre-trained encoder; its embedding is one more block.

    Attributes:
        beside: Blocks that every part of a blend sees beside those of its view: the measured columns, if any.
    """

    def __init__(
        self, labelled: ArchitectureTable, seed: int = 0, encoder: PretrainedEncoder | None = None
    ) -> None:
        self._slots = int(np.diff(labelled.columns.node_offsets).max())
        # Standardised where they occur, so that sizes tell more than that a node has one.
        self._scale = AttributeScale.of(labelled.columns)
        self._flow = OperationFlow.draw(labelled.operations, seed=seed, scale=self._scale)
        self._encoder, self._seed = encoder, seed
        encoded = onehot(labelled, self._slots)
        self._used = np.unique(encoded.indices)  # the others are 0 for every labelled architecture
        self.beside: tuple[str, ...] = ()
        if isinstance(labelled, MeasuredArchitectures):
            self.beside, numbers = ("measured columns",), logarithm(labelled.measured)
            present = ~np.isnan(numbers)
            self._filling = np.where(present, numbers, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        self._last: weakref.ref[ArchitectureTable] | None = None
        self._remembered: dict[str, NDArray[np.float32]] = {}
        self._collapsed: ArchitectureTable | None = None

    def of(self, table: ArchitectureTable, name: str) -> NDArray[np.float32]:
        """Return one block for A architectures as written, (A, F) float32; F may be 0."""
        self._attend(table)
        if name not in self._remembered:
            self._remembered[name] = np.asarray(_BLOCKS[name](self, table), dtype=np.float32)
        return self._remembered[name]

    def collapsed(self, table: ArchitectureTable) -> ArchitectureTable:
        """Return the table in its collapsed form."""
        self._attend(table)
        if self._collapsed is None:
            self._collapsed = table.collapsed()
        return self._collapsed

    def _attend(self, table: ArchitectureTable) -> None:
        """Forget what was remembered of another table."""
        if self._last is None or self._last() is not table:
            self._last, self._remembered, self._collapsed = weakref.ref(table), {}, None

    def onehot(self, table: ArchitectureTable) -> FloatArray:
        """Return the one-hot encoding of nodes, attributes and adjacency, or a random projection of it."""
        used: csr_array = onehot(table, self._slots)[:, self._used]
        return np.asarray(used.toarray() if self._projection is None else used @ self._projection)

    @cached_property
    def _projection(self) -> FloatArray | None:
        """Gaussian columns that keep distances (Johnson and Lindenstrauss 1984), where there are too many."""
        columns = len(self._used)
        if columns <= _MOST_ONEHOT:
            return None
        return np.random.default_rng(self._seed).normal(scale=_KEPT**-0.5, size=(columns, _KEPT))

    def flow(self, table: ArchitectureTable) -> FloatArray:
        """Return the operation-aware flow."""
        return np.asarray(self._flow(table))

    def embedding(self, table: ArchitectureTable) -> FloatArray:
        """Return the pre-trained encoder's embedding."""
        assert self._encoder is not None
        return np.asarray(self._encoder.embed(table))

    def sums(self, table: ArchitectureTable) -> FloatArray:
        """Return the attributes of nodes added up."""
        return attribute_sums(table, self._scale)

    def sequence(self, table: ArchitectureTable) -> FloatArray:
        """Return the attributes of nodes in their order."""
        return attribute_sequence(table, self._slots, self._scale)

    def measured(self, table: ArchitectureTable) -> FloatArray:
        """Return sign(x) log(1 + |x|) of the measured columns; in gaps its mean over the labelled."""
        assert isinstance(table, MeasuredArchitectures)
        numbers = logarithm(table.measured)
        return np.where(np.isnan(numbers), self._filling, numbers)


_BLOCKS: Mapping[str, Callable[[FeatureBlocks, ArchitectureTable], FloatArray]] = {
    "flow": FeatureBlocks.flow,
    "operations": lambda blocks, table: operation_counts(blocks.collapsed(table)),
    "edges": lambda blocks, table: edge_counts(blocks.collapsed(table)),
    "paths": lambda blocks, table: path_statistics(blocks.collapsed(table)),
    "written operations": lambda _, table: operation_counts(table),
    "written edges": lambda _, table: edge_counts(table),
    "written paths": lambda _, table: path_statistics(table),
    "one-hot": FeatureBlocks.onehot,
    "size sequence": FeatureBlocks.sequence,
    "size sums": FeatureBlocks.sums,
    "graph features": lambda _, table: graph_features(table),
    "embedding": FeatureBlocks.embedding,
    "measured columns": FeatureBlocks.measured,
}


class Standardiser:
    """Brings a block to mean 0 and deviation 1 on the labelled architectures.

    A column that does not vary among them keeps its scale, so that an architecture which differs there lies
    far from all; no number is farther than 8 deviations out.

    Args:
        block: The block of the labelled architectures, (N, F).
    """

    def __init__(self, block: NDArray[np.floating]) -> None:
        self._mean, deviation = block.mean(axis=0, dtype=np.float64), block.std(axis=0, dtype=np.float64)
        varies = deviation > 1e-9 * np.maximum(1, np.abs(self._mean))
        self._deviation = np.where(varies, deviation, 1)

    def __call__(self, block: NDArray[np.floating]) -> FloatArray:
        """Standardise a block, (A, F)."""
        scaled: FloatArray = block - self._mean
        scaled /= self._deviation
        return np.clip(scaled, -_FARTHEST, _FARTHEST, out=scaled)
