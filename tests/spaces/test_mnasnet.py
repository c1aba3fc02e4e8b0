"""Accel-NASBench networks: blocks as text, layers as nodes, the published counts."""

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
from archflow.metrics import spearman
from archflow.spaces import get
from archflow.spaces.mnasnet import BLOCKS, MnasNet
from archflow.spaces.sizes import node_sizes, sum_by_row
from archflow.testing import check_space

SPACE = MnasNet()
TEXT = "6,3,1,0|4,5,2,0|6,3,1,0|1,5,2,1|6,3,1,0|4,5,4,0|6,3,1,1"
SMALLEST = "|".join(["1,3,1,0"] * 7)


@st.composite
def texts(draw):
    blocks = []
    for block in range(7):
        choices = ((1, 4, 6), (3, 5), range(1, 5 if block == 5 else 4), (0, 1))
        blocks.append(",".join(str(draw(st.sampled_from(options))) for options in choices))
    return "|".join(blocks)


def table_of(*texts):
    return ArchitectureTable.of([SPACE.parse(text) for text in texts], SPACE.operations)


def replaced(block, new):
    parts = TEXT.split("|")
    return "|".join([*parts[:block], new, *parts[block + 1 :]])


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("mnasnet"), MnasNet)
    assert SPACE.size == (3 * 2 * 3 * 2) ** 6 * (3 * 2 * 4 * 2) == 104_485_552_128


def test_a_text_written_out():
    network = SPACE.parse(TEXT)
    n_layers = (1, 2, 1, 2, 1, 4, 1)
    assert network.edges == tuple((node, node + 1) for node in range(1 + sum(n_layers)))
    excites = [node for node, name in enumerate(network.operations) if name == "mbconv_se"]
    assert excites == [5, 6, 12]
    sizes = dict(network.attributes)
    assert sizes["expansion"] == (0, 6, 4, 4, 6, 1, 1, 6, 4, 4, 4, 4, 6, 0)
    assert sizes["kernel"] == (0, 3, 5, 5, 3, 5, 5, 3, 5, 5, 5, 5, 3, 0)
    assert sizes["in_channels"] == (0, 32, 16, 24, 24, 40, 80, 80, 112, 192, 192, 192, 192, 0)
    assert sizes["channels"] == (0, 16, 24, 24, 40, 80, 80, 112, 192, 192, 192, 192, 320, 0)
    assert sizes["stride"] == (0, 1, 2, 1, 2, 2, 1, 1, 2, 1, 1, 1, 1, 0)
    assert sizes["resolution"] == (0, 112, 56, 56, 28, 14, 14, 14, 7, 7, 7, 7, 7, 0)


@settings(deadline=None)
@given(texts())
def test_texts_come_back(text):
    network = SPACE.parse(text)
    assert SPACE.format(network) == text
    assert network.n_nodes == 2 + sum(int(block.split(",")[2]) for block in text.split("|"))
    table_of(text).columns.check(SPACE.operations)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 blocks between bars; an Accel-NASBench network has 7"),
        (TEXT + "|1,3,1,0", "8 blocks between bars"),
        (replaced(2, "6,4,1,0"), "block 3: kernel is 4; it must be 3 or 5"),
        (replaced(0, "2,3,1,0"), "block 1: expansion is 2; it must be 1, 4 or 6"),
        (replaced(4, "6,3,4,0"), "block 5: layers is 4; it must be 1, 2 or 3"),
        (replaced(5, "6,3,5,0"), "block 6: layers is 5; it must be 1, 2, 3 or 4"),
        (replaced(6, "6,3,1,2"), "block 7: squeeze-excite is 2; it must be 0 or 1"),
        (
            replaced(1, "6,3,1"),
            "block 2: 3 fields between commas; there must be expansion, kernel, layers, squeeze-excite",
        ),
        (replaced(1, "6, 3,1,0"), "block 2: kernel is ' 3'"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


def changed(name, node, value):
    """The network of TEXT with one attribute of one node changed."""
    network = SPACE.parse(TEXT)
    sizes = dict(network.attributes)
    sizes[name] = (*sizes[name][:node], value, *sizes[name][node + 1 :])
    return Architecture(network.operations, network.edges, sizes)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(TEXT).operations, SPACE.parse(TEXT).edges),
        Architecture(SPACE.parse(TEXT).operations, SPACE.parse(TEXT).edges[1:], SPACE.parse(TEXT).attributes),
        changed("expansion", 3, 6),  # unlike the first layer of its block
        changed("channels", 13, 24),
        changed("stride", 2, 1),
        changed("kernel", 4, 3.5),
        changed("resolution", 13, 7),
        Architecture(("input", "mbconv", "output"), ((0, 1), (1, 2)), {"heads": (0, 2, 0)}),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not an Accel-NASBench network as written"):
        SPACE.format(architecture)


def test_the_space_is_too_large_to_list():
    with pytest.raises(UsageError, match=r"1.04e\+11 architectures, too many to list"):
        SPACE.all()


def test_samples_cover_the_space_evenly():
    table = SPACE.sample(2_000, np.random.default_rng(0))
    table.columns.check(SPACE.operations)
    words = np.array(
        [[block.split(",") for block in SPACE.format(network).split("|")] for network in table], dtype=int
    )
    for block in range(7):
        for field, choices in enumerate(((1, 4, 6), (3, 5), (1, 2, 3, 4)[: 4 if block == 5 else 3], (0, 1))):
            counts = np.array([(words[:, block, field] == choice).sum() for choice in choices])
            assert counts.sum() == 2_000
            assert np.abs(counts - 2_000 / len(choices)).max() < 134  # six standard deviations


@settings(deadline=None)
@given(texts(), st.integers(0, 2**32))
def test_a_mutation_changes_one_block(text, seed):
    other = SPACE.format(SPACE.mutate(SPACE.parse(text), np.random.default_rng(seed)))
    assert sum(a != b for a, b in zip(text.split("|"), other.split("|"), strict=True)) == 1


def network_of(text):
    """The published network as modules, without the order in which they run."""

    def convolution(n_in, n_out, kernel, groups=1):
        return [nn.Conv2d(n_in, n_out, kernel, groups=groups, bias=False), nn.BatchNorm2d(n_out)]

    modules = convolution(3, 32, 3)
    for (n_in, n_out, _, _), block in zip(BLOCKS, text.split("|"), strict=True):
        expansion, kernel, layers, excite = map(int, block.split(","))
        for _ in range(layers):
            hidden = expansion * n_in
            if expansion > 1:
                modules += convolution(n_in, hidden, 1)
            modules += convolution(hidden, hidden, kernel, groups=hidden)
            if excite:
                modules += [nn.Conv2d(hidden, n_in // 4, 1), nn.Conv2d(n_in // 4, hidden, 1)]
            modules += convolution(hidden, n_out, 1)
            n_in = n_out
    return nn.ModuleList([*modules, *convolution(320, 1280, 1), nn.Linear(1280, 1000)])


@settings(deadline=None, max_examples=30)
@given(texts())
def test_parameters_of_the_network_built(text):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in network_of(text).parameters())
    table = table_of(text, SMALLEST)
    for form in ("as-written", "pruned", "collapsed"):
        assert SPACE.parameters(table.in_form(form))[0] == built


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_published_table():
    """Texts and parameters exactly; the published multiply-adds, which count more than the convolutions."""
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "mnasnet.parquet")
    texts = table["arch"].to_pylist()
    assert len(texts) == 5_125
    networks = table_of(*texts)
    assert [SPACE.format(network) for network in networks] == texts
    np.testing.assert_allclose(SPACE.parameters(networks), table["params_m"].to_numpy() * 1e6, rtol=1e-12)
    sizes = node_sizes(networks, SPACE.operations)
    hidden, pixels = sizes["expansion"] * sizes["in_channels"], sizes["resolution"] ** 2
    expanding = (sizes["expansion"] > 1) * sizes["in_channels"] * hidden * pixels * sizes["stride"] ** 2
    filtering = hidden * (sizes["kernel"] ** 2 + sizes["channels"]) * pixels
    assert spearman(sum_by_row(networks, expanding + filtering), table["macs_m"].to_numpy()) > 0.99
