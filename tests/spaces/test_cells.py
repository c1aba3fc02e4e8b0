"""Wirings of cells: what feeds what, and which lists are no cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UsageError
from archflow.graphs import Architecture
from archflow.spaces.cells import wiring_of_edges, wiring_of_nodes
from archflow.spaces.nasbench201 import CELL_EDGES, NASBench201


def as_text(pairs):
    return [f"{source}>{target}" for source, target in pairs]


# Operations on edges


def test_the_wiring_of_nasbench201():
    wiring, n_inputs = wiring_of_edges(as_text(CELL_EDGES))
    assert n_inputs == 1
    assert set(wiring) == set(NASBench201().all()[0].edges)
    assert len(wiring) == len(set(wiring))


def test_an_edge_from_the_input_to_the_output():
    assert wiring_of_edges(["in>out"]) == ([(0, 1), (1, 2)], 1)


def test_two_inputs_in_the_order_of_the_list():
    """Maps a and b come in; the one edge out of each is node 2 or 3, and both end at the output, node 4."""
    edges = ["a>out", "b>out"]
    assert wiring_of_edges(edges, ["a", "b"]) == ([(0, 2), (1, 3), (2, 4), (3, 4)], 2)
    assert wiring_of_edges(edges, ["b", "a"]) == ([(1, 2), (0, 3), (2, 4), (3, 4)], 2)


@st.composite
def map_edges(draw):
    """Edges of a connected cell of maps 0 to n: every map but 0 is entered, every map but n is left."""
    n = draw(st.integers(1, 6))
    pairs = {
        (source, target) for target in range(1, n + 1) for source in range(target) if draw(st.booleans())
    }
    pairs |= {(draw(st.integers(0, target - 1)), target) for target in range(1, n + 1)}
    left = {source for source, _ in pairs}
    pairs |= {(source, draw(st.integers(source + 1, n))) for source in range(n) if source not in left}
    return n, sorted(pairs, key=lambda pair: (pair[1], pair[0]))


@given(map_edges())
def test_edges_are_joined_where_they_meet(cell):
    last, pairs = cell
    wiring, n_inputs = wiring_of_edges(as_text(pairs))
    expected = []
    for i, (source, target) in enumerate(pairs, start=1):
        expected += [(0, i)] * (source == 0) + [(i, len(pairs) + 1)] * (target == last)
        expected += [(i, j) for j, (start, _) in enumerate(pairs, start=1) if start == target]
    assert n_inputs == 1
    assert sorted(wiring) == sorted(expected)
    Architecture(("input", *["conv"] * len(pairs), "output"), tuple(wiring))  # it runs with the node order


@pytest.mark.parametrize(
    ("edges", "inputs", "reason"),
    [
        (["0>1", "1>0"], None, "edge 1>0 enters map 0, which edge 0>1 has left; .* without a cycle"),
        (["0>0"], None, "edge 0>0 enters map 0, which edge 0>0 has left"),
        (
            ["1>2", "0>1"],
            None,
            "edge 0>1 enters map 1, which edge 1>2 has left; list edges as the data flows",
        ),
        (["0>1", "1>2", "2>1", "2>3"], None, "edge 2>1 enters map 1, which edge 1>2 has left"),
        (["0>1", "2>1"], None, "no edge enters the maps 0, 2; one is the input, unless inputs lists them"),
        (["0>1", "2>1"], ["0"], "the inputs are 0, but the maps that no edge enters are 0, 2"),
        (["0>1"], ["0", "0"], "the inputs are 0, 0, but"),
        (["0>1", "0>2"], None, "no edge leaves the maps 1, 2; exactly one is the output"),
        (["0-1"], None, "edge '0-1' is not source>target"),
        (["0->1"], None, "edge '0->1' is not source>target"),
        (["0>1>2"], None, "map '1>2' must be 1 to 80"),
        ([">1"], None, "map '' must be 1 to 80"),
        ([f"{'x' * 90}>1"], None, "map 'xxx.*must be 1 to 80"),
    ],
)
def test_edges_that_are_no_cell(edges, inputs, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        wiring_of_edges(edges, inputs)
    assert len(str(caught.value)) < 300


def test_too_many_connections_are_refused_before_they_are_made():
    hub = [*(f"in>m{n}" for n in range(300)), *(f"m{n}>hub" for n in range(300))]
    hub += [*(f"hub>k{n}" for n in range(300)), *(f"k{n}>out" for n in range(300))]
    with pytest.raises(UsageError, match="at most 10,000 connections between its nodes, not 90,600"):
        wiring_of_edges(hub)
    with pytest.raises(UsageError, match="at most 10,000 connections between its nodes, not 10,001"):
        wiring_of_nodes({"a": ["x"] * 10_001}, ["x"])


# Operations on nodes


def test_nodes_that_feed_no_other_node_feed_the_output():
    sources = {"a": ["input"], "b": ["input", "a"], "c": ["a"]}
    assert wiring_of_nodes(sources, ["input"]) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 4)]


def test_the_output_may_list_what_feeds_it():
    sources = {"a": ["x"], "b": ["y", "a"]}
    wiring = wiring_of_nodes(sources, ["x", "y"], ["b", "a", "x"])
    assert wiring == [(0, 2), (1, 3), (2, 3), (3, 4), (2, 4), (0, 4)]


@pytest.mark.parametrize(
    ("sources", "inputs", "output", "reason"),
    [
        (
            {"a": ["b"], "b": ["a"]},
            ["input"],
            None,
            "node a is fed by 'b', which must stand before.*no cycles",
        ),
        ({"a": ["a"]}, ["input"], None, "node a is fed by 'a', which must stand before it"),
        ({"a": ["inptu"]}, ["input"], None, "node a: unknown input or node 'inptu'.*Did you mean 'input'"),
        ({"a": ["input"], "b": ["input"]}, ["input"], ["c"], "the output: unknown input or node 'c'"),
        ({"a": ["input"], "b": ["input"]}, ["input"], ["b"], "'a' feeds neither another node nor the output"),
        ({"a": ["x"]}, ["x", "y"], None, "'y' feeds neither another node nor the output"),
        ({"a": ["input", "input"]}, ["input"], None, "node a is fed by 'input' twice"),
        ({"a": []}, ["input"], None, "node a needs a list of the inputs and nodes that feed it"),
        ({"a": "input"}, ["input"], None, "node a needs a list of the inputs and nodes that feed it"),
        ({"a": ["input"]}, ["input"], [], "the output needs a list"),
        ({"input": ["input"]}, ["input"], None, "node 'input' has the name of an input or of the output"),
        ({"output": ["input"]}, ["input"], None, "node 'output' has the name of an input or of the output"),
        ({"a b": ["input"]}, ["input"], None, "node 'a b' must be 1 to 80"),
        ({"a": ["x"]}, [], None, "one or more inputs of different names"),
        ({"a": ["x"]}, ["x", "x"], None, "one or more inputs of different names"),
        ({"a": ["x" * 10_000]}, ["input"], None, "node a: unknown input or node 'xxx"),
    ],
)
def test_nodes_that_are_no_cell(sources, inputs, output, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        wiring_of_nodes(sources, inputs, output)
    assert len(str(caught.value)) < 300
