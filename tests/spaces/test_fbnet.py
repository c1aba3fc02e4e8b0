"""FBNet networks: block names as text, skips that are none, the published network."""

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
from archflow.spaces.fbnet import BLOCK_NAMES, FBNet
from archflow.testing import check_space

SPACE = FBNet()
MIXED = ",".join(["k5_e6", "skip", "k3_e1_g2"] * 7 + ["k5_e3"])
NAMES = st.lists(st.sampled_from(BLOCK_NAMES), min_size=22, max_size=22)

# Of each of the 22 blocks, as published for CIFAR: output channels and stride.
PLACES = [
    (16, 1),
    *[(24, 1)] * 4,
    *[(32, 2), *[(32, 1)] * 3],
    *[(64, 2), *[(64, 1)] * 3],
    *[(112, 1)] * 4,
    *[(184, 2), *[(184, 1)] * 3],
    (352, 1),
]
CHANGING = (1, 5, 9, 13, 17, 21)  # from 0


def table_of(*texts):
    return ArchitectureTable.of([SPACE.parse(text) for text in texts], SPACE.operations)


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("fbnet"), FBNet)
    assert SPACE.size == 9**22


def test_a_text_written_out():
    network = SPACE.parse(MIXED)
    assert network.edges == tuple((node, node + 1) for node in range(23))
    kinds = ["mbconv", "skip", "mbconv"] * 7 + ["mbconv"]
    kinds[1] = kinds[13] = "skip_conv"  # the other skips keep channels and resolution
    assert network.operations == ("input", *kinds, "output")
    sizes = dict(network.attributes)
    assert sizes["kernel"] == (0, *[5, 0, 3] * 7, 5, 0)
    assert sizes["expansion"] == (0, *[6, 0, 1] * 7, 3, 0)
    assert sizes["groups"] == (0, *[1, 0, 2] * 7, 1, 0)
    assert sizes["channels"] == (0, *(channels for channels, _ in PLACES), 0)
    assert sizes["in_channels"] == (0, 16, *(channels for channels, _ in PLACES[:-1]), 0)
    assert sizes["stride"] == (0, *(stride for _, stride in PLACES), 0)
    assert sizes["resolution"] == (0, *[32] * 5, *[16] * 4, *[8] * 8, *[4] * 5, 0)


@settings(deadline=None)
@given(NAMES)
def test_texts_come_back(names):
    assert SPACE.format(SPACE.parse(",".join(names))) == ",".join(names)


def test_a_skip_is_an_identity_only_where_nothing_changes():
    skips = SPACE.parse(",".join(["skip"] * 22))
    assert [place for place, name in enumerate(skips.operations[1:-1]) if name == "skip_conv"] == [*CHANGING]
    assert skips.collapsed(SPACE.operations).operations == ("input", *["skip_conv"] * 6, "output")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 names between commas; an FBNet network has 22 blocks"),
        (MIXED + ",skip", "23 names between commas"),
        (
            MIXED.replace("skip", "k7_e1", 1),
            f"block 2 is k7_e1; it must be {', '.join(BLOCK_NAMES[:-1])} or skip",
        ),
        (MIXED.replace("k5_e6", "k5_e6_g2", 1), "block 1 is k5_e6_g2;"),
        (MIXED.replace(",skip", ", skip", 1), "block 2 is ' skip';"),
        (MIXED.replace("skip", "skip_conv", 1), "block 2 is skip_conv;"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(MIXED).operations, SPACE.parse(MIXED).edges),
        SPACE.parse(MIXED).collapsed(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not an FBNet network as written"):
        SPACE.format(architecture)


def test_the_space_is_too_large_to_list():
    with pytest.raises(UsageError, match=r"9.85e\+20 architectures, too many to list"):
        SPACE.all()


@settings(deadline=None)
@given(NAMES, st.integers(0, 2**32))
def test_a_mutation_changes_one_block(names, seed):
    other = SPACE.format(SPACE.mutate(SPACE.parse(",".join(names)), np.random.default_rng(seed)))
    assert sum(a != b for a, b in zip(names, other.split(","), strict=True)) == 1


def network_of(names):
    """The published CIFAR-100 network as modules, without the order in which they run."""

    def convolution(n_in, n_out, kernel, groups=1):
        return [nn.Conv2d(n_in, n_out, kernel, groups=groups, bias=False), nn.BatchNorm2d(n_out)]

    modules, n_in = convolution(3, 16, 3), 16
    for name, (n_out, stride) in zip(names, PLACES, strict=True):
        if name != "skip":
            kernel, expansion, groups = int(name[1]), int(name[4]), 2 if name.endswith("g2") else 1
            hidden = expansion * n_in
            modules += convolution(n_in, hidden, 1, groups)
            modules += convolution(hidden, hidden, kernel, hidden)
            modules += convolution(hidden, n_out, 1, groups)
        elif stride > 1 or n_in != n_out:
            modules += convolution(n_in, n_out, 1)
        n_in = n_out
    return nn.ModuleList([*modules, *convolution(352, 1504, 1), nn.Linear(1504, 100)])


@settings(deadline=None, max_examples=30)
@given(NAMES)
def test_parameters_of_the_network_built(names):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in network_of(names).parameters())
    for form in ("as-written", "pruned", "collapsed"):
        assert SPACE.parameters(table_of(",".join(names)).in_form(form)).tolist() == [built]


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_published_table():
    """Texts exactly; the Pixel 3 latencies are sums over blocks that tell apart what attributes do."""
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "fbnet_latency.parquet")
    texts = table["arch"].to_pylist()
    assert len(texts) == 5_000
    networks = table_of(*texts)
    assert [SPACE.format(network) for network in networks] == texts
    columns = networks.columns
    rows = np.column_stack([columns.operation_ids, columns.attributes])
    _, kinds = np.unique(rows, axis=0, return_inverse=True)
    counts = np.zeros((len(texts), kinds.max() + 1))
    np.add.at(counts, (columns.node_rows(), kinds.reshape(-1)), 1)
    latency = table["lat_pixel3"].to_numpy()
    fitted = counts @ np.linalg.lstsq(counts, latency, rcond=None)[0]
    np.testing.assert_allclose(fitted, latency, rtol=1e-9)
