"""Embedding whole tables: batches in, arrays out, nothing kept but the result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders.sharing import SharesStates, chunks, distinct_rows, view_keys
from archflow.graphs import ArchitectureTable, Columns, GraphBatch
from archflow.graphs.columns import IntArray

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

    Isomorphic architectures share an embedding, so each distinct graph is computed once; of an encoder that
    `SharesStates`, with dropout off and in single precision or better, each distinct node.

    Args:
        encoder: On `device`; its training mode is restored afterwards.
        table: A architectures over the encoder's vocabulary, in the form it was trained on.
        head: Applied to the graph embeddings (B, D) of each batch; it must treat each on its own.
        device: Where to compute.
        dropout: Whether dropout is on, as in training.
        report: Called with (graphs done, graphs to do) after each batch.

    Returns:
        The graph embeddings, (A, D), or what the head made of them, (A, ...).
    """
    compute, pieces, inverse = _plan(encoder, table, dropout)
    total, done = sum(map(len, pieces)), 0
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.train(dropout)
    parts = []
    try:
        with torch.inference_mode():
            for rows in pieces:
                embeddings = compute(table.columns.take(rows), device)
                parts.append((head(embeddings) if head else embeddings).float().cpu().numpy())
                done += len(rows)
                if report is not None:
                    report(done, total)
    finally:
        for module, training in modes:
            module.training = training
    return np.concatenate(parts)[inverse]


def _plan(
    encoder: nn.Module, table: ArchitectureTable, dropout: bool
) -> tuple[Callable[[Columns, torch.device | str], Tensor], list[IntArray], IntArray]:
    """Return how to embed columns, the rows to embed piece by piece, and the place of every row in these."""
    columns = table.columns
    precise = all(parameter.dtype.itemsize >= 4 for parameter in encoder.parameters())
    if isinstance(encoder, SharesStates) and precise and not dropout and len(table):
        inverse = np.arange(len(table))
        pieces = list(chunks(columns, inverse))
        if len(pieces) > 1:  # within one, equal graphs are found anyway
            rows, inverse = distinct_rows(view_keys(columns, len(encoder.layers)))
            pieces = list(chunks(columns, rows))
        return encoder.embed_distinct, pieces, inverse
    rows, inverse = distinct_rows(table.keys())
    pieces = [rows[begin : begin + BATCH] for begin in range(0, max(len(rows), 1), BATCH)]
    return lambda part, device: encoder(GraphBatch.of(part, device))[1], pieces, inverse
