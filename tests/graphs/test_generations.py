"""Generations against the definition: the longest path from a node without incoming edges."""

import numpy as np
import pytest
from hypothesis import given, settings

from archflow.graphs import generations
from archflow.testing.strategies import tables


def longest_paths(senders, receivers, n_nodes):
    """Relax every edge until nothing changes."""
    depth = [0] * n_nodes
    for _ in range(n_nodes):
        for u, v in zip(senders, receivers, strict=True):
            depth[v] = max(depth[v], depth[u] + 1)
    return depth


@pytest.mark.parametrize("backward", [False, True])
@settings(deadline=None)
@given(tables())
def test_steps_follow_the_longest_paths(backward, table):
    sources, targets = table.columns.global_edges()
    senders, receivers = (targets, sources) if backward else (sources, targets)
    n_nodes = len(table.columns.operation_ids)
    depth = longest_paths(senders.tolist(), receivers.tolist(), n_nodes)
    steps = generations(senders, receivers, n_nodes)
    assert len(steps) == max(depth, default=0)
    for number, step in enumerate(steps, start=1):
        assert step.nodes.tolist() == [node for node in range(n_nodes) if depth[node] == number]
        assert len(step.starts) == len(step.nodes) + 1
        for position, node in enumerate(step.nodes):
            arriving = step.senders[step.starts[position] : step.starts[position + 1]]
            assert sorted(arriving) == sorted(senders[receivers == node])
            assert len(arriving) > 0


def test_a_diamond_with_a_shortcut_and_a_double_edge():
    #   0 -> 1 -> 3,  0 -> 2 => 3,  0 -> 3,  and node 4 alone
    senders, receivers = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 2, 3, 3, 3, 3])
    first, second = generations(senders, receivers, 5)
    assert (first.nodes.tolist(), first.senders.tolist(), first.starts.tolist()) == (
        [1, 2],
        [0, 0],
        [0, 1, 2],
    )
    assert (second.nodes.tolist(), second.starts.tolist()) == ([3], [0, 4])
    assert sorted(second.senders.tolist()) == [0, 1, 2, 2]


@pytest.mark.parametrize("n_nodes", [0, 1, 3])
def test_no_edges_no_steps(n_nodes):
    none = np.zeros(0, dtype=np.int64)
    assert generations(none, none, n_nodes) == []
