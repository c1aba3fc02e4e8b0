"""The pairwise hinge against its plain-loop twin, hand answers and gradcheck."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archflow.training import pairwise_hinge
from reference import hinge as slow

SCORES = st.floats(-4, 4).map(lambda value: round(value, 3))
TARGETS = st.integers(-2, 2).map(float)  # few values, so that most examples have ties
MARGINS = st.sampled_from([0.01, 0.1, 0.5, 2.0])


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@given(st.lists(st.tuples(SCORES, TARGETS), min_size=1, max_size=9), MARGINS)
def test_it_equals_the_loop_over_pairs(rows, margin):
    scores, targets = zip(*rows, strict=True)
    value = pairwise_hinge(double(scores), double(targets), margin)
    assert value.shape == ()
    assert float(value) == pytest.approx(slow.pairwise_hinge(scores, targets, margin), abs=1e-12)


def test_three_rows_by_hand():
    # Ordered pairs (above, below): (0, 1) 0.5 - (1 - 0) < 0; (0, 2) 0.5 - (1 - 2) = 1.5; (1, 2) 2.5.
    loss = pairwise_hinge(double([1.0, 0.0, 2.0]), double([3.0, 2.0, 1.0]), 0.5)
    assert float(loss) == pytest.approx((0 + 1.5 + 2.5) / 3)


def test_a_right_order_by_a_margin_costs_nothing_and_a_wrong_one_something():
    targets = double([1.0, 2.0, 3.0])
    assert float(pairwise_hinge(double([0.0, 0.5, 1.0]), targets, 0.5)) == 0
    assert float(pairwise_hinge(double([0.0, 0.4, 1.0]), targets, 0.5)) > 0


def test_tied_targets_are_no_pair():
    scores = double([5.0, -5.0, 0.0])
    assert float(pairwise_hinge(scores, double([1.0, 1.0, 1.0]), 0.5)) == 0
    with_tie = pairwise_hinge(scores, double([1.0, 1.0, 2.0]), 0.5)
    assert float(with_tie) == pytest.approx((0.5 - (0 - 5) + 0) / 2)  # pairs (2, 0) and (2, 1) alone


def test_tied_scores_cost_the_margin():
    assert float(pairwise_hinge(double([1.0, 1.0]), double([2.0, 1.0]), 0.25)) == 0.25


@pytest.mark.parametrize("targets", [[1.0], [3.0, 3.0, 3.0]])
def test_without_a_pair_loss_and_gradient_are_zero(targets):
    scores = torch.arange(len(targets), dtype=torch.float32, requires_grad=True)
    loss = pairwise_hinge(scores, torch.tensor(targets), 0.5)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.tolist() == [0.0] * len(targets)


def test_only_the_order_of_targets_matters():
    scores = torch.randn(8, generator=torch.Generator().manual_seed(0))
    targets = torch.randperm(8, generator=torch.Generator().manual_seed(1)).float()
    assert torch.equal(
        pairwise_hinge(scores, targets, 0.5), pairwise_hinge(scores, 1000 * targets.exp() - 7, 0.5)
    )


@given(st.lists(st.tuples(SCORES, TARGETS), min_size=1, max_size=7), MARGINS)
def test_the_gradient_equals_the_loop_away_from_kinks(rows, margin):
    scores, targets = (list(column) for column in zip(*rows, strict=True))
    scores = [score + 1e-4 * (0.37 + place**2) for place, score in enumerate(scores)]  # no pair at its kink
    variable = double(scores).requires_grad_()
    pairwise_hinge(variable, double(targets), margin).backward()
    assert variable.grad.tolist() == pytest.approx(
        slow.pairwise_hinge_gradient(scores, targets, margin), abs=1e-12
    )


def test_gradcheck_in_double_precision():
    scores = double([0.3, -1.1, 2.2, 0.9, -0.4])
    targets = double([1.0, 2.0, 0.0, 2.0, 1.0])
    margin = 0.5
    gaps = (margin - (scores.unsqueeze(1) - scores.unsqueeze(0))).abs()
    assert gaps.min() > 1e-3  # far from every kink
    assert torch.autograd.gradcheck(
        lambda variable: pairwise_hinge(variable, targets, margin), scores.requires_grad_()
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_stay_finite(scale, dtype):
    scores = (scale * torch.tensor([1.0, -2.0, 3.0, 0.0], dtype=dtype)).requires_grad_()
    loss = pairwise_hinge(scores, torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=dtype), 0.5)
    loss.backward()
    assert loss.isfinite()
    assert scores.grad.isfinite().all()
    assert loss > 0
