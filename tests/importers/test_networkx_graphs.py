"""networkx graphs: the way there and back, ends that are added, and what is refused."""

import math
import sys
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture
from archflow.importers.networkx_graphs import read_networkx, to_networkx
from archflow.testing import SIZED_TOY_OPERATIONS
from archflow.testing.strategies import architectures

SIZED = architectures(SIZED_TOY_OPERATIONS)


def graph_of(operations, edges, kind=nx.DiGraph):
    graph = kind()
    graph.add_nodes_from((node, {"operation": name}) for node, name in operations.items())
    graph.add_edges_from(edges)
    return graph


@given(SIZED)
def test_there_and_back(architecture):
    graph = to_networkx(architecture)
    assert list(graph) == list(range(architecture.n_nodes))
    assert read_networkx(graph, attributes=SIZED_TOY_OPERATIONS.attributes) == architecture


@given(SIZED, st.randoms(use_true_random=False))
def test_names_and_order_of_the_nodes_do_not_matter(architecture, random):
    graph = to_networkx(architecture, operation="kind")
    order = list(graph)
    random.shuffle(order)
    other = nx.MultiDiGraph()
    other.add_nodes_from((f"node {node}", graph.nodes[node]) for node in order)
    other.add_edges_from((f"node {source}", f"node {target}") for source, target in graph.edges())
    back = read_networkx(other, operation="kind", attributes=SIZED_TOY_OPERATIONS.attributes)
    assert back.key() == architecture.key()


@given(SIZED)
def test_the_graph_carries_what_the_architecture_does(architecture):
    graph = to_networkx(architecture)
    assert nx.is_directed_acyclic_graph(graph)
    assert sorted(graph.edges()) == sorted(architecture.edges)
    for node, data in graph.nodes(data=True):
        numbers = {name: values[node] for name, values in architecture.attributes if values[node]}
        assert data == {"operation": architecture.operations[node], **numbers}


def test_attributes_are_kept_when_asked_for():
    graph = graph_of({"in": "input", "a": "conv", "b": "conv", "out": "output"}, [("in", "a"), ("a", "b")])
    graph.add_edge("b", "out", weight=3)
    graph.nodes["a"].update(channels=np.int64(16), kernel=Fraction(3), note="stem")
    graph.nodes["b"].update(channels=np.float32(32.5), note=None)
    edges = ((0, 1), (1, 2), (2, 3))
    plain = Architecture(("input", "conv", "conv", "output"), edges)
    assert read_networkx(graph) == plain
    sized = Architecture(plain.operations, edges, {"channels": (0, 16, 32.5, 0), "kernel": (0, 3, 0, 0)})
    assert read_networkx(graph, attributes=["kernel", "channels", "stride"]) == sized


def test_missing_ends_are_added():
    diamond = graph_of(dict.fromkeys("abcde", "conv"), [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")])
    diamond.nodes["d"]["channels"] = 8
    got = read_networkx(diamond, attributes=("channels",))
    assert got.operations == ("input", *["conv"] * 5, "output")
    assert got.edges == ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6))
    assert got.attributes == (("channels", (0, 0, 0, 0, 8, 0, 0)),)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ("input conv", "input conv output"),
        ("conv output", "input conv output"),
        ("input output", "input output"),
        ("conv", "input conv output"),
        ("output", "input output"),
        ("input", "input output"),
    ],
)
def test_only_missing_ends_are_added(operations, expected):
    names = dict(enumerate(operations.split()))
    chain = graph_of(names, zip(range(len(names)), range(1, len(names)), strict=False))
    got = read_networkx(chain)
    assert got.operations == tuple(expected.split())
    assert got.edges == tuple((node, node + 1) for node in range(len(got.operations) - 1))


def test_parallel_edges_count():
    graph = graph_of({0: "input", 1: "output"}, [(0, 1), (0, 1)], nx.MultiDiGraph)
    assert read_networkx(graph).edges == ((0, 1), (0, 1))
    assert read_networkx(nx.DiGraph(graph)).edges == ((0, 1),)


@pytest.mark.parametrize(
    ("operations", "edges", "message"),
    [
        ({}, [], "the graph has no nodes"),
        (
            {"a": "conv", "b": "conv", "c": "conv"},
            [("a", "b"), ("b", "c"), ("c", "b")],
            "node 'b' lies on a cycle .'b' > 'c' > 'b'.; the graph must be acyclic",
        ),
        ({"a": "conv"}, [("a", "a")], "node 'a' lies on a cycle .'a' > 'a'."),
        (
            dict.fromkeys(range(9), "conv"),
            [(n, (n + 1) % 9) for n in range(9)],
            r"node 0 lies on a cycle .0 > 1 > 2 > 3 > 4 > \.\.\. > 0.",
        ),
        ({"a": ""}, [], "node 'a': its 'operation' is '', no name"),
        ({"a": 3}, [], "node 'a': its 'operation' is 3, no name"),
        ({"x" * 99: None}, [], r"node 'x{79}\.\.\.: its 'operation' is None, no name"),
        ({"a": "conv", "i": "input"}, [("a", "i")], "node 'i' is an input; no edge may enter it"),
        ({"o": "output", "a": "conv"}, [("o", "a")], "node 'o' is the output; no edge may leave it"),
        ({"o": "output", "p": "output"}, [], "nodes 'o' and 'p' are both 'output'; .* exactly one"),
    ],
)
def test_bad_graphs_are_refused(operations, edges, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        read_networkx(graph_of(operations, edges))


def test_a_node_without_operation_is_named():
    graph = graph_of({"a": "conv"}, [])
    graph.add_edge("a", ("b", 1))
    message = r"node \('b', 1\): it has no 'operation'; name its operation there, or pass operation=ATTRIBUTE"
    with pytest.raises(InvalidArchitectureError, match=message):
        read_networkx(graph)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("16", "'16'"),
        (None, "None"),
        ([16], r"\[16\]"),
        (16 + 0j, r"\(16\+0j\)"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (3.5e38, r"3\.5e\+38"),
        pytest.param(10**400, r"1000+\.\.\.", id="too large"),
        pytest.param(10**5000, "a number of thousands of digits", id="too long to print"),
        pytest.param("x" * 10**6, r"'x{79}\.\.\.", id="long text"),
    ],
)
def test_an_attribute_that_is_no_finite_number_is_refused(value, shown):
    graph = graph_of({"a": "conv"}, [])
    graph.nodes["a"]["channels"] = value
    assert read_networkx(graph).operations == ("input", "conv", "output")
    message = f"^node 'a': channels is {shown}; an attribute is a finite number below 3.4e38$"
    with pytest.raises(InvalidArchitectureError, match=message):
        read_networkx(graph, attributes=["channels"])


@pytest.mark.parametrize("value", [nx.Graph(), nx.MultiGraph(), {"a": ["b"]}, None, [(0, 1)]])
def test_what_is_no_directed_graph_is_refused(value):
    with pytest.raises(UsageError, match="no directed networkx graph; give a DiGraph or MultiDiGraph"):
        read_networkx(value)


def test_attributes_are_a_list():
    with pytest.raises(UsageError, match="attributes is the text 'channels'; give a list of names"):
        read_networkx(graph_of({"a": "conv"}, []), attributes="channels")


def test_an_attribute_does_not_overwrite_the_operation():
    sized = Architecture(("input", "output"), ((0, 1),), {"operation": (1, 2)})
    with pytest.raises(UsageError, match="an attribute is named 'operation' too"):
        to_networkx(sized)
    assert (
        read_networkx(to_networkx(sized, operation="op"), operation="op", attributes=["operation"]) == sized
    )


def test_without_networkx_the_extra_is_named(monkeypatch):
    graph = graph_of({"a": "conv"}, [])
    monkeypatch.setitem(sys.modules, "networkx", None)
    for call in (lambda: read_networkx(graph), lambda: to_networkx(Architecture(("input", "output"), ()))):
        with pytest.raises(UsageError, match=r"pip install 'archflow\[networkx\]'"):
            call()
