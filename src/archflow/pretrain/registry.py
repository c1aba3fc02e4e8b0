"""Every pretext task by name, and how a command line writes a sum of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from archflow.errors import UsageError, short, unknown_name
from archflow.flow import FlowSurrogate, OperationFlow, OperationFlowConfig
from archflow.flow.simulation import Direction
from archflow.graphs import ArchitectureTable
from archflow.pretrain.contrastive import Contrastive
from archflow.pretrain.graph_reconstruction import GraphReconstruction
from archflow.pretrain.masked_operations import MaskedOperations
from archflow.pretrain.objectives import FlowReconstruction, ProxyRanking, WeightedSum
from archflow.pretrain.pair_prediction import PairPrediction
from archflow.protocols import FloatArray

if TYPE_CHECKING:
    from archflow.pretrain.config import PretrainConfig


OPERATION_FLOW_WIDTH = 32
"""k of the operation-aware flow that is reconstructed: 2 k numbers, from both passes."""


@dataclasses.dataclass(frozen=True)
class Material:
    """What a run has that objectives can be made of.

    Attributes:
        config: The choices of the run.
        table: The A distinct graphs, in the form that the encoder sees.
        surrogate: The flow surrogate that was drawn for them.
        proxy: The column to rank by, (A,); NaN where there is none.
    """

    config: PretrainConfig
    table: ArchitectureTable
    surrogate: FlowSurrogate
    proxy: FloatArray

    @property
    def width(self) -> int:
        """D, the width of the embeddings."""
        return self.config.encoder.width


def _flow(material: Material, direction: Direction) -> nn.Module:
    surrogate = dataclasses.replace(material.surrogate, direction=direction)
    return FlowReconstruction(
        material.width,
        surrogate(material.table, dtype=np.float64),
        layers=material.config.decoder_layers,
        standardize=material.config.standardize,
    )


def _operation_flow(material: Material) -> nn.Module:
    flow = OperationFlow.draw(
        material.table.operations,
        OperationFlowConfig(width=OPERATION_FLOW_WIDTH),
        material.config.seed,
        material.surrogate.scale,
    )
    features = flow(material.table, dtype=np.float64)
    return FlowReconstruction(material.width, features, layers=material.config.decoder_layers)


OBJECTIVES: Mapping[str, Callable[[Material], nn.Module]] = {
    "flow": functools.partial(_flow, direction="both"),
    "flow-forward": functools.partial(_flow, direction="forward"),
    "flow-backward": functools.partial(_flow, direction="backward"),
    "operation-flow": _operation_flow,
    "proxy": lambda m: ProxyRanking(m.width, m.proxy),
    "graph-reconstruction": lambda m: GraphReconstruction(m.width, len(m.table.operations)),
    "masked-operations": lambda m: MaskedOperations(m.width, m.table.operations),
    "contrastive": lambda m: Contrastive(m.width, m.table),
    "path": lambda m: PairPrediction(m.width, paths=True),
    "adjacency": lambda m: PairPrediction(m.width, paths=False),
}
"""Every objective by name: what makes it of a run's material."""


def build_objectives(material: Material) -> WeightedSum:
    """Return the weighted sum of objectives that a run's settings ask for."""
    weights = material.config.objectives
    return WeightedSum({name: OBJECTIVES[name](material) for name in weights}, weights)


def parse_objectives(text: str) -> dict[str, float]:
    """Read a sum of objectives: names joined by "+", with a weight each or all of equal weight.

    Args:
        text: Such as "contrastive", "flow+proxy" or "flow=0.7+proxy=0.3".

    Returns:
        The weight of each name, in the order given; where none is given, they add up to 1.

    Raises:
        UnknownNameError: A name is no objective.
        UsageError: A name is repeated, a weight is no number, or only some have one.
    """
    parts = [part.strip().partition("=") for part in text.split("+")]
    names = [name.strip() for name, _, _ in parts]
    for name in names:
        if name not in OBJECTIVES:
            raise unknown_name("objective", name, OBJECTIVES)
        if names.count(name) > 1:
            raise UsageError(
                f"objective {name!r} is there twice; give it once, with the weight it should have"
            )
    weighted = [bool(equals) for _, equals, _ in parts]
    if not any(weighted):
        return dict.fromkeys(names, 1 / len(names))
    if not all(weighted):
        raise UsageError(f"objectives {short(text)}: give each of them a weight, or none")
    try:
        return {name: float(weight) for name, (_, _, weight) in zip(names, parts, strict=True)}
    except ValueError:
        raise UsageError(
            f"objectives {short(text)}: a weight is no number; write flow=0.7+proxy=0.3"
        ) from None
