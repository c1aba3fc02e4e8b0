"""TransNAS-Bench-101 macro networks: the official string, the rules of the 3,256, the published network."""

import itertools
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
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.transnas_macro import TransNASMacro
from archflow.testing import check_space

SPACE = TransNASMacro()
ALL = [SPACE.format(network) for network in SPACE.all()]
TEXTS = st.sampled_from(ALL)


def count(*texts, form="as-written"):
    networks = [SPACE.parse(text) for text in texts]
    return SPACE.parameters(ArchitectureTable.of(networks, SPACE.operations).in_form(form)).tolist()


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("transnas_macro"), TransNASMacro)


def test_an_official_string_written_out():
    network = SPACE.parse("64-12342-basic")
    assert network.operations == (
        "input", "plain", "double", "downsample", "double_downsample", "double", "output",
    )  # fmt: skip
    assert network.edges == tuple((node, node + 1) for node in range(6))
    assert dict(network.attributes) == {
        "channels": (0, 64, 128, 128, 256, 512, 0),
        "stride": (0, 1, 1, 2, 2, 1, 0),
    }
    assert SPACE.format(network) == "64-12342-basic"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "the form is 64-232323-basic"),
        ("64-232323", "the form is"),
        ("32-232323-basic", "the form is"),
        ("64-232325-basic", "the form is"),
        ("64-" + "\u0661" * 4 + "-basic", "the form is"),
        ("64-23232323-basic64-232323-basic", "the form is"),
        ("64-123-basic", "3 modules; a network has 4 to 6"),
        ("64-2323231-basic", "7 modules; a network has 4 to 6"),
        ("64-2121-basic", "0 modules downsample .* 1 to 4 must"),
        ("64-233333-basic", "5 modules downsample .* 1 to 4 must"),
        ("64-3131-basic", "0 modules double the channels .* 1 to 3 must"),
        ("64-422213-basic", "4 modules double the channels .* 1 to 3 must"),
    ],
)
def test_other_texts_are_refused(text, rule):
    with pytest.raises(InvalidArchitectureError, match=rule):
        SPACE.parse(text)


NETWORK = SPACE.parse("64-1234-basic")


@pytest.mark.parametrize(
    ("architecture", "rule"),
    [
        (Architecture(("input", "output"), ((0, 1),)), "0 modules; a network has 4 to 6"),
        (Architecture(("output", "input"), ()), "0 modules"),
        (Architecture(NETWORK.operations, NETWORK.edges), "with the channels and strides"),
        (Architecture(NETWORK.operations, NETWORK.edges[1:], NETWORK.attributes), "must form a chain"),
        (Architecture(("input", "lstm", *NETWORK.operations[2:]), NETWORK.edges), "'lstm' is none of plain"),
        (
            Architecture(
                NETWORK.operations, NETWORK.edges, dict(NETWORK.attributes) | {"stride": (0, 1, 1, 1, 1, 0)}
            ),
            "with the channels and strides",
        ),
    ],
)
def test_other_graphs_are_not_written(architecture, rule):
    with pytest.raises(InvalidArchitectureError, match=f"not a TransNAS-Bench-101 macro network.*{rule}"):
        SPACE.format(architecture)


def test_all_networks_in_order():
    """Four to six modules, of which one to four downsample and one to three double the channels."""
    expected = [
        f"64-{''.join(digits)}-basic"
        for length in (4, 5, 6)
        for digits in itertools.product("1234", repeat=length)
        if 1 <= digits.count("3") + digits.count("4") <= 4 and 1 <= digits.count("2") + digits.count("4") <= 3
    ]
    assert expected == ALL
    assert len(ALL) == SPACE.size == 3_256


def test_samples_cover_the_space_evenly():
    depths = np.diff(SPACE.sample(1_000, np.random.default_rng(0)).columns.node_offsets) - 2
    counts = np.bincount(depths, minlength=7)[4:]
    expected = np.array([210, 750, 2_296]) * 1_000 / 3_256
    assert np.abs(counts - expected).max() < 75  # six standard deviations
    with pytest.raises(UsageError, match="cannot draw 3257 distinct architectures: the space has 3256"):
        SPACE.sample(3_257, np.random.default_rng(0))


@settings(deadline=None)
@given(TEXTS, st.integers(0, 2**32))
def test_a_mutation_replaces_adds_or_drops_one_module(text, seed):
    other = SPACE.format(SPACE.mutate(SPACE.parse(text), np.random.default_rng(seed)))
    assert other in ALL
    before, after = text.split("-")[1], other.split("-")[1]
    if len(before) == len(after):
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    else:
        short, long = sorted((before, after), key=len)
        assert short in {long[:place] + long[place + 1 :] for place in range(len(long))}


def test_mutations_lead_everywhere():
    rng = np.random.default_rng(0)
    network = SPACE.parse(ALL[0])
    depths = set()
    for _ in range(200):
        network = SPACE.mutate(network, rng)
        depths.add(network.n_nodes - 2)
    assert depths == {4, 5, 6}


def backbone(digits):
    """The published network as modules, without the order in which they run."""

    def convolution(n_in, n_out, kernel, stride=1):
        return [nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out)]

    modules = [*convolution(3, 32, 3, 2), *convolution(32, 64, 3, 2)]
    channels = 64
    for digit in digits:
        wide, stride = channels * (2 if digit in "24" else 1), 2 if digit in "34" else 1
        modules += convolution(channels, wide, 3, stride) + convolution(wide, wide, 3)
        if (channels, 1) != (wide, stride):
            modules += convolution(channels, wide, 1, stride)
        modules += convolution(wide, wide, 3) + convolution(wide, wide, 3)
        channels = wide
    return nn.ModuleList(modules)


@settings(deadline=None, max_examples=15)
@given(TEXTS, st.sampled_from(FORMS))
def test_parameters_of_the_network_built(text, form):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in backbone(text.split("-")[1]).parameters())
    assert count(text, form=form) == [built]


def test_one_of_the_networks_is_resnet_18():
    """Its published 11,689,512 parameters, with another stem (7x7) and classifier (1,000 classes)."""
    body = 11_689_512 - (3 * 64 * 49 + 2 * 64) - (512 * 1000 + 1000)
    stem = 3 * 32 * 9 + 2 * 32 + 32 * 64 * 9 + 2 * 64
    assert count("64-1444-basic") == [stem + body]


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_table_is_the_space():
    texts = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "transnas_macro.parquet")["arch"].to_pylist()
    assert len(texts) == 3_256
    assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts
    assert set(ALL) == set(texts)
