"""On a GPU no step of training and no batch of a ranking waits for a number to come back.

Tensors on torch's meta device have shapes and no numbers: whatever asks one for its numbers, or has a shape
that depends on them, raises there, and is what would keep a program waiting for a GPU.
"""

import numpy as np
import pytest
import torch
from torch import nn

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.encoders.embedding import embed
from archflow.flow import FlowSurrogate, SurrogateConfig
from archflow.graphs import GraphBatch
from archflow.predictors import FineTuneConfig
from archflow.predictors.fine_tuned import FineTuned
from archflow.predictors.labels import Labels
from archflow.pretrain import PretrainConfig
from archflow.pretrain.registry import OBJECTIVES, Material
from archflow.pretrain.view import PretextView
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.toys import SIZED_TOY_OPERATIONS
from archflow.training import TrainingConfig

META = torch.device("meta")
RAISED = (NotImplementedError, RuntimeError, TypeError)  # by a tensor without numbers
TABLE = toy_table(40)


each_encoder = pytest.mark.parametrize("name", ENCODERS)


def backward_of(module, loss):
    """What the training loop does with a loss."""
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    assert loss.device == META


@pytest.mark.parametrize("operations", [TOY_OPERATIONS, SIZED_TOY_OPERATIONS], ids=["plain", "sized"])
@each_encoder
def test_an_encoder_trains_without_waiting(name, operations):
    encoder = EncoderConfig(name, width=16, layers=2).build(len(operations), len(operations.attributes))
    encoder.to(META).train()
    nodes, graphs = encoder(GraphBatch.of(toy_table(9, operations=operations).columns, META))
    backward_of(encoder, nodes.sum() + graphs.sum())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@each_encoder
def test_a_ranking_waits_for_its_last_batch_alone(name, precision, monkeypatch):
    monkeypatch.setattr("archflow.encoders.embedding.BATCH", 8)
    monkeypatch.setattr("archflow.encoders.sharing.NODES", 50)
    encoder, told = EncoderConfig(name, width=16, layers=2).build(len(TOY_OPERATIONS)).to(META), []
    head = nn.Linear(16, 1, device=META)
    try:
        embed(
            encoder,
            TABLE,
            head=head,
            device=META,
            precision=precision,
            report=lambda *done: told.append(done),
        )
    except RAISED:
        if not told or told[-1][0] < told[-1][1]:
            raise
    else:
        pytest.fail("the meta device gave numbers")
    assert len(told) > 2


@each_encoder
def test_a_step_of_fine_tuning_does_not_wait(name, monkeypatch):
    losses = []

    def train(module, loss, n_rows, config, **others):
        losses.append(loss(torch.arange(n_rows)))
        backward_of(module, losses[-1])

    monkeypatch.setattr("archflow.predictors.fine_tuned.train", train)
    config = EncoderConfig(name, width=16, layers=2)
    model = FineTuned(config, "collapsed", TOY_OPERATIONS, 0, META)
    values = np.random.default_rng(0).normal(size=len(TABLE))
    model.fit(Labels(TABLE, values), FineTuneConfig(TrainingConfig(epochs=1, batch_size=8)))
    assert len(losses) == 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_of_a_pretext_task_does_not_wait(name):
    config = PretrainConfig(EncoderConfig(width=16, layers=2), form="as-written", objectives={name: 1.0})
    surrogate = FlowSurrogate.draw(TOY_OPERATIONS, SurrogateConfig(width=4), 0)
    proxy = np.arange(len(TABLE), dtype=float)
    task = OBJECTIVES[name](Material(config, TABLE, surrogate, proxy))
    module = nn.ModuleList([config.encoder.build(len(TOY_OPERATIONS)), task]).to(META).train()
    rows = np.arange(12)
    batch = GraphBatch.of(TABLE.columns.take(rows), META)
    backward_of(module, module[1](PretextView(module[0], batch, rows)))


@pytest.mark.parametrize(
    "ask",
    [
        lambda numbers: numbers.cpu(),
        lambda numbers: numbers.numpy(),
        lambda numbers: float(numbers.sum()),
        lambda numbers: bool(numbers.amax() > 0),
        lambda numbers: numbers.tolist(),
        lambda numbers: numbers.nonzero(),
        lambda numbers: numbers.unique(),
        lambda numbers: numbers[numbers > 0],
        lambda numbers: numbers.masked_select(numbers > 0),
        lambda numbers: torch.repeat_interleave(numbers.long()),
    ],
)
def test_whatever_asks_for_numbers_would_be_found(ask):
    with pytest.raises(RAISED):
        ask(torch.ones(3, device=META))
