"""The operation-aware flow: its plain-loop twin, what the meaning of operations implies, deep graphs."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archflow.errors import UsageError
from archflow.flow import OperationFlow, OperationFlowConfig, simulation
from archflow.flow import operation_flow as module
from archflow.flow.operation_flow import PASSES
from archflow.graphs import Architecture, ArchitectureTable, AttributeScale, Operations
from archflow.graphs.forms import MAX_PARALLEL_EDGES
from archflow.spaces import get
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables
from reference.operation_flow import operation_flow as slow

SMALL = OperationFlowConfig(width=6, alpha=0.3, shared=0.4)
TOY = OperationFlow.draw(TOY_OPERATIONS, SMALL, seed=1)


def slow_rows(flow, table):
    """Simulate one architecture after the other with the plain-loop twin, (A, 2 k)."""
    operations = flow.operations
    draws = {
        way: (
            flow.start(way),
            {name: flow.operation_map(place, way) for place, name in enumerate(operations.names)},
            flow.attribute_map(way),
        )
        for way in PASSES
    }
    rows = []
    for architecture in table:
        sizes = flow.scale(architecture.attribute_rows(operations)) if operations.attributes else None
        rows.append(slow(architecture, draws, flow.config.alpha, operations.identity, operations.zero, sizes))
    return np.array(rows).reshape(len(table), flow.width)


def close(actual, expected, rtol=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)


@settings(deadline=None, max_examples=150)
@given(
    tables(),
    st.sampled_from([True, False]),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_graphs_equal_the_plain_loop_twin(table, sharing, alpha, shared):
    flow = OperationFlow.draw(TOY_OPERATIONS, OperationFlowConfig(5, alpha, shared), seed=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Maps, "costly", sharing)
        patch.setattr(simulation, "_WIRING_FROM", 1)
        close(flow(table, dtype=np.float64), slow_rows(flow, table))


@settings(deadline=None, max_examples=100)
@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.sampled_from([True, False]))
def test_graphs_with_attributes_equal_the_plain_loop_twin(table, sharing):
    scale = AttributeScale.of(toy_table(operations=SIZED_TOY_OPERATIONS).columns)
    flow = OperationFlow.draw(table.operations, SMALL, seed=4, scale=scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Maps, "costly", sharing)
        patch.setattr(simulation, "_WIRING_FROM", 1)
        close(flow(table, dtype=np.float64), slow_rows(flow, table))


def test_a_table_of_large_and_small_graphs_equals_the_plain_loop_twin():
    """As many rows of one wiring as are simulated together, beside others."""
    cells = list(get("nasbench201").sample(100, np.random.default_rng(0)))
    operations = get("nasbench201").operations
    others = toy_table(60, seed=9, max_inner=25, operations=operations)
    table = ArchitectureTable.of([*cells, *others], operations)
    flow = OperationFlow.draw(operations, SMALL)
    close(flow(table, dtype=np.float64), slow_rows(flow, table))
    np.testing.assert_allclose(flow(table), slow_rows(flow, table), rtol=1e-4, atol=1e-5)


def test_one_step_written_out(monkeypatch):
    """input -> conv -> output, k = 1: m / rms is 1, whatever comes in."""
    monkeypatch.setattr(OperationFlow, "start", lambda self, way: np.array([2.0]))
    monkeypatch.setattr(OperationFlow, "operation_map", lambda self, o, way: np.array([[3.0]]))
    operations = Operations(("input", "conv", "output"))
    flow = OperationFlow.draw(operations, OperationFlowConfig(width=1, alpha=0.25))
    chain = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    twice = Architecture(("input", "conv", "output"), ((0, 1), (0, 1), (1, 2)))
    # 0.25 * 2 + 0.75 * 3; with a message of 4 forward 0.25 * 4 + 0.75 * 3, backward twice the first
    assert flow(ArchitectureTable.of([chain, twice], operations)).tolist() == [[2.75, 2.75], [3.25, 5.5]]


def test_what_operations_do():
    def alone(name):
        return Architecture(("input", name, "output"), ((0, 1), (1, 2)))

    bare = Architecture(("input", "output"), ())
    direct = Architecture(("input", "output"), ((0, 1),))
    rows = [alone("none"), bare, alone("skip"), direct, alone("conv"), alone("pool")]
    none, nothing, skip, straight, conv, pool = TOY(
        ArchitectureTable.of(rows, TOY_OPERATIONS), dtype=np.float64
    )
    np.testing.assert_array_equal([none, nothing], np.zeros((2, TOY.width)))
    starts = np.concatenate([TOY.start(way) for way in PASSES])
    np.testing.assert_array_equal([skip, straight], [starts, starts])
    for one, other in itertools.combinations((straight, conv, pool), 2):
        assert np.abs(one - other)[:6].max() > 0.1
        assert np.abs(one - other)[6:].max() > 0.1


# What must not change the features


@settings(deadline=None)
@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.integers(0, 2**32))
def test_renumbering_changes_nothing(table, seed):
    rng = np.random.default_rng(seed)
    other = ArchitectureTable.of([renumbered(a, rng)[0] for a in table], SIZED_TOY_OPERATIONS)
    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL)
    close(flow(other, dtype=np.float64), flow(table, dtype=np.float64))


@settings(deadline=None, max_examples=200)
@given(tables(SIZED_TOY_OPERATIONS, min_size=1))
def test_pruning_changes_nothing(table):
    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL)
    close(flow(table.in_form("pruned"), dtype=np.float64), flow(table, dtype=np.float64))


@settings(deadline=None, max_examples=200)
@given(tables(min_size=1))
def test_joining_through_identities_changes_nothing(table):
    collapsed = table.in_form("collapsed")
    sources, targets = collapsed.columns.global_edges()
    repeats = np.unique(np.stack([sources, targets]), axis=1, return_counts=True)[1]
    assume(repeats.max(initial=0) < MAX_PARALLEL_EDGES)  # of more paths the collapsed form drops some
    close(TOY(collapsed, dtype=np.float64), TOY(table, dtype=np.float64))


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts", "nasbench_nlp"])
def test_equal_functions_have_equal_features(name):
    """Of real spaces: as written, pruned and collapsed graphs agree, and different ones mostly do not."""
    space = get(name)
    table = space.sample(600, np.random.default_rng(0))
    flow = OperationFlow.draw(space.operations, OperationFlowConfig(width=16))
    features = flow(table, dtype=np.float64)
    for form in ("pruned", "collapsed"):
        close(flow(table.in_form(form), dtype=np.float64), features)
    distinct = len(np.unique(table.in_form("collapsed").keys()))
    assert len(np.unique(features.round(7), axis=0)) > 0.9 * distinct


@pytest.mark.parametrize("chunk", [1, 7, 100, 299, 300, 10**6])
def test_the_chunk_size_changes_nothing(chunk):
    table = toy_table(300, seed=3)
    close(TOY(table, dtype=np.float64, chunk=chunk), TOY(table, dtype=np.float64), rtol=1e-11)


def test_rows_do_not_depend_on_their_neighbours():
    table = toy_table(200, seed=6)
    together = TOY(table, dtype=np.float64)
    for row in (1, 50, 199):
        close(TOY(table[row : row + 1], dtype=np.float64), together[row : row + 1], rtol=1e-11)


def test_operations_that_do_not_occur_change_nothing():
    more = dataclasses.replace(TOY_OPERATIONS, names=(*TOY_OPERATIONS.names, *map(str, range(500))))
    table = toy_table(50)
    wider = OperationFlow.draw(more, SMALL, seed=1)
    np.testing.assert_array_equal(wider(ArchitectureTable(table.columns, more)), TOY(table))


def test_the_table_is_left_alone():
    table = toy_table(100, operations=SIZED_TOY_OPERATIONS)
    before = table.digest()
    OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL)(table)
    assert table.digest() == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_nothing(dtype, monkeypatch):
    monkeypatch.setattr(simulation, "_NODES", 300)  # blocks for all
    table = get("nasbench101").sample(500, np.random.default_rng(0))
    flow = OperationFlow.draw(table.operations)
    alone = flow(table, dtype=dtype)
    torch.set_num_threads(3)
    try:
        np.testing.assert_array_equal(flow(table, dtype=dtype), alone)
    finally:
        torch.set_num_threads(1)


# What must


def test_the_two_passes_see_different_things():
    """Two inputs with a conv each, or one that is read twice: forward both double what one conv emits."""
    two = Architecture(("input", "input", "conv", "conv", "output"), ((0, 2), (1, 3), (2, 4), (3, 4)))
    twice = Architecture(("input", "conv", "output"), ((0, 1), (1, 2), (1, 2)))
    first, second = TOY(ArchitectureTable.of([two, twice], TOY_OPERATIONS), dtype=np.float64)
    close(first[:6], second[:6])
    assert np.abs(first - second)[6:].max() > 0.1


def test_attributes_matter():
    def chain(size):
        return Architecture(("input", "conv", "output"), ((0, 1), (1, 2)), {"channels": (0, size, 0)})

    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL)
    features = flow(ArchitectureTable.of([chain(s) for s in (0, 8, 16, 512)], SIZED_TOY_OPERATIONS))
    for half in (features[:, :6], features[:, 6:]):
        assert len(np.unique(half, axis=0)) == 4


def test_attributes_of_nodes_where_nothing_arrives_do_not_matter():
    loose = Architecture(("input", "conv", "output"), ((0, 2), (1, 2)), {"channels": (0, 64, 0)})
    bare = Architecture(("input", "output"), ((0, 1),))
    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL)
    first, second = flow(ArchitectureTable.of([loose, bare], SIZED_TOY_OPERATIONS))
    np.testing.assert_array_equal(first, second)


# Deep graphs


def dense(names):
    n = len(names)
    return Architecture(tuple(names), tuple((u, v) for v in range(n) for u in range(v)))


def test_a_dense_graph_of_500_nodes_is_stable_in_single_precision():
    """A sum of sums: the largest message would be about 2^500 starts, far beyond float32."""
    rng = np.random.default_rng(0)
    mixed = dense(["input", *rng.choice(["conv", "pool", "skip"], size=498), "output"])
    skips = dense(["input", *["skip"] * 498, "output"])
    table = ArchitectureTable.of([mixed, skips], TOY_OPERATIONS)
    single, double = TOY(table), TOY(table, dtype=np.float64)
    assert single.dtype == np.float32
    assert np.isfinite(single).all()
    assert (single.max(axis=1) > 0).all()
    assert np.abs(single - double).max() <= 1e-4 * double.max()
    sizes = np.sqrt((double.reshape(len(table), 2, 6) ** 2).mean(axis=2))
    np.testing.assert_allclose(sizes, 1e6, rtol=1e-9)  # the cap


def test_the_cap_equals_the_plain_loop_twins():
    rng = np.random.default_rng(0)
    graph = dense(["input", *rng.choice(["conv", "pool", "skip", "none"], size=60), "output"])
    table = ArchitectureTable.of([graph], TOY_OPERATIONS)
    close(TOY(table, dtype=np.float64), slow_rows(TOY, table))


def test_a_long_chain_does_not_fade():
    chain = Architecture(("input", *["conv", "pool"] * 249, "output"), tuple((n, n + 1) for n in range(499)))
    flow = OperationFlow.draw(TOY_OPERATIONS, OperationFlowConfig(width=32))
    single, double = (
        flow(ArchitectureTable.of([chain], TOY_OPERATIONS), dtype=d) for d in (np.float32, np.float64)
    )
    assert 0.1 < np.sqrt((double**2).mean()) < 10
    np.testing.assert_allclose(single, double, atol=1e-3 * double.max())


def test_the_cap_holds_where_attributes_lift_a_state_above_it():
    """An identity that receives one large state is not that state again, but the capped one."""
    names = ("input", "conv", "skip", "output")
    chain = Architecture(names, ((0, 1), (1, 2), (2, 3)), {"channels": (0, 9, 0, 0)})
    table = ArchitectureTable.of([chain], SIZED_TOY_OPERATIONS)
    scale = AttributeScale(np.zeros(2, np.float32), np.full(2, 1e-9, np.float32))
    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, SMALL, seed=1, scale=scale)
    features = flow(table, dtype=np.float64)
    close(features, slow_rows(flow, table))
    np.testing.assert_allclose(np.sqrt((features[0, :6] ** 2).mean()), 1e6)


def test_a_state_that_fades_away_stays_a_number(monkeypatch):
    """Convs whose map gives nothing back leave a fifth of the message each, a pool sees it at any size."""
    maps = {"conv": -np.ones((2, 2)), "pool": np.ones((2, 2))}
    monkeypatch.setattr(
        OperationFlow, "operation_map", lambda self, place, way: maps.get(self.operations.names[place])
    )
    chains = [
        Architecture(("input", *["conv"] * n, "pool", "output"), tuple((v, v + 1) for v in range(n + 2)))
        for n in (5, 20, 40, 60)  # 0.2^60 is less than float32 holds in full, and so is the square of 0.2^40
    ]
    flow = OperationFlow.draw(TOY_OPERATIONS, OperationFlowConfig(width=2))
    table = ArchitectureTable.of(chains, TOY_OPERATIONS)
    double = flow(table, dtype=np.float64)
    close(double, slow_rows(flow, table))
    np.testing.assert_allclose(flow(table), double, rtol=0.01)


def test_ordinary_cells_stay_below_the_cap(monkeypatch):
    space = get("nasbench201")
    flow = OperationFlow.draw(space.operations, SMALL)
    table = space.sample(500, np.random.default_rng(0))
    features = flow(table)
    monkeypatch.setattr("archflow.flow.operation_flow.CAP", np.inf)
    np.testing.assert_array_equal(flow(table), features)


# The draw


def test_equal_seeds_draw_equal_maps():
    table = toy_table(30)
    again, other = (OperationFlow.draw(TOY_OPERATIONS, SMALL, seed) for seed in (1, 2))
    np.testing.assert_array_equal(TOY(table), again(table))
    assert np.abs(TOY(table) - other(table)).max() > 0.1


def test_a_draw_follows_its_distributions():
    flow = OperationFlow.draw(SIZED_TOY_OPERATIONS, OperationFlowConfig(width=300, shared=0.3))
    for way in PASSES:
        assert flow.start(way).min() >= 0
        assert flow.start(way).mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.12)
        assert flow.attribute_map(way).shape == (2, 300)
        assert flow.attribute_map(way).std() == pytest.approx(1, abs=0.1)
        conv, pool = (flow.operation_map(place, way).reshape(-1) for place in (1, 2))
        for values in (conv, pool):
            assert values.mean() == pytest.approx(0, abs=0.002)
            assert values.std() == pytest.approx(np.sqrt(2 / 300), rel=0.02)
        assert np.corrcoef(conv, pool)[0, 1] == pytest.approx(0.3, abs=0.02)
    for name in ("start", "attribute_map"):
        assert not np.array_equal(*(getattr(flow, name)(way) for way in PASSES))
    ahead, back = (flow.operation_map(1, way).reshape(-1) for way in PASSES)
    assert np.corrcoef(ahead, back)[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_the_ends_of_sharing(shared):
    flow = OperationFlow.draw(TOY_OPERATIONS, OperationFlowConfig(width=40, shared=shared))
    conv, pool = flow.operation_map(1, "forward"), flow.operation_map(2, "forward")
    assert np.array_equal(conv, pool) == bool(shared)


def test_a_draw_does_not_touch_the_global_generator():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    TOY(toy_table(5))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# The call


def test_progress_is_told_after_each_chunk():
    told = []
    TOY(toy_table(25), chunk=10, progress=lambda done, total: told.append((done, total)))
    assert told == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_empty_table(dtype):
    result = TOY(toy_table(0), dtype=dtype)
    assert result.shape == (0, 12)
    assert result.dtype == dtype


@pytest.mark.parametrize(
    "operations",
    [
        Operations(("output", *TOY_OPERATIONS.names[:-1])),
        Operations((*TOY_OPERATIONS.names, "gelu")),
        SIZED_TOY_OPERATIONS,
    ],
)
def test_a_table_of_another_vocabulary_is_refused(operations):
    with pytest.raises(UsageError, match="drawn for another vocabulary"):
        TOY(toy_table(3, operations=operations))


def test_a_table_that_means_other_things_is_refused():
    plain = Operations(TOY_OPERATIONS.names, identity=frozenset({"pool", "skip"}), zero=TOY_OPERATIONS.zero)
    with pytest.raises(UsageError, match="takes 'skip' for identity operations, the table 'pool', 'skip'; "):
        TOY(ArchitectureTable(toy_table(3).columns, plain))
    with pytest.raises(UsageError, match="takes 'none' for zero operations, the table none; draw one"):
        TOY(ArchitectureTable(toy_table(3).columns, dataclasses.replace(TOY_OPERATIONS, zero=frozenset())))


@pytest.mark.parametrize("chunk", [0, -5])
def test_a_chunk_of_nothing_is_refused(chunk):
    with pytest.raises(UsageError, match=f"chunk must be at least 1, not {chunk}"):
        TOY(toy_table(3), chunk=chunk)


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="seed must be at least 0, not -1"):
        OperationFlow.draw(TOY_OPERATIONS, seed=-1)


@pytest.mark.parametrize(
    "settings_",
    [{"width": 0}, {"width": -3}, {"width": 1.5}, {"alpha": -0.1}, {"alpha": 1.1}, {"shared": -0.1},
     {"shared": 1.1}, {"alpha": float("nan")}, {"shared": float("nan")}],
)  # fmt: skip
def test_bad_settings_are_refused(settings_):
    with pytest.raises(UsageError, match=r"whole width >= 1, alpha and shared in \[0, 1\]"):
        OperationFlowConfig(**settings_)


def test_the_defaults():
    assert OperationFlow.draw(TOY_OPERATIONS).config == OperationFlowConfig(128, 0.2, 0.5)
