"""Tasks that networks are trained on: the data, its fixed split, and the training budget."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archflow.errors import UsageError, unknown_name


@dataclasses.dataclass(frozen=True)
class TaskData:
    """The images of a task, standardised with the mean and deviation of all training pixels.

    Attributes:
        train_images: (N, 1, 8, 8) float32.
        train_labels: (N,) int64, the class of each.
        valid_images: (M, 1, 8, 8) float32.
        valid_labels: (M,) int64.
    """

    train_images: Tensor
    train_labels: Tensor
    valid_images: Tensor
    valid_labels: Tensor


@dataclasses.dataclass(frozen=True)
class Task:
    """What a network is trained on and for how long; two equal tasks give equal labels.

    The data are scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels in ten classes.

    Attributes:
        name: The name that commands use.
        channels: The width of the network's stages, one cell each.
        classes: K, the number of classes.
        train_images: Images to train on, drawn with the classes in proportion; all others validate.
        split_seed: The seed of that draw, the same for every network and every training seed.
        epochs: Passes over the training images.
        batch_size: Images an optimisation step.
        learning_rate: The highest learning rate of AdamW's one-cycle schedule.
        weight_decay: AdamW's weight decay.

    Raises:
        UsageError: A number lies outside its range.
    """

    name: str
    channels: tuple[int, ...]
    classes: int
    train_images: int
    split_seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, field)
            if value <= 0:
                raise UsageError(f"task {self.name!r}: {field} is {value}; it must be above 0")
        if not self.channels or min(self.channels) < 1:
            raise UsageError(f"task {self.name!r}: channels are {self.channels}; name widths of 1 or more")

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain values, for journals and records."""
        return {**dataclasses.asdict(self), "channels": list(self.channels)}

    def data(self) -> TaskData:
        """Return the images in their fixed split; read once a process.

        Raises:
            UsageError: `train_images` leaves a class without an image on either side.
        """
        return _digits(self.train_images, self.split_seed)


DIGITS = Task(
    name="digits",
    channels=(16, 32, 64),
    classes=10,
    train_images=500,
    split_seed=0,
    epochs=4,
    batch_size=100,
    learning_rate=0.003,
    weight_decay=0.0005,
)
"""The digits at a budget of under half a second a network, where accuracies spread and do not saturate."""

TASKS = {task.name: task for task in (DIGITS,)}
"""Every task by name."""


def get_task(name: str) -> Task:
    """Return the task of a name.

    Raises:
        UnknownNameError: There is no such task; lists them.
    """
    try:
        return TASKS[name]
    except KeyError:
        raise unknown_name("task", name, TASKS) from None


@lru_cache(maxsize=4)
def _digits(train_images: int, split_seed: int) -> TaskData:
    from sklearn.datasets import load_digits  # here, because importing it takes longer than importing torch
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)  # (1797, 64) in 0..16, (1797,)
    try:
        train, valid = train_test_split(
            np.arange(len(labels)), train_size=train_images, random_state=split_seed, stratify=labels
        )
    except ValueError as error:
        raise UsageError(
            f"train_images={train_images} cannot be drawn from {len(labels)} digits: {error}"
        ) from error
    images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)
    images = (images - images[train].mean()) / images[train].std()
    images = images.contiguous(memory_format=torch.channels_last)
    classes = torch.tensor(labels, dtype=torch.int64)
    return TaskData(images[train], classes[train], images[valid], classes[valid])
