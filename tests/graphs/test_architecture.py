"""One architecture: every rule and its message, topological sorting, keys and forms."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UnknownNameError
from archflow.graphs import Architecture, Operations
from archflow.testing import TOY_OPERATIONS
from archflow.testing.strategies import architectures

CHAIN = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))


@pytest.mark.parametrize("build", [Architecture, Architecture.from_graph])
@pytest.mark.parametrize(
    ("operations", "edges", "message"),
    [
        ((), (), "no node is named 'input'; an architecture needs at least one input"),
        (("conv", "output"), (), "no node is named 'input'"),
        (("input", "conv"), (), "no node is named 'output'; an architecture has exactly one output"),
        (("input", "output", "output"), (), "nodes 1, 2 are named 'output'; .* exactly one output"),
        (("input", "output"), ((0, 2),), r"edge 0>2 names node 2, which does not exist \(nodes are 0 to 1\)"),
        (("input", "output"), ((-1, 1),), "edge -1>1 names node -1, which does not exist"),
        (("input", "output", "conv"), ((1, 2),), "edge 1>2 leaves the output; nothing may follow it"),
        (("input", "input", "output"), ((0, 1),), "edge 0>1 enters an input; nothing may come before it"),
        (("conv", "input", "output"), ((0, 1),), "edge 0>1 enters an input"),
    ],
)
def test_every_rule_has_its_message(build, operations, edges, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        build(operations, edges)


@pytest.mark.parametrize("edge", [(2, 1), (1, 1)])
def test_edges_against_the_node_order_are_refused(edge):
    with pytest.raises(
        InvalidArchitectureError, match=f"edge {edge[0]}>{edge[1]} runs against the node order"
    ):
        Architecture(("input", "conv", "pool", "output"), (edge,))


@pytest.mark.parametrize(
    ("edges", "node"),
    [
        (((1, 2), (2, 1)), "node 1 .conv."),
        (((2, 2),), "node 2 .pool."),
        (((0, 1), (2, 2), (2, 3)), "node 2 .pool."),
    ],
)
def test_cycles_are_refused(edges, node):
    with pytest.raises(InvalidArchitectureError, match=f"{node} lies on or behind a cycle"):
        Architecture.from_graph(("input", "conv", "pool", "output"), edges)


def test_edges_are_kept_sorted_by_target_then_source():
    architecture = Architecture(("input", "conv", "pool", "output"), ((2, 3), (0, 3), (1, 2), (0, 2), (0, 1)))
    assert architecture.edges == ((0, 1), (0, 2), (1, 2), (0, 3), (2, 3))


def test_parallel_edges_are_kept():
    assert Architecture(("input", "output"), ((0, 1), (0, 1))).edges == ((0, 1), (0, 1))


def test_equality_is_structural():
    same = Architecture(["input", "conv", "output"], np.array([[1, 2], [0, 1]]))
    assert same == CHAIN
    assert hash(same) == hash(CHAIN)
    assert same.edges == ((0, 1), (1, 2))
    assert all(type(node) is int for edge in same.edges for node in edge)
    assert Architecture(("input", "pool", "output"), CHAIN.edges) != CHAIN
    assert Architecture(CHAIN.operations, ((0, 2),)) != CHAIN
    assert Architecture(CHAIN.operations, ((0, 1), (1, 2), (1, 2))) != CHAIN


def test_nothing_can_be_assigned():
    with pytest.raises(AttributeError):
        CHAIN.edges = ()
    with pytest.raises((AttributeError, TypeError)):
        CHAIN.colour = "red"


def test_architectures_can_be_pickled_to_workers():
    assert pickle.loads(pickle.dumps(CHAIN)) == CHAIN


def test_the_smallest_architecture():
    bare = Architecture(("input", "output"), ())
    assert bare.n_nodes == 2
    assert bare.pruned() == bare.collapsed() == bare
    assert bare.key() != Architecture(("input", "output"), ((0, 1),)).key()


def test_from_graph_sorts_topologically_and_keeps_order_where_it_can():
    architecture = Architecture.from_graph(
        ("output", "pool", "conv", "input"), ((3, 1), (1, 2), (2, 0), (3, 0))
    )
    assert architecture.operations == ("input", "pool", "conv", "output")
    assert architecture.edges == ((0, 1), (1, 2), (0, 3), (2, 3))


@settings(deadline=None)
@given(architectures())
def test_from_graph_changes_nothing_in_a_sorted_graph(architecture):
    assert Architecture.from_graph(architecture.operations, architecture.edges) == architecture


@settings(deadline=None)
@given(architectures(), st.randoms(use_true_random=False))
def test_the_key_is_the_same_for_every_numbering(architecture, random):
    nodes = list(range(architecture.n_nodes))
    random.shuffle(nodes)
    names = [None] * len(nodes)
    for old, new in enumerate(nodes):
        names[new] = architecture.operations[old]
    other = Architecture.from_graph(names, [(nodes[u], nodes[v]) for u, v in architecture.edges])
    assert other.key() == architecture.key()
    for form in (Architecture.pruned, Architecture.collapsed):
        assert form(other).key() == form(architecture).key()


def test_the_key_is_16_hexadecimal_digits():
    assert re.fullmatch("[0-9a-f]{16}", CHAIN.key())


def test_the_key_is_the_same_in_every_process():
    code = (
        "from archflow.graphs import Architecture;"
        "print(Architecture(('input', 'conv', 'output'), ((0, 1), (1, 2))).key())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == CHAIN.key()


@pytest.mark.parametrize(
    ("operations", "edges"),
    [
        (("input", "pool", "output"), ((0, 1), (1, 2))),
        (("input", "conv", "output"), ((0, 1), (0, 2), (1, 2))),
        (("input", "conv", "output"), ((0, 1), (1, 2), (1, 2))),
        (("input", "conv", "output"), ((0, 1),)),
        (("input", "conv", "conv", "output"), ((0, 1), (1, 3))),
        (("input", "input", "conv", "output"), ((0, 2), (2, 3))),
    ],
)
def test_the_key_tells_other_graphs_apart(operations, edges):
    assert Architecture(operations, edges).key() != CHAIN.key()


def test_meaning_goes_by_name_unless_a_vocabulary_gives_it():
    names = ("input", "skip", "none", "conv", "output")
    architecture = Architecture(names, ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4)))
    assert architecture.pruned() == Architecture(
        ("input", "skip", "conv", "output"), ((0, 1), (1, 2), (2, 3))
    )
    assert architecture.collapsed() == CHAIN

    opposite = Operations(names, identity=frozenset({"none"}), zero=frozenset({"skip"}))
    assert architecture.pruned(opposite) == Architecture(
        ("input", "none", "conv", "output"), ((0, 1), (1, 2), (2, 3))
    )
    assert architecture.collapsed(opposite) == CHAIN

    plain = Operations(names)
    assert architecture.pruned(plain) == architecture.collapsed(plain) == architecture


@settings(deadline=None)
@given(architectures())
def test_columns_and_back(architecture):
    columns = architecture.to_columns(TOY_OPERATIONS)
    assert len(columns) == 1
    assert Architecture.from_columns(columns, TOY_OPERATIONS) == architecture


def test_an_operation_outside_the_vocabulary_is_named():
    with pytest.raises(UnknownNameError, match=r"unknown operation 'convv'.*Did you mean 'conv'"):
        Architecture(("input", "convv", "output"), ()).to_columns(TOY_OPERATIONS)


def test_more_operations_than_ids_is_an_error_of_ours():
    names = ("input", *(f"op{number}" for number in range(33_000)), "output")
    with pytest.raises(InvalidArchitectureError):
        Architecture(names, ()).to_columns(Operations(names))
