"""Rank neural architectures from a handful of trained ones, with flow-guided pre-training.

Example:
    import archflow as af

    space = af.spaces.get("nasbench201")
    table = af.read_table("results.csv", space, target="accuracy")
    predictor = af.Predictor(space).fit(table.architectures, table.values)
    ranking = predictor.rank(space.all(), top=10)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archflow import pretrain, spaces
    from archflow.datasets import read_table
    from archflow.graphs import Architecture, ArchitectureTable
    from archflow.predictors import METHODS, Predictor

# Names are fetched from their rooms when they are first used: importing archflow alone costs nothing.
_ROOMS = {
    "Architecture": "archflow.graphs",
    "ArchitectureTable": "archflow.graphs",
    "METHODS": "archflow.predictors",
    "Predictor": "archflow.predictors",
    "read_table": "archflow.datasets",
}

__all__ = [
    "METHODS",
    "Architecture",
    "ArchitectureTable",
    "Predictor",
    "pretrain",
    "read_table",
    "spaces",
]


def __getattr__(name: str) -> Any:
    if name in ("pretrain", "spaces"):
        return importlib.import_module(f"archflow.{name}")
    if name in _ROOMS:
        return getattr(importlib.import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'archflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
