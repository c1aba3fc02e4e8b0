"""The order of updates and one asynchronous pass, against hand-written orders and a pass node by node."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.encoders import asynchronous
from archflow.encoders.asynchronous import AsynchronousPass, Schedule
from archflow.graphs import Architecture, ArchitectureTable, GraphBatch
from archflow.testing import TOY_OPERATIONS, toy_table
from reference.dagnn import asynchronous_pass

SIZE = 6


def batch_of(*architectures):
    return GraphBatch.of(ArchitectureTable.of(list(architectures), TOY_OPERATIONS).columns)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return AsynchronousPass(SIZE).double()


def weights_of(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def states_like(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch.n_nodes, SIZE, generator=generator, dtype=torch.float64)


def run(module, batch, states, backward):
    schedule = Schedule.of(batch)
    sweep = schedule.backward if backward else schedule.forward
    return module(states[schedule.order], sweep)[schedule.places]


def slow(module, table, batch, states, backward):
    parts = np.split(states.numpy(), batch.node_offsets[1:-1].numpy())
    weights = weights_of(module)
    passes = [
        asynchronous_pass(architecture, part, weights, backward=backward)
        for architecture, part in zip(table, parts, strict=True)
    ]
    return torch.from_numpy(np.concatenate(passes))


def test_the_schedule_of_two_small_graphs():
    """A diamond with a repeated edge and a dead end (node 4), beside an input and an output."""
    diamond = Architecture(
        ("input", "conv", "pool", "conv", "none", "output"),
        ((0, 1), (0, 2), (1, 3), (2, 3), (2, 3), (1, 4), (3, 5)),
    )
    schedule = Schedule.of(batch_of(diamond, Architecture(("input", "output"), ())))
    assert schedule.order.tolist() == [0, 6, 7, 1, 2, 3, 4, 5]
    assert schedule.places[schedule.order].tolist() == list(range(8))
    forward, backward = schedule.forward, schedule.backward
    assert (forward.sizes, backward.sizes) == ([3, 2, 2, 1], [3, 2, 2, 1])
    assert (list(forward.visits), list(backward.visits)) == ([0, 1, 2, 3], [3, 2, 1, 0])

    def lists(groups):
        return [None if part is None else (part.nodes.tolist(), part.offsets.tolist()) for part in groups]

    before = [None, ([0, 0], [0, 1, 2]), ([3, 4, 4, 3], [0, 3, 4]), ([5], [0, 1])]
    after = [([3, 4], [0, 2, 2, 2]), ([5, 6, 5, 5], [0, 2, 4]), ([7], [0, 1, 1]), None]
    assert lists(forward.senders) == lists(backward.receivers) == before
    assert lists(forward.receivers) == lists(backward.senders) == after


@pytest.mark.parametrize("backward", [False, True])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_every_sender_is_updated_before_its_receivers(backward, seed):
    batch = GraphBatch.of(toy_table(12, seed=seed).columns)
    schedule = Schedule.of(batch)
    sweep = schedule.backward if backward else schedule.forward
    generation = torch.repeat_interleave(torch.arange(len(sweep.sizes)), torch.tensor(sweep.sizes))
    turn = torch.empty_like(generation)
    turn[torch.tensor(list(sweep.visits), dtype=torch.int64)] = torch.arange(len(sweep.sizes))
    turns = turn[generation][schedule.places]
    ends = (batch.targets, batch.sources) if backward else (batch.sources, batch.targets)
    assert bool((turns[ends[0]] < turns[ends[1]]).all())
    assert sum(len(part.nodes) for part in sweep.senders if part is not None) == len(batch.sources)


@pytest.mark.parametrize("backward", [False, True])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_pass_equals_the_loop_over_nodes(module, backward, seed):
    table = toy_table(8, seed=seed)
    batch = GraphBatch.of(table.columns)
    states = states_like(batch, seed)
    with torch.no_grad():
        actual = run(module, batch, states, backward)
    torch.testing.assert_close(actual, slow(module, table, batch, states, backward), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backward", [False, True])
def test_a_pass_without_gradients_equals_one_with_them(backward, dtype, monkeypatch):
    torch.manual_seed(2)
    module = AsynchronousPass(40).to(dtype)
    batch = GraphBatch.of(toy_table(50, seed=2).columns)
    states = torch.randn(batch.n_nodes, 40, dtype=dtype)
    expected = run(module, batch, states, backward).detach()
    for many in (asynchronous._MANY, 1):  # of values whose tanh is made of a sigmoid
        monkeypatch.setattr(asynchronous, "_MANY", many)
        with torch.no_grad():
            torch.testing.assert_close(run(module, batch, states, backward), expected)


@pytest.mark.parametrize("backward", [False, True])
def test_a_pass_without_messages_is_a_cell_without_memory(module, backward):
    batch = batch_of(Architecture(("input", "conv", "output"), ()))
    states = states_like(batch)
    torch.testing.assert_close(run(module, batch, states, backward), module.cell(states))


@pytest.mark.parametrize("backward", [False, True])
def test_gradients_equal_difference_quotients(backward):
    torch.manual_seed(1)
    small = AsynchronousPass(3).double()
    small.attention.data.mul_(3)  # so that attention matters
    batch = GraphBatch.of(toy_table(5, seed=3).columns)
    states = torch.randn(batch.n_nodes, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*small.named_parameters(), strict=True)

    def forward(values, *others):
        schedule = Schedule.of(batch)
        sweep = schedule.backward if backward else schedule.forward
        changed = dict(zip(names, others, strict=True))
        return torch.func.functional_call(small, changed, (values[schedule.order], sweep))

    assert torch.autograd.gradcheck(forward, (states, *parameters))


@pytest.mark.parametrize("backward", [False, True])
def test_gradients_equal_those_of_single_operations(module, backward):
    """Against autograd through a cell and a softmax for each node, with many generations."""
    rng = np.random.default_rng(0)
    names = ("input", *("conv",) * 20, "output")
    edges = tuple((u, v) for v in range(1, 22) for u in range(v) if u == v - 1 or rng.random() < 0.2)
    batch = batch_of(Architecture(names, edges))
    states = states_like(batch)

    def loop(values):
        updated = {}
        for v in reversed(range(22)) if backward else range(22):
            arriving = [updated[v2 if backward else u] for u, v2 in edges if (u if backward else v2) == v]
            message = torch.zeros(SIZE, dtype=torch.float64)
            if arriving:
                stacked = torch.stack(arriving)
                message = torch.softmax(stacked @ module.attention, 0) @ stacked
            updated[v] = module.cell(values[[v]], message.unsqueeze(0)).squeeze(0)
        return torch.stack([updated[v] for v in range(22)])

    wanted = [states.requires_grad_(), *module.parameters()]
    goals = torch.randn(22, SIZE, dtype=torch.float64)
    fast = torch.autograd.grad((run(module, batch, states, backward) * goals).sum(), wanted)
    expected = torch.autograd.grad((loop(states) * goals).sum(), wanted)
    for ours, theirs in zip(fast, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1e2, 1e4])
def test_extreme_scores_stay_finite(scale):
    torch.manual_seed(0)
    extreme = AsynchronousPass(SIZE)
    extreme.attention.data.mul_(scale)
    batch = GraphBatch.of(toy_table(30).columns)
    states = states_like(batch).float().requires_grad_()
    updated = run(extreme, batch, states, False)
    updated.square().sum().backward()
    assert updated.abs().max() <= 1
    assert all(part.grad.isfinite().all() for part in (states, *extreme.parameters()))


def test_a_score_that_stands_out_takes_all():
    torch.manual_seed(0)
    sharp = AsynchronousPass(SIZE).double()
    sharp.attention.data.mul_(1e3)
    fork = Architecture(("input", "conv", "pool", "output"), ((0, 1), (0, 2), (1, 3), (2, 3)))
    batch = batch_of(fork)
    with torch.no_grad():
        updated = run(sharp, batch, states_like(batch), False)
        ahead = updated[1:3][(updated[1:3] @ sharp.attention).argmax()]
        torch.testing.assert_close(updated[3], sharp.cell(states_like(batch)[3], ahead))


def test_an_empty_batch_has_an_empty_pass(module):
    batch = GraphBatch.of(toy_table(0).columns)
    assert run(module, batch, states_like(batch), True).shape == (0, SIZE)
