"""Many small graphs as a few flat arrays: what tables are made of and array code works on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError
from archflow.graphs.operations import INPUT, OUTPUT, Operations

IntArray = NDArray[np.int64]


def offsets_of(lengths: NDArray[np.integer]) -> IntArray:
    """Return (n + 1,) int64 offsets of ragged rows with the given (n,) lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ragged_positions(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> IntArray:
    """Return the flat positions of ragged rows, one row after the other.

    Args:
        starts: First position of each row, (n,).
        lengths: Length of each row, (n,).

    Returns:
        start, start + 1, ..., start + length - 1 of every row, (sum of lengths,) int64.
    """
    offsets = offsets_of(lengths)
    shift = np.repeat(np.asarray(starts, dtype=np.int64) - offsets[:-1], lengths)
    return np.arange(offsets[-1], dtype=np.int64) + shift


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """The graphs of A architectures as ragged columns; nodes count from 0 within each architecture.

    Attributes:
        operation_ids: Operation of every node, (N,) int16.
        node_offsets: Where each architecture's nodes start, (A + 1,) int64.
        sources: Source node of every edge, (E,) int32.
        targets: Target node of every edge, (E,) int32; edges are sorted by target, then source.
        edge_offsets: Where each architecture's edges start, (A + 1,) int64.
        attributes: Numbers of every node, (N, F) float32, finite; 0 where a node has none of that name. F is
            the number of attributes in the vocabulary, often 0.
    """

    operation_ids: NDArray[np.int16]
    node_offsets: IntArray
    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    edge_offsets: IntArray
    attributes: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        operation_ids: Sequence[Sequence[int]],
        edges: Sequence[Sequence[tuple[int, int]]],
        attributes: NDArray[np.float32] | None = None,
    ) -> Columns:
        """Join Python lists, one of operation ids and one of sorted edges an architecture, into columns.

        Args:
            operation_ids: The operations of each architecture.
            edges: The edges of each architecture, by target, then source.
            attributes: Numbers of all nodes, (N, F) float32; by default F is 0.
        """
        pairs = np.array(list(itertools.chain.from_iterable(edges)), dtype=np.int32).reshape(-1, 2)
        ids = np.fromiter(itertools.chain.from_iterable(operation_ids), dtype=np.int16)
        return cls(
            ids,
            offsets_of(np.array([len(row) for row in operation_ids], dtype=np.int64)),
            np.ascontiguousarray(pairs[:, 0]),
            np.ascontiguousarray(pairs[:, 1]),
            offsets_of(np.array([len(row) for row in edges], dtype=np.int64)),
            np.zeros((len(ids), 0), dtype=np.float32) if attributes is None else attributes,
        )

    @classmethod
    def repeated(
        cls,
        operation_ids: NDArray[np.int16],
        edges: Iterable[tuple[int, int]],
        attributes: NDArray[np.float32] | None = None,
    ) -> Columns:
        """Build columns of architectures that share one wiring.

        Args:
            operation_ids: Operation of every node, (A, n) int16.
            edges: The wiring that all share.
            attributes: Numbers of every node, (A, n, F) float32; by default F is 0.
        """
        count, n_nodes = operation_ids.shape
        pairs = np.array(sorted(edges, key=lambda edge: (edge[1], edge[0])), dtype=np.int32).reshape(-1, 2)
        return cls(
            np.ascontiguousarray(operation_ids, dtype=np.int16).reshape(-1),
            np.arange(count + 1, dtype=np.int64) * n_nodes,
            np.tile(pairs[:, 0], count),
            np.tile(pairs[:, 1], count),
            np.arange(count + 1, dtype=np.int64) * len(pairs),
            np.zeros((count * n_nodes, 0), dtype=np.float32)
            if attributes is None
            else attributes.reshape(count * n_nodes, attributes.shape[2]),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        """Return the rows of all parts, one part after the other."""
        return cls(
            np.concatenate([part.operation_ids for part in parts]),
            offsets_of(np.concatenate([np.diff(part.node_offsets) for part in parts])),
            np.concatenate([part.sources for part in parts]),
            np.concatenate([part.targets for part in parts]),
            offsets_of(np.concatenate([np.diff(part.edge_offsets) for part in parts])),
            np.concatenate([part.attributes for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    def take(self, rows: NDArray[np.integer]) -> Columns:
        """Return the given rows, (B,) non-negative integers, in that order."""
        node_counts = np.diff(self.node_offsets)[rows]
        edge_counts = np.diff(self.edge_offsets)[rows]
        nodes = ragged_positions(self.node_offsets[rows], node_counts)
        edges = ragged_positions(self.edge_offsets[rows], edge_counts)
        return Columns(
            self.operation_ids[nodes],
            offsets_of(node_counts),
            self.sources[edges],
            self.targets[edges],
            offsets_of(edge_counts),
            self.attributes[nodes],
        )

    def slice(self, begin: int, end: int) -> Columns:
        """Return the rows from `begin` to before `end`; only offsets are copied."""
        nodes, edges = self.node_offsets[begin : end + 1], self.edge_offsets[begin : end + 1]
        of_nodes, of_edges = slice(nodes[0], nodes[-1]), slice(edges[0], edges[-1])
        return Columns(
            self.operation_ids[of_nodes],
            nodes - nodes[0],
            self.sources[of_edges],
            self.targets[of_edges],
            edges - edges[0],
            self.attributes[of_nodes],
        )

    def check(self, operations: Operations) -> None:
        """Check that every row is an architecture over the vocabulary, by the rules of `Architecture`.

        Raises:
            InvalidArchitectureError: A row is not; names the first such row and the rule.
        """
        ids, rows = self.operation_ids, self.node_rows()
        known = (ids >= 0) & (ids < len(operations))
        _first_bad(rows, ~known, "has an operation outside the vocabulary")
        if self.attributes.shape != (len(ids), len(operations.attributes)):
            raise InvalidArchitectureError(
                f"the attributes have shape {self.attributes.shape}, but {len(ids)} nodes with "
                f"{len(operations.attributes)} attributes each are needed"
            )
        endless = ~np.isfinite(self.attributes).reshape(-1)
        _first_bad(np.repeat(rows, self.attributes.shape[1]), endless, "has an attribute that is not finite")
        inputs = np.bincount(rows[ids == operations.id(INPUT)], minlength=len(self))
        outputs = np.bincount(rows[ids == operations.id(OUTPUT)], minlength=len(self))
        every = np.arange(len(self))
        _first_bad(every, inputs == 0, "has no input")
        _first_bad(every, outputs != 1, "does not have exactly one output")
        edge_rows = np.repeat(every, np.diff(self.edge_offsets))
        ends = self.sources, self.targets
        counts = np.diff(self.node_offsets)[edge_rows]
        _first_bad(edge_rows, (ends[0] < 0) | (ends[0] >= ends[1]), "has an edge against the node order")
        _first_bad(edge_rows, ends[1] >= counts, "has an edge to a node that does not exist")
        sources, targets = self.global_edges()
        _first_bad(edge_rows, ids[sources] == operations.id(OUTPUT), "has an edge out of the output")
        _first_bad(edge_rows, ids[targets] == operations.id(INPUT), "has an edge into an input")
        place = targets * len(ids) + sources
        _first_bad(edge_rows[1:], place[1:] < place[:-1], "has edges that are not sorted")

    def node_rows(self) -> IntArray:
        """Return the row of every node, (N,) int64."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.node_offsets))

    def global_edges(self) -> tuple[IntArray, IntArray]:
        """Return sources and targets, (E,) int64 each, that count nodes over all rows."""
        shift = np.repeat(self.node_offsets[:-1], np.diff(self.edge_offsets))
        return self.sources + shift, self.targets + shift

    def with_graphs(self, keep: NDArray[np.bool_], sources: IntArray, targets: IntArray) -> Columns:
        """Return the same rows with fewer nodes and other edges.

        Args:
            keep: Which nodes stay, (N,) bool.
            sources: New source nodes over all rows, (E',), each of them kept.
            targets: New target nodes over all rows, (E',), each of them kept.
        """
        order = np.lexsort((sources, targets))
        sources, targets = sources[order], targets[order]
        rows = self.node_rows()
        renumbered = np.cumsum(keep) - 1
        node_offsets = offsets_of(np.bincount(rows[keep], minlength=len(self)))
        edge_rows = rows[targets]
        shift = node_offsets[edge_rows]
        return Columns(
            self.operation_ids[keep],
            node_offsets,
            (renumbered[sources] - shift).astype(np.int32),
            (renumbered[targets] - shift).astype(np.int32),
            offsets_of(np.bincount(edge_rows, minlength=len(self))),
            self.attributes[keep],
        )


def _first_bad(rows: IntArray, bad: NDArray[np.bool_], rule: str) -> None:
    if bad.any():
        raise InvalidArchitectureError(f"row {rows[np.argmax(bad)]} {rule}")
