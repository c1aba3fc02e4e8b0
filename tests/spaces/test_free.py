"""The free space: any labelled DAG."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.free import Free

OPEN = Free()
CLOSED = Free(Operations.of(["conv", "pool", "skip", "none"]))
SIZED = Free(Operations.of(["conv", "pool", "skip", "none"], attributes=["channels", "kernel"]))
CHAIN = "input,conv,pool,output;0>1,1>2,2>3"
SIZED_CHAIN = f"{CHAIN};channels=0,64,0.1,0;kernel=0,3,0,0"


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


# Attributes


@st.composite
def sized_architectures(draw, names=None):
    """Any DAG whose nodes carry any numbers."""
    names = st.sampled_from(SIZED.operations.attributes) if names is None else names
    architecture = draw(architectures(st.sampled_from(SIZED.operations.names[1:-1])))
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000)
    rows = st.tuples(*[numbers for _ in architecture.operations])
    attributes = draw(st.dictionaries(names, rows, max_size=4))
    return dataclasses.replace(architecture, attributes=attributes)


def test_the_documented_example_with_attributes():
    architecture = OPEN.parse(SIZED_CHAIN)
    tenth = float(np.float32(0.1))
    assert architecture == dataclasses.replace(
        OPEN.parse(CHAIN), attributes={"channels": (0, 64, tenth, 0), "kernel": (0, 3, 0, 0)}
    )
    assert OPEN.format(architecture) == SIZED_CHAIN
    assert SIZED.parse(SIZED_CHAIN) == architecture


@given(sized_architectures())
def test_parse_inverts_format_with_attributes(architecture):
    text = SIZED.format(architecture)
    assert SIZED.parse(text) == OPEN.parse(text) == architecture
    assert SIZED.format(SIZED.parse(text)) == text
    assert Free.of_texts([text]).parse(text) == architecture


@given(
    sized_architectures(
        st.text(
            st.characters(exclude_categories=["C", "Z"], exclude_characters=",;>="), min_size=1, max_size=6
        )
    ),
    st.randoms(use_true_random=False),
)
def test_attributes_of_any_name_in_any_order(architecture, shuffler):
    operations, edges, *sections = OPEN.format(architecture).split(";")
    assert sections == sorted(sections, key=lambda section: section.partition("=")[0])
    shuffler.shuffle(sections)
    assert OPEN.parse(";".join([operations, edges, *sections])) == architecture


@given(sized_architectures(), st.randoms(use_true_random=False))
def test_numbers_follow_their_nodes_into_any_order(architecture, shuffler):
    """A text whose nodes stand in another order is the same graph, its numbers included."""
    order = shuffler.sample(range(architecture.n_nodes), architecture.n_nodes)  # order[new] = old
    place = {old: new for new, old in enumerate(order)}
    sections = [
        f"{name}={','.join(repr(values[old]) for old in order)}" for name, values in architecture.attributes
    ]
    operations = ",".join(architecture.operations[old] for old in order)
    edges = ",".join(f"{place[u]}>{place[v]}" for u, v in architecture.edges)
    assert SIZED.parse(";".join([operations, edges, *sections])).key() == architecture.key()


def test_an_attribute_that_no_node_has_is_not_written():
    text = f"{CHAIN};kernel=0,3,0,0;channels=0,0.0,-0,0e5"
    assert OPEN.format(OPEN.parse(text)) == f"{CHAIN};kernel=0,3,0,0"


BAD_ATTRIBUTES = {
    "no equals sign": ("channels", "2 semicolons, but section 3, 'channels', has no '='; the form is"),
    "nothing": ("", "section 3, '', has no '='"),
    "no name": ("=0,1,0,0", "attribute '': its name must be one or more printable characters"),
    "space in the name": ("k k=0,1,0,0", "attribute 'k k': its name"),
    "arrow in the name": ("k>=0,1,0,0", "attribute 'k>': its name"),
    "one number too few": ("kernel=0,1,0", "attribute 'kernel' has 3 numbers for 4 nodes; give one a node"),
    "one too many": ("kernel=0,1,0,0,", "attribute 'kernel' has 5 numbers for 4 nodes"),
    "far too many": ("kernel=" + "0," * 9_000, "attribute 'kernel' has 9001 numbers"),
    "no number": ("kernel=0,1,,0", "attribute 'kernel': node 2: '' is not a decimal number"),
    "text": ("kernel=0,three,0,0", "attribute 'kernel': node 1: 'three' is not a decimal number"),
    "twice": ("kernel=0,1,0,0;kernel=0,1,0,0", "attribute 'kernel' is given twice"),
    "equals sign in the name": ("kernel=b=0,1,0,0", "attribute 'kernel': node 0: 'b=0' is not"),
    "not finite": ("kernel=0,nan,0,0", "node 1: 'nan' is not"),
    "too large": ("kernel=0,3.5e38,0,0", "node 1: '3.5e38' is not a decimal number below 3.4e38"),
    "number without end": ("kernel=0," + "9" * 9_000 + ",0,0", "attribute 'kernel': node 1: '999"),
    "other digits": ("kernel=0,\N{SUPERSCRIPT TWO},0,0", "node 1: '\N{SUPERSCRIPT TWO}' is not"),
    "space around": ("kernel=0, 1,0,0", "node 1: ' 1' is not"),
    "many": (";".join(f"a{number}=0,1,0,0" for number in range(65)), "65 attributes; .* at most 64"),
}


@pytest.mark.parametrize(("sections", "reason"), BAD_ATTRIBUTES.values(), ids=BAD_ATTRIBUTES.keys())
def test_a_bad_attribute_is_refused_in_one_line(sections, reason):
    for space in (OPEN, SIZED):
        with pytest.raises(InvalidArchitectureError, match=reason) as caught:
            space.parse(f"{CHAIN};{sections}")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_a_closed_space_knows_its_attributes():
    text = f"{CHAIN};kernal=0,3,0,0"
    with pytest.raises(InvalidArchitectureError, match=r"attribute 'kernal'.*Did you mean 'kernel'"):
        SIZED.parse(text)
    with pytest.raises(InvalidArchitectureError, match=r"attribute 'kernal'; there are none"):
        CLOSED.parse(text)
    for action in (SIZED.format, lambda known: SIZED.mutate(known, np.random.default_rng(0))):
        with pytest.raises(InvalidArchitectureError, match="attribute 'kernal'"):
            action(OPEN.parse(text))


def test_an_attribute_whose_name_cannot_be_written_is_refused():
    for name in ("a=b", "a;b", ""):
        architecture = dataclasses.replace(OPEN.parse(CHAIN), attributes={name: (0, 1, 0, 0)})
        with pytest.raises(InvalidArchitectureError, match=f"attribute '{name}': its name must"):
            OPEN.format(architecture)


def test_of_texts_learns_attributes():
    texts = [CHAIN, f"{CHAIN};kernel=0,1,0,0;channels=0,2,0,0", f"{CHAIN};heads=0,0,8,0"]
    assert Free.of_texts(texts).operations.attributes == ("channels", "heads", "kernel")
    many = [f"{CHAIN};a{number}=0,1,0,0" for number in range(65)]
    with pytest.raises(InvalidArchitectureError, match="text 64: attribute number 65; 64 at most"):
        Free.of_texts(many)


def test_a_text_of_the_greatest_length_is_read():
    """Time grows with the length of a text alone; a square of it would take minutes."""
    count = 25_000
    numbers = ",".join(random.Random(0).choices(("0", "0.1", "16", "1e+20"), k=count))
    operations = ",".join(["input", *["conv"] * (count - 2), "output"])
    edges = ",".join(f"{node}>{node + 1}" for node in range(count - 1))
    text = f"{operations};{edges};channels={numbers};kernel={numbers}"
    assert SIZED.format(SIZED.parse(text)) == text


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


@given(sized_architectures(), st.integers(0, 2**32))
def test_a_mutant_keeps_its_numbers(architecture, seed):
    assume(not set(architecture.operations) <= {"input", "output"})
    mutant = SIZED.mutate(architecture, np.random.default_rng(seed))
    assert mutant.attributes == architecture.attributes
    assert (mutant.operations, mutant.edges) != (architecture.operations, architecture.edges)


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


def test_parameters_sums_the_attribute_of_that_name():
    texts = [f"{CHAIN};parameters=0,1000,0.5,0", f"{CHAIN};kernel=0,3,0,0", "input,output;0>1"]
    space = Free.of_texts(texts)
    table = ArchitectureTable.of([space.parse(text) for text in texts], space.operations)
    assert space.parameters(table).tolist() == [1000.5, 0, 0]
    assert space.parameters(table[:0]).shape == (0,)


# A name of its own


def test_a_name_of_its_own():
    assert (OPEN.name, Free.name) == ("free", "free")
    assert Free(CLOSED.operations, name="mine").name == "mine"
    with pytest.raises(UsageError, match="archflow has a space named 'nasbench201'"):
        Free(CLOSED.operations, name="NASBench201")
