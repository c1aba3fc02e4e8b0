"""Guessing hidden operations from what surrounds them, as GraphMAE does (Hou et al., KDD 2022)."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from archflow.encoders import NodeEmbedding
from archflow.encoders.gin import GINLayer
from archflow.encoders.message_passing import undirected_edges
from archflow.errors import UsageError
from archflow.graphs import INPUT, OUTPUT, Operations
from archflow.protocols import View


class MaskedOperations(nn.Module):
    """Hide a share of the operations from the encoder and guess them from the other nodes' embeddings.

    A learnt vector stands in for the first state of each hidden node, operation and attributes alike. As in
    GraphMAE, the embeddings of hidden nodes are set to zero once more before a decoder of one GIN layer, so
    that the guess rests on their neighbours, and the loss is the scaled cosine error: the mean over hidden
    nodes of (1 - cos(guess, one-hot operation))^2. Inputs and outputs, which their places give away, are
    never hidden.

    Args:
        width: D, the width of the embeddings and of the encoder's first states.
        operations: The vocabulary.
        share: Probability of a node to be hidden; 0.5 in GraphMAE.
    """

    can_hide: Tensor

    def __init__(self, width: int, operations: Operations, *, share: float = 0.5) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))
        self.bridge = nn.Linear(width, width, bias=False)
        self.decoder = GINLayer(width)
        self.guess = nn.Linear(width, len(operations))
        self.share = share
        inner = ~torch.from_numpy(operations.mask((INPUT, OUTPUT)))
        self.register_buffer("can_hide", inner, persistent=False)

    def forward(self, view: View) -> Tensor:
        """Return the loss, (), 0 where nothing was hidden; it draws from torch's generator.

        Raises:
            UsageError: The encoder does not start from `NodeEmbedding`.
        """
        batch = view.batch
        drawn = torch.rand(batch.n_nodes, device=batch.operation_ids.device) < self.share
        hidden = drawn & self.can_hide[batch.operation_ids]  # (N,)
        states = self.bridge(self._embed(view, hidden)).masked_fill(hidden.unsqueeze(1), 0)
        guesses = self.guess(self.decoder(states, *undirected_edges(batch)).relu())  # (N, d)
        cosines = nn.functional.normalize(guesses, dim=1).gather(1, batch.operation_ids.unsqueeze(1))
        errors = (1 - cosines.squeeze(1)).square() * hidden
        return errors.sum() / hidden.sum().clamp(min=1)

    def _embed(self, view: View, hidden: Tensor) -> Tensor:
        """Return the node embeddings, (N, D), where the encoder sees a token for each hidden node."""
        own = hidden[view.own_nodes].unsqueeze(1)

        def hide(module: nn.Module, arguments: tuple[object, ...], states: Tensor) -> Tensor:
            return torch.where(own, self.token, states)

        starts = [module for module in view.encoder.modules() if isinstance(module, NodeEmbedding)]
        if not starts:
            raise UsageError("masked-operations needs an encoder that starts from NodeEmbedding")
        with contextlib.ExitStack() as hooks:
            for start in starts:
                hooks.enter_context(start.register_forward_hook(hide))
            nodes: Tensor = view.encoder(view.batch)[0]
        return nodes
