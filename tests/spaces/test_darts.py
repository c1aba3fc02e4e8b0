"""DARTS: the genotype, the published count, and the parameters of the published network."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.darts import DARTS
from archflow.testing import check_space

SPACE = DARTS()
NAMES = (*SPACE.choices, "none")

# The genotype that the paper's second-order search found: 3.3 million parameters.
PUBLISHED = {
    "normal": [
        ["sep_conv_3x3", 0],
        ["sep_conv_3x3", 1],
        ["sep_conv_3x3", 0],
        ["sep_conv_3x3", 1],
        ["sep_conv_3x3", 1],
        ["skip_connect", 0],
        ["skip_connect", 0],
        ["dil_conv_3x3", 2],
    ],
    "normal_concat": [2, 3, 4, 5],
    "reduce": [
        ["max_pool_3x3", 0],
        ["max_pool_3x3", 1],
        ["skip_connect", 2],
        ["max_pool_3x3", 1],
        ["max_pool_3x3", 0],
        ["skip_connect", 2],
        ["skip_connect", 2],
        ["max_pool_3x3", 1],
    ],
    "reduce_concat": [2, 3, 4, 5],
}

real_tables = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def text_of(genotype):
    return json.dumps(genotype, separators=(",", ":"))


def changed(kind, pair, name=None, source=None):
    """The published genotype with one pair changed."""
    genotype = json.loads(text_of(PUBLISHED))
    old = genotype[kind][pair]
    genotype[kind][pair] = [name or old[0], old[1] if source is None else source]
    return genotype


def table_of(*genotypes):
    return ArchitectureTable.of([SPACE.parse(text_of(g)) for g in genotypes], SPACE.operations)


@st.composite
def genotypes(draw):
    fields = {}
    for kind in ("normal", "reduce"):
        fields[kind] = []
        for node in range(2, 6):
            sources = draw(st.permutations(range(node)))[:2]
            fields[kind] += [[draw(st.sampled_from(NAMES)), source] for source in sources]
        fields[f"{kind}_concat"] = [2, 3, 4, 5]
    return fields


@pytest.fixture(scope="module")
def published():
    return pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "darts.parquet")


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("darts"), DARTS)


def test_the_published_count():
    assert SPACE.size == (3 * 6 * 10 * 7**8) ** 2
    assert math.isclose(SPACE.size, 1e18, rel_tol=0.1)
    with pytest.raises(UsageError, match=r"darts has 1.08e\+18 genotypes, too many to list"):
        SPACE.all()


# The graph


def test_a_genotype_written_out():
    graph = SPACE.parse(text_of(PUBLISHED))
    normal = ["sep_conv_3x3", "sep_conv_3x3", "sum"] * 2
    normal += ["sep_conv_3x3", "skip_connect", "sum", "skip_connect", "dil_conv_3x3", "sum"]
    reduction = ["reduce_max_pool_3x3", "reduce_max_pool_3x3", "reduce_sum"]
    for first, second in (("skip_connect", "max_pool_3x3"), ("max_pool_3x3", "skip_connect")):
        reduction += [f"reduce_{first}", f"reduce_{second}", "reduce_sum"]
    reduction += ["reduce_skip_connect", "reduce_max_pool_3x3", "reduce_sum"]
    assert list(graph.operations) == ["input", "input", "c_{k-2}", "c_{k-1}", *normal, *reduction, "output"]
    sources = {target: source for source, target in graph.edges if graph.operations[target] != "output"}
    assert [sources[node] for node in (4, 5, 7, 8, 10, 11, 13, 14)] == [2, 3, 2, 3, 3, 2, 2, 6]
    assert [sources[node] for node in (16, 17, 19, 20, 22, 23, 25, 26)] == [2, 3, 18, 3, 2, 18, 18, 3]
    sums = [6, 9, 12, 15, 18, 21, 24, 27]
    assert [source for source, target in graph.edges if target == 28] == sums
    for node in sums:
        assert [source for source, target in graph.edges if target == node] == [node - 2, node - 1]
    assert len(graph.edges) == 2 + 16 + 16 + 8


def test_a_skip_of_stride_two_is_no_identity():
    graph = SPACE.parse(text_of(changed("reduce", 0, "skip_connect")))
    assert graph.operations[16] == "factorized_reduce"
    collapsed = graph.collapsed(SPACE.operations)
    assert "factorized_reduce" in collapsed.operations
    assert "reduce_skip_connect" not in collapsed.operations
    assert "skip_connect" not in collapsed.operations


@given(genotypes())
@settings(deadline=None)
def test_parse_inverts_format(genotype):
    graph = SPACE.parse(text_of(genotype))
    assert SPACE.format(graph) == text_of(genotype)


@given(genotypes(), st.integers(0, 3), st.sampled_from(["normal", "reduce"]))
@settings(deadline=None)
def test_the_order_of_pairs_changes_the_text_alone(genotype, node, kind):
    other = json.loads(text_of(genotype))
    pairs = other[kind]
    pairs[2 * node], pairs[2 * node + 1] = pairs[2 * node + 1], pairs[2 * node]
    table = table_of(genotype, other)
    assert table[0] != table[1]
    for form in FORMS:
        assert len(set(table.in_form(form).keys().tolist())) == 1
    assert len(set(SPACE.parameters(table))) == 1


def test_what_computes_something_else_has_another_key():
    swapped = {
        kind: [[name, (1, 0, 2)[source]] for name, source in pairs] if "concat" not in kind else pairs
        for kind, pairs in PUBLISHED.items()
    }
    exchanged = PUBLISHED | {"normal": PUBLISHED["reduce"], "reduce": PUBLISHED["normal"]}
    others = [changed("normal", 5, source=2), changed("reduce", 5, "avg_pool_3x3")]
    table = table_of(PUBLISHED, swapped, exchanged, *others)
    for form in FORMS:
        assert len(set(table.in_form(form).keys().tolist())) == 5


# Texts and graphs of no genotype


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ([], "not a DARTS genotype; the form is an object of the lists normal, normal_concat, reduce"),
        (PUBLISHED | {"depth": 20}, "not a DARTS genotype"),
        (PUBLISHED | {"normal": PUBLISHED["normal"][:6]}, r"normal must be a list of 8 \[operation, input\]"),
        (PUBLISHED | {"reduce": 3}, "reduce must be a list of 8"),
        (PUBLISHED | {"reduce": ["none"] * 8}, r"reduce node 2: pair 0 must be \[operation, input\]"),
        (changed("normal", 3, "sep_conv_7x7"), "normal node 3: unknown operation 'sep_conv_7x7'.*Did you"),
        (changed("normal", 3, "reduce_sum"), "normal node 3: unknown operation"),
        (changed("normal", 2, source=3), "normal node 3: the input of pair 2 must be a number from 0 to 2"),
        (changed("normal", 2, source=-1), "must be a number from 0 to 2"),
        (changed("normal", 2, source=True), "must be a number from 0 to 2"),
        (changed("normal", 2, source=1.0), "must be a number from 0 to 2"),
        (
            changed("reduce", 3, source=2),
            r"reduce node 3 has the same input twice \(2\); its two inputs must",
        ),
        (PUBLISHED | {"normal_concat": [2, 3, 5]}, r"normal_concat must be \[2,3,4,5\], all nodes"),
        (PUBLISHED | {"reduce_concat": [5, 4, 3, 2]}, r"reduce_concat must be \[2,3,4,5\]"),
        (PUBLISHED | {"reduce_concat": [2.0, 3, 4, 5]}, r"reduce_concat must be \[2,3,4,5\]"),
    ],
)
def test_other_texts_are_refused(genotype, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text_of(genotype))


GRAPH = SPACE.parse(text_of(PUBLISHED))


@pytest.mark.parametrize(
    "graph",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(GRAPH.operations, GRAPH.edges[1:]),
        Architecture(GRAPH.operations, (*GRAPH.edges, (4, 28))),
        Architecture(GRAPH.operations, GRAPH.edges, {"channels": [1.0] * 29}),
        Architecture((*GRAPH.operations[:4], "sum", *GRAPH.operations[5:]), GRAPH.edges),
        Architecture((*GRAPH.operations[:4], "reduce_sep_conv_3x3", *GRAPH.operations[5:]), GRAPH.edges),
        GRAPH.collapsed(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(graph):
    with pytest.raises(InvalidArchitectureError, match="not a DARTS genotype as written"):
        SPACE.format(graph)


def test_a_graph_that_reads_one_input_twice_is_not_written():
    edges = tuple((2, 5) if edge == (3, 5) else edge for edge in GRAPH.edges)
    with pytest.raises(InvalidArchitectureError, match="normal node 2 has the same input twice"):
        SPACE.format(Architecture(GRAPH.operations, edges))


# Samples and mutations


def test_samples_are_spread_evenly_and_hold_no_none():
    table = SPACE.sample(4_000, np.random.default_rng(0))
    table.columns.check(SPACE.operations)
    assert len(np.unique(table.keys())) == 4_000
    counts = np.bincount(table.columns.operation_ids, minlength=len(SPACE.operations))
    found = dict(zip(SPACE.operations.names, counts.tolist(), strict=True))
    assert found["none"] == found["reduce_none"] == 0
    for name in SPACE.choices:
        assert abs(found[name] - 32_000 / 7) < 400  # six standard deviations
    sources = [json.loads(SPACE.format(graph))["normal"][7][1] for graph in table[:1_000]]
    assert abs(sources.count(4) - 400) < 100  # four of the ten pairs of states end in state 4


@given(genotypes(), st.integers(0, 2**32))
@settings(deadline=None)
def test_a_mutation_changes_one_operation_or_one_input(genotype, seed):
    mutated = json.loads(
        SPACE.format(SPACE.mutate(SPACE.parse(text_of(genotype)), np.random.default_rng(seed)))
    )
    differing = [
        (old, new)
        for kind in ("normal", "reduce")
        for old, new in zip(genotype[kind], mutated[kind], strict=True)
        if old != new
    ]
    assert len(differing) == 1
    old, new = differing[0]
    assert (old[0] == new[0]) != (old[1] == new[1])
    assert new[0] != "none" or new[0] == old[0]


# Parameters


def network_parameters(genotype):
    """Count the published network: stem, preprocessing and operations of 20 layers, classifier."""
    width = 36
    count = 3 * 3 * 3 * 3 * width + 2 * 3 * width
    before, last = 3 * width, 3 * width
    for layer in range(20):
        reduction = layer in (6, 13)
        width *= 1 + reduction
        count += before * width + 2 * width + last * width + 2 * width
        for name, source in genotype["reduce" if reduction else "normal"]:
            if name.startswith(("sep", "dil")):
                once = int(name[-1]) ** 2 * width + width * width + 2 * width
                count += 2 * once if name.startswith("sep") else once
            elif name == "skip_connect" and reduction and source < 2:
                count += width * width + 2 * width
        before, last = last, 4 * width
    return count + last * 10 + 10


def test_the_published_parameters_of_one_cell():
    assert round(SPACE.parameters(table_of(PUBLISHED))[0] / 1e6, 1) == 3.3


@given(st.lists(genotypes(), min_size=1, max_size=4))
@settings(deadline=None)
def test_parameters_layer_by_layer(genotypes):
    counts = SPACE.parameters(table_of(*genotypes))
    assert counts.tolist() == [network_parameters(genotype) for genotype in genotypes]


def test_a_foreign_vocabulary_is_refused():
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))]))


def test_without_none_the_form_does_not_matter():
    table = SPACE.sample(50, np.random.default_rng(0))
    for form in FORMS:
        np.testing.assert_array_equal(SPACE.parameters(table.in_form(form)), SPACE.parameters(table))


@real_tables
def test_every_row_of_the_table_comes_back(published):
    texts = published["arch"].to_pylist()
    assert len(texts) == 545
    assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts


@real_tables
def test_published_parameter_counts(published):
    graphs = [SPACE.parse(text) for text in published["arch"].to_pylist()]
    counts = SPACE.parameters(ArchitectureTable.of(graphs, SPACE.operations))
    np.testing.assert_array_equal(counts, np.round(published["params_m"].to_numpy() * 1e6))
