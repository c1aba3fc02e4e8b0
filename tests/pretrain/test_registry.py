"""Objectives by name: how a sum of them is written."""

import math

import pytest

from archflow.errors import UnknownNameError, UsageError
from archflow.pretrain import OBJECTIVES, PretrainConfig, parse_objectives


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("flow", {"flow": 1.0}),
        ("flow+proxy", {"flow": 0.5, "proxy": 0.5}),
        (" proxy + flow-forward ", {"proxy": 0.5, "flow-forward": 0.5}),
        ("flow=0.7+proxy=0.3", {"flow": 0.7, "proxy": 0.3}),
        ("flow = 2 + proxy = 1e-3", {"flow": 2.0, "proxy": 0.001}),
    ],
)
def test_sums_as_text(text, weights):
    assert parse_objectives(text) == weights


def test_the_names_that_others_count_on():
    assert list(OBJECTIVES) == [
        "flow", "flow-forward", "flow-backward", "proxy", "graph-reconstruction", "masked-operations",
        "contrastive", "path", "adjacency",
    ]  # fmt: skip


def test_equal_weights_add_up_to_one():
    weights = parse_objectives("+".join(OBJECTIVES))
    assert list(weights) == list(OBJECTIVES)
    assert math.fsum(weights.values()) == pytest.approx(1)
    assert PretrainConfig(objectives=weights).objectives == weights


@pytest.mark.parametrize("text", ["", "flo", "flow+", "+flow", "flow++proxy", "flow,proxy", "=1", "Flow"])
def test_names_that_are_none_are_refused(text):
    with pytest.raises(
        UnknownNameError, match=r"unknown objective '.*'; choose from: .*flow-forward, .*proxy"
    ):
        parse_objectives(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow+flow", "'flow' is there twice"),
        ("flow=1+flow=2", "'flow' is there twice"),
        ("flow=0.7+proxy", "give each of them a weight, or none"),
        ("flow=", "a weight is no number"),
        ("flow=much", "a weight is no number"),
        ("flow=1=2", "a weight is no number"),
    ],
)
def test_bad_weights_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_objectives(text)
