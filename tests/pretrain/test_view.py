"""What a pretext task sees: one encoder call for all that ask."""

import numpy as np
import torch
from torch import nn

from archflow.encoders import GIN
from archflow.graphs import GraphBatch
from archflow.pretrain import PretextView
from archflow.testing import TOY_OPERATIONS, toy_table


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.calls = GIN(len(TOY_OPERATIONS), width=4), 0

    def forward(self, batch):
        self.calls += 1
        return self.encoder(batch)


def test_the_encoder_is_called_once_and_only_when_asked():
    encoder, batch = Counting().eval(), GraphBatch.of(toy_table(5).columns)
    view = PretextView(encoder, batch, np.arange(5))
    assert encoder.calls == 0
    nodes, graphs = view.nodes, view.graphs
    assert view.graphs is graphs
    assert view.nodes is nodes
    assert encoder.calls == 1
    assert view.own_nodes == slice(None)
    expected = encoder.encoder(batch)
    assert torch.equal(nodes, expected[0])
    assert torch.equal(graphs, expected[1])
