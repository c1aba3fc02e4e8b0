"""NAS-Bench-NLP: recipes and their names, the graph, and the published parameters."""

import json
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
from archflow.spaces.nasbench_nlp import NASBenchNLP
from archflow.spaces.nasbench_nlp_recipes import EXAMPLES, draw_recipe
from archflow.testing import check_space

SPACE = NASBenchNLP()

BLENDED = {
    "node_1": ("linear", ("x", "h_prev_1", "h_prev_0")),
    "node_2": ("activation_sigm", ("node_1",)),
    "h_new_0": ("blend", ("node_2", "h_new_1", "node_1")),
    "h_new_1": ("elementwise_sum", ("node_2", "node_1")),
}

real_tables = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def text_of(recipe):
    fields = {name: {"op": op, "input": inputs} for name, (op, inputs) in recipe.items()}
    return json.dumps(fields, separators=(",", ":"))


def recipe_of(graph):
    return {
        name: (node["op"], tuple(node["input"])) for name, node in json.loads(SPACE.format(graph)).items()
    }


def keys_of(form, *recipes):
    graphs = [SPACE.parse(text_of(recipe)) for recipe in recipes]
    return ArchitectureTable.of(graphs, SPACE.operations).in_form(form).keys().tolist()


@pytest.fixture(scope="module")
def published():
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench_nlp.parquet")
    texts = table["arch"].to_pylist()
    return texts, [SPACE.parse(text) for text in texts], table["params"].to_numpy()


def test_conforms():
    examples = [SPACE.parse(text_of(recipe)) for recipe in (BLENDED, *EXAMPLES.values())]
    check_space(SPACE, examples)
    assert isinstance(get("nasbench_nlp"), NASBenchNLP)


def test_the_space_has_no_end():
    with pytest.raises(UsageError, match="nasbench_nlp has no end"):
        SPACE.all()
    with pytest.raises(UsageError, match="cannot draw -1"):
        SPACE.sample(-1, np.random.default_rng(0))


# The graph


def test_a_recipe_written_out():
    graph = SPACE.parse(text_of(BLENDED))
    assert graph.operations == (
        *("input", "x", "h_prev_0", "h_prev_1"),
        "dropped",  # node_0
        *("port", "port", "port", "linear"),  # node_1, at 8
        "activation_sigm",  # node_2, at 9
        *("port", "port", "elementwise_sum"),  # h_new_1, at 12, because h_new_0 reads it
        *("blend_weight", "blend_first", "blend_second", "blend"),  # h_new_0, at 16
        *("h_new_0", "h_new_1"),
        "output",
    )
    inputs = {(0, 1), (0, 2), (0, 3)}
    linear = {(1, 5), (3, 6), (2, 7), (5, 8), (6, 8), (7, 8)}
    states = {(9, 10), (8, 11), (10, 12), (11, 12), (9, 13), (12, 14), (8, 15), (13, 16), (14, 16), (15, 16)}
    ends = {(16, 17), (12, 18), (17, 19), (18, 19)}
    assert set(graph.edges) == inputs | linear | {(8, 9)} | states | ends


def test_only_the_ports_of_blend_are_left_in_the_collapsed_form():
    collapsed = SPACE.parse(text_of(BLENDED)).collapsed(SPACE.operations)
    assert collapsed.operations == (
        *("input", "x", "h_prev_0", "h_prev_1", "linear", "activation_sigm", "elementwise_sum"),
        *("blend_weight", "blend_first", "blend_second", "blend", "h_new_0", "h_new_1", "output"),
    )


def test_the_order_of_inputs_matters_to_blend_alone():
    linear = BLENDED | {"node_1": ("linear", ("h_prev_0", "x", "h_prev_1"))}
    total = BLENDED | {"h_new_1": ("elementwise_sum", ("node_1", "node_2"))}
    blend = BLENDED | {"h_new_0": ("blend", ("node_2", "node_1", "h_new_1"))}
    for form in FORMS:
        same, *others = keys_of(form, BLENDED, linear, total, blend)
        assert others[:2] == [same, same]
        assert others[2] != same
    texts = {text_of(recipe) for recipe in (linear, total, blend)}
    assert {SPACE.format(SPACE.parse(text)) for text in texts} == texts


def test_gaps_and_names_do_not_matter_beyond_the_text():
    numbered = {"node_0": EXAMPLES["rnn"]["f"], "h_new_0": ("activation_tanh", ("node_0",))}
    gapped = {"node_4": EXAMPLES["rnn"]["f"], "h_new_0": ("activation_tanh", ("node_4",))}
    assert len({SPACE.parse(text_of(recipe)) for recipe in (EXAMPLES["rnn"], numbered, gapped)}) == 3
    for form in ("pruned", "collapsed"):
        assert len(set(keys_of(form, EXAMPLES["rnn"], numbered, gapped))) == 1


def test_states_are_told_apart():
    swapped = BLENDED | {"node_1": ("linear", ("x", "h_prev_0", "h_prev_1"))}
    assert len(set(keys_of("collapsed", BLENDED, swapped))) == 1
    one = BLENDED | {"node_1": ("linear", ("x", "h_prev_0"))}
    other = BLENDED | {"node_1": ("linear", ("x", "h_prev_1"))}
    assert len(set(keys_of("collapsed", one, other))) == 2


# Names


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_published_examples_keep_their_names(name):
    text = text_of(EXAMPLES[name])
    assert SPACE.format(SPACE.parse(text)) == text
    shuffled = text_of(dict(reversed(EXAMPLES[name].items())))
    assert SPACE.format(SPACE.parse(shuffled)) == text


def test_other_names_are_numbered_as_the_data_flows():
    recipe = {
        "h_new_0": ("activation_tanh", ("gate",)),
        "gate": ("linear", ("mix", "x")),
        "mix": ("linear", ("x", "h_prev_0")),
    }
    assert recipe_of(SPACE.parse(text_of(recipe))) == {
        "node_0": ("linear", ("x", "h_prev_0")),
        "node_1": ("linear", ("node_0", "x")),
        "h_new_0": ("activation_tanh", ("node_1",)),
    }
    against = {"node_2": ("linear", ("node_3", "x")), "node_3": recipe["mix"], "h_new_0": recipe["mix"]}
    assert list(recipe_of(SPACE.parse(text_of(against)))) == ["node_0", "node_1", "h_new_0"]


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_parse_inverts_format(seed):
    recipe = draw_recipe(np.random.default_rng(seed))
    ordered = {
        name: recipe[name] for name in sorted(recipe, key=lambda name: (name[0] == "h", len(name), name))
    }
    assert SPACE.format(SPACE.parse(text_of(recipe))) == text_of(ordered)


# Texts and graphs of no recipe

NODE = {"op": "linear", "input": ["x", "h_prev_0"]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "not a recipe; the form is"),
        ({}, "the new states must be one to three, h_new_0, h_new_1, h_new_2, without a gap"),
        ({"i": NODE}, "the new states must be"),
        ({"h_new_1": NODE}, "the new states must be"),
        ({"h_new_00": NODE}, "the new states must be"),
        ({f"h_new_{state}": NODE for state in range(4)}, "the new states must be one to three"),
        ({"h_new_0": NODE, "x": NODE}, "node 'x' has the name of an input"),
        ({"h_new_0": NODE, "h_prev_2": NODE}, "node 'h_prev_2' has the name of an input"),
        ({"h_new_0": 3}, 'node \'h_new_0\' must be an object with "op" and "input"'),
        ({"h_new_0": {"op": "linear"}}, "node 'h_new_0' must be an object"),
        ({"h_new_0": NODE | {"op": "lstm"}}, "node 'h_new_0': unknown operation 'lstm'"),
        ({"h_new_0": NODE | {"op": ["linear"]}}, "node 'h_new_0': unknown operation"),
        ({"h_new_0": NODE | {"op": "port"}}, "node 'h_new_0': unknown operation 'port'"),
        ({"h_new_0": NODE | {"input": ["x"]}}, "node 'h_new_0': linear takes a list of 2 or 3 inputs"),
        ({"h_new_0": NODE | {"input": "xh"}}, "linear takes a list of 2 or 3 inputs"),
        ({"h_new_0": NODE | {"op": "blend"}}, "node 'h_new_0': blend takes a list of 3 inputs"),
        (
            {"h_new_0": NODE | {"input": ["x", "y"]}},
            "node 'h_new_0' reads 'y', which is no node and none of x, h_",
        ),
        ({"h_new_0": NODE | {"input": ["x", "h_prev_1"]}}, "reads 'h_prev_1', which is no node and none of"),
        ({"h_new_0": NODE | {"input": ["x", 3]}}, "node 'h_new_0' reads '3', which is no node"),
        ({"h_new_0": NODE | {"input": ["x", ["x"]]}}, "which is no node"),
        ({"h_new_0": NODE | {"input": ["x", "x"]}}, r"node 'h_new_0' has the same input twice \('x', 'x'\)"),
        ({"h_new_0": NODE | {"op": "elementwise_sum"}}, "elementwise_sum cannot read x, whose width differs"),
        ({"h_new_0": NODE | {"input": ["x", "h_new_0"]}}, "node 'h_new_0' lies on a cycle"),
    ],
)
def test_other_texts_are_refused(fields, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(json.dumps(fields))


GRAPH = SPACE.parse(text_of(BLENDED))


@pytest.mark.parametrize(
    "graph",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(GRAPH.operations, GRAPH.edges[:-1]),
        Architecture(GRAPH.operations, (*GRAPH.edges, (4, 8))),
        Architecture(GRAPH.operations, GRAPH.edges, {"width": [1.0] * GRAPH.n_nodes}),
        Architecture(GRAPH.operations, tuple(edge for edge in GRAPH.edges if edge != (1, 5))),
        Architecture((*GRAPH.operations[:5], "blend_first", *GRAPH.operations[6:]), GRAPH.edges),
        Architecture((*GRAPH.operations[:17], "named", *GRAPH.operations[18:]), GRAPH.edges),
        Architecture((*GRAPH.operations[:4], "named", *GRAPH.operations[5:]), GRAPH.edges),
        GRAPH.collapsed(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(graph):
    with pytest.raises(InvalidArchitectureError, match="not a NAS-Bench-NLP cell as written"):
        SPACE.format(graph)


# Samples, mutations and parameters


def test_samples_differ_and_repeat():
    table = SPACE.sample(300, np.random.default_rng(0))
    table.columns.check(SPACE.operations)
    assert len(set(table)) == 300
    again = SPACE.sample(300, np.random.default_rng(0))
    assert table.digest() == again.digest()


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_a_mutation_changes_one_node_or_adds_one(seed):
    rng = np.random.default_rng(seed)
    graph = SPACE.sample(1, rng)[0]
    old, new = recipe_of(graph), recipe_of(SPACE.mutate(graph, rng))
    added = len(new) > len(old)
    operations = sorted(op for op, _ in old.values()), sorted(op for op, _ in new.values())
    assert len(operations[1]) <= len(operations[0]) + 1
    if not added:
        kept = [name for name in new if new[name] != old[name]]
        assert len(kept) <= 1 or set(new) != set(old)


def test_parameters_of_the_published_model():
    """Three layers of 600, 600 and 400 units over embeddings of 400, tied to a decoder of 10,000 words."""
    table = ArchitectureTable.of([SPACE.parse(text_of(EXAMPLES["rnn"]))], SPACE.operations)
    layers = sum(n_in * n + n * n + n for n_in, n in ((400, 600), (600, 600), (600, 400)))
    for form in FORMS:
        assert SPACE.parameters(table.in_form(form)).tolist() == [10_000 * 400 + 10_000 + layers]


def test_a_foreign_vocabulary_is_refused():
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))]))


@real_tables
def test_every_row_of_the_table_comes_back(published):
    texts, graphs, _ = published
    assert len(texts) == 8_000
    assert [SPACE.format(graph) for graph in graphs] == texts


@real_tables
def test_published_parameter_counts(published):
    _, graphs, parameters = published
    table = ArchitectureTable.of(graphs, SPACE.operations)
    for form in FORMS:
        np.testing.assert_array_equal(SPACE.parameters(table.in_form(form)), parameters)
