"""The training loop, its losses and its checkpoints."""

from archflow.training.checkpoints import load_checkpoint, save_checkpoint
from archflow.training.distributed import Processes, ProcessLostError, launched_processes
from archflow.training.loop import DivergedError, TrainingConfig, resolve_device, train
from archflow.training.losses import pairwise_hinge

__all__ = [
    "DivergedError",
    "ProcessLostError",
    "Processes",
    "TrainingConfig",
    "launched_processes",
    "load_checkpoint",
    "pairwise_hinge",
    "resolve_device",
    "save_checkpoint",
    "train",
]
