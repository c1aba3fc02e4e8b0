"""NT-Xent against its plain-loop twin, and the two ways to write a graph."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archflow.encoders import GIN
from archflow.graphs import GraphBatch
from archflow.pretrain import Contrastive, PretextView
from archflow.pretrain.contrastive import contrast
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import toy_table
from reference import pretext as slow


@given(st.integers(1, 7), st.integers(1, 5), st.sampled_from([0.2, 1.0]), st.integers(0, 99))
def test_the_loss_equals_the_plain_loop_twin(count, n_functions, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, count, 4, generator=generator, dtype=torch.float64)
    functions = torch.randint(n_functions, (count,), generator=generator)
    expected = slow.contrast(first.tolist(), second.tolist(), functions.tolist(), temperature)
    assert contrast(first, second, functions, temperature).item() == pytest.approx(expected, abs=1e-12)


def test_one_graph_alone_costs_nothing():
    first, second = torch.randn(2, 1, 4)
    first.requires_grad_()
    loss = contrast(first, second, torch.zeros(1, dtype=torch.int64), 0.2)
    loss.backward()
    assert loss.item() == 0
    assert not first.grad.any()


def test_alike_and_apart_is_best():
    corners, functions = torch.eye(5), torch.arange(5)
    best = contrast(corners, corners, functions, 0.1).item()
    assert best < 1e-3
    assert contrast(corners, corners.roll(1, 0), functions, 0.1).item() > 5
    assert contrast(torch.ones(5, 5), torch.ones(5, 5), functions, 0.1).item() == pytest.approx(
        np.log(9), rel=1e-5
    )


def test_equal_functions_have_equal_numbers():
    table = NASBench201().sample(600, np.random.default_rng(0))
    objective = Contrastive(4, table)
    keys = table.collapsed().keys()
    assert len(np.unique(keys)) < 600
    same = keys[:, None] == keys[None]
    numbers = objective.functions.numpy()
    np.testing.assert_array_equal(numbers[:, None] == numbers[None], same)


def test_the_encoder_sees_the_rows_rewritten():
    table = toy_table(40, seed=6)
    objective, rows = Contrastive(8, table), np.array([7, 3, 30])
    seen = []

    class Watching(GIN):
        def forward(self, batch):
            seen.append(batch)
            return super().forward(batch)

    batch = GraphBatch.of(table.columns.take(rows))
    torch.manual_seed(0)
    objective(PretextView(Watching(len(table.operations), width=8), batch, rows))
    wanted = table[rows].collapsed().keys()
    assert len(seen) == 2
    for graphs in seen:
        written = type(table)(graphs.to_columns(), table.operations)
        np.testing.assert_array_equal(written.collapsed().keys(), wanted)
    assert seen[0].n_nodes != seen[1].n_nodes
