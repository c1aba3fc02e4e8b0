"""Names, directions, conditions and orders of several targets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UnknownNameError, UsageError
from archflow.predictors.targets import Condition, Order, Targets
from reference.pareto import pareto_fronts as slow_fronts

TWO = Targets(("accuracy", "latency_ms"), (False, True))
SPREAD = [np.array([-1.0, 1.0])] * 2  # labels of mean 0 and deviation 1


@st.composite
def predictions(draw, width=2):
    """Few values, so that most examples have ties."""
    row = st.tuples(*[st.integers(-2, 2).map(float)] * width)
    return np.array(draw(st.lists(row, min_size=1, max_size=12)))


# Names and directions


def test_names_by_default():
    assert Targets.of(None, False) == Targets(("target",), (False,))
    assert Targets.of(None, True, 3) == Targets(("target_1", "target_2", "target_3"), (True,) * 3)
    assert Targets.of(None, [False, True]) == Targets(("target_1", "target_2"), (False, True))


@pytest.mark.parametrize("minimize", [(False, True), [False, True], np.array([False, True])])
def test_one_direction_for_each(minimize):
    assert Targets.of(["a", "b"], minimize) == Targets(("a", "b"), (False, True))
    assert Targets.of(["a", "b"], minimize).signs.tolist() == [1, -1]


def test_one_text_is_one_name():
    assert Targets.of("accuracy", minimize=True) == Targets(("accuracy",), (True,))


@pytest.mark.parametrize(
    ("names", "minimize", "count", "message"),
    [
        (["a", "b"], [True], None, "minimize gives 1 direction for 2 targets; give one for all, or one for"),
        (None, [True, False], 3, "minimize gives 2 directions for 3 targets"),
        (None, [], 1, "minimize gives 0 directions for 1 target"),
        (["a", "b"], False, 3, r"targets has 2 names \(a, b\) for 3 targets; give one"),
        (["a", "b", "a"], False, None, "target 'a' is named twice"),
        (["a", ""], False, None, "a target's name must be some text, not ''"),
        (["a", 5], False, None, "must be some text, not 5"),
    ],
)
def test_names_and_directions_that_do_not_fit(names, minimize, count, message):
    with pytest.raises(UsageError, match=message):
        Targets.of(names, minimize, count)


# Conditions


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("latency_ms<5", Condition("latency_ms", "<", 5)),
        (" accuracy >= 94.5 ", Condition("accuracy", ">=", 94.5)),
        ("top 1, %<=1e-3", Condition("top 1, %", "<=", 0.001)),
        ("loss>-2", Condition("loss", ">", -2)),
        ("x:min<+.5", Condition("x:min", "<", 0.5)),
    ],
)
def test_conditions_are_read(text, condition):
    assert Condition.parse(text) == condition
    assert Condition.parse(str(condition)) == condition


@given(
    st.text(st.characters(exclude_characters="<>=", exclude_categories=["Cs"]), min_size=1).map(str.strip),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(-999, 999),
)
def test_a_name_may_hold_anything_but_comparisons(name, comparison, value):
    if name:
        condition = Condition(name, comparison, value)
        assert Condition.parse(str(condition)) == condition


@given(st.text(alphabet="ab<>=1.- \n", max_size=12))
def test_a_text_is_a_condition_or_refused(text):
    try:
        condition = Condition.parse(text)
    except UsageError:
        return
    assert math.isfinite(condition.value)
    assert condition.target == condition.target.strip() != ""
    assert condition.target in text


@pytest.mark.parametrize(
    "text",
    ["", "latency", "latency<", "<5", "latency=5", "latency==5", "latency<5ms", "latency<<5", "5<latency<6",
     "latency<nan", "latency<inf", "latency<1e999", "latency=<5", "__import__('os')<x", 5],
)  # fmt: skip
def test_what_is_no_condition(text):
    with pytest.raises(UsageError, match=r"cannot read the condition .*such as 'latency_ms<5'"):
        Condition.parse(text)


def test_a_condition_made_by_hand_is_checked():
    with pytest.raises(UsageError, match="compares with one of < <= > >=, not '=='"):
        Condition("a", "==", 5)
    for bound in (math.nan, math.inf, "5", None, 10**400):
        with pytest.raises(UsageError, match="bound of a condition must be a finite number"):
            Condition("a", "<", bound)


@pytest.mark.parametrize(
    ("comparison", "met"),
    [("<", [True, False, False]), ("<=", [True, True, False]), (">", [False, False, True]),
     (">=", [False, True, True])],
)  # fmt: skip
def test_what_conditions_mean(comparison, met):
    assert Condition("a", comparison, 2).holds(np.array([1.0, 2.0, 3.0])).tolist() == met


# Orders


@given(predictions(), st.none() | st.integers(1, 14))
def test_by_default_the_first_target_decides(predicted, top):
    rows, fronts = Order.of(TWO).choose(predicted, SPREAD, top)
    assert rows.tolist() == sorted(range(len(predicted)), key=lambda row: -predicted[row, 0])[:top]
    assert fronts is None


@given(predictions(), st.integers(0, 3), st.integers(1, 3), st.none() | st.integers(1, 14))
def test_a_weighted_sum_is_the_loop(predicted, first, second, top):
    measured = [np.array([90.0, 94.0, 92.0]), np.array([5.0, 3.0])]
    order = Order.of(TWO, {"accuracy": first, "latency_ms": second})
    merit = [
        first * (accuracy - 92) / math.sqrt(8 / 3) - second * (latency - 4) / 1
        for accuracy, latency in predicted.tolist()
    ]
    rows, fronts = order.choose(predicted, measured, top)
    assert fronts is None
    assert len(rows) == min(top or len(merit), len(merit))
    chosen, left = [merit[row] for row in rows], set(range(len(merit))) - set(rows.tolist())
    assert chosen == pytest.approx(sorted(merit, reverse=True)[: len(rows)])
    assert all(merit[row] <= min(chosen) + 1e-9 for row in left)


@given(predictions(), st.permutations(["accuracy", "latency_ms"]))
def test_weights_that_are_larger_by_a_factor_and_their_order_change_nothing(predicted, names):
    weights = {"accuracy": 1.0, "latency_ms": 0.5}
    scaled = {name: 4 * weights[name] for name in names}
    one, other = (Order.of(TWO, w).choose(predicted, SPREAD)[0] for w in (weights, scaled))
    assert one.tolist() == other.tolist()


@given(predictions())
def test_other_units_change_nothing(predicted):
    one = Order.of(TWO, {"accuracy": 1, "latency_ms": 1}).choose(predicted, SPREAD)[0]
    scaled = [4 * labels for labels in SPREAD]
    other = Order.of(TWO, {"accuracy": 1, "latency_ms": 1}).choose(4 * predicted, scaled)[0]
    assert one.tolist() == other.tolist()


def test_a_positive_weight_asks_for_better_whichever_way_that_is():
    predicted = np.array([[1.0, 9.0], [1.0, 3.0], [2.0, 9.0]])
    assert Order.of(TWO, {"latency_ms": 1}).choose(predicted, SPREAD)[0].tolist() == [1, 0, 2]
    assert Order.of(TWO, {"accuracy": 1}).choose(predicted, SPREAD)[0].tolist() == [2, 0, 1]


def test_labels_that_hardly_differ_are_standardised_too():
    tiny = [np.array([0.0, 1e-200]), np.array([0.0, 1.0])]
    predicted = np.array([[1e-200, 0.5], [0.0, 0.5]])
    rows, _ = Order.of(TWO, {"accuracy": 1}).choose(predicted[::-1], tiny)
    assert rows.tolist() == [1, 0]


@given(predictions(width=3), st.none() | st.integers(1, 14))
def test_fronts_come_one_after_the_other(predicted, top):
    targets = Targets(("a", "b", "c"), (False, True, False))
    better = predicted * [1, -1, 1]
    rows, fronts = Order.of(targets, pareto=True).choose(predicted, [SPREAD[0]] * 3, top)
    true = slow_fronts(better.tolist())
    keys = sorted((true[row], -better[row].sum(), row) for row in range(len(predicted)))[:top]
    assert rows.tolist() == [row for _, _, row in keys]
    assert fronts.tolist() == [front for front, _, _ in keys]


@given(predictions(), st.integers(-2, 2), st.integers(-2, 2))
def test_only_candidates_that_meet_all_conditions_are_ranked(predicted, least, most):
    order = Order.of(TWO, where=(f"accuracy>={least}", Condition("latency_ms", "<", most)), pareto=True)
    meet = [row for row, (a, b) in enumerate(predicted.tolist()) if a >= least and b < most]
    if meet:
        rows, fronts = order.choose(predicted, SPREAD)
        assert sorted(rows.tolist()) == meet
        assert min(fronts) == 0  # fronts of those that are left
    else:
        with pytest.raises(UsageError, match="no candidate"):
            order.choose(predicted, SPREAD)


def test_a_condition_that_nothing_meets_names_the_closest():
    predicted = np.array([[90.0, 7.0], [94.5, 6.25], [95.0, 8.5]])
    with pytest.raises(UsageError, match=r"^no candidate is predicted to have latency_ms<5; the closest has "
                                         r"latency_ms 6\.25$"):  # fmt: skip
        Order.of(TWO, where="latency_ms<5").choose(predicted, SPREAD)
    three = Order.of(TWO, where=("accuracy>=94", "accuracy<=95", "latency_ms>9"))
    with pytest.raises(UsageError, match=r"^no candidate with accuracy>=94 and accuracy<=95 is predicted to "
                                         r"have latency_ms>9; the closest has latency_ms 8\.5$"):  # fmt: skip
        three.choose(predicted, SPREAD)


def test_no_candidates_meet_every_condition():
    none = np.zeros((0, 2))
    for wish in ({}, {"pareto": True}, {"weights": {"accuracy": 1}}):
        assert len(Order.of(TWO, where="latency_ms<5", **wish).choose(none, SPREAD)[0]) == 0


def test_one_target_has_conditions_and_weights_too():
    one = Targets.of("accuracy", minimize=False)
    predicted = np.array([[93.0], [95.0], [94.5]])
    order = Order.of(one, {"accuracy": 2}, where="accuracy>94")
    assert order.choose(predicted, SPREAD[:1])[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        ({"weights": {"acuracy": 1}}, UnknownNameError, "unknown target 'acuracy'; .*mean 'accuracy'"),
        ({"where": ["latency<5"]}, UnknownNameError, "unknown target 'latency'.*'latency_ms'"),
        ({"where": "latency_ms"}, UsageError, "cannot read the condition 'latency_ms'"),
        ({"weights": {}}, UsageError, "weight above 0; give one to some of accuracy, latency_ms"),
        ({"weights": {"accuracy": 0}}, UsageError, "no target has a weight above 0"),
        ({"weights": {"accuracy": -1}}, UsageError, "a finite number of at least 0, not -1; .*minimize"),
        ({"weights": {"accuracy": math.nan}}, UsageError, "must be a finite number of at least 0, not nan"),
        ({"weights": {"accuracy": math.inf}}, UsageError, "must be a finite number of at least 0, not inf"),
        ({"weights": {"accuracy": "1"}}, UsageError, "must be a finite number of at least 0, not '1'"),
        ({"weights": {"accuracy": 1}, "pareto": True}, UsageError, "two orders; choose one of them"),
    ],
)  # fmt: skip
def test_wishes_that_make_no_sense(wish, error, message):
    with pytest.raises(error, match=message):
        Order.of(TWO, **wish)


def test_one_target_has_no_pareto_front():
    with pytest.raises(UsageError, match="Pareto front needs two targets or more"):
        Order.of(Targets.of(None, minimize=False), pareto=True)
