"""NAS-Bench-Graph: links and operations, the 26,206 distinct trees, canonical texts, the network on Cora."""

import functools
import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch_geometric.nn as gnn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import FORMS, INPUT, OUTPUT, Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.nasbench_graph import LINKS, OPERATIONS, NASBenchGraph
from archflow.spaces.template import Choice, Template
from archflow.testing import check_space

SPACE = NASBenchGraph()
MIXED = "0,0,1,2|gcn,gat,skip,fc"
LINK_LISTS = st.tuples(*[st.integers(0, layer) for layer in range(4)])
NAMES = st.tuples(*[st.sampled_from(OPERATIONS)] * 4)

real_tables = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def text_of(links, names):
    return f"{','.join(map(str, links))}|{','.join(names)}"


def skips_alone(links, names):
    """Whether some leaf sees the input through skips, climbing from each leaf."""
    for leaf in set(range(1, 5)) - set(links):
        while leaf and names[leaf - 1] == "skip":
            leaf = links[leaf - 1]
        if leaf == 0:
            return True
    return False


@st.composite
def texts(draw):
    links, names = draw(LINK_LISTS), draw(NAMES)
    assume(not skips_alone(links, names))
    return text_of(links, names)


@functools.cache
def canonical_texts():
    return frozenset(SPACE.format(architecture) for architecture in SPACE.all())


def canonical(text):
    return SPACE.format(SPACE.canonical(SPACE.parse(text)))


def key(architecture):
    return architecture.collapsed(SPACE.operations).key()


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("nasbench_graph"), NASBenchGraph)


def test_a_text_written_out():
    architecture = SPACE.parse(MIXED)
    assert architecture.operations == ("input", "gcn", "gat", "skip", "fc", "output")
    assert set(architecture.edges) == {
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 5),
    }  # layers 3 and 4 are leaves
    assert SPACE.format(architecture) == MIXED


@settings(deadline=None)
@given(texts())
def test_texts_come_back(text):
    assert SPACE.format(SPACE.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a NAS-Bench-Graph text; the form is"),
        (MIXED[:-3], "not a NAS-Bench-Graph text"),
        (MIXED + MIXED, "not a NAS-Bench-Graph text"),
        (MIXED + ",fc", "not a NAS-Bench-Graph text"),
        (MIXED.replace("|", ","), "not a NAS-Bench-Graph text"),
        (MIXED.replace("0,0", "0,-1"), "not a NAS-Bench-Graph text"),
        (MIXED.replace("0,0", "0,\u0660"), "not a NAS-Bench-Graph text"),
        ("1,0,1,2|gcn,gat,skip,fc", r"layer 1 takes layer 1; a layer takes the input \(0\) or an earlier"),
        ("0,0,4,2|gcn,gat,skip,fc", "layer 3 takes layer 4"),
        (MIXED.replace("gcn", "gcm"), "unknown operation 'gcm'.*Did you mean 'gcn'?"),
        (MIXED.replace("gcn", "input"), "unknown operation 'input'"),
        ("0,1,2,3|skip,skip,skip,skip", "skips alone lead from the input to the output"),
        ("0,0,0,0|gcn,gcn,gcn,skip", "skips alone lead from the input to the output"),
        ("0,1,1,2|skip,gcn,skip,gcn", "skips alone lead from the input to the output"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


TREE = SPACE.parse(MIXED)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(TREE.operations, TREE.edges[1:]),
        Architecture(TREE.operations, (*TREE.edges, (1, 5))),
        Architecture(TREE.operations, (*TREE.edges, (1, 4))),
        Architecture(("input", "lstm", *TREE.operations[2:]), TREE.edges),
        Architecture(("input", "input", *TREE.operations[2:]), TREE.edges[1:]),
        Architecture(TREE.operations, TREE.edges, {"heads": (0, 0, 2, 0, 0, 0)}),
        Architecture(("input", "skip", *TREE.operations[2:]), TREE.edges),
        TREE.collapsed(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(architecture):
    for call in (SPACE.format, SPACE.canonical, lambda a: SPACE.mutate(a, np.random.default_rng(0))):
        with pytest.raises(InvalidArchitectureError, match="not a NAS-Bench-Graph architecture as written"):
            call(architecture)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,1,2,1|gcn,gin,fc,cheb", "0,1,1,2|gcn,gin,cheb,fc"),
        ("0,0,0,0|fc,gcn,gin,gat", "0,0,0,0|gat,gcn,gin,fc"),
        ("0,0,2,1|gcn,gat,fc,gin", "0,0,1,2|gat,gcn,fc,gin"),
        ("0,1,2,3|gcn,skip,gat,skip", "0,1,2,3|skip,skip,gcn,gat"),
        ("0,0,1,2|gcn,gat,skip,fc", "0,1,1,2|skip,gat,gcn,fc"),
        ("0,1,1,2|gcn,skip,gat,fc", "0,1,2,2|skip,gcn,gat,fc"),
        ("0,1,1,2|gcn,gat,skip,fc", "0,1,1,2|gcn,gat,skip,fc"),  # the skip hands gcn on to the output
    ],
)
def test_canonical_texts_written_out(text, expected):
    assert canonical(text) == expected


@settings(deadline=None)
@given(texts())
def test_the_canonical_one_is_of_the_space_and_computes_the_same(text):
    assert key(SPACE.parse(canonical(text))) == key(SPACE.parse(text))
    assert canonical(text) in canonical_texts()
    assert canonical(canonical(text)) == canonical(text)


def test_the_published_number_is_the_number_of_functions():
    """All 24 link lists with all operations, less those with skips alone, make 26,206 collapsed graphs."""
    layers = [[Choice(name) for name in OPERATIONS]] * 4
    written = []
    for links in itertools.product(*[range(layer + 1) for layer in range(4)]):
        leaves = [(layer, 5) for layer in range(1, 5) if layer not in links]
        wiring = [*zip(links, range(1, 5), strict=True), *leaves]
        written.append(
            Template(SPACE.operations, [[Choice(INPUT)], *layers, [Choice(OUTPUT)]], wiring).all().collapsed()
        )
    table = ArchitectureTable.concatenate(written)
    sources, targets = table.columns.global_edges()
    names = np.array(table.operations.names)[table.columns.operation_ids]
    bare = np.zeros(len(table), dtype=bool)
    bare[table.columns.node_rows()[targets[(names[sources] == INPUT) & (names[targets] == OUTPUT)]]] = True
    functions = np.unique(table.keys()[~bare])
    assert len(table) == 24 * 9**4
    assert len(functions) == SPACE.size == 26_206
    np.testing.assert_array_equal(np.unique(SPACE.all().collapsed().keys()), functions)


def test_all_in_order():
    order = []
    for architecture in SPACE.all():
        links, names = SPACE.format(architecture).split("|")
        place = LINKS.index(tuple(map(int, links.split(","))))
        order.append((place, [OPERATIONS.index(name) for name in names.split(",")]))
    assert order == sorted(order)
    assert len(canonical_texts()) == 26_206


def test_samples_cover_the_space_evenly():
    sampled = [SPACE.format(architecture) for architecture in SPACE.sample(2_000, np.random.default_rng(0))]
    assert set(sampled) <= canonical_texts()
    for links in LINKS:
        share = sum(text.startswith(text_of(links, ())) for text in canonical_texts()) / 26_206
        found = sum(text.startswith(text_of(links, ())) for text in sampled)
        assert abs(found - 2_000 * share) < 6 * (2_000 * share) ** 0.5
    with pytest.raises(UsageError, match="cannot draw 26207 distinct architectures: the space has 26206"):
        SPACE.sample(26_207, np.random.default_rng(0))


@settings(deadline=None)
@given(texts(), st.integers(0, 2**32))
def test_a_mutation_is_canonical_and_another_function(text, seed):
    architecture = SPACE.parse(text)
    other = SPACE.mutate(architecture, np.random.default_rng(seed))
    assert SPACE.format(other) in canonical_texts()
    assert key(other) != key(architecture)
    gone = Counter(architecture.operations) - Counter(other.operations)
    assert gone.total() <= 1


LAYERS = {
    "gat": lambda n_in: gnn.GATConv(n_in, 128, heads=2),
    "gcn": lambda n_in: gnn.GCNConv(n_in, 256),
    "gin": lambda n_in: gnn.GINConv(nn.Linear(n_in, 256)),
    "cheb": lambda n_in: gnn.ChebConv(n_in, 256, K=2),
    "sage": lambda n_in: gnn.SAGEConv(n_in, 256),
    "arma": lambda n_in: gnn.ARMAConv(n_in, 256),
    "graph": lambda n_in: gnn.GraphConv(n_in, 256),
    "fc": lambda n_in: nn.Linear(n_in, 256),
}


def built(links, names):
    """Count the published network on Cora, made of PyTorch Geometric's layers."""
    modules, widths = [nn.BatchNorm1d(256) for _ in range(4)], [1433]
    for source, name in zip(links, names, strict=True):
        if name != "skip":
            modules.append(LAYERS[name](widths[source]))
        widths.append(widths[source] if name == "skip" else 256)
    joined = sum(widths[layer] for layer in range(1, 5) if layer not in links)
    modules += [nn.Linear(joined, 256), nn.Linear(256, 7)]
    return sum(weights.numel() for module in modules for weights in module.parameters())


@settings(deadline=None, max_examples=25)
@given(LINK_LISTS, NAMES, st.sampled_from(FORMS))
def test_parameters_of_the_network_built(links, names, form):
    assume(not skips_alone(links, names))
    table = ArchitectureTable.of([SPACE.parse(text_of(links, names))], SPACE.operations).in_form(form)
    assert SPACE.parameters(table).tolist() == [built(links, names)]


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_of_each_operation(name):
    links, names = (0, 1, 1, 3), (name,) * 4
    table = ArchitectureTable.of([SPACE.parse(text_of(links, names))], SPACE.operations)
    assert SPACE.parameters(table).tolist() == [built(links, names)]


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@real_tables
@pytest.mark.parametrize("dataset", ["cora", "arxiv", "pubmed"])
def test_the_tables_are_the_space(dataset):
    path = Path(os.environ["ARCHFLOW_DATA"]) / f"nasbench_graph_{dataset}.parquet"
    written = pq.read_table(path, columns=["arch"])["arch"].to_pylist()
    assert len(written) == 26_206
    assert [SPACE.format(SPACE.parse(text)) for text in written] == written
    assert canonical_texts() == set(written)


@real_tables
@pytest.mark.parametrize("form", FORMS)
def test_published_parameter_counts(form):
    published = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench_graph_cora.parquet")
    architectures = [SPACE.parse(text) for text in published["arch"].to_pylist()]
    table = ArchitectureTable.of(architectures, SPACE.operations).in_form(form)
    millions = published["params"].to_numpy()
    np.testing.assert_allclose(SPACE.parameters(table), millions * 1e6, rtol=0, atol=1e-6)
