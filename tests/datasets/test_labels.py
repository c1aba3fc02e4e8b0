import numpy as np
import pytest

from archflow.datasets import require_labels
from archflow.errors import TableError


def test_good_labels_come_back_as_floats():
    labels = require_labels([3, 1, 2, 2])
    assert labels.dtype == np.float64
    assert labels.tolist() == [3, 1, 2, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "3 labels are too few; at least 4 are needed"),
        ([], "0 labels are too few"),
        ([7.5] * 5, r"all 5 labels are 7\.5; a constant ranks nothing"),
        ([1, 2, np.nan, 4], "labels must be finite; label 3 of 4 is nan"),
        ([1, 2, 3, -np.inf], "label 4 of 4 is -inf"),
        ([[1, 2], [3, 4]], r"labels must have one axis, \(n,\); they have shape \(2, 2\)"),
        (["a", "b", "c", "d"], "labels must be numbers"),
    ],
)
def test_bad_labels_are_refused(values, message):
    with pytest.raises(TableError, match=message):
        require_labels(values)


def test_where_begins_the_message_and_the_minimum_can_be_set():
    with pytest.raises(TableError, match=r"^results\.csv: acc: 4 labels are too few; at least 5"):
        require_labels([1, 2, 3, 4], minimum=5, where="results.csv: acc")
    assert len(require_labels([1, 2], minimum=2)) == 2
