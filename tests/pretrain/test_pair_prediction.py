"""Paths and edges between nodes, against plain loops over pairs."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archflow.encoders import GIN
from archflow.graphs import GraphBatch
from archflow.pretrain import PairPrediction, PretextView
from archflow.pretrain.pair_prediction import by_graph, edges_between, places, reachable
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import tables
from reference import pretext as slow


def pairs_in(matrix):
    return {(int(u), int(v)) for u, v in matrix.nonzero()}


@given(tables(min_size=1))
def test_edges_and_paths_equal_the_plain_loops(table):
    joined = edges_between(GraphBatch.of(table.columns))
    reached = reachable(joined)
    for row, architecture in enumerate(table):
        assert pairs_in(joined[row]) == set(architecture.edges)
        assert pairs_in(reached[row]) == slow.reachable_pairs(architecture)


@pytest.mark.parametrize("n_nodes", range(1, 20))
def test_every_length_of_a_chain(n_nodes):
    chain = torch.zeros(1, n_nodes, n_nodes, dtype=torch.bool)
    chain[0, torch.arange(n_nodes - 1), torch.arange(1, n_nodes)] = True
    assert torch.equal(reachable(chain)[0], torch.ones(n_nodes, n_nodes).triu(1).bool())


def test_many_paths_between_two_nodes_do_not_overflow():
    ladder = torch.ones(1, 300, 300).triu(1).bool()
    assert torch.equal(reachable(ladder), ladder)


def test_nodes_by_graph():
    batch = GraphBatch.of(toy_table(7, seed=3).columns)
    values = torch.randn(batch.n_nodes, 3)
    padded = by_graph(batch, values)
    for row in range(7):
        own = values[batch.graph_ids == row]
        assert torch.equal(padded[row, : len(own)], own)
        assert not padded[row, len(own) :].any()
    assert places(batch)[batch.node_offsets[:-1]].tolist() == [0] * 7


@given(tables(min_size=1), st.booleans())
def test_the_loss_is_the_mean_over_pairs(table, paths):
    torch.manual_seed(0)
    encoder, objective = GIN(len(TOY_OPERATIONS), width=4).eval(), PairPrediction(4, paths=paths, hidden=3)
    objective.scores.offset.data.fill_(0.7)
    view = PretextView(encoder, GraphBatch.of(table.columns), np.arange(len(table)))
    sending, receiving = objective.scores.maps(view.nodes).detach().double().chunk(2, dim=1)
    losses, first = [], 0
    for architecture in table:
        joined = slow.reachable_pairs(architecture) if paths else set(architecture.edges)
        for u, v in itertools.permutations(range(architecture.n_nodes), 2):
            score = float(sending[first + u] @ receiving[first + v]) / math.sqrt(3) + 0.7
            losses.append(slow.cross_entropy(score, (u, v) in joined))
        first += architecture.n_nodes
    loss = objective(view)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_paths_are_more_than_edges():
    view = PretextView(GIN(6, width=4), GraphBatch.of(toy_table(30).columns), np.arange(30))
    torch.manual_seed(0)
    one = PairPrediction(4, paths=True)
    other = PairPrediction(4, paths=False)
    other.load_state_dict(one.state_dict())
    assert one(view).item() != other(view).item()
