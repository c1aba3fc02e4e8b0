"""Objectives by name: how a sum of them is written."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from archflow.errors import UnknownNameError, UsageError
from archflow.flow import FlowSurrogate, OperationFlow, OperationFlowConfig
from archflow.graphs import AttributeScale
from archflow.pretrain import OBJECTIVES, PretrainConfig, parse_objectives
from archflow.pretrain.registry import OPERATION_FLOW_WIDTH, Material
from archflow.testing import SIZED_TOY_OPERATIONS, toy_table


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("flow", {"flow": 1.0}),
        ("operation-flow=0.5+proxy=0.5", {"operation-flow": 0.5, "proxy": 0.5}),
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
        "flow", "flow-forward", "flow-backward", "operation-flow", "proxy", "graph-reconstruction",
        "masked-operations", "contrastive", "path", "adjacency",
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


def test_operation_flow_reconstructs_the_features_of_the_runs_seed():
    table = toy_table(50, operations=SIZED_TOY_OPERATIONS)
    scale = AttributeScale.of(table.columns)
    config = PretrainConfig(standardize=False, decoder_layers=3, seed=5)  # always standardised, even so
    surrogate = FlowSurrogate.draw(table.operations, config.surrogate, config.seed, scale)
    material = Material(config, table, surrogate, np.zeros(50))
    objective = OBJECTIVES["operation-flow"](material)
    settings = OperationFlowConfig(width=OPERATION_FLOW_WIDTH)
    features = OperationFlow.draw(table.operations, settings, 5, scale)(table, dtype=np.float64)
    assert features.shape == (50, 64)
    expected = (features - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_allclose(objective.targets, expected, rtol=1e-4, atol=1e-5)
    assert sum(isinstance(layer, torch.nn.Linear) for layer in objective.decoder) == 3
    other = OBJECTIVES["operation-flow"](dataclasses.replace(material, config=PretrainConfig(seed=6)))
    assert (other.targets - objective.targets).abs().max() > 0.1
