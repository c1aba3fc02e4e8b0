"""Embedding whole tables: batches in, arrays out, nothing kept but the result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.graphs import ArchitectureTable, GraphBatch

BATCH = 1024
"""Architectures embedded at once: enough to keep a core busy, small enough for its cache."""


def embed(
    encoder: nn.Module,
    table: ArchitectureTable,
    *,
    head: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str = "cpu",
    dropout: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Run an encoder over a table, without gradients.

    Isomorphic architectures share an embedding, so each distinct graph is computed once.

    Args:
        encoder: On `device`; its training mode is restored afterwards.
        table: A architectures over the encoder's vocabulary, in the form it was trained on.
        head: Applied to the graph embeddings (B, D) of each batch.
        device: Where to compute.
        dropout: Whether dropout is on, as in training.
        report: Called with (distinct graphs done, distinct graphs) after each batch.

    Returns:
        The graph embeddings, (A, D), or what the head made of them, (A, ...).
    """
    _, first, inverse = np.unique(table.keys(), return_index=True, return_inverse=True)
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.train(dropout)
    parts = []
    try:
        with torch.inference_mode():
            for begin in range(0, max(len(first), 1), BATCH):
                rows = first[begin : begin + BATCH]
                embeddings = encoder(GraphBatch.of(table.columns.take(rows), device))[1]
                parts.append((head(embeddings) if head else embeddings).float().cpu().numpy())
                if report is not None:
                    report(begin + len(rows), len(first))
    finally:
        for module, training in modes:
            module.training = training
    return np.concatenate(parts)[inverse]
