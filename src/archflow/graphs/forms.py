"""The forms of a graph that methods may see: as written, pruned, collapsed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from archflow.errors import unknown_name
from archflow.graphs.columns import Columns, IntArray, offsets_of, ragged_positions
from archflow.graphs.operations import INPUT, OUTPUT, Operations

Form = Literal["as-written", "pruned", "collapsed"]
FORMS: tuple[Form, ...] = get_args(Form)
DEFAULT_FORM: Form = "collapsed"
"""What encoders see unless they are told otherwise; the README compares the three."""

# Joining through a chain of identity nodes with doubled edges multiplies the paths without end; past this
# many parallel edges between two nodes more of them are dropped.
MAX_PARALLEL_EDGES = 64


def in_form(columns: Columns, operations: Operations, form: Form) -> Columns:
    """Return the graphs in one of the named forms.

    Raises:
        UnknownNameError: There is no such form.
    """
    match form:
        case "as-written":
            return columns
        case "pruned":
            return prune(columns, operations)
        case "collapsed":
            return collapse(columns, operations)
        case _:
            raise unknown_name("form", form, FORMS)


def prune(columns: Columns, operations: Operations) -> Columns:
    """Drop zero operations and the nodes on no path from an input to the output.

    Inputs and the output always stay, unconnected where nothing flows.

    Args:
        columns: The graphs of A architectures.
        operations: The meaning of the operation ids.

    Returns:
        The pruned graphs, in the same order.
    """
    sources, targets = columns.global_edges()
    is_input = columns.operation_ids == operations.id(INPUT)
    is_output = columns.operation_ids == operations.id(OUTPUT)
    alive = ~operations.mask(operations.zero)[columns.operation_ids]
    alive_edges = alive[sources] & alive[targets]
    sources, targets = sources[alive_edges], targets[alive_edges]

    useful = _reachable(is_input, sources, targets) & _reachable(is_output, targets, sources)
    useful_edges = useful[sources] & useful[targets]
    return columns.with_graphs(useful | is_input | is_output, sources[useful_edges], targets[useful_edges])


def collapse(columns: Columns, operations: Operations) -> Columns:
    """Prune, then remove identity nodes and join their neighbours, one edge a path.

    Two architectures with the same collapsed form compute the same function.

    Args:
        columns: The graphs of A architectures.
        operations: The meaning of the operation ids.

    Returns:
        The collapsed graphs, in the same order; between two nodes there are as many parallel edges as there
        were paths through identity nodes, at most `MAX_PARALLEL_EDGES`.
    """
    columns = prune(columns, operations)
    sources, targets = columns.global_edges()
    is_identity = operations.mask(operations.identity)[columns.operation_ids]
    left = is_identity.copy()
    sources, targets = _limit_parallel(sources, targets, len(left))
    while left.any():
        # The identity nodes that no identity node feeds: no two of them touch, so all can go at once.
        ready = left.copy()
        ready[targets[left[sources]]] = False
        enters, leaves = ready[targets], ready[sources]
        through_sources, through_targets = _join(
            sources[enters], targets[enters], sources[leaves], targets[leaves], len(left)
        )
        stays = ~(enters | leaves)
        sources = np.concatenate([sources[stays], through_sources])
        targets = np.concatenate([targets[stays], through_targets])
        sources, targets = _limit_parallel(sources, targets, len(left))
        left &= ~ready
    return columns.with_graphs(~is_identity, sources, targets)


def _reachable(starts: NDArray[np.bool_], sources: IntArray, targets: IntArray) -> NDArray[np.bool_]:
    reached = starts.copy()
    while True:
        arriving = targets[reached[sources]]
        arriving = arriving[~reached[arriving]]
        if not len(arriving):
            return reached
        reached[arriving] = True


def _join(
    in_sources: IntArray, in_targets: IntArray, out_sources: IntArray, out_targets: IntArray, n_nodes: int
) -> tuple[IntArray, IntArray]:
    """Return an edge for each pair of an incoming and an outgoing edge that meet in a node."""
    order = np.argsort(out_sources, kind="stable")
    counts = np.bincount(out_sources, minlength=n_nodes)
    starts = offsets_of(counts)[:-1]
    meeting = counts[in_targets]
    return np.repeat(in_sources, meeting), out_targets[order][ragged_positions(starts[in_targets], meeting)]


def _limit_parallel(sources: IntArray, targets: IntArray, n_nodes: int) -> tuple[IntArray, IntArray]:
    pairs, counts = np.unique(targets * n_nodes + sources, return_counts=True)
    pairs = np.repeat(pairs, np.minimum(counts, MAX_PARALLEL_EDGES))
    return pairs % n_nodes, pairs // n_nodes
