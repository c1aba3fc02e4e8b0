"""Architectures as real networks: build one, train it on a task, label or score a whole sample."""

from archflow.networks.cell import Cell, CellNetwork
from archflow.networks.label import LabelRun, TrainingError, label
from archflow.networks.proxies import (
    IMAGES,
    PROXIES,
    ImageBatch,
    ProxyConfig,
    ProxyRun,
    measure_proxies,
    score_network,
)
from archflow.networks.results import journal_path
from archflow.networks.skeleton import (
    SKELETONS,
    Skeleton,
    build_network,
    count_flops,
    count_multiply_adds,
    count_parameters,
)
from archflow.networks.tasks import DIGITS, TASKS, Task, TaskData, get_task
from archflow.networks.train import TrainedNetwork, accuracy_percent, fit_network, train_network
from archflow.workers import JobError

__all__ = [
    "DIGITS",
    "IMAGES",
    "PROXIES",
    "SKELETONS",
    "TASKS",
    "Cell",
    "CellNetwork",
    "ImageBatch",
    "JobError",
    "LabelRun",
    "ProxyConfig",
    "ProxyRun",
    "Skeleton",
    "Task",
    "TaskData",
    "TrainedNetwork",
    "TrainingError",
    "accuracy_percent",
    "build_network",
    "count_flops",
    "count_multiply_adds",
    "count_parameters",
    "fit_network",
    "get_task",
    "journal_path",
    "label",
    "measure_proxies",
    "score_network",
    "train_network",
]
