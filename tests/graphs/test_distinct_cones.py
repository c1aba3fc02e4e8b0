"""Distinct cones against cones written out as nested tuples, and as a forest of their own."""

import numpy as np
import pytest
from hypothesis import given, settings

from archflow.graphs import generations
from archflow.graphs.distinct_cones import DistinctCones
from archflow.graphs.keys import mix
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import toy_table
from archflow.testing.strategies import tables


def ends_of(table, backward):
    sources, targets = table.columns.global_edges()
    return (targets, sources) if backward else (sources, targets)


def colours_of(ids):
    return mix(ids.astype(np.uint64), np.uint64(7))


def written_out(ids, senders, receivers):
    """Return the cone of every node as nested tuples."""

    def cone(node):
        below = [cone(sender) for sender, to in zip(senders, receivers, strict=True) if to == node]
        return ids[node], tuple(sorted(below))

    return [cone(node) for node in range(len(ids))]


@pytest.mark.parametrize("backward", [False, True])
@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_nodes_share_a_cone_if_theirs_are_equal_written_out(backward, table):
    ids, ends = table.columns.operation_ids, ends_of(table, backward)
    found = DistinctCones.of(colours_of(ids), *ends)
    written = written_out(ids.tolist(), *(end.tolist() for end in ends))
    assert len(found.first) == len(set(written)) == sum(found.sizes)
    assert [written[node] for node in found.first[found.places]] == written
    assert found.places[found.first].tolist() == list(range(len(found.first)))

    # The cones are a forest with the same cones, in the order of their generations.
    merged = written_out(ids[found.first].tolist(), *(end.tolist() for end in found.edges()))
    assert merged == [written[node] for node in found.first]
    assert [len(step.nodes) for step in found.steps] == found.sizes[1:]
    assert (np.diff(np.concatenate([step.nodes for step in found.steps] or [[0]])) == 1).all()
    assert len(generations(*ends, len(ids))) == len(found.steps)


def test_colours_are_left_as_they_were():
    table = toy_table(20)
    colours = colours_of(table.columns.operation_ids)
    before = colours.copy()
    DistinctCones.of(colours, *ends_of(table, False))
    np.testing.assert_array_equal(colours, before)


def test_a_table_without_rows_has_no_cone():
    table = toy_table(0)
    found = DistinctCones.of(colours_of(table.columns.operation_ids), *ends_of(table, False))
    assert (len(found.first), len(found.places), found.sizes, found.steps) == (0, 0, [], [])


def test_all_cells_of_nasbench201_share_all_but_their_last_cones():
    """From either end on, more and more of the six operations between four points are known."""
    table = NASBench201().all()
    for backward in (False, True):
        found = DistinctCones.of(colours_of(table.columns.operation_ids), *ends_of(table, backward))
        assert found.sizes == [1, 5, 25, 625, 15_625]
