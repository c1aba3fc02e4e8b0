"""Skeletons in range, and what single layers count, by hand."""

import numpy as np
import pytest

from archflow.errors import UsageError
from archflow.spaces.counts import FLOPS, MULTIPLY_ADDS, PARAMETERS, Skeleton


def test_sides_are_halved_from_stage_to_stage():
    skeleton = Skeleton((4, 8, 16), cells=1, image=(3, 8, 12), classes=10)
    assert [skeleton.sides(stage) for stage in range(3)] == [(8, 12), (4, 6), (2, 3)]
    assert [skeleton.pixels(stage) for stage in range(3)] == [96, 24, 6]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channels": ()}, "builds no network"),
        ({"channels": (4, 0)}, "every number is 1 or more"),
        ({"cells": 0}, "every number is 1 or more"),
        ({"image": (0, 8, 8)}, "every number is 1 or more"),
        ({"classes": -1}, "every number is 1 or more"),
        ({"image": (3, 8, 6)}, "8x6 pixels cannot be halved between 3 stages; .* multiples of 4"),
    ],
)
def test_what_builds_no_network_is_refused(change, reason):
    numbers = {"channels": (4, 8, 16), "cells": 1, "image": (3, 8, 8), "classes": 10}
    with pytest.raises(UsageError, match=reason):
        Skeleton(**{**numbers, **change})


@pytest.mark.parametrize(
    ("measure", "convolution", "norm", "relu", "pooling", "head"),
    [
        (PARAMETERS, 9 * 3 * 5, 2 * 5, 0, 0, 5 * 10 + 10),
        (FLOPS, 16 * 9 * 3 * 5, 16 * 2 * 5, 16 * 5, 16 * 9 * 5, (4 + 1) * (6 + 1) * 5 + 5 * 10),
        (MULTIPLY_ADDS, 16 * 9 * 3 * 5, 0, 0, 0, 5 * 10),
    ],
)
def test_layers_count_as_written_out(measure, convolution, norm, relu, pooling, head):
    assert measure.convolution(9, 3 * 5, 16) == convolution
    assert measure.norms(5, 16) == norm
    assert measure.relus(5, 16) == relu
    assert measure.pooling(9, 5, 16) == pooling
    assert measure.head(Skeleton((3, 5), cells=1, image=(3, 8, 12), classes=10)) == head


def test_layers_of_many_networks_are_counted_at_once():
    widths = np.array([1, 0, 7])
    assert FLOPS.norms(widths, 4).tolist() == [FLOPS.norms(width, 4) for width in (1, 0, 7)]
