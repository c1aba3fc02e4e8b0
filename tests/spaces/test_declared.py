"""Spaces of one's own from Python: chains and cells of choices, their text, and what is no space."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, Operations
from archflow.spaces import Choice, Declared, NASBench201, choices
from archflow.spaces.nasbench201 import CELL_EDGES
from archflow.testing import check_space

OPERATIONS = Operations(
    names=("input", "conv", "pool", "skip", "none", "output"),
    identity=frozenset({"skip"}),
    zero=frozenset({"none"}),
    parametric=frozenset({"conv"}),
    attributes=("kernel", "channels"),
)
CHAIN = Declared.chain(
    "my_chain",
    OPERATIONS,
    [
        choices("conv", channels=[16, 32], kernel=3),
        ["conv", "pool", "skip"],
        [*choices("conv", kernel=range(5))],
    ],
)
NODES = Declared.on_nodes(
    "my_nodes",
    OPERATIONS,
    {
        "a": (["conv", "pool"], ["x"]),
        "b": (["conv", "skip", "none"], ["x", "y"]),
        "c": ([*choices("conv", channels=[0.5, 1e20]), "none"], ["a", "b"]),
        "d": (["pool"], ["c", "a"]),
    },
    inputs=["x", "y"],
)
EDGES = Declared.on_edges(
    "my_edges", OPERATIONS, {f"{u}>{v}": ["conv", "skip", "none"] for u, v in CELL_EDGES}
)
SPACES = [CHAIN, NODES, EDGES]
each_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


@each_space
def test_declared_spaces_conform(space):
    check_space(space, samples=15)


def test_a_large_space_conforms():
    space = Declared.chain("large", OPERATIONS, [["conv", "pool", "skip", "none"]] * 40)
    assert space.size == 4**40
    check_space(space)
    with pytest.raises(UsageError, match=r"large has 1\.21e\+24 architectures, too many to list; draw"):
        space.all()


def test_a_space_of_more_architectures_than_a_float_counts():
    space = Declared.chain("huge", OPERATIONS, [["conv", "pool"]] * 1_000)
    sample = space.sample(2, np.random.default_rng(0))
    assert space.size == 2**1_000
    assert space.parse(space.format(sample[0])) == sample[0]
    space = Declared.chain("huge", OPERATIONS, [choices("conv", kernel=range(1, 100))] * 900)
    assert space.size == 99**900
    with pytest.raises(UsageError, match=r"huge has 1\.18e\+1796 architectures"):
        space.all()


def test_nasbench201_in_a_few_lines_is_nasbench201():
    known = NASBench201()
    cell = Declared.on_edges(
        "mine", known.operations, {f"{u}>{v}": list(known.choices) for u, v in CELL_EDGES}
    )
    assert cell.all().digest() == known.all().digest()


# The text


def test_a_chain_written_out():
    architecture = CHAIN.parse("conv(kernel=3,channels=32),skip,conv")
    assert architecture == Architecture(
        ("input", "conv", "skip", "conv", "output"),
        ((0, 1), (1, 2), (2, 3), (3, 4)),
        {"kernel": (0, 3, 0, 0, 0), "channels": (0, 32, 0, 0, 0)},
    )
    assert CHAIN.format(architecture) == "conv(kernel=3,channels=32),skip,conv"
    assert CHAIN.size == 2 * 3 * 5


def test_a_cell_with_two_inputs_written_out():
    architecture = NODES.parse("pool,skip,conv(channels=0.5),pool")
    assert architecture.operations == ("input", "input", "pool", "skip", "conv", "pool", "output")
    wiring = {(0, 2), (0, 3), (1, 3), (2, 4), (3, 4), (2, 5), (4, 5), (5, 6)}
    assert set(architecture.edges) == wiring
    assert dict(architecture.attributes) == {"channels": (0, 0, 0, 0, 0.5, 0, 0)}


def test_all_goes_through_the_choices_in_order():
    texts = [CHAIN.format(architecture) for architecture in CHAIN.all()]
    assert texts[0] == "conv(kernel=3,channels=16),conv,conv"
    assert texts[1] == "conv(kernel=3,channels=16),conv,conv(kernel=1)"
    assert texts[-1] == "conv(kernel=3,channels=32),skip,conv(kernel=4)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not 3 choices with commas between, as in 'conv.kernel=3,channels=16.,conv,conv'"),
        ("conv,pool", "'conv,pool' is not 3 choices"),
        ("conv,pool,skip,pool", "is not 3 choices"),
        ("conv,,pool", "is not 3 choices"),
        (",conv,pool", "is not 3 choices"),
        ("conv(kernel=3,pool,skip", "is not 3 choices"),
        ("conv(kernel=3)(kernel=3),pool,skip", "is not 3 choices"),
        ("x" * 2_000_000, "'xxx.*is not 3 choices"),
        ("conv(kernel=3,channels=16),cnv,conv", "position 2: unknown choice 'cnv'.*Did you mean 'conv'"),
        ("conv(channels=16,kernel=3),pool,conv", "position 1: unknown choice.*kernel=3,channels=16"),
        (
            "conv(kernel=3,channels=16),none,conv",
            "position 2: unknown choice 'none'; choose from: conv, pool",
        ),
        ("conv(kernel=3,channels=16),pool, conv", "position 3: unknown choice ' conv'"),
    ],
)
def test_other_texts_are_refused(text, reason):
    with pytest.raises(InvalidArchitectureError, match=reason) as caught:
        CHAIN.parse(text)
    assert len(str(caught.value)) < 400


def test_another_architecture_is_refused():
    own = CHAIN.parse("conv(kernel=3,channels=32),skip,conv")
    shorter = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    other_size = dataclasses.replace(own, attributes={"kernel": (0, 5, 0, 0, 0)})
    foreign = dataclasses.replace(own, attributes={"heads": (0, 5, 0, 0, 0)})
    for architecture in (shorter, other_size, foreign):
        with pytest.raises(InvalidArchitectureError, match="not an architecture of my_chain as written"):
            CHAIN.format(architecture)


@given(st.data())
def test_texts_come_back(data):
    """The text of any choices is theirs, position by position."""
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-99, 99)
    option = st.builds(
        Choice,
        st.sampled_from(OPERATIONS.names[1:-1]),
        st.dictionaries(st.sampled_from(OPERATIONS.attributes), numbers),
    )

    def alike(choice):
        return choice.operation, *(np.float32(choice.attributes.get(n, 0)) for n in OPERATIONS.attributes)

    positions = data.draw(
        st.lists(st.lists(option, min_size=1, max_size=4, unique_by=alike), min_size=1, max_size=4)
    )
    space = Declared.chain("drawn", OPERATIONS, positions)
    chosen = [data.draw(st.sampled_from(options)) for options in positions]
    architecture = Architecture(
        ("input", *(choice.operation for choice in chosen), "output"),
        tuple((node, node + 1) for node in range(len(chosen) + 1)),
        {n: (0, *(choice.attributes.get(n, 0) for choice in chosen), 0) for n in OPERATIONS.attributes},
    )
    assert space.size == math.prod(map(len, positions))
    assert space.parse(space.format(architecture)) == architecture


# The proxy


def test_parameters_count_parametric_nodes():
    texts = ["conv(kernel=3,channels=16),conv,conv", "conv(kernel=3,channels=16),pool,conv(kernel=4)"]
    table = [CHAIN.parse(text) for text in texts]
    counts = CHAIN.parameters(type(CHAIN.all()).of(table, OPERATIONS))
    assert counts.tolist() == [3, 2]


def test_parameters_sum_the_attribute_of_that_name():
    weighed = dataclasses.replace(OPERATIONS, attributes=("parameters",))
    space = Declared.chain(
        "weighed",
        weighed,
        [choices("conv", parameters=[100, 250]), ["skip", *choices("pool", parameters=0.5)]],
    )
    assert space.parameters(space.all()).tolist() == [100, 100.5, 250, 250.5]
    check_space(space, samples=4)


# What is no space


def test_choices_are_every_combination():
    assert choices("conv") == [Choice("conv")]
    assert choices("conv", kernel=[3, 5], channels=16) == [
        Choice("conv", {"kernel": 3, "channels": 16}),
        Choice("conv", {"kernel": 5, "channels": 16}),
    ]
    with pytest.raises(UsageError, match="operation 'conv' has 1,000,000 choices; 10,000 at most"):
        choices("conv", kernel=range(1_000), channels=range(1_000))


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ([], "a space has 1 to 1,000 positions, not 0"),
        ([["conv"]] * 1_001, "a space has 1 to 1,000 positions, not 1,001"),
        ([["conv"], []], "position 2 must have a list of 1 to 10,000 choices"),
        (["conv"], "position 1 must have a list of"),
        ([["conv", "cnv"]], "unknown operation 'cnv'.*Did you mean 'conv'"),
        ([["input"]], "unknown operation 'input'; choose from: conv, none, pool, skip"),
        ([["conv", "conv"]], "position 1: choice 'conv' is given twice"),
        ([["conv", Choice("conv", {"kernel": 0})]], "position 1: choice 'conv' is given twice"),
        ([choices("conv", kernel=[0.1, np.float32(0.1)])], "choice 'conv.kernel=0.1.' is given twice"),
        ([choices("conv", kernal=3)], "position 1: unknown attribute 'kernal'.*Did you mean 'kernel'"),
        ([choices("conv", kernel=math.nan)], "position 1: kernel of conv must be a number"),
        ([choices("conv", kernel=1e39)], "position 1: kernel of conv must be a number"),
        ([choices("conv", kernel=True)], "position 1: kernel of conv must be a number"),
        ([choices("conv", kernel="35")], "position 1: kernel of conv must be a number"),
        ([choices("conv", kernel=range(1, 5_001))] * 100, "100 positions with up to 5,000 choices of 2"),
    ],
)  # fmt: skip
def test_positions_that_make_no_space(positions, reason):
    with pytest.raises(UsageError, match=reason):
        Declared.chain("mine", OPERATIONS, positions)


@pytest.mark.parametrize("name", ["a,b", "a(b", "a=b", "a>b", "a b", "x" * 81])
def test_names_that_the_text_cannot_hold(name):
    for operations in (Operations.of([name]), Operations.of(["conv"], attributes=[name])):
        with pytest.raises(UsageError, match="must be 1 to 80 printable characters"):
            Declared.chain("mine", operations, [[operations.names[1]]])


def test_too_many_names():
    many = Operations.of([f"o{number}" for number in range(1_000)])
    with pytest.raises(UsageError, match="1,002 operations are declared; 1,000 at most"):
        Declared.chain("mine", many, [["o1"]])
    many = Operations.of(["conv"], attributes=[f"a{number}" for number in range(65)])
    with pytest.raises(UsageError, match="65 attributes are declared; 64 at most"):
        Declared.chain("mine", many, [["conv"]])


def test_the_name_of_a_space_of_archflows_is_taken():
    with pytest.raises(UsageError, match="archflow has a space named 'nasbench201'"):
        Declared.chain("nasbench201", OPERATIONS, [["conv"]])


@pytest.mark.parametrize("edges", [[(0, 1), (1, 5)], [(1, 0)], [(2, 1)], [(0, 2), (2, 1)]])
def test_a_wiring_that_is_none(edges):
    with pytest.raises(UsageError, match="edge"):
        Declared("mine", OPERATIONS, {"a": ["conv"]}, edges)
