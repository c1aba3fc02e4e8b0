"""The two steps that all message-passing encoders share, against loops."""

import torch

from archflow.encoders.message_passing import sum_by_receiver, undirected_edges
from archflow.graphs import GraphBatch
from archflow.testing import toy_table


def test_every_edge_runs_both_ways():
    batch = GraphBatch.of(toy_table(10).columns)
    senders, receivers = undirected_edges(batch)
    pairs = list(zip(batch.sources.tolist(), batch.targets.tolist(), strict=True))
    assert list(zip(senders.tolist(), receivers.tolist(), strict=True)) == pairs + [(v, u) for u, v in pairs]


def test_sums_equal_the_loop():
    messages = torch.arange(12, dtype=torch.float64).reshape(6, 2)
    receivers = torch.tensor([3, 0, 3, 1, 0, 3])
    expected = torch.zeros(5, 2, dtype=torch.float64)
    for message, receiver in zip(messages, receivers, strict=True):
        expected[receiver] += message
    actual = sum_by_receiver(messages, receivers, 5)
    assert torch.equal(actual, expected)
    assert actual.dtype == torch.float64


def test_sums_of_nothing_are_zero():
    actual = sum_by_receiver(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 2)
    assert torch.equal(actual, torch.zeros(2, 3))


def test_sums_pass_gradcheck():
    messages = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    receivers = torch.tensor([1, 1, 0, 2])
    assert torch.autograd.gradcheck(lambda values: sum_by_receiver(values, receivers, 4), (messages,))
