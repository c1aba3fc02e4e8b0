"""Pruned and collapsed graphs: whole tables against one by one and against slow twins, and their laws."""

import numpy as np
import pytest
from hypothesis import given, settings

from archflow.errors import UnknownNameError
from archflow.graphs import FORMS, Architecture, ArchitectureTable, Operations
from archflow.graphs.forms import MAX_PARALLEL_EDGES
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import architectures, tables
from reference import forms as slow

SPACE = NASBench201()


def slow_pruned(architecture, operations=TOY_OPERATIONS):
    return slow.prune(architecture, operations)


def slow_collapsed(architecture, operations=TOY_OPERATIONS):
    return slow.collapse(architecture, operations, MAX_PARALLEL_EDGES)


@settings(deadline=None, max_examples=200)
@given(tables())
def test_tables_equal_the_slow_twins(table):
    assert list(table.pruned()) == [slow_pruned(architecture) for architecture in table]
    assert list(table.collapsed()) == [slow_collapsed(architecture) for architecture in table]


@settings(deadline=None)
@given(tables())
def test_tables_equal_one_by_one(table):
    assert list(table.pruned()) == [a.pruned(TOY_OPERATIONS) for a in table]
    assert list(table.collapsed()) == [a.collapsed(TOY_OPERATIONS) for a in table]


def test_large_toy_graphs_equal_the_slow_twins():
    table = toy_table(300, seed=5, max_inner=12)
    assert list(table.pruned()) == [slow_pruned(architecture) for architecture in table]
    assert list(table.collapsed()) == [slow_collapsed(architecture) for architecture in table]


def test_nasbench201_equals_the_slow_twins():
    table = SPACE.all()
    pruned, collapsed = table.pruned(), table.collapsed()
    for row in range(0, len(table), 31):
        assert pruned[row] == slow_pruned(table[row], SPACE.operations)
        assert collapsed[row] == slow_collapsed(table[row], SPACE.operations)


@settings(deadline=None)
@given(tables())
def test_forms_are_idempotent(table):
    pruned, collapsed = table.pruned(), table.collapsed()
    assert list(pruned.pruned()) == list(pruned)
    assert list(collapsed.collapsed()) == list(collapsed)
    assert list(collapsed.pruned()) == list(collapsed)
    assert list(pruned.collapsed()) == list(collapsed)


@settings(deadline=None)
@given(architectures())
def test_what_forms_keep_and_drop(architecture):
    names = architecture.operations
    ends = [name for name in names if name in ("input", "output")]
    for form in (architecture.pruned(TOY_OPERATIONS), architecture.collapsed(TOY_OPERATIONS)):
        assert [name for name in form.operations if name in ("input", "output")] == ends
        assert "none" not in form.operations
        fed = {target for _, target in form.edges}
        feeding = {source for source, _ in form.edges}
        for node, name in enumerate(form.operations):
            if name not in ("input", "output"):  # an inner node that stays is on a path
                assert node in fed
                assert node in feeding
    assert "skip" not in architecture.collapsed(TOY_OPERATIONS).operations


def test_as_written_is_the_table_itself():
    table = toy_table(5)
    assert table.in_form("as-written").columns is table.columns


def test_an_unknown_form_gets_the_choices_and_the_nearest():
    assert FORMS == ("as-written", "pruned", "collapsed")
    with pytest.raises(UnknownNameError, match=r"unknown form 'prune'; .*collapsed.*Did you mean 'pruned'"):
        toy_table(2).in_form("prune")


def test_the_empty_table_has_all_forms():
    empty = toy_table(0)
    for form in FORMS:
        assert len(empty.in_form(form)) == 0


def test_a_dead_output_leaves_the_ends():
    architecture = Architecture(("input", "input", "none", "conv", "output"), ((0, 2), (2, 4), (1, 3)))
    bare = Architecture(("input", "input", "output"), ())
    assert architecture.pruned(TOY_OPERATIONS) == architecture.collapsed(TOY_OPERATIONS) == bare


def test_identity_chains_become_parallel_edges():
    # input -> skip -> output, input -> skip -> skip -> output, input -> output
    architecture = Architecture(
        ("input", "skip", "skip", "skip", "output"), ((0, 1), (1, 4), (0, 2), (2, 3), (3, 4), (0, 4))
    )
    assert architecture.collapsed(TOY_OPERATIONS) == Architecture(("input", "output"), ((0, 1),) * 3)


def test_parallel_edges_multiply_along_a_path():
    architecture = Architecture(
        ("input", "skip", "conv", "output"), ((0, 1),) * 2 + ((1, 2),) * 3 + ((2, 3),)
    )
    assert architecture.collapsed(TOY_OPERATIONS).edges == ((0, 1),) * 6 + ((1, 2),)


@pytest.mark.parametrize(("doublings", "edges"), [(5, 32), (6, 64), (7, 64), (40, 64)])
def test_parallel_edges_have_a_limit(doublings, edges):
    """A chain of identity nodes joined by double edges has 2 to the power of its length paths."""
    assert MAX_PARALLEL_EDGES == 64
    names = ("input", *("skip",) * (doublings - 1), "output")
    chain = Architecture(names, tuple((node, node + 1) for node in range(doublings)) * 2)
    assert chain.collapsed(TOY_OPERATIONS).edges == ((0, 1),) * edges
    assert slow_collapsed(chain).edges == ((0, 1),) * edges


def test_the_limit_does_not_depend_on_the_other_rows():
    many = Architecture(("input", "output"), ((0, 1),) * (MAX_PARALLEL_EDGES + 1))
    other = Architecture(("input", "skip", "output"), ((0, 1), (1, 2)))
    together = ArchitectureTable.of([many, other], TOY_OPERATIONS).collapsed()[0]
    assert together == many.collapsed(TOY_OPERATIONS)
    assert len(together.edges) == MAX_PARALLEL_EDGES


def test_the_meaning_of_operations_decides():
    table = toy_table(50, seed=2)
    plain = ArchitectureTable(table.columns, Operations(TOY_OPERATIONS.names))
    assert "none" in {name for a in plain.pruned() for name in a.operations}
    assert list(plain.pruned()) == list(plain.collapsed())


def test_order_and_vocabulary_stay():
    table = toy_table(30, seed=4)
    order = np.random.default_rng(0).permutation(30)
    for form in ("pruned", "collapsed"):
        result = table.in_form(form)
        assert result.operations == table.operations
        assert list(table[order].in_form(form)) == list(result[order])
