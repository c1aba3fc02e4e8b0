"""Templates: numbering, listing, drawing and changing architectures of one wiring."""

import itertools

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import INPUT, OUTPUT, Architecture, Operations
from archflow.spaces.template import Choice, Template

OPERATIONS = Operations.of(["conv", "pool"], attributes=["channels", "kernel"])
SIZES = [Choice("conv", {"channels": c, "kernel": k}) for c in (8, 16) for k in (1, 3)]
CHAIN = Template(
    OPERATIONS,
    [
        [Choice(INPUT)],
        SIZES,
        [Choice("conv"), Choice("pool"), Choice("pool", {"kernel": 3})],
        [Choice(OUTPUT)],
    ],
    [(2, 3), (0, 1), (1, 2)],
)
WIDE = Template(
    OPERATIONS, [[Choice(INPUT)], *[SIZES] * 40, [Choice(OUTPUT)]], [(n, n + 1) for n in range(41)]
)


def test_all_counts_through_the_choices():
    table = CHAIN.all()
    assert len(table) == CHAIN.size == 12
    assert [CHAIN.numbers(a)[1:3] for a in table] == [
        list(pair) for pair in itertools.product(range(4), range(3))
    ]
    table.columns.check(OPERATIONS)
    assert table[5] == Architecture(
        ("input", "conv", "pool", "output"),
        ((0, 1), (1, 2), (2, 3)),
        {"channels": (0, 8, 0, 0), "kernel": (0, 3, 3, 0)},
    )


def test_numbers_and_architectures_are_two_ways_to_say_the_same():
    for numbers in CHAIN.rows(0, 12).tolist():
        assert CHAIN.numbers(CHAIN.architecture(numbers)) == numbers


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            Architecture(("input", "output"), ((0, 1),)),
            "not an architecture of this space as written: .* 4 nodes",
        ),
        (Architecture(("input", "conv", "pool", "output"), ((0, 1), (0, 2), (2, 3))), "in a fixed wiring"),
        (CHAIN.architecture([0, 1, 1, 0]).collapsed(OPERATIONS), None),
        (
            Architecture(("input", "conv", "pool", "output"), CHAIN.edges),
            r"node 1 \(conv\) is none of its choices",
        ),
        (
            Architecture(("input", "conv", "pool", "output"), CHAIN.edges, {"heads": (0, 1, 0, 0)}),
            "there is no attribute 'heads'",
        ),
    ],
)
def test_other_architectures_are_refused(architecture, message):
    if message is None:  # no identity or zero operation: the collapsed form is as written
        assert CHAIN.numbers(architecture) == [0, 1, 1, 0]
        return
    with pytest.raises(InvalidArchitectureError, match=message):
        CHAIN.numbers(architecture)


def test_samples_are_distinct_and_cover_the_space():
    assert set(CHAIN.sample(12, np.random.default_rng(0))) == set(CHAIN.all())
    with pytest.raises(UsageError, match="cannot draw 13 distinct architectures: the space has 12"):
        CHAIN.sample(13, np.random.default_rng(0))


def test_a_space_too_large_to_number_is_drawn_node_by_node():
    assert WIDE.size == 4**40
    table = WIDE.sample(3_000, np.random.default_rng(0))
    assert len(set(table)) == 3_000
    channels = table.columns.attributes[:, 0]
    assert np.mean(channels[channels > 0] == 16) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(UsageError, match=r"1\.21e\+24 architectures, too many to list"):
        WIDE.all()


def test_the_last_ones_of_a_large_space_are_found():
    two = Template(
        OPERATIONS, [[Choice(INPUT)], *[[Choice("conv"), Choice("pool")]] * 25, [Choice(OUTPUT)]], [(0, 1)]
    )
    assert two.size == 2**25
    assert len(set(two.sample(500, np.random.default_rng(0)))) == 500


def test_a_mutation_changes_one_choice_and_reaches_every_other():
    start = CHAIN.architecture([0, 0, 0, 0])
    reached = {tuple(CHAIN.numbers(CHAIN.mutate(start, np.random.default_rng(seed)))) for seed in range(60)}
    assert reached == {(0, n, 0, 0) for n in (1, 2, 3)} | {(0, 0, n, 0) for n in (1, 2)}
    alone = Template(OPERATIONS, [[Choice(INPUT)], [Choice(OUTPUT)]], [(0, 1)])
    with pytest.raises(InvalidArchitectureError, match="no neighbour"):
        alone.mutate(alone.all()[0], np.random.default_rng(0))
