"""NAS-Bench-201: the official string, the 15,625 cells, and the published parameter counts."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.spaces.nasbench201 import CELL_EDGES, NASBench201

SPACE = NASBench201()
OPERATIONS = st.tuples(*[st.sampled_from(SPACE.choices)] * 6)
MIXED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def text_of(a, b, c, d, e, f):
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def test_an_official_string_written_out():
    cell = SPACE.parse(MIXED)
    assert cell.operations == (
        "input",
        "nor_conv_3x3",
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "avg_pool_3x3",
        "nor_conv_3x3",
        "output",
    )
    #  maps:    0>1     0>2     0>3 | 1>2 follows 0>1; 1>3 follows 0>1; 2>3 follows 0>2 and 1>2; the rest ends
    wiring = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    assert set(cell.edges) == wiring
    assert SPACE.format(cell) == MIXED


@settings(deadline=None)
@given(OPERATIONS)
def test_the_wiring_follows_the_feature_maps(names):
    """Two edges of the cell are joined where one ends at the map that the other starts from."""
    cell = SPACE.parse(text_of(*names))
    for i, (start, end) in enumerate(CELL_EDGES):
        assert ((0, 1 + i) in cell.edges) == (start == 0)
        assert ((1 + i, 7) in cell.edges) == (end == 3)
        for j, (other_start, _) in enumerate(CELL_EDGES):
            assert ((1 + i, 1 + j) in cell.edges) == (end == other_start)


@settings(deadline=None)
@given(OPERATIONS)
def test_texts_come_back(names):
    assert SPACE.format(SPACE.parse(text_of(*names))) == text_of(*names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a NAS-Bench-201 string; the form is"),
        (MIXED[:-1], "not a NAS-Bench-201 string"),
        (MIXED + MIXED, "not a NAS-Bench-201 string"),
        (MIXED.replace("~2", "~1"), "not a NAS-Bench-201 string"),
        (MIXED.replace("+", ""), "not a NAS-Bench-201 string"),
        (MIXED.replace("none", "nothing"), "unknown operation 'nothing'"),
        (MIXED.replace("1x1", "1x2"), r"unknown operation 'nor_conv_1x2'.*Did you mean 'nor_conv_1x1'\?"),
        (MIXED.replace("none", "input"), "unknown operation 'input'"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(MIXED).operations, SPACE.parse(MIXED).edges[1:]),
        Architecture(("input", *["lstm"] * 6, "output"), SPACE.parse(MIXED).edges),
        SPACE.parse(MIXED).pruned(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not a NAS-Bench-201 cell as written"):
        SPACE.format(architecture)


def test_all_cells_in_order():
    table = SPACE.all()
    texts = [SPACE.format(cell) for cell in table]
    assert len(set(texts)) == SPACE.size == 15_625
    assert texts[0] == text_of(*["none"] * 6)
    assert texts[1] == text_of(*["none"] * 5, "skip_connect")
    assert texts[-1] == text_of(*["avg_pool_3x3"] * 6)


def test_samples_cover_the_space_evenly():
    cells = SPACE.sample(5_000, np.random.default_rng(0))
    counts = np.bincount(cells.columns.operation_ids, minlength=7)[1:6]
    assert counts.sum() == 30_000
    assert np.abs(counts - 6_000).max() < 300  # six standard deviations
    with pytest.raises(UsageError, match="cannot draw 15626 distinct architectures: the space has 15625"):
        SPACE.sample(15_626, np.random.default_rng(0))


@settings(deadline=None)
@given(OPERATIONS, st.integers(0, 2**32))
def test_a_mutation_changes_one_operation(names, seed):
    cell = SPACE.parse(text_of(*names))
    other = SPACE.mutate(cell, np.random.default_rng(seed))
    changed = [a != b for a, b in zip(cell.operations, other.operations, strict=True)]
    assert sum(changed) == 1
    assert other.edges == cell.edges
    assert SPACE.parse(SPACE.format(other)) == other


def test_the_published_smallest_and_largest_network():
    cells = [SPACE.parse(text_of(*[name] * 6)) for name in ("none", "nor_conv_3x3")]
    counts = SPACE.parameters(ArchitectureTable.of(cells, SPACE.operations))
    assert counts.tolist() == [73_306, 1_531_546]


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_published_parameter_counts():
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench201_proxies.parquet")
    cells = [SPACE.parse(text) for text in table.column("arch").to_pylist()]
    counts = SPACE.parameters(ArchitectureTable.of(cells, SPACE.operations))
    np.testing.assert_allclose(counts, table.column("params").to_numpy() * 1e6, rtol=1e-9)
