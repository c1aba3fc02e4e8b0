"""ENAS, micro search space: the genotype, its loose ends, counts, and the authors' network layer by layer."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.enas import ENAS
from archflow.testing import check_space

SPACE = ENAS()

# The cells of the paper as the authors' script lists them: input, operation, input, operation of each node.
NORMAL = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"
REDUCE = "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"


def pairs_of(numbers):
    values = [int(number) for number in numbers.split()]
    return [[SPACE.choices[op], source] for source, op in zip(values[::2], values[1::2], strict=True)]


def with_ends(normal, reduce):
    """The genotype of two lists of pairs, each with the nodes that none of them reads."""
    genotype = {}
    for kind, pairs in (("normal", normal), ("reduce", reduce)):
        read = {source for _, source in pairs}
        genotype[kind] = pairs
        genotype[f"{kind}_concat"] = [node for node in range(2, 7) if node not in read]
    return genotype


PUBLISHED = with_ends(pairs_of(NORMAL), pairs_of(REDUCE))


def text_of(genotype):
    return json.dumps(genotype, separators=(",", ":"))


def network_parameters(genotype):
    """Count the authors' fixed network: calibration, base convolution, operations and ends of 17 layers."""
    kernels = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
    width = 36
    count = 3 * 3 * 3 * 3 * width + 2 * 3 * width
    layers = [(3 * width, 32), (3 * width, 32)]  # channels, resolution
    for layer in range(17):
        reduction = layer in (5, 11)
        width *= 1 + reduction
        (channels_0, size_0), (channels_1, size_1) = layers
        if size_0 != size_1 or channels_0 != width:
            count += channels_0 * width + 2 * width
        if channels_1 != width:
            count += channels_1 * width + 2 * width
        count += width * width + 2 * width
        kind = "reduce" if reduction else "normal"
        for name, source in genotype[kind]:
            if name in kernels:
                count += 2 * (kernels[name] ** 2 * width + width * width + 2 * width)
            elif name == "skip_connect" and reduction and source < 2:
                count += width * width + 2 * width
        layers = [layers[1], (len(genotype[f"{kind}_concat"]) * width, size_1 // (1 + reduction))]
    return count + layers[1][0] * 10


@st.composite
def genotypes(draw):
    cells = []
    for _ in range(2):
        nodes = [node for node in range(2, 7) for _ in range(2)]
        cells.append([[draw(st.sampled_from(SPACE.choices)), draw(st.integers(0, n - 1))] for n in nodes])
    return with_ends(*cells)


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("enas"), ENAS)


def test_the_published_count():
    """The published 5,063 billion cells tell (a, b) from (b, a); a node of two equal pairs has one order."""
    ordered = math.prod((5 * node) ** 2 for node in range(2, 7))
    assert ordered == 5_062_500_000_000
    unordered = math.prod(5 * node * (5 * node + 1) // 2 for node in range(2, 7))
    assert unordered == 209_459_250_000
    assert SPACE.size == unordered**2
    with pytest.raises(UsageError, match=r"enas has 4.39e\+22 genotypes, too many to list"):
        SPACE.all()


def test_the_published_cells_written_out():
    graph = SPACE.parse(text_of(PUBLISHED))
    assert PUBLISHED["normal_concat"] == [2, 3, 4, 5, 6]
    assert PUBLISHED["reduce_concat"] == [2, 4, 5, 6]
    assert graph.n_nodes == 35
    assert graph.operations[4:10] == (
        "avg_pool_3x3",
        "sep_conv_3x3",
        "sum",
        "skip_connect",
        "sep_conv_5x5",
        "sum",
    )
    assert graph.operations[19:22] == ("reduce_sep_conv_3x3", "reduce_sep_conv_3x3", "reduce_sum")
    assert graph.operations[28:31] == ("reduce_sep_conv_3x3", "factorized_reduce", "reduce_sum")
    ends = [source for source, target in graph.edges if target == 34]
    assert ends == [6, 9, 12, 15, 18, 21, 27, 30, 33]  # all but node 3 of the reduction cell, at 24
    assert SPACE.format(graph) == text_of(PUBLISHED)


@given(genotypes())
@settings(deadline=None)
def test_parse_inverts_format(genotype):
    graph = SPACE.parse(text_of(genotype))
    assert SPACE.format(graph) == text_of(genotype)
    fed = [graph.operations[source] for source, target in graph.edges if target == 34]
    assert fed.count("sum") == len(genotype["normal_concat"])
    assert fed.count("reduce_sum") == len(genotype["reduce_concat"])


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ({}, "not an ENAS genotype"),
        (PUBLISHED | {"normal": PUBLISHED["normal"][:8]}, "normal must be a list of 10"),
        (PUBLISHED | {"normal": [["none", 0]] * 10}, "normal node 2: unknown operation 'none'"),
        (
            PUBLISHED | {"reduce": [["skip_connect", 2]] * 10},
            "reduce node 2: the input of pair 0 must be a num",
        ),
        (
            PUBLISHED | {"reduce_concat": [2, 3, 4, 5, 6]},
            r"reduce_concat must be \[2,4,5,6\], the nodes that no other node reads",
        ),
    ],
)
def test_other_texts_are_refused(genotype, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text_of(genotype))


def test_other_graphs_are_not_written():
    graph = SPACE.parse(text_of(PUBLISHED))
    for edges in ((*graph.edges, (24, 34)), graph.edges[:-1]):
        with pytest.raises(InvalidArchitectureError, match="not an ENAS genotype as written"):
            SPACE.format(Architecture(graph.operations, edges))


def test_samples_are_all_different():
    table = SPACE.sample(4_000, np.random.default_rng(0))
    table.columns.check(SPACE.operations)
    assert len(np.unique(table.keys())) == 4_000


@given(genotypes(), st.integers(0, 2**32))
@settings(deadline=None)
def test_a_mutation_changes_one_operation_or_one_input(genotype, seed):
    mutated = SPACE.mutate(SPACE.parse(text_of(genotype)), np.random.default_rng(seed))
    fields = json.loads(SPACE.format(mutated))
    differing = [
        (old, new)
        for kind in ("normal", "reduce")
        for old, new in zip(genotype[kind], fields[kind], strict=True)
        if old != new
    ]
    assert len(differing) == 1
    old, new = differing[0]
    assert (old[0] == new[0]) != (old[1] == new[1])
    assert fields == with_ends(fields["normal"], fields["reduce"])


@given(st.lists(genotypes(), min_size=1, max_size=4))
@settings(deadline=None)
def test_parameters_layer_by_layer(genotypes):
    table = ArchitectureTable.of([SPACE.parse(text_of(g)) for g in genotypes], SPACE.operations)
    for form in FORMS:
        counts = SPACE.parameters(table.in_form(form))
        assert counts.tolist() == [network_parameters(genotype) for genotype in genotypes]


def test_parameters_of_one_loose_end():
    """A chain of nodes has cells as wide as their nodes, so that nothing is calibrated between them."""
    chain = [["max_pool_3x3", node - 1] for node in range(2, 7) for _ in range(2)]
    genotype = with_ends(chain, chain)
    assert genotype["normal_concat"] == [6]
    table = ArchitectureTable.of([SPACE.parse(text_of(genotype))], SPACE.operations)
    assert SPACE.parameters(table).tolist() == [network_parameters(genotype)]


def test_a_foreign_vocabulary_is_refused():
    with pytest.raises(UnknownNameError, match="unknown operation"):
        SPACE.parameters(ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))]))
