"""The scale of attributes: logarithms, standardised over the nodes that have them."""

import numpy as np
import pytest

from archflow.graphs import LOGARITHM, AttributeScale, Columns
from archflow.testing import SIZED_TOY_OPERATIONS, toy_table


def columns_with(attributes):
    values = np.array(attributes, dtype=np.float32)
    return Columns.of([[0] * len(values)], [[]], values)


def test_present_numbers_have_mean_zero_and_deviation_one():
    columns = toy_table(60, operations=SIZED_TOY_OPERATIONS).columns
    scaled = AttributeScale.of(columns)(columns.attributes)
    assert scaled.dtype == np.float32
    assert ((scaled == 0) | (columns.attributes != 0)).all()
    for name in range(2):
        present = scaled[columns.attributes[:, name] != 0, name]
        assert present.mean() == pytest.approx(0, abs=1e-6)
        assert present.std() == pytest.approx(1, abs=1e-6)


def test_a_doubled_size_is_the_same_step_everywhere():
    scale = AttributeScale.of(columns_with([[16], [64], [256]]))
    steps = np.diff(scale(np.array([[1e3], [2e3], [1e6], [2e6]], dtype=np.float32))[:, 0])
    assert steps[0] == pytest.approx(steps[2], rel=1e-3)


def test_an_attribute_that_does_not_vary_still_tells_who_has_it():
    scale = AttributeScale.of(columns_with([[3, 0], [3, 0], [0, 0]]))
    assert scale(np.array([[3, 0], [0, 0]], dtype=np.float32)).tolist() == [[1, 0], [0, 0]]
    assert np.isfinite(scale(np.array([[5, 7]], dtype=np.float32))).all()


def test_the_sign_counts():
    assert LOGARITHM(np.array([[-7.0], [7.0], [0.0]], dtype=np.float32)).reshape(-1) == pytest.approx(
        [-np.log(8), np.log(8), 0]
    )


def test_no_architecture_and_no_attribute():
    assert AttributeScale.of(columns_with(np.zeros((3, 0))))(np.zeros((3, 0), np.float32)).shape == (3, 0)
    assert np.isfinite(AttributeScale.of(columns_with(np.zeros((0, 2)))).spread).all()
