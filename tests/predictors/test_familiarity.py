"""Which architectures are unlike the labelled ones: by hand, against a plain loop, and on public tables."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.datasets import read_table
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.predictors import UnlikeWarning, familiarity
from archflow.predictors.familiarity import Familiarity
from archflow.predictors.features import operation_counts, path_statistics
from archflow.spaces import get
from archflow.testing import toy_table

NOTHING, OPERATION, SIZE, LARGE, FAR = range(5)
OPERATIONS = Operations.of(["conv", "pool", "attention", "gelu"], attributes=["channels", "kernel"])


def chain(*names, channels=None, kernel=None):
    """One operation after the other; sizes for each of them."""
    numbers = {"channels": channels, "kernel": kernel}
    attributes = {name: (0, *row, 0) for name, row in numbers.items() if row is not None}
    edges = tuple((node, node + 1) for node in range(len(names) + 1))
    return Architecture(("input", *names, "output"), edges, attributes)


def table_of(*architectures):
    return ArchitectureTable.of(architectures, OPERATIONS)


LABELLED = table_of(
    chain("conv", channels=[16]),
    chain("conv", "conv", channels=[16, 64]),
    chain("conv", "pool", channels=[32, 0]),
    chain("conv", "conv", "pool", "pool", channels=[64, 16, 0, 0]),
)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        (chain("conv", channels=[16]), NOTHING),
        (chain("pool", "conv", channels=[0, 48]), NOTHING),
        (chain("conv", "attention", channels=[16, 0]), OPERATION),
        (chain(*["attention"] * 30, channels=[4096] * 30), OPERATION),  # whatever else it is
        # From 16 to 64 the logarithms of 1 + c are 2.83 to 4.17; half of that beyond is 7.7 and 126.
        (chain("conv", channels=[126]), NOTHING),
        (chain("conv", channels=[128]), SIZE),
        (chain("conv", channels=[8]), NOTHING),
        (chain("conv", channels=[7]), SIZE),
        (chain("conv", "conv", channels=[16, 0]), NOTHING),  # 0 says that a node has none
        (chain("conv", kernel=[3]), SIZE),  # no labelled one has a kernel
        (chain("conv", *["pool"] * 8, channels=[16, *[0] * 8]), LARGE),  # 11 nodes; 1.5 times 6 are 9
        (chain(*["pool"] * 7), FAR),
    ],
)  # fmt: skip
def test_each_reason(architecture, reason):
    assert Familiarity(LABELLED).reasons(table_of(architecture)).tolist() == [reason]


def test_in_a_table_each_by_itself():
    rows = [chain("gelu"), chain("conv", channels=[16]), chain("conv", channels=[999]), chain(*["pool"] * 7)]
    known = Familiarity(LABELLED)
    assert known.reasons(table_of(*rows)).tolist() == [OPERATION, NOTHING, SIZE, FAR]
    assert known.reasons(LABELLED[:0]).shape == (0,)


def farthest_by_hand(labelled, table):
    """Return the distance of each architecture to the nearest labelled one over the limit, in a loop."""

    def features(t):
        return np.hstack([operation_counts(t.collapsed()), path_statistics(t.collapsed())])

    known = features(labelled)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    deviation[deviation < 1e-9] = 1
    known, others = ((features(t) - mean) / deviation for t in (labelled, table))
    between = [[np.linalg.norm(a - b) for b in known] for a in known]
    limit = 2 * max(min(d for d in row if d > 1e-6) for row in between)
    return np.array([min(np.linalg.norm(np.clip(a, -8, 8) - b) for b in known) for a in others]) / limit


@pytest.fixture
def cells(space):
    """300 cells, and those of them that compute the most as labelled ones."""
    table = space.sample(300, np.random.default_rng(0))
    edges = path_statistics(table.collapsed())[:, 3]
    return table, table[np.flatnonzero(edges >= np.quantile(edges, 0.8))]


def test_far_is_what_a_loop_says(cells):
    table, labelled = cells
    distances = farthest_by_hand(labelled, table)
    clear = np.abs(distances - 1) > 1e-3
    found = Familiarity(labelled).reasons(table) == FAR
    assert found[clear].tolist() == (distances > 1)[clear].tolist()
    assert 20 < found.sum() < 280


def test_parts_do_not_matter(cells, monkeypatch):
    table, labelled = cells
    expected = Familiarity(labelled).reasons(table).tolist()
    monkeypatch.setattr(familiarity, "PART", 17)
    monkeypatch.setattr(familiarity, "_DISTANCES", 3)
    assert Familiarity(labelled).reasons(table).tolist() == expected


def test_of_many_labelled_some_are_compared_with(monkeypatch, space):
    table = space.sample(400, np.random.default_rng(0))
    monkeypatch.setattr(familiarity, "_MOST_COMPARED", 50)
    known = Familiarity(table)
    assert len(known._compared) == 50
    assert (known.reasons(table) > 0).mean() < 0.02


def test_labelled_ones_that_compute_the_same():
    same = table_of(chain("conv"), chain("conv"), chain("conv"), chain("conv"))
    known = Familiarity(same)
    assert known.reasons(table_of(chain("conv"), chain("conv", "conv"))).tolist() == [NOTHING, FAR]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40))
def test_the_labelled_are_familiar_in_any_order(seed, count):
    labelled = toy_table(count, seed=seed)
    known = Familiarity(labelled)
    assert not known.reasons(labelled).any()
    others = toy_table(30, seed=seed + 1)
    order = np.random.default_rng(seed).permutation(count)
    assert Familiarity(labelled[order]).reasons(others).tolist() == known.reasons(others).tolist()


def test_it_warns_of_how_many_and_why():
    rows = [
        chain("gelu"), chain("attention"), chain("attention", "gelu", "gelu"), chain(*["pool"] * 7),
        chain("conv", channels=[16]), chain("conv", channels=[999], kernel=[5]),
    ]  # fmt: skip
    known = Familiarity(LABELLED)
    with pytest.warns(UnlikeWarning) as caught:
        found = known.find_unlike(table_of(*rows), "ranked")
    assert found.tolist() == [True, True, True, True, False, True]
    assert [str(warning.message) for warning in caught] == [
        "5 of 6 ranked architectures are unlike the labelled ones (3 have operations without a label: "
        "gelu, attention; 1 has sizes far outside the labelled range: channels, kernel; 1 is far from all): "
        "label some of them first"
    ]


def test_it_names_only_some_of_many_operations():
    operations = Operations.of([f"op{number}" for number in range(8)])
    names = [("op0",), ("op0", "op0"), ("op0", "op0", "op0"), *((f"op{n}",) for n in range(1, 8))]
    table = ArchitectureTable.of([chain(*own) for own in names], operations)
    with pytest.warns(UnlikeWarning, match="without a label: op1, op2, op3 and 4 more"):
        Familiarity(table[:3]).find_unlike(table, "predicted")


def test_where_all_are_familiar_it_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not Familiarity(LABELLED).find_unlike(LABELLED, "ranked").any()


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts", "nasbench_nlp", "mnasnet"])
def test_random_labels_of_public_tables_are_enough(name):
    space = get(name)
    table = read_table(Path(os.environ["ARCHFLOW_DATA"]) / f"{name}.parquet", space).architectures
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(table))[:2_050]
        reasons = Familiarity(table[order[:50]]).reasons(table[order[50:]])
        assert np.mean((reasons > 0) & (reasons != OPERATION)) < 0.01
        assert np.mean(reasons == OPERATION) < 0.02


def test_cells_of_another_size_are_found():
    """Labels of small NAS-Bench-101 cells say little of the largest."""
    table = get("nasbench101").sample(2_000, np.random.default_rng(0))
    sizes = np.diff(table.columns.node_offsets)
    small = table[np.flatnonzero(sizes < 5)]
    found = Familiarity(small).reasons(table) > 0
    assert found[sizes == 7].mean() > 0.9
    assert not found[sizes < 5].any()
