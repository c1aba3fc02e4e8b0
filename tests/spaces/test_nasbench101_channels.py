"""Vertex channels against plain loops over one cell."""

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench101_channels import dense, inner_vertices, vertex_channels
from reference import nasbench101_network as slow

SPACE = NASBench101()
POOL = SPACE.choices[2]
CELLS = [cell.pruned(SPACE.operations) for cell in slow.random_cells(SPACE, 300, np.random.default_rng(0))]
TABLE = ArchitectureTable.of(CELLS, SPACE.operations)


@pytest.mark.parametrize("n_out", [5, 16, 128, 255])
def test_channels_match_plain_loops(n_out):
    channels = vertex_channels(dense(TABLE), n_out)
    for cell, row in zip(CELLS, channels.tolist(), strict=True):
        inner = cell.n_nodes - 1
        assert [*row[:inner], row[-1]] == slow.vertex_channels(cell, n_out)
        assert row[inner:-1] == [0] * (6 - inner)


def test_remainders_go_to_the_first_vertices():
    fan = Architecture(
        ("input", *[POOL] * 3, "output"), ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4))
    )  # 128 = 43 + 43 + 42
    adjacency = dense(ArchitectureTable.of([fan], SPACE.operations))
    assert vertex_channels(adjacency, 128).tolist() == [[0, 43, 43, 42, 0, 0, 128]]


def test_vertices_keep_their_place_and_the_output_is_last():
    adjacency = dense(TABLE)
    for row, cell in enumerate(CELLS):
        last = cell.n_nodes - 1
        edges = {(int(u), int(v)) for u, v in zip(*np.nonzero(adjacency[row]), strict=True)}
        assert edges == {(u, 6 if v == last else v) for u, v in cell.edges}
        pools = [vertex for vertex, name in enumerate(cell.operations) if name == POOL]
        assert np.flatnonzero(inner_vertices(TABLE, POOL)[row]).tolist() == pools


def test_too_many_vertices_or_too_few_channels_are_refused():
    long = Architecture(("input", *[POOL] * 6, "output"), tuple((i, i + 1) for i in range(7)))
    with pytest.raises(InvalidArchitectureError, match="architecture 0 has 8 vertices"):
        dense(ArchitectureTable.of([long], SPACE.operations))
    with pytest.raises(UsageError, match=r"a stage of 4 channels is too narrow.*5 or more"):
        vertex_channels(dense(TABLE), 4)
