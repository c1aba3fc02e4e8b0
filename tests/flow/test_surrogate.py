"""The flow surrogate: golden values, the plain-loop twin, and what must not change it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import UnknownNameError, UsageError
from archflow.flow import PUBLISHED, FlowSurrogate, SurrogateConfig
from archflow.flow import simulation as module
from archflow.graphs import Architecture, ArchitectureTable, AttributeScale, Operations
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import tables
from reference.surrogate import surrogate as slow

# Computed in float64 from the formulas in the docstring of FlowSurrogate, independently of this library.
GOLDEN = {
    path.stem.removeprefix("flow_"): json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "golden").glob("flow_*.json"))
}
TOY = FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig(width=5, std=0.7, alpha=0.3), seed=1)


def slow_rows(flow, table):
    """Simulate one architecture after the other with the plain-loop twin, (A, k)."""
    settings_ = (flow.start, flow.operation_map, flow.state_map, flow.alpha)
    sizes = [
        flow.scale(architecture.attribute_rows(flow.operations)) if flow.operations.attributes else None
        for architecture in table
    ]
    names = list(flow.operations.names)
    pairs = zip(table, sizes, strict=True)
    rows = [slow(graph, names, *settings_, own, flow.direction) for graph, own in pairs]
    return np.array(rows).reshape(len(table), flow.width)


def golden_case(name):
    golden = GOLDEN[name]
    operations = Operations(tuple(golden["operations"]))
    maps = (np.array(golden[key]) for key in ("r", "P", "W"))
    rows = [Architecture.from_graph(graph["ops"], graph["edges"]) for graph in golden["graphs"]]
    expected = np.array([graph["surrogate"] for graph in golden["graphs"]])
    return FlowSurrogate(operations, *maps, golden["alpha"]), ArchitectureTable.of(rows, operations), expected


def test_the_golden_files_are_there():
    assert {name: len(golden["graphs"]) for name, golden in GOLDEN.items()} == {
        "darts_two_inputs": 60,
        "nasbench101": 150,
        "nasbench201": 150,
    }
    assert all(len(graph["inputs"]) == 2 for graph in GOLDEN["darts_two_inputs"]["graphs"])


@pytest.mark.parametrize("wiring_from", [1, 64, 10**9])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values_in_double_precision(name, wiring_from, monkeypatch):
    monkeypatch.setattr(module, "_WIRING_FROM", wiring_from)
    flow, table, expected = golden_case(name)
    actual = flow(table, dtype=np.float64)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("wiring_from", [1, 64, 10**9])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values_in_single_precision(name, wiring_from, monkeypatch):
    monkeypatch.setattr(module, "_WIRING_FROM", wiring_from)
    flow, table, expected = golden_case(name)
    actual = flow(table)
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values_of_wide_states_that_are_shared(name, monkeypatch):
    """More numbers that nothing reads and that read nothing: zeros beside the golden maps."""
    flow, table, expected = golden_case(name)
    width = flow.width
    more = (70 - width,)
    wide = dataclasses.replace(
        flow,
        start=np.pad(flow.start, (0, *more)),
        operation_map=np.pad(flow.operation_map, ((0, 0), (0, *more))),
        state_map=np.concatenate(
            [np.pad(part, ((0, *more), (0, *more))) for part in np.split(flow.state_map, 2)]
        ),
    )
    monkeypatch.setattr(module, "simulate_wiring", None)
    actual = wide(table, dtype=np.float64)
    np.testing.assert_allclose(actual[:, :width], expected, rtol=1e-12, atol=0)
    assert not actual[:, width:].any()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_plain_loop_twin_has_the_golden_values(name):
    flow, table, expected = golden_case(name)
    np.testing.assert_allclose(slow_rows(flow, table), expected, rtol=1e-12, atol=0)


@settings(deadline=None, max_examples=150)
@given(tables(), st.sampled_from([1, 2, 10**9]), st.sampled_from([0.0, 0.3, 1.0]))
def test_any_graphs_equal_the_plain_loop_twin(table, wiring_from, alpha):
    flow = FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig(width=3, std=0.9, alpha=alpha), seed=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WIRING_FROM", wiring_from)
        actual = flow(table, dtype=np.float64)
    np.testing.assert_allclose(actual, slow_rows(flow, table), rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=100)
@given(tables(), st.sampled_from([1, 10**9]), st.sampled_from(["forward", "backward"]))
def test_one_direction_equals_the_plain_loop_twin(table, wiring_from, direction):
    flow = FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig(width=3, std=0.9, alpha=0.3), seed=4)
    flow = dataclasses.replace(flow, direction=direction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WIRING_FROM", wiring_from)
        actual = flow(table, dtype=np.float64)
    np.testing.assert_allclose(actual, slow_rows(flow, table), rtol=1e-12, atol=1e-14)


def test_outputs_in_different_places_of_one_wiring():
    """Without edges nothing but the operations says which of two nodes is the output."""
    rows = [Architecture(("input", *names), ()) for names in (("input", "output"), ("output", "input"))]
    table = ArchitectureTable.of(rows * 40, TOY_OPERATIONS)  # enough to be simulated together
    for direction in ("forward", "backward"):
        flow = dataclasses.replace(TOY, direction=direction)
        np.testing.assert_array_equal(flow(table), np.zeros((80, 5)))


@settings(deadline=None, max_examples=100)
@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.sampled_from([1, 10**9]))
def test_graphs_with_attributes_equal_the_plain_loop_twin(table, wiring_from):
    scale = AttributeScale.of(toy_table(operations=SIZED_TOY_OPERATIONS).columns)
    flow = FlowSurrogate.draw(table.operations, SurrogateConfig(width=3, std=0.9), seed=4, scale=scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WIRING_FROM", wiring_from)
        actual = flow(table, dtype=np.float64)
    np.testing.assert_allclose(actual, slow_rows(flow, table), rtol=1e-10, atol=1e-10)


def test_attributes_change_the_surrogate():
    chains = [
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2)), {"channels": (0, size, 0)})
        for size in (0, 8, 16, 512)
    ]
    flow = FlowSurrogate.draw(SIZED_TOY_OPERATIONS, SurrogateConfig(width=5, std=0.7))
    assert len(np.unique(flow(ArchitectureTable.of(chains, SIZED_TOY_OPERATIONS)), axis=0)) == 4
    with pytest.raises(UsageError, match="another vocabulary"):
        flow(toy_table(3))


def test_large_graphs_equal_the_plain_loop_twin():
    table = toy_table(60, seed=9, max_inner=25)
    np.testing.assert_allclose(TOY(table, dtype=np.float64), slow_rows(TOY, table), rtol=1e-11)


def test_one_step_written_out():
    """input -> conv -> output with k = 1: alpha 0.5, r 1, P 1 for conv and else 0, W (2, 3)."""
    operations = Operations(("input", "conv", "output"))
    flow = FlowSurrogate(
        operations, np.array([1.0]), np.array([[0.0], [1.0], [0.0]]), np.array([[2.0], [3.0]]), 0.5
    )
    chain = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    # forward: conv 0.5 * 1 + 0.5 * (2 + 3) = 3, output 0.5 * 3 + 0.5 * 9 = 6
    # backward: conv 0.5 * 6 + 0.5 * (2 + 18) = 13, input 0.5 * 13 + 0.5 * 39 = 26
    assert flow(ArchitectureTable.of([chain], operations)).tolist() == [[26.0]]


def test_one_direction_written_out():
    """The same chain; what is read is the state at the other end."""
    operations = Operations(("input", "conv", "output"))
    flow = FlowSurrogate(
        operations, np.array([1.0]), np.array([[0.0], [1.0], [0.0]]), np.array([[2.0], [3.0]]), 0.5
    )
    table = ArchitectureTable.of([Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))], operations)
    # forward as above; backward: conv 0.5 * 1 + 0.5 * (2 + 3) = 3, input 0.5 * 3 + 0.5 * 9 = 6
    assert dataclasses.replace(flow, direction="forward")(table).tolist() == [[6.0]]
    assert dataclasses.replace(flow, direction="backward")(table).tolist() == [[6.0]]


def test_the_directions_differ():
    table = toy_table(50, seed=2)
    flows = [dataclasses.replace(TOY, direction=direction)(table) for direction in module.DIRECTIONS]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(flows[one] - flows[other]).max() > 0.1


def test_a_direction_that_is_none_is_refused():
    with pytest.raises(UnknownNameError, match=r"unknown direction 'backwards'.*Did you mean 'backward'"):
        dataclasses.replace(TOY, direction="backwards")


def test_lonely_inputs_keep_their_start():
    bare = Architecture(("input", "input", "output"), ())
    table = ArchitectureTable.of([bare], TOY_OPERATIONS)
    np.testing.assert_array_equal(TOY(table, dtype=np.float64), 2 * TOY.start[None])


@settings(deadline=None)
@given(tables(min_size=1), st.integers(0, 2**32))
def test_renumbering_changes_nothing(table, seed):
    rng = np.random.default_rng(seed)
    other = ArchitectureTable.of([renumbered(a, rng)[0] for a in table], TOY_OPERATIONS)
    np.testing.assert_allclose(TOY(other, dtype=np.float64), TOY(table, dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 100, 299, 300, 10**6])
def test_the_chunk_size_changes_nothing(chunk):
    table = toy_table(300, seed=3)
    np.testing.assert_allclose(
        TOY(table, dtype=np.float64, chunk=chunk), TOY(table, dtype=np.float64), rtol=1e-13
    )


def test_rows_do_not_depend_on_their_neighbours():
    table = toy_table(200, seed=6)
    order = np.random.default_rng(0).permutation(200)
    together = TOY(table, dtype=np.float64)
    np.testing.assert_allclose(TOY(table[order], dtype=np.float64), together[order], rtol=1e-13)


def test_the_two_ways_to_simulate_agree(monkeypatch):
    table = NASBench201().sample(3_000, np.random.default_rng(0))  # more than one block
    flow = FlowSurrogate.draw(table.operations, PUBLISHED["nasbench201"])
    calls = []
    for name in ("simulate_wiring", "simulate_cones"):
        simulate = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *args, name=name, simulate=simulate: (calls.append(name), simulate(*args))[1]
        )
    results = []
    for wiring_from in (1, 10**9):
        monkeypatch.setattr(module, "_WIRING_FROM", wiring_from)
        results.append(flow(table, dtype=np.float64))
    assert calls == ["simulate_wiring"] * 2 + ["simulate_cones"]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)


def test_single_precision_is_close_to_double_on_a_whole_space():
    table = NASBench201().all()
    flow = FlowSurrogate.draw(table.operations, PUBLISHED["nasbench201"])
    exact = flow(table, dtype=np.float64)
    assert np.abs(flow(table) - exact).max() <= 1e-6 * np.abs(exact).max()
    assert len(np.unique(exact.round(9), axis=0)) > 15_000  # it tells the cells apart


def test_progress_is_told_after_each_chunk():
    told = []
    TOY(toy_table(25), chunk=10, progress=lambda done, total: told.append((done, total)))
    assert told == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_empty_table(dtype):
    result = TOY(toy_table(0), dtype=dtype)
    assert result.shape == (0, 5)
    assert result.dtype == dtype


def test_the_table_is_left_alone():
    table = toy_table(100)
    before = table.digest()
    TOY(table)
    assert table.digest() == before


def test_a_table_of_another_vocabulary_is_refused():
    reordered = Operations(("output", *TOY_OPERATIONS.names[:-1]))
    table = ArchitectureTable.of(list(toy_table(3)), reordered)
    with pytest.raises(UsageError, match="drawn for another vocabulary"):
        TOY(table)


def test_the_meaning_of_operations_is_no_part_of_the_vocabulary():
    table = toy_table(20)
    plain = ArchitectureTable(table.columns, Operations(TOY_OPERATIONS.names))
    np.testing.assert_array_equal(TOY(plain), TOY(table))


@pytest.mark.parametrize("chunk", [0, -5])
def test_a_chunk_of_nothing_is_refused(chunk):
    with pytest.raises(UsageError, match=f"chunk must be at least 1, not {chunk}"):
        TOY(toy_table(3), chunk=chunk)


@pytest.mark.parametrize(
    "settings_",
    [
        {"width": 0},
        {"width": -3},
        {"std": 0.0},
        {"std": -1.0},
        {"alpha": -0.1},
        {"alpha": 1.1},
        {"alpha": float("nan")},
    ],
)
def test_bad_settings_are_refused(settings_):
    with pytest.raises(UsageError, match=r"whole width >= 1, a finite std > 0 and alpha in \[0, 1\]"):
        SurrogateConfig(**settings_)


@pytest.mark.parametrize("std", [float("nan"), float("inf")])
def test_a_spread_that_is_no_number_is_refused(std):
    with pytest.raises(UsageError):
        SurrogateConfig(std=std)


def test_the_published_settings():
    assert {name: (config.width, config.std, config.alpha) for name, config in PUBLISHED.items()} == {
        "nasbench101": (4, 1.0, 0.5),
        "nasbench201": (7, 0.1, 0.5),
        "darts": (12, 0.1, 0.5),
    }


def test_equal_seeds_draw_equal_maps():
    config = SurrogateConfig(width=6, std=0.2)
    first, again, other = (FlowSurrogate.draw(TOY_OPERATIONS, config, seed) for seed in (3, 3, 4))
    for name in ("start", "operation_map", "state_map"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    assert (first.start.shape, first.operation_map.shape, first.state_map.shape) == ((6,), (6, 6), (12, 6))
    assert first.width == 6


def test_a_draw_follows_the_published_distributions():
    flow = FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig(width=400, std=0.1))
    assert flow.start.min() >= 0
    assert flow.start.max() <= 1
    assert flow.start.mean() == pytest.approx(0.5, abs=0.05)
    for values in (flow.operation_map, flow.state_map):
        assert values.mean() == pytest.approx(0, abs=0.01)
        assert values.std() == pytest.approx(0.1, abs=0.005)


def test_a_draw_does_not_touch_the_global_generator():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
