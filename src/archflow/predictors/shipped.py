"""Where a pre-trained encoder comes from when the user brings none."""

from __future__ import annotations

import dataclasses
import math
from importlib import resources
from pathlib import Path

import numpy as np

from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable, Form
from archflow.pretrain import PretrainConfig, PretrainedEncoder
from archflow.protocols import Space

LARGEST_WHOLE = 20_000
"""Spaces up to this size are pre-trained on whole; of larger ones so many architectures are drawn."""

BUDGET = 30_000_000
"""Nodes and edges that a run which nobody asked for may pass, over all its epochs: minutes on one core."""

_FEWEST_ARCHITECTURES, _FEWEST_EPOCHS = 1_000, 20


def shipped_folder(space: str, encoder: str, form: Form) -> Path:
    """Return where the package keeps, or would keep, its encoder for a space."""
    return Path(str(resources.files("archflow"))) / "data" / "encoders" / f"{space}-{encoder}-{form}"


def shipped_encoder(space: Space, encoder: str, form: Form) -> PretrainedEncoder | None:
    """Return the encoder that archflow ships for a space, or None where it ships none.

    `make encoders` makes them with `archflow pretrain`.
    """
    folder = shipped_folder(space.name, encoder, form)
    return PretrainedEncoder.load(folder, space.operations) if folder.is_dir() else None


def unlabelled_architectures(space: Space, seed: int) -> ArchitectureTable | None:
    """Return what to pre-train on: the whole space, a sample of a large one, None where none can be drawn."""
    if space.size is not None and space.size <= LARGEST_WHOLE:
        return space.all()
    try:
        return space.sample(LARGEST_WHOLE, np.random.default_rng(seed))
    except UsageError:
        return None


def within_budget(
    table: ArchitectureTable, config: PretrainConfig
) -> tuple[ArchitectureTable, PretrainConfig]:
    """Cut a pre-training run down to `BUDGET`: fewer architectures and, by the same factor, fewer epochs.

    Args:
        table: What to pre-train on, as written.
        config: The choices of the run; its seed draws the architectures that stay.

    Returns:
        The table and choices as they are if the run fits, else a draw of its distinct graphs, at least
        1,000 where there are as many, and the epochs that fit, at least 20.
    """
    formed = table.in_form(config.form)
    rows = np.unique(formed.keys(), return_index=True)[1]  # pre-training sees each graph once
    sizes = np.diff(formed.columns.node_offsets) + np.diff(formed.columns.edge_offsets)
    epochs = config.training.epochs
    excess = float(sizes[rows].sum()) * epochs / BUDGET
    if excess <= 1:
        return table, config
    count = max(int(len(rows) / math.sqrt(excess)), min(len(rows), _FEWEST_ARCHITECTURES))
    chosen = np.sort(np.random.default_rng(config.seed).choice(rows, size=count, replace=False))
    epochs = min(epochs, max(_FEWEST_EPOCHS, int(BUDGET / float(sizes[chosen].sum()))))
    training = dataclasses.replace(config.training, epochs=epochs)
    return table[chosen], dataclasses.replace(config, training=training)
