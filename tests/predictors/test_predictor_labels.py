"""Labels: checked once, at the door, and the same after a trip to disk."""

import math

import numpy as np
import pytest

from archflow.errors import TableError
from archflow.predictors.labels import Labels, label_array
from archflow.predictors.measured import MeasuredArchitectures
from archflow.predictors.targets import Targets
from archflow.training import load_checkpoint, save_checkpoint


def test_good_labels_are_floats(table):
    labels = Labels(table[:4], [4, 3, 2, 1])
    assert labels.values.dtype == np.float64
    assert labels.values.tolist() == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, 3.0], "3 labels are too few; at least 4 are needed"),
        ([], "0 labels are too few"),
        ([7.0] * 24, r"all 24 labels are 7\.0; a constant ranks nothing"),
        ([*range(23), math.nan], "labels must be finite; label 24 of 24 is nan"),
        ([math.inf, *range(23)], "label 1 of 24 is inf"),
        (np.arange(24).reshape(2, 12), r"labels must have one axis, \(n,\); they have shape \(2, 12\)"),
        (range(23), "24 architectures need as many labels, not 23"),
        (range(25), "24 architectures need as many labels, not 25"),
    ],
)
def test_bad_labels_are_refused(table, values, message):
    with pytest.raises(TableError, match=message):
        Labels(table, values)


def test_labels_survive_a_checkpoint(table, values, tmp_path):
    labels = Labels(table, values)
    save_checkpoint(tmp_path, labels.tensors(), {})
    back = Labels.restore(load_checkpoint(tmp_path)[0], table.operations)
    assert back.values.tobytes() == values.tobytes()
    assert list(back.table) == list(table)
    assert back.table.digest() == table.digest()


def test_saving_labels_copies_them(table, values):
    labels = Labels(table, values)
    labels.tensors()["values"].zero_()
    assert labels.values.tobytes() == values.tobytes()


def test_each_target_keeps_the_architectures_that_have_it(table):
    values = np.stack([np.arange(24.0), np.arange(24.0) ** 2], axis=1)
    values[[2, 5], 1] = np.nan
    first, second = Labels.by_target(table, values, Targets(("a", "b"), (False, True)))
    rows = [row for row in range(24) if row not in (2, 5)]
    assert first.values.tolist() == list(range(24))
    assert second.values.tolist() == [-(row**2.0) for row in rows]
    assert first.table.digest() == table.digest()
    assert list(second.table) == [table[row] for row in rows]


def test_one_axis_has_no_gaps(table):
    with pytest.raises(TableError, match="labels must be finite; label 1 of 24 is nan"):
        Labels.by_target(table, np.array([math.nan, *range(23)]), Targets.of(None, minimize=False))


@pytest.mark.parametrize("shape", [(), (3, 0), (2, 2, 2)])
def test_labels_have_one_axis_or_two(shape):
    with pytest.raises(TableError, match="labels must have the axis"):
        label_array(np.zeros(shape))


@pytest.mark.parametrize("values", [["high"], [[1.0], [1.0, 2.0]], [None, "x"]])
def test_labels_are_numbers(values):
    with pytest.raises(TableError, match="labels must be numbers"):
        label_array(values)


def test_what_is_missing_in_a_list_is_a_gap():
    assert np.isnan(label_array([[1, None], [2, 3]])[0, 1])


def test_measured_columns_survive_too(table, values, tmp_path):
    columns = np.random.default_rng(0).normal(size=(len(table), 2))
    columns[4, 0] = np.nan
    labels = Labels(MeasuredArchitectures.join(table, columns, ("a", "b")), values)
    save_checkpoint(tmp_path, labels.tensors(), {})
    tensors, _ = load_checkpoint(tmp_path)
    back = Labels.restore(tensors, table.operations)
    np.testing.assert_array_equal(back.table.measured, columns)
    assert list(back.table) == list(table)


def test_the_labelled_of_all_targets(table, values):
    two = Labels(table[:5], values[:5]), Labels(table[3:9], values[3:9])
    assert list(Labels.joined(two)) == [*table[:5], *table[3:9]]
    columns = np.arange(48.0).reshape(24, 2)
    joined = MeasuredArchitectures.join(table, columns, ("a", "b"))
    both = Labels.joined([Labels(joined[:5], values[:5]), Labels(joined[3:9], values[3:9])])
    np.testing.assert_array_equal(both.measured, np.concatenate([columns[:5], columns[3:9]]))
