"""A space of one's own as a YAML file: what the schema says, and which line is to blame where it does not."""

import re
from pathlib import Path

import numpy as np
import pytest

from archflow.errors import UsageError
from archflow.graphs import Architecture, Operations
from archflow.spaces import SPACES, Declared, Free, NASBench201, choices, from_yaml, get
from archflow.testing import check_space

PAGE = Path(__file__).parents[2] / "docs" / "own-space.md"
HEAD = """\
name: my_space
operations:
  conv: parametric
  pool: plain
  skip: identity
  none: zero
attributes: [channels, kernel]
"""
OPERATIONS = Operations(
    names=("input", "conv", "pool", "skip", "none", "output"),
    identity=frozenset({"skip"}),
    zero=frozenset({"none"}),
    parametric=frozenset({"conv"}),
    attributes=("channels", "kernel"),
)

CHAIN = """\
chain:
  - conv: {channels: [16, 32, 64], kernel: 3}
  - [conv, pool, skip]
  - choices: [pool, {conv: {kernel: [1, 3]}}]
    repeat: 2
"""
EDGES = """\
cell:
  choices: [conv, skip, none]
  edges:
    0>1:
    0>2: [conv, pool]
    1>2: conv: {channels: [8, 16]}
"""
EDGES = EDGES.replace("conv: {channels: [8, 16]}", "{conv: {channels: [8, 16]}, pool: }")
NODES = """\
cell:
  inputs: [x, y]
  choices: [conv, pool]
  nodes:
    a: {from: x}
    b: {from: [a, y], choices: [conv, skip, none]}
    c: {from: [a, b]}
  output: [b, c]
"""
SHAPES = {"chain": CHAIN, "edges": EDGES, "nodes": NODES}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def space_of(tmp_path):
    """Read a space from text."""

    def reader(text, name="my_space.yaml"):
        (tmp_path / name).write_text(text)
        return from_yaml(tmp_path / name)

    return reader


# Good files


@each_shape
def test_declared_files_conform(space_of, shape):
    check_space(space_of(HEAD + SHAPES[shape]), samples=12)


def test_a_file_with_a_vocabulary_alone_conforms(space_of):
    space = space_of(f"{HEAD}free: true")
    assert isinstance(space, Free)
    assert (space.name, space.operations) == ("my_space", OPERATIONS)
    texts = ["input,conv,pool,output;0>1,1>2,2>3;channels=0,16,0,0", "input,skip,output;0>1,1>2"]
    check_space(space, [space.parse(text) for text in texts])


def same(one, other):
    assert (one.name, one.operations, one.size) == (other.name, other.operations, other.size)
    assert one.all().digest() == other.all().digest()
    assert [one.format(a) for a in one.all()] == [other.format(a) for a in other.all()]


def test_a_chain_is_what_python_declares(space_of):
    last = ["pool", *choices("conv", kernel=[1, 3])]
    first = choices("conv", channels=[16, 32, 64], kernel=3)
    positions = [first, ["conv", "pool", "skip"], last, last]
    same(space_of(HEAD + CHAIN), Declared.chain("my_space", OPERATIONS, positions))


def test_a_cell_of_edges_is_what_python_declares(space_of):
    edges = {
        "0>1": ["conv", "skip", "none"],
        "0>2": ["conv", "pool"],
        "1>2": [*choices("conv", channels=[8, 16]), "pool"],
    }
    same(space_of(HEAD + EDGES), Declared.on_edges("my_space", OPERATIONS, edges))


def test_a_cell_of_nodes_is_what_python_declares(space_of):
    nodes = {
        "a": (["conv", "pool"], ["x"]),
        "b": (["conv", "skip", "none"], ["a", "y"]),
        "c": (["conv", "pool"], ["a", "b"]),
    }
    declared = Declared.on_nodes("my_space", OPERATIONS, nodes, inputs=["x", "y"], output=["b", "c"])
    same(space_of(HEAD + NODES), declared)


def test_nasbench201_in_five_lines_is_nasbench201(space_of):
    space = space_of(
        "name: mine\n"
        "operations: {none: zero, skip_connect: identity, nor_conv_1x1: parametric, "
        "nor_conv_3x3: parametric, avg_pool_3x3: plain}\n"
        "cell:\n"
        "  choices: [none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3]\n"
        "  edges: [0>1, 0>2, 1>2, 0>3, 1>3, 2>3]\n"
    )
    assert space.all().digest() == NASBench201().all().digest()


def test_short_forms(space_of):
    """A lone choice needs no list, one input that has no name is called input, attributes may be left out."""
    space = space_of("name: s\noperations: {conv: plain}\ncell: {nodes: {a: {from: input, choices: conv}}}")
    assert [space.format(a) for a in space.all()] == ["conv"]
    assert space.all()[0] == Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    space = space_of("name: s\noperations: {conv: plain}\nattributes: k\nchain:\n- conv: {k: 0.5}\n- conv:\n")
    assert space.format(space.all()[0]) == "conv(k=0.5),conv"


def test_words_that_yaml_takes_for_something_else(space_of):
    """Operations may be called no, null or 3, and a number is read as it stands."""
    space = space_of(
        "name: on\noperations: {no: plain, null: zero, 3: identity}\nattributes: [y]\n"
        "chain: [[no, null], {3: {y: [010, 1e3]}}]"
    )
    texts = [space.format(architecture) for architecture in space.all()]
    assert texts == ["no,3(y=10)", "no,3(y=1000)", "null,3(y=10)", "null,3(y=1000)"]


def test_get_reads_files(tmp_path):
    for name in ("mine.yaml", "mine.yml", "MINE.YAML"):
        (tmp_path / name).write_text(HEAD + CHAIN)
        assert get(str(tmp_path / name)).size == 3 * 3 * 3 * 3
    with pytest.raises(UsageError, match=r"none\.yaml: there is no such file"):
        get(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("name", SPACES)
def test_names_of_archflows_spaces_are_refused(space_of, name):
    """Else the shipped encoder of that space would be taken for a space of which it has seen nothing."""
    for shape in (*SHAPES.values(), "free: true"):
        with pytest.raises(
            UsageError, match=f"line 1: archflow has a space named '{name}'; give yours another"
        ):
            space_of(HEAD.replace("my_space", name) + shape)


# Files that say something else


def in_chain(position):
    return f"{HEAD}chain:\n  - {position}\n"


def in_cell(*lines):
    return "\n  ".join([f"{HEAD}cell:", *lines])


THOUSAND = ",".join(map(str, range(1_000)))
BAD = {
    "no mapping": ("- a", 1, "a space file must be a mapping, not a list"),
    "no name": ("operations: {conv: plain}\nchain: [conv]", 1, "a space file has no name, and needs one"),
    "no operations": ("name: a\nchain: [conv]", 1, "a space file has no operations, and needs one"),
    "no shape": (HEAD, 1, "a space file has one of chain, cell, free; this one has none"),
    "two shapes": (f"{HEAD}chain: [conv]\nfree: true", 1, "one of chain, cell, free; this one has chain and"),
    "unknown key": (f"{HEAD}chian: [conv]", 8, "unknown key 'chian'.*Did you mean 'chain'"),
    "name of two words": (HEAD.replace("my_space", "my space") + CHAIN, 1, "a space's name is a word of"),
    "name that is a path": (HEAD.replace("my_space", "../up") + CHAIN, 1, "a space's name is a word of"),
    "list as name": (HEAD.replace("my_space", "[a]") + CHAIN, 1, "name must be text, not a list"),
    "free and false": (f"{HEAD}free: false", 8, "free must be true, or left out"),
    "operations as list": ("name: a\noperations: [conv]\nchain: [conv]", 2, "operations must be a mapping,"),
    "empty operations": ("name: a\noperations: {}\nchain: [conv]", 2, "operations must be a mapping, not an"),
    "nothing for operations": ("name: a\noperations:\nchain: [conv]", 2, "operations must be a mapping, not"),
    "unknown meaning": (
        HEAD.replace("parametric", "parametrc") + CHAIN,
        3,
        "unknown meaning 'parametrc'.*Did you mean 'parametric'",
    ),
    "list as meaning": (HEAD.replace("plain", "[plain]") + CHAIN, 4, "the meaning of 'pool' must be text"),
    "input as operation": (HEAD.replace("pool", "input") + CHAIN, 4, "operation 'input' cannot be declared"),
    "choices as operation": (HEAD.replace("pool", "choices") + CHAIN, 4, "operation 'choices' cannot be"),
    "bracket in an operation": (HEAD.replace("pool", "po(l") + CHAIN, 7, "operation 'po.l' must be 1 to 80"),
    "long operation": (HEAD.replace("pool", "x" * 200) + CHAIN, 7, "operation 'xxx.* must be 1 to 80"),
    "attribute twice": (HEAD.replace("kernel", "channels") + CHAIN, 7, "attribute 'channels' is listed"),
    "attributes as mapping": (
        HEAD.replace("[channels, kernel]", "{a: b}") + CHAIN,
        7,
        "attributes must be a list",
    ),
    "equals sign in an attribute": (HEAD.replace("kernel", "k=l") + CHAIN, 7, "attribute 'k=l' must be 1 to"),
    "many attributes": (
        HEAD.replace("kernel", ",".join(f"a{n}" for n in range(64))) + CHAIN,
        7,
        "65 attributes",
    ),
    "chain as mapping": (f"{HEAD}chain: {{conv: }}", 8, "chain must be a list, not a mapping"),
    "empty chain": (f"{HEAD}chain: []", 8, "chain must be a list, not an empty list"),
    "empty position": (in_chain("[]"), 9, "choices must be a list, not an empty list"),
    "nothing as position": (in_chain(""), 9, "choices must be a list, not empty"),
    "unknown operation": (in_chain("[conv, cnv]"), 9, "unknown operation 'cnv'.*Did you mean 'conv'"),
    "output as choice": (in_chain("[conv, output]"), 9, "unknown operation 'output'"),
    "nested choices": (in_chain("[conv, [pool]]"), 9, "a choice is an operation, or .* and no list"),
    "choice twice": (in_chain("[conv, conv]"), 8, "position 1: choice 'conv' is given twice"),
    "repeat alone": (in_chain("{repeat: 3}"), 9, "unknown operation 'repeat'"),
    "misspelt repeat": (in_chain("{choices: [conv], repaet: 3}"), 9, "unknown key 'repaet'.*mean 'repeat'"),
    "repeat of none": (in_chain("{choices: [conv], repeat: 0}"), 9, "repeat must be a whole number from 1"),
    "repeat of half": (in_chain("{choices: [conv], repeat: 1.5}"), 9, "repeat must be a whole number"),
    "repeat of a list": (in_chain("{choices: [conv], repeat: [3]}"), 9, "repeat must be text, not a list"),
    "endless repeat": (
        in_chain("{choices: [conv], repeat: " + "9" * 9_000 + "}"),
        9,
        "repeat must be a whole",
    ),
    "many positions": (
        f"{HEAD}chain:\n" + "- {choices: [conv], repeat: 600}\n" * 2,
        10,
        "more than 1,000 positions",
    ),
    "unknown attribute": (in_chain("conv: {chanels: 3}"), 9, "unknown attribute 'chanels'.*Did you mean"),
    "attributes of an attribute": (in_chain("conv: {kernel: {a: 3}}"), 9, "kernel of conv must be a list,"),
    "no attributes": (in_chain("conv: {}"), 9, "what follows conv must be a mapping, not an empty mapping"),
    "text for attributes": (in_chain("conv: 3"), 9, "what follows conv must be a mapping, not '3'"),
    "no number": (in_chain("conv: {kernel: [3, x]}"), 9, "kernel of conv must be a decimal number, not 'x'"),
    "not finite": (in_chain("conv: {kernel: .nan}"), 9, "kernel of conv must be a decimal number"),
    "huge number": (in_chain("conv: {kernel: 1e39}"), 9, "kernel of conv must be a decimal number"),
    "nothing for numbers": (in_chain("conv: {kernel: }"), 9, "kernel of conv must be a list, not empty"),
    "endless choices": (
        in_chain(f"conv: {{kernel: [{THOUSAND}], channels: [{THOUSAND}]}}"),
        9,
        "operation 'conv' has 1,000,000 choices; 10,000 at most",
    ),
    "many choices": (
        in_chain(f"[{','.join(f'{{conv: {{kernel: {n}, channels: [{THOUSAND}]}}}}' for n in range(11))}]"),
        9,
        "a position with more than 10,000 choices",
    ),
    "cell as list": (f"{HEAD}cell: [conv]", 8, "cell must be a mapping, not a list"),
    "unknown key of a cell": (in_cell("egdes: [0>1]"), 9, "unknown key 'egdes'.*Did you mean 'edges'"),
    "neither edges nor nodes": (in_cell("choices: [conv]"), 8, "a cell has either edges or nodes"),
    "edges and nodes": (in_cell("edges: [0>1]", "nodes: {a: {from: input}}"), 8, "either edges or nodes"),
    "edges without choices": (in_cell("edges: [0>1]"), 9, "there are no choices, neither here nor for the"),
    "edge without choices": (in_cell("edges:", "  0>1: [conv]", "  1>2:"), 11, "there are no choices"),
    "edge twice": (
        in_cell("choices: conv", "edges: [0>1,", "  1>2,", "  0>1]"),
        12,
        "edge '0>1' is given twice, the first time in line 10",
    ),
    "no edge": (in_cell("choices: conv", "edges: [0-1]"), 10, "edge '0-1' is not source>target"),
    "number as edges": (in_cell("choices: conv", "edges: 3"), 10, "edge '3' is not source>target"),
    "cycle of edges": (
        in_cell("choices: conv", "edges: [0>1, 1>2, 2>1, 2>3]"),
        10,
        "edge 2>1 .* without a cycle",
    ),
    "two outputs of edges": (in_cell("choices: conv", "edges: [0>1, 0>2]"), 10, "no edge leaves the maps 1,"),
    "two inputs of edges": (in_cell("choices: conv", "edges: [0>2, 1>2]"), 10, "no edge enters the maps 0,"),
    "output of edges": (
        in_cell("choices: conv", "edges: [0>1]", "output: 1"),
        11,
        "a cell of edges has no output",
    ),
    "nodes as list": (in_cell("nodes: [a]"), 9, "nodes must be a mapping, not a list"),
    "node without source": (in_cell("nodes:", "  a: {choices: conv}"), 10, "node 'a' has no from, and needs"),
    "node without choices": (in_cell("nodes:", "  a: {from: input}"), 10, "there are no choices"),
    "unknown key of a node": (in_cell("nodes:", "  a: {form: input}"), 10, "unknown key 'form'.*mean 'from'"),
    "unknown source": (in_cell("choices: conv", "nodes: {a: {from: inptu}}"), 10, "node a: unknown input or"),
    "cycle of nodes": (
        in_cell("choices: conv", "nodes:", "  a: {from: [input, b]}", "  b: {from: a}"),
        10,
        "node a is fed by 'b', which must stand before it; a cell has no cycles",
    ),
    "loose input": (
        in_cell("choices: conv", "inputs: [x, y]", "nodes: {a: {from: x}}"),
        11,
        "'y' feeds neither",
    ),
    "input as node": (
        in_cell("choices: conv", "nodes: {input: {from: input}}"),
        10,
        "has the name of an input",
    ),
    "list as source": (
        in_cell("choices: conv", "nodes: {a: {from: [[input]]}}"),
        10,
        "what feeds a node must be",
    ),
    "unknown choice of a node": (in_cell("nodes: {a: {from: input, choices: [cnv]}}"), 9, "operation 'cnv'"),
}


@pytest.mark.parametrize(("text", "line", "reason"), BAD.values(), ids=BAD.keys())
def test_a_file_that_says_something_else_is_refused_in_one_line(space_of, text, line, reason):
    with pytest.raises(UsageError, match=rf"my_space\.yaml: line {line}: .*{reason}") as caught:
        space_of(text)
    message = str(caught.value).partition("my_space.yaml")[2]
    assert "\n" not in message
    assert "my_space.yaml" not in message
    assert len(message) < 300


# The page


def test_the_files_of_the_page_are_spaces(space_of):
    """Every YAML block of docs/own-space.md with a name declares a space that conforms."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if block.startswith("name: ")]
    assert len(whole) >= 4
    shapes = set()
    for block in whole:
        space = space_of(block)
        shapes |= {
            key for key in ("chain", "edges", "nodes", "free") if re.search(rf"^ *{key}:", block, re.M)
        }
        if isinstance(space, Declared):
            check_space(space, samples=min(12, space.size))
            assert space.format(space.sample(1, np.random.default_rng(0))[0])
    assert shapes == {"chain", "edges", "nodes", "free"}


def test_the_page_shows_the_text_and_the_error_of_its_first_file(space_of):
    page = PAGE.read_text(encoding="utf-8")
    first = page.partition("```yaml\n")[2].partition("```")[0]
    shown = next(line.strip() for line in page.splitlines() if line.startswith("    conv3x3("))
    space = space_of(first)
    assert space.format(space.parse(shown)) == shown
    with pytest.raises(UsageError) as caught:
        space_of(first.replace("pool, skip]", "pol, skip]"))
    assert f"archflow: my_space.yaml{str(caught.value).partition('my_space.yaml')[2]}" in page.splitlines()
