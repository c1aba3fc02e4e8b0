"""The passes through a network that zero-cost proxies share, each run at most once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archflow.networks.proxies.images import ImageBatch

Need = Literal["codes", "gradients", "activations", "curvature", "jacobian"]
"""What a proxy asks of the passes."""


class Passes:
    """One network in training mode and one batch, with what its passes leave behind.

    One forward pass serves the ReLU codes, the loss and the Jacobians, and one backward pass all gradients
    of the loss. "Weights" are those of convolutions and linear layers, in the order of the modules.

    Args:
        network: Maps (B, C, H, W) to class scores (B, K); it is left as it was.
        batch: The images and labels.
        needs: What will be asked for; nothing else is kept on the way.
        seed: Fixes what a proxy draws beside the batch.

    Attributes:
        network: The network.
        batch: The images and labels.
        seed: Fixes what a proxy draws.
        layers: Every convolution and linear layer, in the order of the modules.
    """

    def __init__(
        self, network: nn.Module, batch: ImageBatch, needs: Collection[Need], *, seed: int = 0
    ) -> None:
        self.network = network
        self.batch = batch
        self.seed = seed
        self.layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        self._needs = frozenset(needs)
        self._activations: list[Tensor] = []
        self._kernel = torch.zeros(len(batch), len(batch), dtype=torch.float64)

    @property
    def weights(self) -> list[Tensor]:
        """The weights of every convolution and linear layer."""
        return [layer.weight for layer in self.layers]

    @property
    def codes_kernel(self) -> Tensor:
        """For each pair of images in how many ReLUs both are on or both are off, (B, B) float64."""
        _ = self._scores
        return self._kernel

    @cached_property
    def jacobians(self) -> Tensor:
        """The gradient of the sum of an image's scores at its pixels, (B, C * H * W)."""
        scores, images = self._scores
        return _gradients(scores.sum(), [images], retain_graph=True)[0].flatten(1)

    @property
    def gradients(self) -> list[Tensor]:
        """The gradient of the loss at each of `weights`, zeros where a weight has no part in it."""
        return self._backward[0]

    @property
    def activations(self) -> Sequence[tuple[Tensor, Tensor]]:
        """What each convolution and linear layer gave out, and the loss's gradient there; same shapes."""
        return self._backward[1]

    @cached_property
    def curvature(self) -> list[Tensor]:
        """The Hessian of the loss times `gradients`, as a list like it."""
        fixed = [gradient.detach() for gradient in self.gradients]
        along = torch.stack([(g * f).sum() for g, f in zip(self.gradients, fixed, strict=True)]).sum()
        if not along.requires_grad:  # no weight has a part in the loss
            return fixed
        return _gradients(along, self.weights, retain_graph=True)

    @cached_property
    def _scores(self) -> tuple[Tensor, Tensor]:
        images = self.batch.images.detach().requires_grad_("jacobian" in self._needs)
        relus = [m for m in self.network.modules() if isinstance(m, nn.ReLU) and "codes" in self._needs]
        layers = self.layers if "activations" in self._needs else []
        with (
            training_statistics(self.network),
            hooked(relus, self._count_codes),
            hooked(layers, self._keep_activation),
            torch.set_grad_enabled(bool(self._needs - {"codes"})),
        ):
            return self.network(images), images

    @cached_property
    def _backward(self) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        scores, _ = self._scores
        loss = nn.functional.cross_entropy(scores, self.batch.labels)
        outputs = self._activations
        found = _gradients(
            loss, [*self.weights, *outputs], retain_graph=True, create_graph="curvature" in self._needs
        )
        split = len(self.weights)
        return found[:split], list(zip(outputs, found[split:], strict=True))

    def _count_codes(self, _: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
        rows = inputs[0].detach().movedim(1, -1).reshape(len(self.batch), -1)  # channels come last: no copy
        on = rows.sign().relu_()  # (B, units) of 0 and 1, quicker than a comparison
        counts = on.sum(1)
        self._kernel += 2 * (on @ on.T) + on.shape[1] - counts.unsqueeze(0) - counts.unsqueeze(1)

    def _keep_activation(self, _: nn.Module, __: tuple[Tensor], output: Tensor) -> None:
        self._activations.append(output)


@contextlib.contextmanager
def training_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch norms work on the statistics of the batch without remembering them, then as before."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, (training, tracking) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, tracking


@contextlib.contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[[nn.Module, Any, Any], Any]) -> Iterator[None]:
    """Call a hook, which may return another output, after each of some modules."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gradients(
    value: Tensor, at: Sequence[Tensor], *, retain_graph: bool, create_graph: bool = False
) -> list[Tensor]:
    found = torch.autograd.grad(
        value, at, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True
    )
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, at, strict=True)]
