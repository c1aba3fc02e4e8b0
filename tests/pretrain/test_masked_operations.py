"""Hidden operations: what the encoder sees of them, and what the guesses cost."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.errors import UsageError
from archflow.graphs import GraphBatch
from archflow.pretrain import MaskedOperations, PretextView
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, toy_table

WIDTH = 8
TABLE = toy_table(12, seed=1, operations=SIZED_TOY_OPERATIONS)
BATCH = GraphBatch.of(TABLE.columns)


def made(share=0.5, name="gin"):
    torch.manual_seed(0)
    encoder = EncoderConfig(name, width=WIDTH, layers=1, dropout=0.0).build(len(TABLE.operations), 2)
    objective = MaskedOperations(WIDTH, TABLE.operations, share=share)
    nn.init.normal_(objective.token)
    return objective, encoder


def hide(objective, encoder, batch, hidden):
    return objective._embed(PretextView(encoder, batch, np.arange(batch.n_graphs)), hidden)


@pytest.mark.parametrize("name", ENCODERS)
def test_hidden_nodes_show_neither_operation_nor_attributes(name):
    objective, encoder = made(name=name)
    hidden = torch.rand(BATCH.n_nodes, generator=torch.Generator().manual_seed(1)) < 0.4
    other = GraphBatch.of(TABLE.columns)
    other.operation_ids[hidden] = 1
    other.attributes[hidden] = 3.0
    assert not torch.equal(encoder(BATCH)[0], encoder(other)[0])
    assert torch.equal(hide(objective, encoder, BATCH, hidden), hide(objective, encoder, other, hidden))


@pytest.mark.parametrize("name", ENCODERS)
def test_nothing_hidden_is_the_encoder_itself_and_nothing_stays_behind(name):
    objective, encoder = made(name=name)
    before = encoder(BATCH)[0]
    assert torch.equal(hide(objective, encoder, BATCH, torch.zeros(BATCH.n_nodes, dtype=torch.bool)), before)
    hide(objective, encoder, BATCH, torch.ones(BATCH.n_nodes, dtype=torch.bool))
    assert torch.equal(encoder(BATCH)[0], before)


def test_inputs_and_outputs_are_never_hidden():
    objective, encoder = made(share=1.0)
    seen = []
    objective._embed = lambda view, hidden: (seen.append(hidden), view.nodes)[1]
    objective(PretextView(encoder, BATCH, np.arange(12)))
    names = [TABLE.operations.names[number] for number in BATCH.operation_ids]
    assert seen[0].tolist() == [name not in ("input", "output") for name in names]


def test_the_loss_is_the_scaled_cosine_error():
    objective, encoder = made(share=1.0)
    view = PretextView(encoder, BATCH, np.arange(12))
    hidden = objective.can_hide[BATCH.operation_ids]
    states = objective.bridge(objective._embed(view, hidden))
    states[hidden] = 0
    senders = torch.cat([BATCH.sources, BATCH.targets])
    receivers = torch.cat([BATCH.targets, BATCH.sources])
    guesses = objective.guess(objective.decoder(states, senders, receivers).relu())
    truth = nn.functional.one_hot(BATCH.operation_ids, len(TABLE.operations)).float()
    errors = (1 - nn.functional.cosine_similarity(guesses, truth)).square()
    assert objective(view).item() == pytest.approx(errors[hidden].mean().item(), rel=1e-5)


class Oracle(nn.Module):
    def forward(self, states):
        return 7 * nn.functional.one_hot(BATCH.operation_ids, len(TABLE.operations)).float()


def test_guesses_that_are_right_cost_nothing_whatever_their_length():
    objective, encoder = made(share=1.0)
    objective.guess = Oracle()
    assert objective(PretextView(encoder, BATCH, np.arange(12))).item() == 0


def test_where_nothing_can_be_hidden_the_loss_is_zero_and_trains():
    objective, encoder = made()
    bare = GraphBatch.of(toy_table(1, operations=SIZED_TOY_OPERATIONS).columns)
    loss = objective(PretextView(encoder, bare, np.arange(1)))
    loss.backward()
    assert loss.item() == 0
    assert all(
        torch.isfinite(weight.grad).all() for weight in encoder.parameters() if weight.grad is not None
    )


def test_the_share_is_kept():
    objective, _ = made(share=0.3)
    table = toy_table(400, seed=5)
    seen = []
    objective._embed = lambda view, hidden: (seen.append(hidden), torch.zeros(len(hidden), WIDTH))[1]
    batch = GraphBatch.of(table.columns)
    objective(SimpleNamespace(batch=batch))
    inner = objective.can_hide[batch.operation_ids]
    assert seen[0].sum().item() / inner.sum().item() == pytest.approx(0.3, abs=0.05)


def test_an_encoder_that_starts_elsewhere_is_refused():
    class Stranger(nn.Module):
        def forward(self, batch):
            return torch.zeros(batch.n_nodes, WIDTH), torch.zeros(batch.n_graphs, WIDTH)

    objective = MaskedOperations(WIDTH, TOY_OPERATIONS)
    with pytest.raises(UsageError, match="needs an encoder that starts from NodeEmbedding"):
        objective(PretextView(Stranger(), GraphBatch.of(toy_table(3).columns), np.arange(3)))
