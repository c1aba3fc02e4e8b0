"""The free space: any labelled DAG."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.free import Free

OPEN = Free()
CLOSED = Free(Operations.of(["conv", "pool", "skip", "none"]))
CHAIN = "input,conv,pool,output;0>1,1>2,2>3"


@st.composite
def architectures(draw, names=None):
    """Any DAG in topological order, with repeated edges, several inputs and loose ends."""
    if names is None:
        alphabet = st.characters(exclude_categories=["C", "Z"], exclude_characters=",;>")
        names = st.text(alphabet, min_size=1, max_size=6).filter(lambda name: name not in ("input", "output"))
    inner = draw(st.lists(st.one_of(st.just("input"), names), max_size=8))
    operations = ["input", *inner]
    operations.insert(draw(st.integers(0, len(operations))), "output")
    pairs = [
        (u, v)
        for v in range(len(operations))
        for u in range(v)
        if operations[v] != "input" and operations[u] != "output"
    ]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=12)) if pairs else []
    return Architecture(tuple(operations), tuple(edges))


# The text


def test_the_documented_example():
    architecture = OPEN.parse(CHAIN)
    assert architecture == Architecture(("input", "conv", "pool", "output"), ((0, 1), (1, 2), (2, 3)))
    assert OPEN.format(architecture) == CHAIN


@given(architectures())
def test_parse_inverts_format(architecture):
    text = OPEN.format(architecture)
    assert OPEN.parse(text) == architecture
    assert OPEN.format(OPEN.parse(text)) == text
    assert Free.of_texts([text]).parse(text) == architecture


def test_nodes_may_stand_in_any_order():
    assert OPEN.parse("output,conv,input,pool;1>3,3>0,2>1") == OPEN.parse(CHAIN)


def test_there_may_be_no_edge_and_an_edge_may_be_repeated():
    assert OPEN.parse("input,output;").edges == ()
    repeated = "input,output;0>1,0>1"
    assert OPEN.parse(repeated).edges == ((0, 1), (0, 1))
    assert OPEN.format(OPEN.parse(repeated)) == repeated


BAD_TEXTS = {
    "empty": ("", "empty; the form is"),
    "blank": (" \n", "empty; the form is"),
    "nasbench201": ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "0 semicolons.*the form is"),
    "nasbench101": ('{"matrix":[[0,1],[0,0]],"ops":["input","output"]}', "0 semicolons"),
    "two semicolons": ("input,output;0>1;0>1", "2 semicolons"),
    "giant": ("input,output;" + "0>1," * 300_000, "1200013 characters"),
    "cyclic": ("input,conv,pool,output;0>1,1>2,2>1,2>3", "node 1 .*cycle"),
    "self loop": ("input,conv,output;0>1,1>1,1>2", "node 1 .*cycle"),
    "no operation": (";0>1", "node 0.*one or more printable"),
    "no input": ("conv,output;0>1", "no node is named 'input'"),
    "no output": ("input,conv;0>1", "no node is named 'output'"),
    "two outputs": ("input,output,output;0>1,0>2", "nodes 1, 2 are named 'output'"),
    "edge to a missing node": ("input,conv,output;0>1,1>3", "edge 1>3 names node 3"),
    "edge into an input": ("input,conv,output;1>0,1>2", "edge 1>0 enters an input"),
    "edge out of the output": ("input,conv,output;0>2,2>1", "edge 2>1 leaves the output"),
    "edge with a dash": ("input,output;0-1", "edge '0-1' is not source>target"),
    "edge with a sign": ("input,output;-1>1", "edge '-1>1' is not"),
    "edge with other digits": ("input,output;0>\N{SUPERSCRIPT ONE}", "is not source>target"),
    "edge missing between commas": ("input,conv,output;0>1,,1>2", "edge '' is not"),
    "trailing comma": ("input,output;0>1,", "edge '' is not"),
    "huge number": ("input,output;0>99999999999999999999", "below 10\\^9"),
    "number without end": ("input,output;0>" + "9" * 10_000, "below 10\\^9"),
    "space in a name": ("input, conv,output;0>1,1>2", "node 1: operation ' conv'"),
    "line break in a name": ("input,a\nb,output;0>1,1>2", r"node 1: operation 'a\\nb'"),
    "control character in a name": ("input,a\x00b,output;0>1,1>2", "node 1"),
    "arrow in a name": ("input,a>b,output;0>1,1>2", "node 1"),
    "name without end": ("input," + "c " * 9_000 + ",output;", "node 1"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_text_is_refused_in_one_line(text, reason):
    for space in (OPEN, CLOSED):
        with pytest.raises(InvalidArchitectureError, match=reason) as caught:
            space.parse(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_a_name_that_cannot_be_written_is_refused():
    with pytest.raises(InvalidArchitectureError, match="node 1: operation 'a,b'"):
        OPEN.format(Architecture(("input", "a,b", "output"), ((0, 1), (1, 2))))


# The vocabulary


def test_a_closed_space_knows_its_operations_and_suggests_the_nearest():
    with pytest.raises(InvalidArchitectureError, match=r"node 1.*'cnv'.*Did you mean 'conv'"):
        CLOSED.parse("input,cnv,output;0>1,1>2")
    with pytest.raises(InvalidArchitectureError, match=r"node 1.*'cnv'"):
        CLOSED.format(Architecture(("input", "cnv", "output"), ((0, 1), (1, 2))))


def test_of_texts_learns_names_and_their_meaning():
    texts = [CHAIN, "input,skip,zero,output;0>1,1>3", "input,keep,drop,output;0>1,1>3"]
    by_name = Free.of_texts(texts).operations
    assert by_name.names == ("input", "conv", "drop", "keep", "pool", "skip", "zero", "output")
    assert (by_name.identity, by_name.zero) == ({"skip"}, {"zero"})
    given_meaning = Free.of_texts(iter(texts), identity=["keep", "absent"], zero=["drop"]).operations
    assert (given_meaning.identity, given_meaning.zero) == ({"keep"}, {"drop"})
    assert given_meaning.parametric == {"conv", "pool", "skip", "zero"}
    with pytest.raises(InvalidArchitectureError, match="text 1: 0 semicolons"):
        Free.of_texts([CHAIN, "conv"])


def test_the_open_space_says_how_to_get_a_vocabulary():
    with pytest.raises(UsageError, match="of_texts"):
        _ = OPEN.operations
    with pytest.raises(UsageError, match="of_texts"):
        OPEN.mutate(OPEN.parse(CHAIN), np.random.default_rng(0))


def test_the_space_has_no_end_and_says_what_to_do():
    assert CLOSED.size is None
    with pytest.raises(UsageError, match="table of candidates"):
        CLOSED.all()
    with pytest.raises(UsageError, match="table of candidates"):
        CLOSED.sample(3, np.random.default_rng(0))


# Neighbours


@given(architectures(st.sampled_from(CLOSED.operations.names[1:-1])), st.integers(0, 2**32))
def test_a_mutant_is_valid_different_and_repeatable(architecture, seed):
    assume(not set(architecture.operations) <= {"input", "output"})  # those may have no neighbour
    mutant = CLOSED.mutate(architecture, np.random.default_rng(seed))
    assert CLOSED.parse(CLOSED.format(mutant)) == mutant
    assert mutant.key() != architecture.key()
    changed = sum(a != b for a, b in zip(mutant.operations, architecture.operations, strict=True))
    assert changed + abs(len(mutant.edges) - len(architecture.edges)) == 1
    assert CLOSED.mutate(architecture, np.random.default_rng(seed)) == mutant


def test_mutation_reaches_every_neighbour_and_keeps_a_path():
    rng = np.random.default_rng(0)
    architecture = CLOSED.parse("input,conv,output;0>1,1>2,0>2")
    mutants = {CLOSED.format(CLOSED.mutate(architecture, rng)) for _ in range(300)}
    assert mutants == {
        *(f"input,{name},output;0>1,0>2,1>2" for name in ("pool", "skip", "none")),
        *(f"input,conv,output;{edges}" for edges in ("0>1,0>2", "0>1,1>2", "0>2,1>2")),
    }
    chain = CLOSED.parse(CHAIN)
    for _ in range(100):
        assert len(CLOSED.mutate(chain, rng).edges) >= 3  # no edge of a chain can go


def test_a_cell_without_neighbours_says_so():
    with pytest.raises(InvalidArchitectureError, match="no neighbour"):
        CLOSED.mutate(CLOSED.parse("input,output;0>1"), np.random.default_rng(0))


def test_a_mutant_of_what_is_not_of_the_space_is_refused():
    with pytest.raises(InvalidArchitectureError, match="'cnv'"):
        CLOSED.mutate(OPEN.parse("input,cnv,output;0>1,1>2"), np.random.default_rng(0))


# The proxy


def test_parameters_counts_parametric_nodes():
    texts = [CHAIN, "input,skip,none,output;0>1,1>3", "input,conv,conv,conv,output;", "input,output;0>1"]
    table = ArchitectureTable.of([OPEN.parse(text) for text in texts])
    counts = OPEN.parameters(table)
    assert counts.dtype == np.float64
    assert counts.tolist() == [2, 0, 3, 0]
    assert OPEN.parameters(table[:0]).shape == (0,)
