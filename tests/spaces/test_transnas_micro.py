"""TransNAS-Bench-101 cells: the official string, all 4,096, skips that reduce, the published network."""

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
from archflow.spaces.nasbench201 import CELL_EDGES
from archflow.spaces.transnas_micro import TransNASMicro
from archflow.testing import check_space

SPACE = TransNASMicro()
MIXED = "64-41414-1_02_313"
DIGITS = st.tuples(*[st.integers(0, 3)] * 6)


def text_of(digits):
    a, b, c, d, e, f = digits
    return f"64-41414-{a}_{b}{c}_{d}{e}{f}"


def count(*texts, form="as-written"):
    cells = [SPACE.parse(text) for text in texts]
    return SPACE.parameters(ArchitectureTable.of(cells, SPACE.operations).in_form(form)).tolist()


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("transnas_micro"), TransNASMicro)


def test_an_official_string_written_out():
    cell = SPACE.parse(MIXED)
    #                                    0>1            0>2     1>2        0>3        1>3     2>3
    assert cell.operations == (
        "input", "skip_reduce", "none", "conv1x1", "conv3x3", "skip", "conv3x3", "output",
    )  # fmt: skip
    wiring = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    assert set(cell.edges) == wiring
    assert cell.attributes == ()
    assert SPACE.format(cell) == MIXED


@settings(deadline=None)
@given(DIGITS)
def test_texts_come_back_and_the_wiring_follows_the_feature_maps(digits):
    cell = SPACE.parse(text_of(digits))
    assert SPACE.format(cell) == text_of(digits)
    for i, (start, end) in enumerate(CELL_EDGES):
        assert ((0, 1 + i) in cell.edges) == (start == 0)
        assert ((1 + i, 7) in cell.edges) == (end == 3)
        for j, (other_start, _) in enumerate(CELL_EDGES):
            assert ((1 + i, 1 + j) in cell.edges) == (end == other_start)


def test_a_skip_is_an_identity_only_off_the_input():
    """Edges from the cell's input reduce in three of ten cells, where a skip has weights."""
    cell = SPACE.parse("64-41414-1_11_111")
    names = dict(zip(CELL_EDGES, cell.operations[1:-1], strict=True))
    assert names == {edge: "skip_reduce" if edge[0] == 0 else "skip" for edge in CELL_EDGES}
    skip_then_conv, conv = SPACE.parse("64-41414-1_00_030"), SPACE.parse("64-41414-0_00_300")
    assert skip_then_conv.collapsed(SPACE.operations).key() != conv.collapsed(SPACE.operations).key()
    conv_then_skip = SPACE.parse("64-41414-3_00_010")
    assert conv_then_skip.collapsed(SPACE.operations).key() == conv.collapsed(SPACE.operations).key()


@pytest.mark.parametrize(
    "text",
    [
        "",
        MIXED[:-1],
        MIXED + MIXED,
        MIXED.replace("64", "32"),
        MIXED.replace("41414", "41444"),
        MIXED.replace("2", "4"),
        MIXED.replace("_", ""),
        MIXED.replace("3", "\u0663"),
        "64-232323-basic",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidArchitectureError, match="not a TransNAS-Bench-101 cell; the form is"):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(MIXED).operations, SPACE.parse(MIXED).edges[1:]),
        Architecture(("input", *["skip"] * 6, "output"), SPACE.parse(MIXED).edges),
        Architecture(("input", *["skip_reduce"] * 6, "output"), SPACE.parse(MIXED).edges),
        SPACE.parse(MIXED).pruned(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(architecture):
    with pytest.raises(InvalidArchitectureError, match="not a TransNAS-Bench-101 cell as written"):
        SPACE.format(architecture)


def test_all_cells_in_order():
    texts = [SPACE.format(cell) for cell in SPACE.all()]
    assert len(set(texts)) == SPACE.size == 4_096
    assert texts == sorted(texts)


def test_samples_cover_the_space_evenly():
    texts = [SPACE.format(cell) for cell in SPACE.sample(2_000, np.random.default_rng(0))]
    for place in (9, 11, 12, 14, 15, 16):
        counts = np.bincount([int(text[place]) for text in texts], minlength=4)
        assert np.abs(counts - 500).max() < 117  # six standard deviations
    with pytest.raises(UsageError, match="cannot draw 4097 distinct architectures: the space has 4096"):
        SPACE.sample(4_097, np.random.default_rng(0))


@settings(deadline=None)
@given(DIGITS, st.integers(0, 2**32))
def test_a_mutation_changes_one_edge(digits, seed):
    text = text_of(digits)
    other = SPACE.format(SPACE.mutate(SPACE.parse(text), np.random.default_rng(seed)))
    assert sum(a != b for a, b in zip(text, other, strict=True)) == 1


def backbone(digits):
    """The published network as modules, without the order in which they run."""

    def convolution(n_in, n_out, kernel, stride=1):
        return [nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out)]

    modules = [*convolution(3, 32, 3, 2), *convolution(32, 64, 3, 2)]
    channels = 64
    for module in "41414":
        stride = 2 if module == "4" else 1
        for cell_stride in (stride, 1):
            wide = channels * cell_stride
            for digit, (source, _) in zip(digits, CELL_EDGES, strict=True):
                n_in, edge_stride = (channels, cell_stride) if source == 0 else (wide, 1)
                if digit == 1 and edge_stride == 2:  # halves on shifted grids, then one batch norm
                    modules += [nn.Conv2d(n_in, wide // 2, 1, 2, bias=False) for _ in range(2)]
                    modules += [nn.BatchNorm2d(wide)]
                if digit in (2, 3):
                    modules += convolution(n_in, wide, {2: 1, 3: 3}[digit], edge_stride)
            channels = wide
    return nn.ModuleList(modules)


@settings(deadline=None, max_examples=15)
@given(DIGITS)
def test_parameters_of_the_network_built(digits):
    with torch.device("meta"):
        built = sum(weights.numel() for weights in backbone(digits).parameters())
    assert count(text_of(digits)) == [built]


def test_the_smallest_and_a_written_out_count():
    """The stem alone; then a 3x3 convolution on the edge 0>3 of ten cells."""
    stem = 3 * 32 * 9 + 2 * 32 + 32 * 64 * 9 + 2 * 64
    assert count("64-41414-0_00_000") == [stem]
    reducing = sum(9 * c * 2 * c + 2 * 2 * c for c in (64, 128, 256))
    others = sum(cells * (9 * c * c + 2 * c) for c, cells in ((128, 3), (256, 3), (512, 1)))
    assert count("64-41414-0_00_300") == [stem + reducing + others]


def without_dead_edges(digits):
    """Set to none what no path from map 0 to map 3 uses."""
    live = [edge for edge, digit in zip(CELL_EDGES, digits, strict=True) if digit]
    begun, ended = {0}, {3}
    for source, target in live:
        if source in begun:
            begun.add(target)
    for source, target in reversed(live):
        if target in ended:
            ended.add(source)
    useful = [source in begun and target in ended for source, target in CELL_EDGES]
    return [digit * use for digit, use in zip(digits, useful, strict=True)]


@settings(deadline=None)
@given(DIGITS)
def test_pruned_and_collapsed_count_what_is_left(digits):
    text, left = text_of(digits), text_of(without_dead_edges(digits))
    assert count(text, form="pruned") == count(text, form="collapsed") == count(left)


def test_foreign_tables_are_refused():
    foreign = ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(foreign)


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_table_is_the_space():
    texts = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "transnas_micro.parquet")["arch"].to_pylist()
    assert len(texts) == 4_096
    assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts
    assert {SPACE.format(cell) for cell in SPACE.all()} == set(texts)
