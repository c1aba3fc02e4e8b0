"""Encoders: a batch of graphs to node and graph embeddings, one architecture a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from archflow.encoders.dagnn import DAGNN
from archflow.encoders.flowerformer import FlowerFormer
from archflow.encoders.gated_gcn import GatedGCN
from archflow.encoders.gin import GIN
from archflow.encoders.graph_transformer import GraphTransformer
from archflow.encoders.message_passing import NodeEmbedding, fit_scale
from archflow.encoders.mlp import MLP
from archflow.encoders.ta_gates import TAGATES
from archflow.errors import UsageError, unknown_name

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "gin": GIN,
    "gated_gcn": GatedGCN,
    "graph_transformer": GraphTransformer,
    "dagnn": DAGNN,
    "ta_gates": TAGATES,
    "flowerformer": FlowerFormer,
    "mlp": MLP,
}
"""Every encoder by name."""

SIZES: dict[str, dict[str, int]] = {
    "dagnn": {"layers": 2},
    "ta_gates": {"layers": 2},
    "flowerformer": {"width": 64, "layers": 9},
}
"""The usual width and layers of encoders where they are not those of `EncoderConfig`, as published."""


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, and its sizes.

    Attributes:
        name: A key of `ENCODERS`.
        width: D, the width of every layer and of the embeddings.
        layers: Number of message-passing layers.
        dropout: Share of activations dropped in training, in [0, 1).
    """

    name: str = "gin"
    width: int = 128
    layers: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.name not in ENCODERS:
            raise unknown_name("encoder", self.name, ENCODERS)
        whole = all(isinstance(size, int) and size >= 1 for size in (self.width, self.layers))
        if not (whole and 0 <= self.dropout < 1):
            raise UsageError(
                f"an encoder needs whole width >= 1 and layers >= 1, and dropout in [0, 1), not {self}"
            )

    @classmethod
    def default(cls, name: str) -> EncoderConfig:
        """Return an encoder at its usual sizes: `SIZES`, else those of this class."""
        return cls(name, **SIZES.get(name, {}))

    def build(self, n_operations: int, n_attributes: int = 0) -> nn.Module:
        """Build the encoder for so many operations and node attributes, with fresh random weights."""
        sizes: dict[str, Any] = {"width": self.width, "layers": self.layers, "dropout": self.dropout}
        return ENCODERS[self.name](n_operations, n_attributes, **sizes)


__all__ = [
    "DAGNN",
    "ENCODERS",
    "GIN",
    "MLP",
    "SIZES",
    "TAGATES",
    "EncoderConfig",
    "FlowerFormer",
    "GatedGCN",
    "GraphTransformer",
    "NodeEmbedding",
    "fit_scale",
]
