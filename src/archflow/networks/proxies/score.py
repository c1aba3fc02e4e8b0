"""Every wanted proxy of one network, with as few passes as they need together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from archflow.errors import unknown_name
from archflow.networks.proxies.images import ImageBatch
from archflow.networks.proxies.measures import MEASURES
from archflow.networks.proxies.passes import Passes


def score_network(
    network: nn.Module, batch: ImageBatch, proxies: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """Return zero-cost proxies of a network with the weights that it has, which should be random.

    Args:
        network: Maps images (B, C, H, W) to class scores (B, K); built of convolutions, batch norms, ReLU
            modules and linear layers, for "zen" with an `AdaptiveAvgPool2d` before the head. It is left as
            it was.
        batch: The images and labels that it sees.
        proxies: Names in `MEASURES`.
        seed: Fixes what "zen" draws.

    Returns:
        The proxies by name, in the order asked for; NaN where one is undefined, as for a network that
        ignores its images, or leaves the range of floating point.

    Raises:
        UnknownNameError: There is no such proxy.
        UsageError: "zen" is asked for and the network has no `AdaptiveAvgPool2d`.
    """
    for name in proxies:
        if name not in MEASURES:
            raise unknown_name("proxy", name, MEASURES)
    needs = {need for name in proxies for need in MEASURES[name].needs}
    passes = Passes(network, batch, needs, seed=seed)
    with torch.enable_grad():
        values = {name: MEASURES[name].measure(passes) for name in proxies}
    return {name: value if math.isfinite(value) else math.nan for name, value in values.items()}
