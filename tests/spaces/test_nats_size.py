"""NATS-Bench size networks: channels as text, all 32,768, the published network."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archflow.errors import InvalidArchitectureError, UnknownNameError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.nats_size import CHANNELS, NATSSize
from archflow.testing import check_space

SPACE = NATSSize()
TEXT = "16:16:8:64:32"
NETWORK = SPACE.parse(TEXT)
LAYERS = st.tuples(*[st.sampled_from(CHANNELS)] * 5)


def text_of(channels):
    return ":".join(map(str, channels))


def count(*texts, form="as-written"):
    networks = [SPACE.parse(text) for text in texts]
    return SPACE.parameters(ArchitectureTable.of(networks, SPACE.operations).in_form(form)).tolist()


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("nats_size"), NATSSize)


def test_a_text_written_out():
    assert NETWORK.operations == (
        "input", "cell", "residual_block", "cell", "residual_block", "cell", "output",
    )  # fmt: skip
    assert NETWORK.edges == tuple((node, node + 1) for node in range(6))
    assert dict(NETWORK.attributes) == {
        "channels": (0, 16, 16, 8, 64, 32, 0),
        "resolution": (0, 32, 16, 16, 8, 8, 0),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 numbers between colons; a NATS-Bench size network has the channels of 5 layers"),
        (TEXT[:-3], "4 numbers between colons"),
        (TEXT + TEXT, "9 numbers between colons"),
        (
            "16:16:12:64:32",
            "the number of channels of layer 3 is 12; it must be 8, 16, 24, 32, 40, 48, 56 or 64",
        ),
        ("16:16:08:64:32", "layer 3 is 08;"),
        ("16:16::64:32", "layer 3 is '';"),
        ("16:16:8:64:72", "layer 5 is 72;"),
        ("16:\u0661\u0666:8:64:32", "layer 2 is"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(TEXT).operations, SPACE.parse(TEXT).edges),
        Architecture(SPACE.parse(TEXT).operations, SPACE.parse(TEXT).edges, {"channels": (0, *[12] * 5, 0)}),
        Architecture(
            ("input", *["cell"] * 5, "output"), SPACE.parse(TEXT).edges, SPACE.parse(TEXT).attributes
        ),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not a NATS-Bench size network as written"):
        SPACE.format(architecture)


@settings(deadline=None)
@given(LAYERS, st.integers(0, 2**32))
def test_a_mutation_changes_one_layer(channels, seed):
    other = SPACE.format(SPACE.mutate(SPACE.parse(text_of(channels)), np.random.default_rng(seed)))
    assert sum(a != int(b) for a, b in zip(channels, other.split(":"), strict=True)) == 1


@pytest.mark.parametrize(
    ("text", "published"), [("8:8:8:8:8", 11_714), ("8:8:16:40:40", 107_826), ("64:64:64:64:64", 713_674)]
)
def test_published_parameter_counts(text, published):
    """What the published benchmark file says of three networks on CIFAR-10."""
    assert count(text) == [published]


def network_of(channels):
    """The published network as modules, without the order in which they run."""

    def convolution(n_in, n_out, kernel, norm=True):
        return [nn.Conv2d(n_in, n_out, kernel, bias=False), *([nn.BatchNorm2d(n_out)] if norm else [])]

    modules, n_in = convolution(3, channels[0], 3), channels[0]
    for layer, n_out in enumerate(channels):
        if layer % 2:  # a residual block, halving
            modules += convolution(n_in, n_out, 3) + convolution(n_out, n_out, 3)
            modules += convolution(n_in, n_out, 1, norm=False)
        else:  # a cell: |3x3~0|+|3x3~0|3x3~1|+|skip~0|3x3~1|3x3~2|
            for source in (0, 0, 1, 1, 2):
                modules += convolution(n_out if source else n_in, n_out, 3)
            if n_in != n_out:
                modules += convolution(n_in, n_out, 1)
        n_in = n_out
    return nn.ModuleList([*modules, nn.BatchNorm2d(n_in), nn.Linear(n_in, 10)])


@settings(deadline=None, max_examples=30)
@given(LAYERS)
def test_parameters_of_the_network_built(channels):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in network_of(channels).parameters())
    assert count(text_of(channels)) == [built]
    assert count(text_of(channels), form="pruned") == count(text_of(channels), form="collapsed") == [built]


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_table_is_the_space():
    texts = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nats_size.parquet")["arch"].to_pylist()
    assert len(texts) == SPACE.size == 32_768
    assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts
    assert {SPACE.format(network) for network in SPACE.all()} == set(texts)
