"""Embedding whole tables: batches in, arrays out, nothing kept but the result."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders.cones import SharesCones
from archflow.encoders.sharing import SharesStates, chunks, view_keys
from archflow.errors import unknown_name
from archflow.graphs import ArchitectureTable, Columns, GraphBatch
from archflow.graphs.columns import IntArray
from archflow.graphs.keys import distinct_rows
from archflow.workers import threads_for

BATCH = 1024
"""Architectures embedded at once: enough to keep a core busy, small enough for its cache."""

Precision = Literal["float32", "bfloat16"]
"""What encoders may compute in."""


def require_precision(name: str) -> None:
    """Refuse a precision that encoders do not compute in.

    Raises:
        UnknownNameError: Lists the choices.
    """
    if name not in get_args(Precision):
        raise unknown_name("precision", name, get_args(Precision))


def embed(
    encoder: nn.Module,
    table: ArchitectureTable,
    *,
    head: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str = "cpu",
    dropout: bool = False,
    precision: Precision = "float32",
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Run an encoder over a table, without gradients.

    Isomorphic architectures share an embedding, so each distinct graph is computed once; of an encoder that
    `SharesStates`, with dropout off and not in float16, or that `SharesCones`, with dropout off, each
    distinct node. Nothing waits for a GPU before the whole table is done.

    Args:
        encoder: On `device`; its training mode is restored afterwards.
        table: A architectures over the encoder's vocabulary, in the form it was trained on.
        head: Applied to the graph embeddings (B, D) of each batch; it must treat each on its own.
        device: Where to compute.
        dropout: Whether dropout is on, as in training.
        precision: "bfloat16" computes with a rounded copy of the encoder, "float32" with the encoder as it
            is; the head always gets float32.
        report: Called with (graphs done, graphs to do) after each batch.

    Returns:
        The graph embeddings, (A, D), or what the head made of them, (A, ...).

    Raises:
        UnknownNameError: There is no such precision.
    """
    require_precision(precision)
    if precision == "bfloat16":
        encoder = copy.deepcopy(encoder).bfloat16()
    compute, pieces, inverse = _plan(encoder, table, dropout)
    total, done = sum(map(len, pieces)), 0
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.train(dropout)
    parts = []
    try:
        with threads_for(total), torch.inference_mode():
            for rows in pieces:
                embeddings = compute(table.columns.take(rows), device)
                if precision == "bfloat16":
                    embeddings = embeddings.float()
                parts.append(head(embeddings) if head else embeddings)
                done += len(rows)
                if report is not None:
                    report(done, total)
    finally:
        for module, training in modes:
            module.training = training
    embedded: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return embedded[inverse]


def _plan(
    encoder: nn.Module, table: ArchitectureTable, dropout: bool
) -> tuple[Callable[[Columns, torch.device | str], Tensor], list[IntArray], IntArray]:
    """Return how to embed columns, the rows to embed piece by piece, and the place of every row in these."""
    columns = table.columns
    wide = all(parameter.dtype != torch.float16 for parameter in encoder.parameters())  # gates overflow it
    if isinstance(encoder, SharesStates) and wide and not dropout and len(table):
        inverse = np.arange(len(table))
        pieces = list(chunks(columns, inverse))
        if len(pieces) > 1:  # within one, equal graphs are found anyway
            rows, inverse = distinct_rows(view_keys(columns, len(encoder.layers)))
            pieces = list(chunks(columns, rows))
        return encoder.embed_distinct, pieces, inverse
    rows, inverse = distinct_rows(table.keys())
    if isinstance(encoder, SharesCones) and not dropout and len(table):
        return encoder.embed_cones, list(chunks(columns, rows)), inverse
    # Graphs of one size side by side: attention then has little padding.
    order = np.argsort(np.diff(columns.node_offsets)[rows], kind="stable")
    rows, inverse = rows[order], np.argsort(order)[inverse]
    pieces = [rows[begin : begin + BATCH] for begin in range(0, max(len(rows), 1), BATCH)]
    return lambda part, device: encoder(GraphBatch.of(part, device))[1], pieces, inverse
