"""Training one cell on one task: seconds on one core, the same result for the same seed."""

from __future__ import annotations

import dataclasses
import math
import time

import torch
from torch import Tensor, nn

from archflow.graphs import Architecture
from archflow.networks.cell import CellNetwork
from archflow.networks.tasks import Task, TaskData
from archflow.workers import one_thread


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """What one training run measured.

    Attributes:
        valid_accuracy: Percent of the validation images classified rightly.
        train_seconds: Processor seconds of the training, building and validation not counted.
        parameters: Number of trainable parameters.
    """

    valid_accuracy: float
    train_seconds: float
    parameters: int


def train_network(architecture: Architecture, task: Task, seed: int) -> TrainedNetwork:
    """Train an architecture's network and measure it.

    Args:
        architecture: A cell as written.
        task: The data and the budget.
        seed: Fixes the first weights and the order of the images; the split is the task's own.

    Returns:
        Validation accuracy, seconds and parameters. The accuracy is the same on every call on one
        machine and PyTorch version.

    Raises:
        UnknownNameError: A node's operation has no module.
        UsageError: The task's split cannot be drawn.
    """
    network, seconds = _fit(architecture, task, seed)
    data = task.data()
    with one_thread():
        accuracy = accuracy_percent(network, data.valid_images, data.valid_labels)
    return TrainedNetwork(accuracy, seconds, sum(weight.numel() for weight in network.parameters()))


def fit_network(architecture: Architecture, task: Task, seed: int) -> CellNetwork:
    """Train an architecture's network and return it in evaluation mode; arguments as `train_network`.

    AdamW on the cross entropy under a one-cycle learning rate; afterwards the statistics of every batch
    norm are set to those of all training images under the final weights, which a short training's
    running averages lag behind. Leaves the caller's random state and number of threads as they were.

    Raises:
        UnknownNameError: A node's operation has no module.
        UsageError: The task's split cannot be drawn.
    """
    return _fit(architecture, task, seed)[0]


def accuracy_percent(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the percentage of images (M, C, H, W) whose highest score is at their label (M,)."""
    with torch.inference_mode():
        hits = network(images).argmax(dim=1) == labels
    return 100.0 * int(hits.sum()) / len(labels)


def _fit(architecture: Architecture, task: Task, seed: int) -> tuple[CellNetwork, float]:
    data = task.data()
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CellNetwork(
            architecture, task.channels, image_channels=data.train_images.shape[1], classes=task.classes
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(  # a process's first one imports for a second, so before the clock
            network.parameters(), lr=task.learning_rate, weight_decay=task.weight_decay, fused=True
        )
        start = time.process_time()
        _descend(network, optimizer, data, task)
        _set_norm_statistics(network, data.train_images)
        seconds = time.process_time() - start
    return network.eval(), seconds


def _descend(network: CellNetwork, optimizer: torch.optim.Optimizer, data: TaskData, task: Task) -> None:
    images, labels = data.train_images, data.train_labels
    steps = task.epochs * math.ceil(len(images) / task.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, task.learning_rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
    for _ in range(task.epochs):
        for rows in torch.randperm(len(images)).split(task.batch_size):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _set_norm_statistics(network: CellNetwork, images: Tensor) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average, here over the one batch of all images
    with torch.no_grad():
        network.train()(images)
