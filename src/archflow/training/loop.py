"""The one training loop; it knows batches of row numbers and losses, no encoder or space."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from archflow.errors import ArchflowError, UsageError
from archflow.progress import Report, silent
from archflow.training.distributed import ALONE, Processes


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train with AdamW.

    Attributes:
        epochs: Passes over the rows.
        batch_size: Rows a step.
        learning_rate: AdamW's step size.
        weight_decay: AdamW's decoupled weight decay.
        gradient_norm: Longest gradient allowed, or None for no clipping.
        schedule: "constant", or "cosine": down to 0 over the epochs along half a cosine.
        warm_up_epochs: Epochs over which the rate rises in equal steps before that; 0 for none.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    gradient_norm: float | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up_epochs: int = 0

    def __post_init__(self) -> None:
        good = (
            self.epochs >= 0
            and self.batch_size >= 1
            and 0 < self.learning_rate < math.inf
            and 0 <= self.weight_decay < math.inf
            and (self.gradient_norm is None or self.gradient_norm > 0)
            and self.schedule in ("constant", "cosine")
            and self.warm_up_epochs >= 0
        )
        if not good:
            raise UsageError(
                "training needs epochs >= 0, batch_size >= 1, learning_rate > 0, weight_decay >= 0, "
                "gradient_norm > 0 or None, schedule constant or cosine and warm_up_epochs >= 0, "
                f"not {self}"
            )

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if epoch < self.warm_up_epochs:
            return self.learning_rate * (epoch + 1) / (self.warm_up_epochs + 1)
        if self.schedule == "constant":
            return self.learning_rate
        done = (epoch - self.warm_up_epochs) / max(self.epochs - self.warm_up_epochs, 1)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


class DivergedError(ArchflowError, ArithmeticError):
    """A loss that is no longer a finite number."""


AfterEpoch = Callable[[int, float], bool | None]


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW over all parameters of a module."""
    return torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def train(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n_rows: int,
    config: TrainingConfig,
    *,
    seed: int,
    optimizer: torch.optim.Optimizer | None = None,
    first_epoch: int = 0,
    after_epoch: AfterEpoch | None = None,
    report: Report = silent,
    processes: Processes = ALONE,
) -> list[float]:
    """Train a module in place.

    Each epoch draws its order and its dropout from (seed, epoch) alone, so that a run continued from the
    weights and optimizer of an epoch goes on exactly as if it had never stopped (on one CPU thread).

    Args:
        module: What to train; left in training mode.
        loss: Mean loss, (), of the rows (B,) int64 of a batch.
        n_rows: Rows that exist.
        config: Epochs, batch size and optimizer settings.
        seed: Seed of order and dropout; the caller's random state is left alone.
        optimizer: The optimizer to go on with; by default a new `make_optimizer`.
        first_epoch: Epochs that are done already.
        after_epoch: Called with (epochs done, mean loss) after each epoch; True ends the training.
        report: Progress, called after each epoch with (epochs done, epochs, the loss in words).
        processes: The processes that train this module together, each with a loss of the whole batch.

    Returns:
        The mean loss of each epoch trained.

    Raises:
        DivergedError: The loss became NaN or infinite.
        ProcessLostError: Another of the processes is gone.
    """
    optimizer = optimizer or make_optimizer(module, config)
    parameters, history = list(module.parameters()), []
    module.train()
    for epoch in range(first_epoch, config.epochs):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(n_rows))
        losses = []
        for group in optimizer.param_groups:
            group["lr"] = config.rate(epoch)
        with seeded(seed, epoch):
            for rows in torch.split(order, config.batch_size):
                optimizer.zero_grad(set_to_none=True)
                value = loss(rows)
                value.backward()  # type: ignore[no-untyped-call]
                processes.average_gradients(module)
                if config.gradient_norm is not None:
                    nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
                optimizer.step()
                losses.append(value.detach() * len(rows))
        mean = processes.agreed(float(torch.stack(losses).sum()) / n_rows)
        if not np.isfinite(mean):
            raise DivergedError(
                f"the training loss became {mean} in epoch {epoch + 1}; try a smaller learning rate"
            )
        history.append(mean)
        report(epoch + 1, config.epochs, f"loss {mean:.4f}")
        if after_epoch is not None and after_epoch(epoch + 1, mean):
            break
    return history


@contextlib.contextmanager
def seeded(*seeds: int) -> Iterator[None]:
    """Seed torch's generators for the block, and give the caller's states back after it."""
    # Their number goes first, because a seed sequence takes no notice of zeros at its end.
    state = int(np.random.SeedSequence([len(seeds), *seeds]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(state)
        yield


def resolve_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used here ({reason}); try --device auto") from error
    return device
