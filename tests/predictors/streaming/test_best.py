"""The best of candidates: any split into batches gives what all at once give."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archflow.predictors.streaming.best import Best, Wish
from archflow.predictors.targets import Order, Targets

TARGETS = Targets(("gain", "cost"), (False, True))
LABELS = (np.array([0.0, 1.0, 4.0]), np.array([1.0, 2.0, 2.5]))
ORDERS = st.sampled_from(
    [{}, {"weights": {"gain": 1, "cost": 0.5}}, {"where": ["cost<2"]}, {"where": "gain>9"}]
)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(1, 12),
    ORDERS,
)
def test_batches_and_files_do_not_matter(values, cuts, top, wish):
    predicted = np.array(values, dtype=float).reshape(-1, 2)
    wish = Wish(Order.of(TARGETS, **wish), LABELS, top)
    rows = np.arange(1, len(values) + 1)
    cuts = sorted(min(cut, len(values)) for cut in cuts)
    best = Best.none(2)
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(values)], strict=True)):
        part = Best.none(2).joined(
            wish, 0, rows[begin:end], predicted[begin:end], lambda i, begin=begin: f"text {begin + i + 1}"
        )
        assert len(part) <= top
        best = best.joined_json(wish, number, part.to_json())
    expected = rows[wish.choose(predicted)]
    assert best.rows.tolist() == expected.tolist()
    assert best.texts == [f"text {row}" for row in expected]
    np.testing.assert_array_equal(best.predicted, predicted[expected - 1])
    numbers = [np.searchsorted(cuts, row - 1, side="right") for row in expected]
    assert best.files.tolist() == numbers


def test_without_conditions_it_is_the_order_of_the_predictor():
    predicted = np.random.default_rng(0).integers(0, 5, size=(50, 2)).astype(float)
    for wish in ({}, {"weights": {"cost": 2.0}}, {"where": "cost<=3"}):
        order = Order.of(TARGETS, **wish)
        expected = order.choose(predicted, LABELS, 7)[0]
        assert Wish(order, LABELS, 7).choose(predicted).tolist() == expected.tolist()
