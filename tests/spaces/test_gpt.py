"""GPT-S networks: shapes as JSON, the residual stream, the published counts."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.gpt import GPT, VOCABULARY
from archflow.testing import check_space

SPACE = GPT()
SHAPES = {
    "embed_dim": 384,
    "n_layer": 10,
    "n_head": [12, 4, 8, 4, 4, 4, 4, 4, 4, 12],
    "mlp_ratio": [2, 3, 4, 2, 2, 2, 2, 2, 2, 3],
    "bias": False,
}


def text_of(shapes):
    return json.dumps(shapes, separators=(",", ":"))


@st.composite
def all_shapes(draw):
    depth = draw(st.integers(10, 12))
    layers = {"min_size": depth, "max_size": depth}
    return {
        "embed_dim": draw(st.sampled_from((192, 384, 768))),
        "n_layer": depth,
        "n_head": draw(st.lists(st.sampled_from((4, 8, 12)), **layers)),
        "mlp_ratio": draw(st.lists(st.sampled_from((2, 3, 4)), **layers)),
        "bias": draw(st.booleans()),
    }


def table_of(*shapes):
    return ArchitectureTable.of([SPACE.parse(text_of(one)) for one in shapes], SPACE.operations)


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("gpt"), GPT)
    assert SPACE.size == 3 * 2 * (9**10 + 9**11 + 9**12) == 1_903_784_282_946


def test_a_text_written_out():
    network = SPACE.parse(text_of(SHAPES))
    assert network.operations == ("input", "embedding", *["attention", "mlp", "add"] * 10, "output")
    #          token    layer 1 reads the embedding,     joins it                and so on
    assert network.edges[:11] == (
        (0, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 5), (4, 6), (4, 7), (5, 7), (6, 7),
    )  # fmt: skip
    assert network.edges[-1] == (31, 32)
    sizes = dict(network.attributes)
    assert sizes["width"] == (0, *[384] * 31, 0)
    assert sizes["heads"] == (0, 0, *(x for heads in SHAPES["n_head"] for x in (heads, 0, 0)), 0)
    assert sizes["hidden"] == (0, 0, *(x for ratio in SHAPES["mlp_ratio"] for x in (0, 384 * ratio, 0)), 0)
    assert sizes["layer"] == (0, 0, *(layer for layer in range(1, 11) for _ in range(3)), 0)
    biased = SPACE.parse(text_of(SHAPES | {"bias": True}))
    assert biased.operations[1:5] == ("embedding", "attention_bias", "mlp_bias", "add")


@settings(deadline=None)
@given(all_shapes())
def test_texts_come_back_from_any_order_of_keys(shapes):
    network = SPACE.parse(json.dumps(dict(reversed(shapes.items())), indent=1))
    assert SPACE.format(network) == text_of(shapes)
    assert network.n_nodes == 3 + 3 * shapes["n_layer"]
    table_of(shapes).columns.check(SPACE.operations)


def test_collapsed_every_block_reads_the_sum_of_all_before():
    network = SPACE.parse(text_of(SHAPES)).collapsed(SPACE.operations)
    assert network.operations == ("input", "embedding", *["attention", "mlp"] * 10, "output")
    blocks = range(2, 22)
    reads = {(source, target) for target in blocks for source in range(1, target - target % 2)}
    assert set(network.edges) == {(0, 1), *reads, *((source, 22) for source in range(1, 22))}
    assert len(network.edges) == len(set(network.edges))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layer": 2}, "n_layer is 2; it must be 10, 11 or 12"),
        ({"n_layer": 11}, "n_head must be a list of 11 numbers, one a layer"),
        ({"n_layer": 10.0}, "n_layer is 10.0;"),
        ({"n_layer": "10"}, 'n_layer is "10";'),
        ({"n_layer": [10]}, "n_layer is a list;"),
        ({"embed_dim": 256}, "embed_dim is 256; it must be 192, 384 or 768"),
        ({"embed_dim": None}, "embed_dim is null;"),
        ({"embed_dim": {"a": 1}}, "embed_dim is an object;"),
        ({"bias": 0}, "bias is 0; it must be false or true"),
        ({"n_head": 4}, "n_head must be a list of 10 numbers"),
        ({"mlp_ratio": [2] * 9}, "mlp_ratio must be a list of 10 numbers"),
        ({"mlp_ratio": [2] * 9 + [5]}, "layer 10: mlp_ratio is 5; it must be 2, 3 or 4"),
        ({"n_head": [4, 6] + [4] * 8}, "layer 2: n_head is 6; it must be 4, 8 or 12"),
        ({"n_head": [4, True] + [4] * 8}, "layer 2: n_head is true;"),
        ({"heads": 4}, "key 'heads' is none of a GPT; the keys are embed_dim, n_layer, n_head"),
    ],
)
def test_other_shapes_are_refused(change, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text_of(SHAPES | change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object with the keys embed_dim, n_layer"),
        ("{}", "key 'embed_dim' is missing"),
        (text_of(SHAPES).replace('"bias":false', '"bias":NaN'), "bias is NaN;"),
        (text_of(SHAPES).replace('"bias":false', '"bias":false,"bias":true'), "key 'bias' appears twice"),
        (" " * 9_000 + text_of(SHAPES) + " " * 9_000, "this space reads at most 10000"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


def changed(name, node, value):
    """The network of SHAPES with one attribute of one node changed."""
    network = SPACE.parse(text_of(SHAPES))
    sizes = dict(network.attributes)
    sizes[name] = (*sizes[name][:node], value, *sizes[name][node + 1 :])
    return Architecture(network.operations, network.edges, sizes)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(text_of(SHAPES)).operations, SPACE.parse(text_of(SHAPES)).edges),
        SPACE.parse(text_of(SHAPES)).collapsed(SPACE.operations),
        changed("width", 1, 0),
        changed("width", 5, 192),
        changed("heads", 2, 6),
        changed("hidden", 3, 1_000),
        changed("layer", 4, 2),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not a GPT as written"):
        SPACE.format(architecture)


def test_the_space_is_too_large_to_list():
    with pytest.raises(UsageError, match=r"1.9e\+12 architectures, too many to list"):
        SPACE.all()


def test_samples_cover_the_space_evenly():
    table = SPACE.sample(3_000, np.random.default_rng(0))
    table.columns.check(SPACE.operations)
    drawn = [json.loads(SPACE.format(network)) for network in table]
    depths = np.bincount([shapes["n_layer"] for shapes in drawn], minlength=13)[10:]
    expected = 3_000 * 9.0 ** np.arange(3) / (1 + 9 + 81)
    assert (np.abs(depths - expected) < 6 * np.sqrt(expected)).all()
    first = [shapes["n_layer"] for shapes in drawn[:1_500]].count(12)
    assert abs(first - depths[2] / 2) < 60  # the deepest are everywhere among the samples
    for name, choices in (("embed_dim", (192, 384, 768)), ("bias", (False, True))):
        counts = np.array([sum(shapes[name] == choice for shapes in drawn) for choice in choices])
        assert np.abs(counts - 3_000 / len(choices)).max() < 165  # six standard deviations
    for name, choices in (("n_head", (4, 8, 12)), ("mlp_ratio", (2, 3, 4))):
        for layer in range(10):
            counts = np.array([sum(s[name][layer] == choice for s in drawn) for choice in choices])
            assert np.abs(counts - 1_000).max() < 155


@settings(deadline=None)
@given(all_shapes(), st.integers(0, 2**32))
def test_a_mutation_changes_one_number_or_one_layer(shapes, seed):
    network = SPACE.parse(text_of(shapes))
    other = json.loads(SPACE.format(SPACE.mutate(network, np.random.default_rng(seed))))
    layers, others = (list(zip(s["n_head"], s["mlp_ratio"], strict=True)) for s in (shapes, other))
    if len(layers) == len(others):
        numbers, changed = (
            [s["embed_dim"], s["bias"], *s["n_head"], *s["mlp_ratio"]] for s in (shapes, other)
        )
        assert sum(a != b for a, b in zip(numbers, changed, strict=True)) == 1
    else:
        few, many = sorted((layers, others), key=len)
        assert any(many[:layer] + many[layer + 1 :] == few for layer in range(len(many)))
        assert (shapes["embed_dim"], shapes["bias"]) == (other["embed_dim"], other["bias"])


def test_mutations_change_everything_in_time():
    network = SPACE.parse(text_of(SHAPES | {"n_layer": 11, "n_head": [4] * 11, "mlp_ratio": [2] * 11}))
    rng = np.random.default_rng(0)
    others = [json.loads(SPACE.format(SPACE.mutate(network, rng))) for _ in range(400)]
    assert {shapes["n_layer"] for shapes in others} == {10, 11, 12}
    assert {shapes["embed_dim"] for shapes in others} == {192, 384, 768}
    assert {shapes["bias"] for shapes in others} == {False, True}
    assert {layer for s in others for layer in range(10) if s["n_head"][layer] > 4} == set(range(10))


def network_of(shapes):
    """The published network as modules, without the order in which they run."""
    width, bias = shapes["embed_dim"], shapes["bias"]
    modules = [nn.Embedding(VOCABULARY, width), nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)]
    for heads, ratio in zip(shapes["n_head"], shapes["mlp_ratio"], strict=True):
        inner, hidden = 64 * heads, ratio * width
        modules += [nn.LayerNorm(width), nn.LayerNorm(width)]
        modules += [nn.Linear(width, 3 * inner, bias=bias), nn.Linear(inner, width, bias=bias)]
        modules += [nn.Linear(width, hidden, bias=bias) for _ in range(2)]
        modules += [nn.Linear(hidden, width, bias=bias)]
    return nn.ModuleList(modules)


@settings(deadline=None, max_examples=20)
@given(all_shapes())
def test_parameters_of_the_network_built(shapes):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in network_of(shapes).parameters())
    for form in ("as-written", "pruned", "collapsed"):
        assert SPACE.parameters(table_of(shapes).in_form(form)).tolist() == [built]


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_published_table():
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "gpt_s.parquet")
    texts = table["arch"].to_pylist()
    assert len(texts) == 10_000
    networks = [SPACE.parse(text) for text in texts]
    assert [SPACE.format(network) for network in networks] == texts
    counts = SPACE.parameters(ArchitectureTable.of(networks, SPACE.operations))
    assert counts.tolist() == table["params"].to_pylist()
