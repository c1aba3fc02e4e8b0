import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from archflow.errors import TableError, UsageError
from archflow.predictors import blend as module
from archflow.predictors.blend import Blend, normal_scores
from archflow.predictors.labels import Labels
from archflow.predictors.methods import METHODS
from archflow.spaces import get

VIEWS = ("function", "as-written", "trees")


@pytest.fixture(scope="module")
def problem(space):
    """120 cells; convolutions on a path are worth something, and luck decides ties."""
    table = space.sample(120, np.random.default_rng(5))
    collapsed = table.collapsed().columns
    convolutions = collapsed.operation_ids == space.operations.id("nor_conv_3x3")
    worth = np.bincount(collapsed.node_rows()[convolutions], minlength=len(table))
    return table, 90 + worth + np.random.default_rng(6).normal(scale=0.2, size=len(table))


@pytest.fixture(scope="module")
def fitted(problem):
    table, values = problem
    return Blend(Labels(table[:60], values[:60]), VIEWS, 0)


def test_it_ranks_unseen_architectures(problem, fitted):
    table, values = problem
    assert kendalltau(fitted.mean(table[60:]), values[60:]).statistic > 0.6


def test_the_same_seed_gives_the_same_predictions(problem, fitted):
    table, values = problem
    again = Blend(Labels(table[:60], values[:60]), VIEWS, 0)
    np.testing.assert_array_equal(again.mean(table), fitted.mean(table))


def test_predictions_are_in_the_units_of_the_labels(problem, fitted):
    table, values = problem
    mean = fitted.mean(table)
    assert values.min() - 1 < mean.min() < mean.max() < values.max() + 1


def test_one_by_one_and_in_parts_is_the_same(problem, fitted, monkeypatch):
    table, _ = problem
    whole = fitted.mean(table)
    single = np.concatenate([fitted.mean(table[[row]]) for row in range(5)])
    np.testing.assert_allclose(single, whole[:5], atol=1e-6)
    monkeypatch.setattr(module, "PART", 50)
    np.testing.assert_allclose(fitted.mean(table), whole, atol=1e-6)
    assert fitted.mean(table[:0]).shape == (0,)


def test_intervals_hold_what_they_promise(problem, fitted):
    table, values = problem
    for coverage in (0.5, 0.8, 0.95):
        lower, upper = fitted.interval(table[60:], coverage)
        assert (lower < upper).all()
        assert abs(np.mean((values[60:] >= lower) & (values[60:] <= upper)) - coverage) < 0.17
    narrow, wide = (np.ptp(fitted.interval(table, c), axis=0) for c in (0.5, 0.95))
    assert (narrow < wide).all()


def test_the_spread_is_half_of_the_central_interval(problem, fitted):
    table, _ = problem
    lower, upper = fitted.interval(table, 0.6826894921)
    np.testing.assert_allclose(fitted.spread(table), (upper - lower) / 2)


def test_intervals_wider_than_labels_can_tell(space):
    table = space.sample(6, np.random.default_rng(0))
    few = Blend(Labels(table, np.arange(6.0)), ("function",), 0)
    widths = [np.ptp(few.interval(table, coverage), axis=0).mean() for coverage in (0.8, 0.9, 0.99)]
    assert widths[0] < widths[1] < widths[2] < np.inf


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, float("nan")])
def test_coverage_outside_0_and_1_is_refused(problem, fitted, coverage):
    with pytest.raises(UsageError, match="coverage must be between 0 and 1"):
        fitted.interval(problem[0], coverage)


def test_explain_names_parts_weights_and_errors(fitted):
    text = fitted.explain()
    assert "Fitted on 60 labels" in text
    for view in VIEWS:
        assert f"% {view}:" in text
    assert text.count("left-out tau") == len(VIEWS)


def test_a_part_that_cannot_predict_gets_no_weight(problem, monkeypatch):
    table, values = problem

    class Hopeless:
        left_out = np.random.default_rng(0).normal(size=60)
        left_out_variance = np.ones(60)

    monkeypatch.setattr(module, "TreesExpert", lambda *_: Hopeless())
    blend = Blend(Labels(table[:60], values[:60]), VIEWS, 0)
    assert blend._weights[2] < 1e-3 < blend._weights[:2].min()


def test_repeated_architectures_are_averaged(problem):
    table, values = problem
    rows = np.array([*range(30), 3, 3, 7])
    repeated = Labels(table[rows], values[rows] + np.array([0.0] * 30 + [3.0, 0.0, -1.0]))
    once = values[:30] + np.eye(30)[3] - np.eye(30)[7] / 2
    expected = Blend(Labels(table[:30], once), VIEWS, 0)
    blend = Blend(repeated, VIEWS, 0)
    np.testing.assert_allclose(blend.mean(table), expected.mean(table))
    assert "3 labels of architectures that have another one: averaged" in blend.explain()


def test_the_mean_of_a_table_whose_spread_was_asked_for_is_at_hand(problem, monkeypatch):
    table, values = problem
    blend = Blend(Labels(table[:30], values[:30]), VIEWS, 0)
    other = table[30:]
    alone, asked = blend.mean(other), []
    for expert in blend._experts.values():
        for name in ("mean", "predict"):
            own = getattr(expert, name)
            monkeypatch.setattr(expert, name, lambda part, own=own: (asked.append(part), own(part))[1])
    spread = blend.spread(other)
    seen = len(asked)
    np.testing.assert_array_equal(blend.mean(other), alone)
    np.testing.assert_array_equal(blend.spread(other), spread)
    assert len(asked) == seen
    np.testing.assert_array_equal(blend.mean(table[30:]), alone)  # an equal table is another one
    assert len(asked) > seen


def test_parts_of_a_table_are_predicted_alike(problem, monkeypatch):
    table, values = problem
    blend = Blend(Labels(table[:30], values[:30]), VIEWS, 0)
    expected, done = (blend.mean(table), blend.spread(table)), []
    monkeypatch.setattr("archflow.predictors.blend.PART", 50)
    parts = table[np.arange(len(table))]
    np.testing.assert_allclose(blend.mean(parts, lambda *told: done.append(told[:2])), expected[0])
    np.testing.assert_allclose(blend.spread(parts), expected[1])
    assert done == [(50, 120), (100, 120), (120, 120)]
    assert blend.mean(table[:0]).shape == blend.spread(table[:0]).shape == (0,)


def test_too_few_different_architectures_are_refused(problem):
    table, values = problem
    with pytest.raises(TableError, match="9 labels are of 3 different architectures; at least 4"):
        Blend(Labels(table[[0, 1, 2] * 3], values[:9]), VIEWS, 0)


def test_tied_labels(problem):
    table, _ = problem
    blend = Blend(Labels(table[:40], np.repeat([1.0, 2.0], 20)), VIEWS, 0)
    mean = blend.mean(table)
    assert np.isfinite(mean).all()
    assert np.isfinite(blend.spread(table)).all()


@pytest.mark.parametrize("form", ["pruned", "as-written"])
def test_a_pre_trained_encoder_takes_half_of_its_views_weight(space, problem, encoders, form):
    table, values = problem
    encoder = dataclasses.replace(
        encoders["gin"], config=dataclasses.replace(encoders["gin"].config, form=form)
    )
    blend = Blend(Labels(table[:40], values[:40]), VIEWS, 0, encoder=encoder)
    view = {"pruned": "function", "as-written": "as-written"}[form]
    share = blend._weights[VIEWS.index(view)]
    assert blend._encoder_share == pytest.approx(share / 2)
    parts = np.stack([expert.predict(table)[0] for expert in blend._experts.values()])
    expected = blend._weights @ parts + share / 2 * (blend._encoder.mean(table) - parts[VIEWS.index(view)])
    np.testing.assert_allclose(blend._predict(table, lambda *_: None)[0], expected)
    assert "pre-trained gin encoder, fine-tuned" in blend.explain()


def test_sizes_are_seen_where_there_are_any(space, problem):
    table, values = problem
    views = Blend(Labels(table[:9], values[:9]), METHODS["auto"].views, 0)._experts
    assert tuple(views) == ("function", "additive", "as-written", "trees")
    sized = get("nats_size")
    table = sized.sample(9, np.random.default_rng(0))
    views = Blend(Labels(table, values[:9]), METHODS["auto"].views, 0)._experts
    assert tuple(views) == METHODS["auto"].views


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=4, max_size=30).filter(lambda v: len(set(v)) > 1))
def test_normal_scores_keep_the_order_and_have_unit_variance(values):
    scores = normal_scores(np.array(values, dtype=float))
    assert scores.std() == pytest.approx(1)
    assert kendalltau(scores, values).statistic == pytest.approx(1)
