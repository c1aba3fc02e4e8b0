"""Architectures in the networks that their benchmarks trained, whole or reduced, and what these cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from archflow.errors import UsageError, short
from archflow.graphs import Architecture, ArchitectureTable
from archflow.networks.nasbench101_network import NASBench101Network
from archflow.networks.nasbench201_network import NASBench201Network
from archflow.protocols import FloatArray
from archflow.spaces import NASBench101, NASBench201
from archflow.spaces.counts import FLOPS, MULTIPLY_ADDS, PARAMETERS, Measure, Skeleton

__all__ = ["SKELETONS", "Skeleton", "build_network", "count_flops", "count_multiply_adds", "count_parameters"]

SKELETONS: Mapping[str, Mapping[str, Skeleton]] = {
    "nasbench201": {
        "full": NASBench201.skeleton,
        "reduced": Skeleton((16, 32, 64), cells=3, image=(3, 16, 16), classes=10),
    },
    "nasbench101": {
        "full": NASBench101.skeleton,
        "reduced": Skeleton((16, 32, 64), cells=1, image=(3, 16, 16), classes=10),
    },
}
"""By space: "full", the published CIFAR-10 network, and "reduced", which one core runs in milliseconds."""

_NETWORKS: Mapping[str, Callable[[Architecture, Skeleton], nn.Module]] = {
    "nasbench201": NASBench201Network,
    "nasbench101": NASBench101Network,
}
_COUNTS: Mapping[str, Callable[[Measure, ArchitectureTable, Skeleton], FloatArray]] = {
    "nasbench201": NASBench201().count,
    "nasbench101": NASBench101().count,
}


def build_network(space_name: str, architecture: Architecture, skeleton: Skeleton) -> nn.Module:
    """Build the network of an architecture, its weights drawn as in the published training.

    Args:
        space_name: A name in `SKELETONS`.
        architecture: A cell of that space, in any form of its graph.
        skeleton: What it is stacked into, such as `SKELETONS["nasbench201"]["reduced"]`.

    Returns:
        A module in training mode that maps images (B, image channels, H, W) to class scores (B, K); the same
        after the same `torch.manual_seed`.

    Raises:
        UsageError: The space has no networks, or a stage is too narrow for its cells.
        InvalidArchitectureError: The architecture is not of the space.
    """
    _require_networks(space_name)
    return _NETWORKS[space_name](architecture, skeleton)


def count_parameters(space_name: str, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
    """Count the trainable parameters of each architecture's network, (A,) float64.

    In NAS-Bench-201 every node of the graph counts, as written also those that nothing reaches, as in the
    published counts; in NAS-Bench-101 vertices off every path are dropped first, again as published.

    Args:
        space_name: A name in `SKELETONS`.
        table: A architectures of that space, in any form.
        skeleton: What they are stacked into.

    Raises:
        UsageError: The space has no networks, or a stage is too narrow for its cells.
        UnknownNameError: The table's vocabulary has an operation that is not of the space.
        InvalidArchitectureError: An architecture is too large for the space.
    """
    return _count(PARAMETERS, space_name, table, skeleton)


def count_flops(space_name: str, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
    """Count the operations of each architecture's network for one image, (A,) float64.

    A multiplication and the addition behind it are one operation; batch norms, ReLUs and pooling count too
    (`archflow.spaces.counts.FLOPS`). Which nodes count, the arguments and the errors are those of
    `count_parameters`.
    """
    return _count(FLOPS, space_name, table, skeleton)


def count_multiply_adds(space_name: str, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
    """Count the multiply-adds of convolutions and the linear layer for one image, (A,) float64.

    Half of what `torch.utils.flop_counter` reports, which counts both. Which nodes count, the arguments and
    the errors are those of `count_parameters`.
    """
    return _count(MULTIPLY_ADDS, space_name, table, skeleton)


def _count(measure: Measure, space_name: str, table: ArchitectureTable, skeleton: Skeleton) -> FloatArray:
    _require_networks(space_name)
    return _COUNTS[space_name](measure, table, skeleton)


def _require_networks(space_name: str) -> None:
    if space_name not in _NETWORKS:
        raise UsageError(f"space {short(space_name)} has no networks; {' and '.join(_NETWORKS)} have")
