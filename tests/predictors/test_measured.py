"""Measured columns: they stay beside their architectures, help the blends, and are refused elsewhere."""

import re

import numpy as np
import pytest

from archflow.errors import ArchflowError, CheckpointError, TableError, UsageError
from archflow.graphs import Architecture, ArchitectureTable
from archflow.metrics import kendall_tau
from archflow.predictors import METHODS, Predictor
from archflow.predictors.blocks import FeatureBlocks
from archflow.predictors.experts import KernelExpert, TreesExpert
from archflow.predictors.labels import Labels
from archflow.predictors.measured import (
    MeasuredArchitectures,
    beside,
    fitted_columns,
    require_values,
    wished_columns,
)
from archflow.training import load_checkpoint, save_checkpoint

NAMES = ("params", "synflow")
BLENDS = [name for name in METHODS if METHODS[name].views]
QUICK = "onehot-gp"


@pytest.fixture(scope="module")
def columns(table):
    """Two columns of the 24 labelled cells, with gaps."""
    numbers = np.random.default_rng(4).normal(size=(len(table), 2)) * [1e6, 1]
    numbers[[2, 5], 0] = numbers[7, 1] = np.nan
    return numbers


@pytest.fixture(scope="module")
def more(candidates):
    """The same columns of the candidates."""
    numbers = np.random.default_rng(5).normal(size=(len(candidates), 2)) * [1e6, 1]
    numbers[3] = np.nan
    return numbers


@pytest.fixture(scope="module")
def fitted(make, table, values, columns):
    return make(QUICK, columns=NAMES).fit(table, values, columns=columns)


# A table with columns


def test_chosen_rows_keep_their_columns(table, columns):
    joined = MeasuredArchitectures.join(table, columns, NAMES)
    for rows in (slice(3, 9), [5, 2, 2], np.arange(24) % 3 == 0, np.array([], dtype=int), -np.arange(1, 4)):
        chosen = joined[rows]
        assert list(chosen) == list(table[rows])
        np.testing.assert_array_equal(chosen.measured, columns[rows])
    assert isinstance(joined[3], Architecture)
    assert joined[-1] == table[-1]
    np.testing.assert_array_equal(joined.collapsed().measured, columns)
    assert list(joined.collapsed()) == list(table.collapsed())


def test_joined_tables_keep_theirs(table, columns):
    one, other = (MeasuredArchitectures.join(table[r], columns[r], NAMES) for r in (slice(9), slice(9, 24)))
    both = MeasuredArchitectures.concatenate([one, other])
    np.testing.assert_array_equal(both.measured, columns)
    assert list(both) == list(table)
    with pytest.raises(TableError, match="the same measured columns"):
        MeasuredArchitectures.concatenate([one, table])
    with pytest.raises(TableError, match="the same measured columns"):
        MeasuredArchitectures.concatenate([one, MeasuredArchitectures.join(table, columns[:, :1], ["a"])])


def test_the_block_is_a_logarithm_with_gaps_filled(table):
    numbers = np.array([[0.0, np.e - 1], [1 - np.e, np.nan], [np.nan, 1 - np.e**3]])
    labelled = MeasuredArchitectures.join(table[:3], numbers, NAMES)
    blocks = FeatureBlocks(labelled)
    np.testing.assert_allclose(
        blocks.of(labelled, "measured columns"), [[0, 1], [-1, -1], [-0.5, -3]], rtol=1e-6
    )
    other = MeasuredArchitectures.join(table[4:6], [[np.nan, np.nan], [1e308, -1e308]], NAMES)
    found = blocks.of(other, "measured columns")
    np.testing.assert_allclose(found[0], [-0.5, -1])
    assert np.isfinite(found).all()


# What they do


def test_every_part_sees_them(space):
    """Labels that nothing but a column tells."""
    table = space.sample(120, np.random.default_rng(3))
    scores = np.random.default_rng(4).normal(size=120)
    joined = MeasuredArchitectures.join(table, np.exp(3 * scores)[:, None], ["secret"])
    labels = Labels(joined[:60], scores[:60])
    blocks = FeatureBlocks(joined[:60])
    for expert in (KernelExpert(blocks, "function", labels, 0), TreesExpert(blocks, labels, 0)):
        assert kendall_tau(expert.predict(joined[60:])[0], scores[60:]) > 0.7
    assert "measured columns" in KernelExpert(blocks, "one-hot", labels, 0).explain()


@pytest.mark.parametrize("method", BLENDS)
def test_a_column_that_tells_is_learnt_from(make, table, values, candidates, method):
    truth = np.random.default_rng(6).normal(90, 3, size=len(candidates))
    blind = make(method).fit(table, values)
    seeing = make(method).fit(table, values, columns=values[:, None])
    assert kendall_tau(seeing.predict(candidates, columns=truth[:, None]), truth) > 0.6
    assert abs(kendall_tau(blind.predict(candidates), truth)) < 0.4
    assert "measured columns" in seeing.explain()
    assert "measured columns" not in blind.explain()


def test_all_ways_to_predict_take_them(fitted, candidates, more):
    mean, std = fitted.predict(candidates, columns=more, return_std=True)
    assert np.isfinite(mean).all()
    ranking = fitted.rank(candidates, columns=more)
    assert ranking.rows.tolist() == np.argsort(-mean, kind="stable").tolist()
    np.testing.assert_allclose(ranking.std, std[ranking.rows])
    assert type(ranking.architectures) is ArchitectureTable
    lower, upper = fitted.interval(candidates, columns=more)
    assert ((lower < mean) & (mean < upper)).all()
    shuffled = fitted.predict(candidates, columns=more[::-1])
    assert kendall_tau(shuffled, mean) < 0.99
    as_lists = fitted.predict(list(candidates), columns=more.tolist())
    assert as_lists.tobytes() == mean.tobytes()


def test_candidates_are_independent_of_each_other(fitted, candidates, more):
    mean = fitted.predict(candidates, columns=more)
    back = fitted.predict(candidates[::-1], columns=more[::-1])[::-1]
    np.testing.assert_allclose(back, mean, rtol=1e-6)
    alone = [fitted.predict(candidates[[row]], columns=more[[row]])[0] for row in range(5)]
    np.testing.assert_allclose(alone, mean[:5], rtol=1e-6)
    assert fitted.predict([], columns=np.zeros((0, 2))).shape == (0,)


def test_several_targets_take_the_columns_of_their_own_labels(make, table, values, candidates, columns, more):
    both = np.stack([values, values[::-1]], axis=1)
    both[:4, 0] = both[-6:, 1] = np.nan
    predicted = make(QUICK).fit(table, both, columns=columns).predict(candidates, columns=more)
    alone = make(QUICK).fit(table[4:], both[4:, 0], columns=columns[4:])
    # The filling of gaps is shared; everything else is the target's own.
    np.testing.assert_allclose(predicted[:, 0], alone.predict(candidates, columns=more), rtol=2e-2)


def test_inputs_are_left_alone(make, table, values, columns, candidates, more):
    before = columns.tobytes(), more.tobytes()
    make(QUICK).fit(table, values, columns=columns).rank(candidates, 3, columns=more)
    assert (columns.tobytes(), more.tobytes()) == before


# Saved and loaded


@pytest.mark.parametrize("several", [False, True])
def test_loading_gives_the_same(make, space, table, values, columns, candidates, more, tmp_path, several):
    labels = values
    if several:
        labels = np.stack([values, values**2], axis=1)
        labels[:5, 0] = np.nan
    predictor = make(QUICK, columns=NAMES).fit(table, labels, columns=columns)
    predictor.save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", space)
    assert loaded.config == predictor.config
    assert loaded.config.columns == NAMES
    one, other = (p.predict(candidates, columns=more).tobytes() for p in (predictor, loaded))
    assert one == other
    loaded.save(tmp_path / "again")
    assert load_checkpoint(tmp_path / "again")[1] == load_checkpoint(tmp_path / "model")[1]


@pytest.mark.parametrize("names", [[], ["params"], ["a", "b", "c"]])
def test_a_checkpoint_with_other_columns(fitted, space, tmp_path, names):
    fitted.save(tmp_path / "model")
    tensors, content = load_checkpoint(tmp_path / "model")
    content["config"]["columns"] = names
    save_checkpoint(tmp_path / "model", tensors, content)
    with pytest.raises(CheckpointError, match=rf"names {len(names)} measured columns?, but has 2"):
        Predictor.load(tmp_path / "model", space)


def test_a_checkpoint_from_before_there_were_any(make, space, table, values, candidates, tmp_path):
    predictor = make(QUICK).fit(table, values)
    predictor.save(tmp_path / "model")
    tensors, content = load_checkpoint(tmp_path / "model")
    del content["config"]["columns"]
    save_checkpoint(tmp_path / "model", tensors, content)
    loaded = Predictor.load(tmp_path / "model", space)
    assert loaded.predict(candidates).tobytes() == predictor.predict(candidates).tobytes()


def test_the_next_fit_may_do_without(make, table, values, candidates, columns):
    predictor = make(QUICK).fit(table, values, columns=columns)
    assert predictor.config.columns == ("column_1", "column_2")
    predictor.fit(table, values)
    assert predictor.config.columns == ()
    plain = make(QUICK).fit(table, values).predict(candidates)
    assert predictor.predict(candidates).tobytes() == plain.tobytes()


# Used wrongly


@pytest.mark.parametrize("method", [name for name in METHODS if name not in BLENDS])
def test_methods_that_take_none_say_what_does(make, table, values, columns, method):
    message = re.escape(f"method '{method}' takes no measured columns; choose auto")
    with pytest.raises(UsageError, match=message):
        make(method).fit(table, values, columns=columns)
    with pytest.raises(UsageError, match=message):
        make(method, columns=NAMES)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "a"), "measured column 'a' is named twice"),
        (("a", ""), "must be some text, not ''"),
        (("a", 3), "must be some text, not 3"),
    ],
)
def test_names_that_make_no_sense(names, message):
    with pytest.raises(UsageError, match=message):
        wished_columns(METHODS["auto"], names)


def test_names_that_do():
    assert wished_columns(METHODS["auto"], "synflow") == ("synflow",)
    assert wished_columns(METHODS["auto"], ["a", "b"]) == ("a", "b")
    assert wished_columns(METHODS["gin"], None) is None
    assert wished_columns(METHODS["gin"], ()) == ()
    assert fitted_columns(METHODS["auto"], None, [[1, 2]]) == ("column_1", "column_2")
    assert fitted_columns(METHODS["auto"], ("a",), [[1]]) == ("a",)
    assert fitted_columns(METHODS["gin"], None, None) == ()


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (lambda c: c[:, :1], UsageError, r"for 2 measured columns \(params, synflow\), and fit got 1"),
        (lambda c: None, UsageError, r"for 2 measured columns \(params, synflow\), and fit got none"),
        (lambda c: c[:23], TableError, "24 architectures need as many rows of measured columns, not 23"),
        (lambda c: c[:, 0], TableError, r"must have the axes .* they have shape \(24,\)"),
        (lambda c: c[:, :0], TableError, r"they have shape \(24, 0\)"),
        (lambda c: c.astype(str).astype(object) + "x", TableError, "measured columns must be numbers"),
        (lambda c: np.where(np.arange(24)[:, None] == 6, [1, np.inf], c), TableError,
         "measured column synflow: row 7 of 24 is inf; it must be finite, or NaN"),
        (lambda c: c * [np.nan, 1], TableError,
         "measured column params is empty for all labels; leave it out"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_fitted(make, table, values, columns, broken, error, message):
    predictor = make(QUICK, columns=NAMES)
    with pytest.raises(error, match=message) as raised:
        predictor.fit(table, values, columns=broken(columns.copy()))
    assert isinstance(raised.value, ArchflowError)
    with pytest.raises(UsageError, match="has seen no labels"):
        predictor.predict(table)


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (lambda c: None, UsageError, r"fitted with measured columns \(params, synflow\); pass columns="),
        (lambda c: c[:, :1], UsageError, r"fitted with 2 measured columns \(params, synflow\), but 1 given"),
        (lambda c: c[:9], TableError, "40 architectures need as many rows of measured columns, not 9"),
        (lambda c: c - np.inf, TableError, "measured column params: row 1 of 40 is -inf"),
    ],
)
def test_columns_that_cannot_be_predicted_from(fitted, candidates, more, broken, error, message):
    for use in (fitted.predict, fitted.rank, fitted.interval):
        with pytest.raises(error, match=message):
            use(candidates, columns=broken(more.copy()))


def test_columns_for_a_predictor_without(make, table, values, candidates, more):
    predictor = make(QUICK).fit(table, values)
    with pytest.raises(UsageError, match="fitted without measured columns; leave columns out"):
        predictor.predict(candidates, columns=more)


def test_no_columns_and_no_names_leave_a_table_as_it_is(table):
    assert beside(table, None, ()) is table
    require_values(table, ())
