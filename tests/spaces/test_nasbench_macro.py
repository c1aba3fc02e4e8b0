"""NAS-Bench-Macro: eight digits, the 6,561 chains, published parameters and FLOPs, equal functions."""

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
from archflow.spaces.nasbench_macro import NASBenchMacro
from archflow.testing import check_space

SPACE = NASBenchMacro()
TEXTS = st.text("012", min_size=8, max_size=8)
MIXED = "02012100"

real_tables = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


@pytest.fixture(scope="module")
def published():
    return pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench_macro.parquet")


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("nasbench_macro"), NASBenchMacro)


def test_a_network_written_out():
    network = SPACE.parse(MIXED)
    assert network.operations == (
        "input",
        "conv1x1",  # "identity" in a layer that halves the resolution
        "mb6_k5",
        "conv1x1",
        "mb3_k3",
        "mb6_k5",
        "mb3_k3",
        "identity",
        "identity",
        "output",
    )
    assert network.edges == tuple((node, node + 1) for node in range(9))
    assert dict(network.attributes) == {
        "channels": (0, 64, 64, 128, 128, 128, 256, 256, 256, 0),
        "stride": (0, 2, 1, 2, 1, 1, 2, 1, 1, 0),
    }
    assert SPACE.format(network) == MIXED


@settings(deadline=None)
@given(TEXTS)
def test_texts_come_back(text):
    assert SPACE.format(SPACE.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "0201210", "020121000", "02012103", "0201 2100", "\u0660" * 8, "-2012100", "0,2,0,1,2,1,0,0"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidArchitectureError, match="not a NAS-Bench-Macro text; the form is eight"):
        SPACE.parse(text)


NETWORK = SPACE.parse(MIXED)


@pytest.mark.parametrize(
    ("architecture", "rule"),
    [
        (Architecture(("input", "output"), ((0, 1),)), "those have 10 nodes and 9 edges"),
        (Architecture(NETWORK.operations, NETWORK.edges), "node 1 .conv1x1. is none of its choices"),
        (NETWORK.collapsed(SPACE.operations), "those have 10 nodes"),
        (
            Architecture(
                NETWORK.operations, NETWORK.edges, dict(NETWORK.attributes) | {"channels": (0, *[64] * 8, 0)}
            ),
            "node 3 .conv1x1. is none of its choices",
        ),
        (
            Architecture(("input", "identity", *NETWORK.operations[2:]), NETWORK.edges, NETWORK.attributes),
            "node 1 .identity. is none of its choices",
        ),
        (
            Architecture(NETWORK.operations, NETWORK.edges, dict(NETWORK.attributes) | {"heads": (1,) * 10}),
            "attribute 'heads'",
        ),
    ],
)
def test_other_graphs_are_not_written(architecture, rule):
    with pytest.raises(InvalidArchitectureError, match=f"not a NAS-Bench-Macro network as written.*{rule}"):
        SPACE.format(architecture)


def test_all_networks_in_order():
    texts = [SPACE.format(network) for network in SPACE.all()]
    assert len(set(texts)) == SPACE.size == 6_561
    assert texts == sorted(texts)


def test_samples_cover_the_space_evenly():
    texts = [SPACE.format(network) for network in SPACE.sample(3_000, np.random.default_rng(0))]
    for place in range(8):
        counts = np.bincount([int(text[place]) for text in texts], minlength=3)
        assert np.abs(counts - 1_000).max() < 160  # six standard deviations
    with pytest.raises(UsageError, match="cannot draw 6562 distinct architectures: the space has 6561"):
        SPACE.sample(6_562, np.random.default_rng(0))


@settings(deadline=None)
@given(TEXTS, st.integers(0, 2**32))
def test_a_mutation_changes_one_layer(text, seed):
    other = SPACE.format(SPACE.mutate(SPACE.parse(text), np.random.default_rng(seed)))
    assert sum(a != b for a, b in zip(text, other, strict=True)) == 1


def test_a_table_may_have_a_vocabulary_of_its_own():
    """Without `mb3_k3` and with the attributes the same, the count stays the same."""
    own = ArchitectureTable.of([SPACE.parse("02022200")])
    assert own.operations != SPACE.operations
    ours = ArchitectureTable.of([SPACE.parse("02022200")], SPACE.operations)
    assert SPACE.parameters(own).tolist() == SPACE.parameters(ours).tolist()
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))]))


def test_the_published_counts_of_three_networks():
    """From the benchmark's file, nas-bench-macro_cifar10.json."""
    networks = [SPACE.parse(text) for text in ("02012100", "11111221", "00011110")]
    counts = SPACE.parameters(ArchitectureTable.of(networks, SPACE.operations))
    assert counts.tolist() == [890_666, 2_181_386, 1_118_378]


def multiply_adds(network):
    """Multiply-adds on a 32x32 image, layer by layer, from operations and attributes alone."""
    channels, side = 32, 32
    total = 3 * 9 * channels * side**2
    for name, wide, stride in zip(
        network.operations[1:-1],
        dict(network.attributes)["channels"][1:],
        dict(network.attributes)["stride"][1:],
        strict=False,
    ):
        after = side // stride
        if name == "conv1x1":
            total += channels * wide * after**2
        elif name in ("mb3_k3", "mb6_k5"):
            expansion, kernel = (3, 3) if name == "mb3_k3" else (6, 5)
            hidden = expansion * channels
            total += channels * hidden * side**2 + (kernel**2 + wide) * hidden * after**2
        channels, side = wide, after
    return total + channels * 1280 * side**2 + 1280 * 10


@real_tables
def test_the_table_is_the_space(published):
    texts = published.column("arch").to_pylist()
    assert len(texts) == 6_561
    assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts
    assert {SPACE.format(network) for network in SPACE.all()} == set(texts)


@real_tables
@pytest.mark.parametrize("form", FORMS)
def test_published_parameters_and_flops_in_every_form(published, form):
    """The graph of each form still tells channels and resolution of every layer that computes."""
    networks = [SPACE.parse(text) for text in published.column("arch").to_pylist()]
    table = ArchitectureTable.of(networks, SPACE.operations).in_form(form)
    np.testing.assert_array_equal(SPACE.parameters(table), published.column("params").to_numpy())
    rows = np.arange(0, 6_561, 7)
    flops = published.column("flops").to_numpy()[rows]
    assert [multiply_adds(network) for network in table[rows]] == flops.tolist()


@real_tables
def test_one_function_one_result(published):
    """The benchmark trained chains that differ in the place of identities once: 3,969 functions."""
    networks = [SPACE.parse(text) for text in published.column("arch").to_pylist()]
    keys = ArchitectureTable.of(networks, SPACE.operations).collapsed().keys()
    accuracies = published.column("cifar10_test_acc").to_numpy()
    pairs = set(zip(keys.tolist(), accuracies.tolist(), strict=True))
    assert len(set(keys.tolist())) == len(pairs) == 3_969
