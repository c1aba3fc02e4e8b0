"""Telling graphs apart however they are written, as GraphCL does (You et al., NeurIPS 2020)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from archflow.graphs import ArchitectureTable, GraphBatch
from archflow.pretrain.objectives import multilayer_perceptron
from archflow.pretrain.rewriting import Rewriting
from archflow.protocols import View


class Contrastive(nn.Module):
    """Draw two ways to write one function together and those of different functions apart (NT-Xent).

    GraphCL drops nodes and edges, which makes another architecture of a graph; here each graph is written in
    two ways that compute the same (`Rewriting`), once starting from the form that the encoder sees and once
    from its collapsed form. A projection head maps the graph embeddings to where they are compared.

    Args:
        width: D, the width of the embeddings.
        table: The A graphs in the form that the encoder sees.
        temperature: Scale of the cosines; 0.2 in GraphCL's reference implementation.
        share: Probability of an edge to be written differently.
    """

    functions: Tensor

    def __init__(
        self, width: int, table: ArchitectureTable, *, temperature: float = 0.2, share: float = 0.2
    ) -> None:
        super().__init__()
        self.head = multilayer_perceptron([width, width, width])
        self.rewriting = Rewriting(table.operations, share=share)
        self.temperature = temperature
        collapsed = table.collapsed()
        self.forms = table.columns, collapsed.columns
        numbers = np.unique(collapsed.keys(), return_inverse=True)[1].reshape(-1)
        self.register_buffer("functions", torch.from_numpy(numbers), persistent=False)

    def forward(self, view: View) -> Tensor:
        """Return the loss, (); it draws from torch's generator."""
        device = view.batch.operation_ids.device
        batches = (GraphBatch.of(form.take(view.host_rows)) for form in self.forms)
        # How many nodes are added is drawn, so that on a GPU the program would wait for the number.
        first, second = (self.head(view.encoder(self.rewriting(batch).to(device))[1]) for batch in batches)
        return contrast(first, second, self.functions[view.rows], self.temperature)


def contrast(first: Tensor, second: Tensor, functions: Tensor, temperature: float) -> Tensor:
    """Return the normalised, temperature-scaled cross-entropy (NT-Xent; Chen et al., ICML 2020).

    The mean over all 2 B vectors of -log(exp(s_p) / sum of exp(s_o)), s the cosine over the temperature, p
    the other vector of the same graph, o running over p and all vectors of other functions.

    Args:
        first: One vector a graph, (B, D).
        second: Another vector of each graph, (B, D).
        functions: Equal numbers where graphs compute the same, (B,); such graphs are not drawn apart.
        temperature: Above 0.

    Returns:
        The loss, (); 0 for a batch of one graph.
    """
    vectors = nn.functional.normalize(torch.cat([first, second]), dim=1)  # (2 B, D)
    similarities = vectors @ vectors.T / temperature
    numbers = functions.repeat(2)
    partners = torch.arange(2 * len(first), device=first.device).roll(len(first))
    left_out = numbers.unsqueeze(1) == numbers.unsqueeze(0)
    left_out.scatter_(1, partners.unsqueeze(1), False)
    return nn.functional.cross_entropy(similarities.masked_fill(left_out, -torch.inf), partners)
