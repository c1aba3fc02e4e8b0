"""Architectures as real networks: build one, train it on a task, label a whole sample."""

from archflow.networks.cell import Cell, CellNetwork
from archflow.networks.label import LabelRun, journal_path, label
from archflow.networks.tasks import DIGITS, TASKS, Task, TaskData, get_task
from archflow.networks.train import TrainedNetwork, accuracy_percent, fit_network, train_network
from archflow.networks.workers import TrainingError

__all__ = [
    "DIGITS",
    "TASKS",
    "Cell",
    "CellNetwork",
    "LabelRun",
    "Task",
    "TaskData",
    "TrainedNetwork",
    "TrainingError",
    "accuracy_percent",
    "fit_network",
    "get_task",
    "journal_path",
    "label",
    "train_network",
]
