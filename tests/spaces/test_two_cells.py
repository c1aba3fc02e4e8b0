"""What the spaces of two cells share, on a space small enough to go through: one node, two operations."""

import itertools
import json

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.spaces.two_cells import TwoCells


def small(**rules):
    settings = {"distinct_inputs": True, "loose_ends": False} | rules
    return TwoCells(
        ("skip_connect", "conv"), 1, parametric=frozenset({"conv"}), what="a small genotype", **settings
    )


def text_of(normal, reduce):
    return json.dumps({"normal": normal, "normal_concat": [2], "reduce": reduce, "reduce_concat": [2]})


def test_the_vocabulary_has_each_operation_for_each_cell():
    operations = small(also=("none",)).operations
    assert operations.names == (
        *("input", "c_{k-2}", "c_{k-1}", "none", "skip_connect", "conv", "sum"),
        *("reduce_none", "reduce_skip_connect", "reduce_conv", "factorized_reduce", "reduce_sum", "output"),
    )
    assert operations.identity == {"skip_connect", "reduce_skip_connect"}
    assert operations.zero == {"none", "reduce_none"}
    assert operations.parametric == {"conv", "reduce_conv", "c_{k-2}", "c_{k-1}", "factorized_reduce"}


@pytest.mark.parametrize(("distinct", "count"), [(True, 4), (False, 10)])
def test_sampling_all_gives_each_genotype_once(distinct, count):
    """Two of four (operation, input) pairs: four ways with different inputs, ten with any."""
    space = small(distinct_inputs=distinct)
    assert space.size == count**2
    table = space.sample(space.size, np.random.default_rng(0))
    assert len(np.unique(table.keys())) == space.size
    with pytest.raises(UsageError, match=f"cannot draw {count**2 + 1} distinct architectures"):
        space.sample(space.size + 1, np.random.default_rng(0))


def test_mutations_reach_all_that_differ_in_one_place():
    space = small(distinct_inputs=False)
    pairs = [["conv", 0], ["skip_connect", 1]]
    graph = space.parse(text_of(pairs, pairs))
    rng = np.random.default_rng(0)
    reached = {space.format(space.mutate(graph, rng)) for _ in range(300)}
    expected = set()
    for cell, pair, field in itertools.product(range(2), range(2), range(2)):
        cells = json.loads(json.dumps([pairs, pairs]))
        old = cells[cell][pair][field]
        cells[cell][pair][field] = 1 - old if field else {"conv": "skip_connect"}.get(old, "conv")
        expected.add(space.format(space.parse(text_of(*cells))))
    assert reached == expected


def test_where_inputs_differ_a_mutation_keeps_them_so():
    space = small()
    graph = space.parse(text_of([["conv", 0], ["conv", 1]], [["conv", 1], ["conv", 0]]))
    rng = np.random.default_rng(0)
    for _ in range(50):
        fields = json.loads(space.format(space.mutate(graph, rng)))
        assert [source for _, source in fields["normal"]] == [0, 1]
        assert [source for _, source in fields["reduce"]] == [1, 0]


def test_a_genotype_and_its_table():
    space = small(distinct_inputs=False)
    genotypes = np.array(list(itertools.product([0, 1], repeat=8))).reshape(-1, 2, 2, 2)
    table = space.table(genotypes)
    table.columns.check(space.operations)
    assert len(table) == 256
    for row, genotype in zip(table, genotypes, strict=True):
        np.testing.assert_array_equal(space.genotype(row), genotype)


def test_rules_are_named():
    with pytest.raises(InvalidArchitectureError, match=r"reduce node 2 has the same input twice \(0\)"):
        small().parse(text_of([["conv", 0], ["conv", 1]], [["conv", 0], ["conv", 0]]))
    with pytest.raises(InvalidArchitectureError, match="not a small genotype"):
        small().parse("3")
