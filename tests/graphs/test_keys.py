"""Isomorphism keys against networkx: equal where and only where the graphs are isomorphic."""

import collections
import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.graphs.keys import distinct_rows, first_equal, mix, stable_order
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables
from reference.zigzags import zigzags


def multigraph(architecture):
    graph = nx.MultiDiGraph()
    graph.add_nodes_from((node, {"name": name}) for node, name in enumerate(architecture.operations))
    graph.add_edges_from(architecture.edges)
    return graph


def isomorphic(first, second):
    same_name = nx.algorithms.isomorphism.categorical_node_match("name", None)
    return nx.is_isomorphic(multigraph(first), multigraph(second), node_match=same_name)


def invariant(architecture):
    """What is easily seen to be equal for isomorphic graphs."""
    into, out = (collections.Counter(edge[end] for edge in architecture.edges) for end in (1, 0))
    return tuple(sorted((name, into[node], out[node]) for node, name in enumerate(architecture.operations)))


def check_keys(table, rows):
    """Check the given rows: equal keys mean isomorphic, other keys mean not; return how many classes."""
    groups = {}
    for row in rows:
        groups.setdefault(int(table.keys()[row]), []).append(table[row])
    for first, *others in groups.values():
        assert all(isomorphic(first, other) for other in others if other != first)
    similar = {}
    for first, *_ in groups.values():
        similar.setdefault(invariant(first), []).append(first)
    for members in similar.values():
        assert not any(isomorphic(*pair) for pair in itertools.combinations(members, 2))
    return len(groups)


def nasbench201(form):
    return NASBench201().all().in_form(form)


# The number of pairwise non-isomorphic cells in each form, as networkx counts them (the slow test).
CLASSES = {"as-written": 15_625, "pruned": 8_765, "collapsed": 5_425}


@pytest.mark.parametrize("form", CLASSES)
def test_nasbench201_keys_on_a_sample(form):
    table = nasbench201(form)
    assert len(np.unique(table.keys())) == CLASSES[form]
    rows = np.random.default_rng(0).choice(len(table), size=400, replace=False)
    assert 50 < check_keys(table, rows) <= 400


@pytest.mark.slow
@pytest.mark.parametrize("form", CLASSES)
def test_nasbench201_keys_on_the_whole_space(form):
    table = nasbench201(form)
    assert check_keys(table, range(len(table))) == CLASSES[form]


def test_every_small_graph():
    """All 8,192 graphs of an input, three nodes of two kinds and an output, edges in the node order."""
    names = [("input", *inner, "output") for inner in itertools.product(("conv", "pool"), repeat=3)]
    pairs = list(itertools.combinations(range(5), 2))
    wirings = [
        [pair for pair, chosen in zip(pairs, mask, strict=True) if chosen]
        for mask in itertools.product((False, True), repeat=len(pairs))
    ]
    table = ArchitectureTable.of(
        [Architecture(name, wiring) for name, wiring in itertools.product(names, wirings)], TOY_OPERATIONS
    )
    check_keys(table, range(len(table)))


@pytest.mark.slow
def test_nasbench101_keys_are_all_distinct():
    """The 423,624 cells are pairwise not isomorphic, as published."""
    assert len(np.unique(NASBench101().all().keys())) == 423_624


@settings(deadline=None)
@given(tables(min_size=1), st.integers(0, 2**32))
def test_keys_survive_renumbering(table, seed):
    rng = np.random.default_rng(seed)
    other = ArchitectureTable.of([renumbered(a, rng)[0] for a in table], TOY_OPERATIONS)
    for form in ("as-written", "pruned", "collapsed"):
        assert other.in_form(form).keys().tolist() == table.in_form(form).keys().tolist()


@settings(deadline=None)
@given(tables())
def test_a_table_has_the_keys_of_its_architectures(table):
    assert [f"{key:016x}" for key in table.keys().tolist()] == [architecture.key() for architecture in table]
    assert table.keys().dtype == np.uint64


def test_keys_carry_over_between_vocabularies():
    table = toy_table(50)
    wider = Operations(("output", "other", *reversed(TOY_OPERATIONS.names[:-1])))
    assert ArchitectureTable.of(list(table), wider).keys().tolist() == table.keys().tolist()


def test_names_decide_and_not_ids():
    first = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    second = Architecture(("input", "pool", "output"), ((0, 1), (1, 2)))
    swapped = Operations(("input", "pool", "conv", "skip", "none", "output"))
    (key,) = ArchitectureTable.of([first], TOY_OPERATIONS).keys()
    (other,) = ArchitectureTable.of([second], swapped).keys()  # the same numbers in the columns
    assert key != other


def test_direction_counts():
    edges = ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4))
    mirrored = ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4))
    names = ("input", "conv", "conv", "conv", "output")
    assert Architecture(names, edges).key() != Architecture(names, mirrored).key()


def test_no_rows_no_keys():
    assert toy_table(0).keys().shape == (0,)


def test_mix_is_splitmix64():
    """The first two numbers of the published generator seeded 0 (Steele, Lea and Flood; xoshiro pages)."""
    step = 0x9E3779B97F4A7C15
    mixed = mix(np.array([0, step], dtype=np.uint64), np.uint64(0))
    assert [hex(value) for value in mixed.tolist()] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]
    assert mix(np.array([0], dtype=np.uint64), np.uint64(1)).tolist() == [0x6E789E6AA1B965F4]


def test_mix_knows_no_blocks():
    values = np.random.default_rng(0).integers(2**64, size=40_000, dtype=np.uint64)
    salt = np.uint64(2**64 - 3)
    ends = (0, 1, 16_383, 16_385, 40_000)
    pieces = [mix(values[begin:end], salt) for begin, end in itertools.pairwise(ends)]
    np.testing.assert_array_equal(mix(values, salt), np.concatenate(pieces))


def test_short_zigzags_are_told_apart():
    assert zigzags("aa", "bb", length=7).key() != zigzags("ab", "ab", length=7).key()


def test_long_zigzags_are_told_apart():
    first, second = zigzags("aa", "bb"), zigzags("ab", "ab")
    assert not isomorphic(first, second)
    assert first.key() != second.key()


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), min_size=1, max_size=60))
def test_the_first_equal_key(keys):
    found = first_equal(np.array(keys, dtype=np.uint64))
    assert found.tolist() == [keys.index(key) for key in keys]


def test_keys_that_share_their_slots():
    """Many neighbours and multiples of powers of two, some of them often, in any order."""
    rng = np.random.default_rng(0)
    keys = np.concatenate([np.arange(5000), np.arange(500) << 52, np.arange(3000)]).astype(np.uint64)
    keys = rng.permutation(keys)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(first_equal(keys), first[inverse])


def test_distinct_rows_are_the_first_of_their_kind():
    rows, places = distinct_rows(np.array([7, 3, 7, 9, 3], dtype=np.uint64))
    assert rows.tolist() == [0, 1, 3]
    assert places.tolist() == [0, 1, 0, 2, 1]


def test_no_rows_and_ties_in_order():
    rows, places = distinct_rows(np.zeros(0, dtype=np.uint64))
    assert len(rows) == len(places) == 0
    assert stable_order(np.array([2, 0, 2, 1, 0])).tolist() == [1, 4, 3, 0, 2]
