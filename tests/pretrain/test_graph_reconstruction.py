"""The variational autoencoder of graphs, part by part."""

from types import SimpleNamespace

import pytest
import torch

from archflow.graphs import GraphBatch
from archflow.pretrain import GraphReconstruction
from archflow.pretrain.pair_prediction import edges_between, pair_loss
from archflow.testing import toy_table

WIDTH = 5
BATCH = GraphBatch.of(toy_table(9, seed=2).columns)


@pytest.fixture
def view():
    nodes = torch.randn(BATCH.n_nodes, WIDTH, generator=torch.Generator().manual_seed(0), requires_grad=True)
    return SimpleNamespace(batch=BATCH, nodes=nodes)


@pytest.fixture
def objective():
    torch.manual_seed(0)
    return GraphReconstruction(WIDTH, 6, latent=3, divergence_weight=0.25)


def test_the_loss_is_the_sum_of_its_parts(objective, view):
    objective.eval()  # the latents are then their means
    mean, log_variance = objective.moments(view.nodes).chunk(2, dim=1)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    divergence = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    log_odds = objective.operations(mean).log_softmax(dim=1)
    right = log_odds[torch.arange(BATCH.n_nodes), BATCH.operation_ids]
    edges = pair_loss(objective.scores(BATCH, mean), edges_between(BATCH), BATCH)
    expected = -right.mean() + edges + 0.25 * divergence.mean()
    assert objective(view).item() == pytest.approx(expected.item(), rel=1e-5)


def test_latents_are_drawn_while_training(objective, view):
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(objective(view).item())
    assert losses[0] == losses[1] != losses[2]
    objective.eval()
    assert objective(view).item() == objective(view).item()


def test_gradients_reach_every_part(objective, view):
    objective(view).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in objective.parameters())
    assert (view.nodes.grad.abs().sum(dim=1) > 0).all()
