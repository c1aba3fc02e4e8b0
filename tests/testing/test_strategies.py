"""The strategies reach what they promise, and are imported by nobody but those who ask."""

import subprocess
import sys

import pytest
from hypothesis import find, given, settings

from archflow.graphs import Operations
from archflow.testing.strategies import architectures, tables


def degrees(architecture, end):
    return [sum(edge[end] == node for edge in architecture.edges) for node in range(architecture.n_nodes)]


REACHED = {
    "two inputs": lambda a: a.operations.count("input") >= 2,
    "no edges": lambda a: not a.edges,
    "a repeated edge": lambda a: len(set(a.edges)) < len(a.edges),
    "a node behind the output": lambda a: a.operations[-1] != "output",
    "an input that is not first": lambda a: a.operations[0] != "input",
    "a dead end": lambda a: any(
        into and not out and name == "conv"
        for name, into, out in zip(a.operations, degrees(a, 1), degrees(a, 0), strict=True)
    ),
    "a long path": lambda a: all((node, node + 1) in a.edges for node in range(3)),
    "a zero and an identity": lambda a: {"none", "skip"} <= set(a.operations),
}


@pytest.mark.parametrize("holds", REACHED.values(), ids=REACHED)
def test_the_strategy_reaches(holds):
    assert holds(find(architectures(), holds, settings=settings(deadline=None, max_examples=5_000)))


@settings(deadline=None)
@given(architectures(max_inner=3, max_edges=4, repeats=False))
def test_bounds_are_kept(architecture):
    assert architecture.n_nodes <= 5
    assert len(architecture.edges) <= 4
    assert len(set(architecture.edges)) == len(architecture.edges)


@settings(deadline=None)
@given(tables(Operations.of(["lstm"]), min_size=1, max_size=2))
def test_tables_have_the_given_size_and_vocabulary(table):
    assert 1 <= len(table) <= 2
    assert {name for row in table for name in row.operations} <= {"input", "lstm", "output"}


def test_examples_shrink():
    simplest = find(architectures(), lambda a: bool(a.edges))
    assert (simplest.operations, simplest.edges) == (("input", "output"), ((0, 1),))


def test_the_suites_do_without_hypothesis():
    code = "import sys, archflow.testing; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
