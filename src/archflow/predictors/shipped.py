"""Where a pre-trained encoder comes from when the user brings none."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable, Form
from archflow.pretrain import PretrainedEncoder
from archflow.protocols import Space

LARGEST_WHOLE = 20_000
"""Spaces up to this size are pre-trained on whole; of larger ones so many architectures are drawn."""


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
    """Return what to pre-train on: the whole space, a sample of a large one, None of one without end."""
    if space.size is None:
        return None
    if space.size <= LARGEST_WHOLE:
        return space.all()
    try:
        return space.sample(LARGEST_WHOLE, np.random.default_rng(seed))
    except UsageError:
        return None
