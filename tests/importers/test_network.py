"""The graph that importers fill, what it refuses, and what the report says."""

import pytest

from archflow.errors import InvalidArchitectureError
from archflow.importers import VIEW, ImportReport, OperatorGraph


@pytest.fixture
def graph():
    graph = OperatorGraph("net")
    graph.add_input("x", (1, 4, 8))
    graph.add_constant("w", (8, 3), parameters=24)
    graph.add_constant("two", (), number=2.0)
    return graph


def test_weights_have_no_edges(graph):
    graph.shapes["y"] = (1, 4, 3)
    graph.add("linear", ["x", "w"], ["y"], numbers={"channels": 3})
    graph.add_output("y")
    network = graph.to_network()
    assert network.architecture.operations == ("input", "linear", "output")
    assert network.architecture.edges == ((0, 1), (1, 2))
    assert dict(network.architecture.attributes) == {
        "channels": (8, 3, 0),
        "flops": (0, 2 * 4 * 24, 0),
        "parameters": (0, 24, 0),
        "positions": (4, 4, 0),
    }


def test_what_follows_from_constants_is_constant(graph):
    graph.add("sqrt", ["two"], ["root"])
    graph.add("multiply", ["w", "root"], ["scaled"])
    graph.add(VIEW, ["two"], ["again"])
    graph.add("random", [], ["noise"])
    assert all(graph.is_constant(value) for value in ("root", "scaled", "again", "noise", "w"))
    assert not graph.is_constant("x")
    assert graph.number("again") == 2
    assert graph.number("root") is graph.number("x") is graph.number("w") is None
    graph.add("linear", ["x", "scaled"], ["y"])
    graph.add_output("y")
    report = graph.to_network().report
    assert (report.read, report.removed, report.parameters) == (5, 4, 24)


def test_views_are_looked_through(graph):
    graph.add(VIEW, ["x"], ["a"])
    graph.add(VIEW, ["a"], ["b"])
    graph.add("relu", ["b"], ["c"])
    graph.add(VIEW, ["c"], ["y"])
    graph.add_output("y")
    network = graph.to_network()
    assert network.architecture.edges == ((0, 1), (1, 2))
    assert network.report.removed == 3


def test_values_are_given_once_and_before_they_are_read(graph):
    with pytest.raises(InvalidArchitectureError, match="net: relu reads 'y', which nothing before it gives"):
        graph.add("relu", ["y"], ["z"])
    graph.add("relu", ["x", ""], ["a", ""], label="first")
    for add in (
        lambda: graph.add("relu", ["x"], ["a"], label="second"),
        lambda: graph.add_input("a", None),
        lambda: graph.add_constant("a", None),
    ):
        with pytest.raises(InvalidArchitectureError, match="'a' is given twice, the second time by"):
            add()
    with pytest.raises(InvalidArchitectureError, match="output 'nowhere'"):
        graph.add_output("nowhere")


@pytest.mark.parametrize("outputs", [[], ["w"]])
def test_an_input_must_reach_an_output(graph, outputs):
    for value in outputs:
        graph.add_output(value)
    with pytest.raises(InvalidArchitectureError, match="net: no input reaches an output"):
        graph.to_network()


def test_the_report_in_words():
    assert str(ImportReport("net", read=7, removed=2, folded=1, parameters=1_234, flops=5_678)) == (
        "net: 7 operators read, 2 removed, 1 folded, 0 dropped; 1,234 parameters, 5,678 flops"
    )
    report = ImportReport(
        "net",
        unknown={"own.Twist": 3},
        control_flow=2,
        unknown_sizes=4,
        external_data=("'net.bin'",),
        warnings=("beware",),
    )
    assert str(report).splitlines()[1:] == [
        "outside the vocabulary: 3 own.Twist",
        "2 of control flow, each kept as one node",
        "4 nodes of unknown size",
        "weights in other files, not opened: 'net.bin'",
        "beware",
    ]
