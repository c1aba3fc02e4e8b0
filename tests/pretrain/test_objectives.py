"""The paper's pretext losses against their formulas, worked out here in NumPy or by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from archflow.pretrain import FlowReconstruction, ProxyRanking, WeightedSum
from archflow.pretrain.objectives import multilayer_perceptron
from reference import hinge as slow

WIDTH, ROWS = 5, 6
SURROGATES = np.random.default_rng(0).normal(size=(ROWS, 3))


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def view(embeddings, rows):
    return SimpleNamespace(graphs=embeddings, rows=rows)


def by_hand(perceptron, inputs):
    """Apply linear maps with a relu between any two, in float64."""
    values = inputs.detach().double().numpy()
    linears = [layer for layer in perceptron if isinstance(layer, nn.Linear)]
    for number, linear in enumerate(linears):
        weight, bias = (p.detach().double().numpy() for p in (linear.weight, linear.bias))
        values = values @ weight.T + bias
        if number < len(linears) - 1:
            values = np.maximum(values, 0)
    return values


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_flow_reconstruction_is_its_formula(layers):
    objective = FlowReconstruction(WIDTH, SURROGATES, layers=layers, hidden=7, standardize=False)
    embeddings, rows = draws(4, WIDTH), torch.tensor([5, 0, 2, 2])
    decoded = by_hand(objective.decoder, embeddings)
    squares = [sum((decoded[i] - SURROGATES[row]) ** 2) for i, row in enumerate(rows.tolist())]
    loss = objective(view(embeddings, rows))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(sum(squares) / 4, rel=1e-5)


def test_a_decoder_that_is_right_costs_nothing():
    objective = FlowReconstruction(3, SURROGATES, layers=1, standardize=False)
    with torch.no_grad():
        objective.decoder[0].weight.copy_(torch.eye(3))
        objective.decoder[0].bias.zero_()
    rows = torch.tensor([3, 1])
    assert objective(view(torch.from_numpy(SURROGATES).float()[rows], rows)).item() == 0
    off_by_two = torch.from_numpy(SURROGATES).float()[rows] + torch.tensor([2.0, 0.0, 0.0])
    assert objective(view(off_by_two, rows)).item() == pytest.approx(4)


def test_standardised_targets_count_alike_and_rounding_does_not_count():
    columns = np.random.default_rng(1).normal(size=(50, 2)) * [1e-3, 100] + [7, -3]
    constant = np.full((50, 1), 0.3) + 1e-14 * np.arange(50).reshape(-1, 1)
    targets = FlowReconstruction(WIDTH, np.hstack([columns, constant]), standardize=True).targets.double()
    torch.testing.assert_close(targets.mean(dim=0), torch.zeros(3).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        targets.std(dim=0, correction=0), torch.tensor([1.0, 1, 0]).double(), atol=1e-4, rtol=0
    )
    assert np.argsort(columns[:, 0]).tolist() == torch.argsort(targets[:, 0]).tolist()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_decoder_has_as_many_linear_maps_as_asked_for(layers):
    decoder = FlowReconstruction(WIDTH, SURROGATES, layers=layers, hidden=7).decoder
    shapes = [tuple(layer.weight.shape) for layer in decoder if isinstance(layer, nn.Linear)]
    assert shapes == [(3, WIDTH)] if layers == 1 else [(7, WIDTH), *[(7, 7)] * (layers - 2), (3, 7)]
    assert isinstance(decoder[-1], nn.Linear)  # a relu at the end could reach no negative target


def test_a_perceptron_alternates():
    kinds = [type(layer).__name__ for layer in multilayer_perceptron([2, 3, 4, 1])]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_gradients_reach_decoder_and_embeddings():
    objective = FlowReconstruction(WIDTH, SURROGATES)
    embeddings = draws(4, WIDTH)
    objective(view(embeddings, torch.arange(4))).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in objective.parameters())
    assert (embeddings.grad.abs().sum(dim=1) > 0).all()  # every architecture has its say


def test_targets_are_data_not_weights():
    for objective in (FlowReconstruction(WIDTH, SURROGATES), ProxyRanking(WIDTH, np.arange(6.0))):
        assert not any("targets" in name for name in objective.state_dict())
        assert not objective.targets.requires_grad
        assert objective.to("meta").targets.device.type == "meta"  # they move with the module


@pytest.mark.parametrize("margin", [0.5, 0.01])
def test_proxy_ranking_is_the_hinge_of_its_scores(margin):
    proxy = np.array([30.0, -2.0, 7.0, 7.0, 1e6, 0.0])
    objective = ProxyRanking(WIDTH, proxy, margin=margin)
    embeddings, rows = draws(5, WIDTH), torch.tensor([4, 2, 3, 1, 0])
    scores = by_hand(objective.scorer, embeddings).reshape(-1).tolist()
    loss = objective(view(embeddings, rows))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(slow.pairwise_hinge(scores, proxy[rows], margin), rel=1e-5)
    assert loss.item() > 0


def test_a_proxy_counts_by_its_order_alone():
    proxy = np.array([3.0, 1.0, 2.0, 2.0, 9.0, -4.0])
    objectives = []
    for column in (proxy, 1000 * np.exp(proxy)):
        torch.manual_seed(0)
        objectives.append(ProxyRanking(WIDTH, column))
    embeddings, rows = draws(6, WIDTH), torch.arange(6)
    losses = [objective(view(embeddings, rows)).item() for objective in objectives]
    assert losses[0] == losses[1]


def test_counts_that_float32_cannot_tell_apart_are_ranked():
    proxy = 1e9 + np.arange(6.0)
    assert len(np.unique(proxy.astype(np.float32))) == 1
    assert ProxyRanking(WIDTH, proxy).targets.tolist() == [0, 1, 2, 3, 4, 5]


def test_proxy_ranking_learns_the_order():
    torch.manual_seed(0)
    proxy = np.array([5.0, 3.0, 4.0, 0.0, 1.0, 2.0])
    objective, embeddings, rows = ProxyRanking(WIDTH, proxy), draws(6, WIDTH).detach(), torch.arange(6)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        objective(view(embeddings, rows)).backward()
        optimizer.step()
    scores = objective.scorer(embeddings).reshape(-1)
    assert torch.argsort(scores).tolist() == np.argsort(proxy).tolist()


def test_rows_without_the_proxy_form_no_pair():
    proxy = np.array([3.0, np.nan, 2.0, np.nan, 9.0, -4.0])
    objective, embeddings = ProxyRanking(WIDTH, proxy), draws(6, WIDTH)
    loss = objective(view(embeddings, torch.arange(6)))
    known = torch.tensor([0, 2, 4, 5])
    assert loss.item() == pytest.approx(objective(view(embeddings[known], known)).item(), rel=1e-6)
    assert loss.item() > 0
    loss.backward()
    assert embeddings.grad.abs().sum(dim=1).ne(0).tolist() == [True, False, True, False, True, True]
    assert objective(view(draws(2, WIDTH), torch.tensor([1, 3]))).item() == 0


def test_a_constant_proxy_costs_nothing_and_pulls_nowhere():
    objective = ProxyRanking(WIDTH, np.full(6, 3.0))
    embeddings = draws(6, WIDTH)
    loss = objective(view(embeddings, torch.arange(6)))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.abs().sum() == 0


class Fixed(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, view):
        return self.value * len(view.rows)


def test_a_weighted_sum_weighs():
    parts = {"flow": Fixed(3.0), "proxy": Fixed(10.0)}
    total = WeightedSum(parts, {"flow": 0.5, "proxy": 0.25})
    loss = total(view(torch.zeros(2, WIDTH), torch.arange(2)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(2 * (0.5 * 3 + 0.25 * 10))
    loss.backward()
    assert (parts["flow"].value.grad.item(), parts["proxy"].value.grad.item()) == (1.0, 0.5)
    assert len(list(total.parameters())) == 2  # both are trained with it


def test_a_weight_of_zero_leaves_its_objective_out():
    total = WeightedSum({"flow": Fixed(3.0), "proxy": Fixed(10.0)}, {"flow": 1.0, "proxy": 0.0})
    assert total(view(torch.zeros(2, WIDTH), torch.arange(2))).item() == 6
