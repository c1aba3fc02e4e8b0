"""The zero-cost proxies, one function each: what a network with random weights tells about itself.

Formulas as in Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, where no other source
is named. A proxy that is undefined for a network, such as one that ignores its images, is not finite.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from archflow.errors import UsageError
from archflow.networks.proxies.passes import Need, Passes, hooked, training_statistics

_JACOV_FLOOR = 1e-5
_ZEN_STEP = 0.01


def naswot(passes: Passes) -> float:
    """Log-determinant of the kernel of ReLU codes: in how many units do two images agree?

    Source: Mellor et al., "Neural Architecture Search without Training", ICML 2021.
    """
    kernel = passes.codes_kernel
    if (kernel == kernel[0, 0]).sum() > len(kernel):  # equal codes: singular, but for rounding
        return -math.inf
    return float(torch.linalg.slogdet(kernel).logabsdet)


def jacov(passes: Passes) -> float:
    """How uncorrelated the images' Jacobians are: -sum of log(v + k) + 1 / (v + k), k = 1e-5.

    The v are the eigenvalues of the correlation matrix of the images' input gradients.

    Source: Mellor et al., "Neural Architecture Search without Training", first version (arXiv
    2006.04647v1), with the sum of all scores differentiated as in their code.
    """
    correlations = torch.corrcoef(passes.jacobians.double())
    if not correlations.isfinite().all():
        return math.nan
    values = torch.linalg.eigvalsh(correlations).clamp(min=0) + _JACOV_FLOOR
    return -float((values.log() + 1 / values).sum())


def snip(passes: Passes) -> float:
    """Sum of |w * dL/dw| over all weights (Lee et al., "SNIP", ICLR 2019)."""
    return _total((w * g).abs() for w, g in zip(passes.weights, passes.gradients, strict=True))


def grad_norm(passes: Passes) -> float:
    """Sum over layers of the Euclidean norm of the weight's gradient."""
    return _total(gradient.norm() for gradient in passes.gradients)


def fisher(passes: Passes) -> float:
    """Sum over channels of 1/2 mean_b (sum over positions of a * dL/da)^2, once a weight of the channel.

    Source: Turner et al., "BlockSwap", ICLR 2020; counted once a weight as by Abdelfattah et al.
    """
    parts = []
    for weight, (output, gradient) in zip(passes.weights, passes.activations, strict=True):
        saliency = (output * gradient).flatten(2).sum(2) if output.dim() > 2 else output * gradient  # (B, C)
        parts.append(saliency.square().mean(0).sum() / 2 * weight[0].numel())
    return _total(parts)


def grasp(passes: Passes) -> float:
    """Minus the sum of w * (H g) over all weights, with g the loss's gradient and H its Hessian.

    Source: Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020.
    """
    return -_total((w * h).sum() for w, h in zip(passes.weights, passes.curvature, strict=True))


def synflow(passes: Passes) -> float:
    """Log(1 + sum of |w * dR/dw|), R the sum of the scores of an image of ones, parameters made positive.

    Batch norms are left out and the sum is in double precision; the logarithm keeps the order and makes
    numbers of deep networks readable.

    Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic
    flow", NeurIPS 2020.
    """
    network, layers = passes.network, passes.layers
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    positive = [(parameter, parameter.detach().double().abs()) for parameter in network.parameters()]
    ones = torch.ones_like(passes.batch.images[:1], dtype=torch.float64)
    with training_statistics(network), _weights(positive), hooked(norms, lambda _, inputs, __: inputs[0]):
        weights = [layer.weight for layer in layers]
        found = torch.autograd.grad(network(ones).sum(), weights, allow_unused=True)
        flow = _total((w * g).sum() for w, g in zip(weights, found, strict=True) if g is not None)
    return math.log1p(flow)


def zen(passes: Passes) -> float:
    """Zen-score: log of the mean change of the last feature map under a step in the input, norms undone.

    log mean_b sum |f(x) - f(x + 0.01 e)| + sum over batch norms of log sqrt(mean variance), with f up to the
    pooling before the head, x and e Gaussian noise and every weight N(0, 1). Skip connections stay, which the
    paper removes.

    Source: Lin et al., "Zen-NAS", ICCV 2021.
    """
    network = passes.network
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    pooling = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    if not pooling:
        raise UsageError("zen looks at what an AdaptiveAvgPool2d pools before the head; the network has none")
    generator = torch.Generator().manual_seed(passes.seed)
    gaussian = [(weight, _normal_like(weight, generator)) for weight in passes.weights]
    images = _normal_like(passes.batch.images, generator)
    step = _ZEN_STEP * _normal_like(images, generator)
    maps: list[Tensor] = []
    logarithms: list[Tensor] = []

    def keep_variance(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
        centred = inputs[0] - inputs[0].mean((0, 2, 3), keepdim=True)
        logarithms.append(centred.square().mean().double().log())  # the mean over channels too

    keep_map = hooked(pooling[-1:], lambda _, inputs, __: maps.append(inputs[0]))
    with torch.no_grad(), training_statistics(network), _weights(gaussian), keep_map:
        with hooked(norms, keep_variance):
            network(images)
        network(images + step)
    change = (maps[0] - maps[1]).abs().double().sum((1, 2, 3)).mean()
    return (change.log() + sum(logarithms) / 2).item()


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A zero-cost proxy.

    Attributes:
        measure: Its value from a network's passes.
        needs: What it asks of them.
    """

    measure: Callable[[Passes], float]
    needs: frozenset[Need]


MEASURES: dict[str, Proxy] = {
    "synflow": Proxy(synflow, frozenset()),
    "naswot": Proxy(naswot, frozenset({"codes"})),
    "jacov": Proxy(jacov, frozenset({"jacobian"})),
    "snip": Proxy(snip, frozenset({"gradients"})),
    "grad_norm": Proxy(grad_norm, frozenset({"gradients"})),
    "fisher": Proxy(fisher, frozenset({"gradients", "activations"})),
    "grasp": Proxy(grasp, frozenset({"gradients", "curvature"})),
    "zen": Proxy(zen, frozenset()),
}
"""Every proxy that runs a network, by name."""


def _total(parts: Iterable[Tensor]) -> float:
    return sum(part.detach().double().sum().item() for part in parts)


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Draw N(0, 1) in the memory layout of a tensor; the numbers do not depend on the layout."""
    return torch.empty_like(tensor).copy_(torch.randn(tensor.shape, generator=generator))


@contextlib.contextmanager
def _weights(changed: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let parameters hold other values, then again their own."""
    before = [parameter.data for parameter, _ in changed]
    try:
        for parameter, values in changed:
            parameter.data = values
        yield
    finally:
        for (parameter, _), values in zip(changed, before, strict=True):
            parameter.data = values
