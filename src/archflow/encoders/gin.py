"""Graph isomorphism network (Xu, Hu, Leskovec and Jegelka, ICLR 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from archflow.encoders.message_passing import NodeEmbedding, sum_by_receiver, undirected_edges
from archflow.encoders.sharing import Reads, Sharing
from archflow.graphs import Columns, GraphBatch


class GIN(nn.Module):
    """Undirected GIN with jumping knowledge; the FGP paper's simplest encoder.

    Layer: x_v <- dropout(relu(MLP((1 + eps) x_v + sum of x_u over neighbours u))), MLP = two linear maps with
    a relu between. Node embeddings are a linear map of all layers' outputs side by side (jumping knowledge
    by concatenation, Xu et al., ICML 2018); the graph embedding is their mean over nodes.

    Args:
        n_operations: d, the size of the vocabulary.
        n_attributes: F, the number of node attributes.
        width: D, the width of every layer and of the embeddings.
        layers: Number of layers.
        dropout: Share of activations dropped in training.
    """

    def __init__(
        self,
        n_operations: int,
        n_attributes: int = 0,
        *,
        width: int = 128,
        layers: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = NodeEmbedding(n_operations, n_attributes, width)
        self.layers = nn.ModuleList(GINLayer(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.jump = nn.Linear(layers * width, width)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        senders, receivers = undirected_edges(batch)
        states = self.embedding(batch)  # (N, D)
        outputs = []
        for layer in self.layers:
            states = self.dropout(layer(states, senders, receivers).relu())
            outputs.append(states)
        nodes = self.jump(torch.cat(outputs, dim=1))  # (N, layers * D) to (N, D)
        return nodes, batch.mean_over_nodes(nodes)

    @torch.no_grad()
    def embed_distinct(self, columns: Columns, device: torch.device | str = "cpu") -> Tensor:
        """Return the graph embeddings of A graphs, (A, D), without dropout and gradients.

        Every distinct state is computed once (`Sharing`), and the mean over nodes is taken before the last
        linear map, which it commutes with.
        """
        sharing = Sharing.of(columns, len(self.layers), device)
        states = self.embedding(sharing.starts)
        layers = cast(Iterable[GINLayer], self.layers)
        weights = self.jump.weight.chunk(len(self.layers), dim=1)
        embeddings = self.jump.bias.repeat(len(sharing), 1)
        for layer, reads, weight in zip(layers, sharing.layers, weights, strict=True):
            blocks = ((rows, block.relu_()) for rows, block in layer.blocks(states, reads))
            if reads is sharing.layers[-1]:
                embeddings.addmm_(reads.mean_of_blocks(blocks, states), weight.T)
                continue
            states = reads.collect(blocks, states)
            if len(states) < len(sharing):  # there is less to multiply before the mean than after it
                embeddings += reads.mean_over_nodes(nn.functional.linear(states, weight))
            else:
                embeddings.addmm_(reads.mean_over_nodes(states), weight.T)
        return sharing.of_all(embeddings)


class GINLayer(nn.Module):
    """One GIN convolution: MLP((1 + eps) x_v + sum of x_u over the edges u -> v), eps learnt from 0.

    Args:
        width: D, the width of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, states: Tensor, senders: Tensor, receivers: Tensor) -> Tensor:
        """Map node states (N, D) to (N, D) along edges senders -> receivers, (E,) each."""
        arriving = sum_by_receiver(states.index_select(0, senders), receivers, len(states))
        updated: Tensor = self.mlp((1 + self.epsilon) * states + arriving)
        return updated

    def blocks(self, states: Tensor, reads: Reads) -> Iterator[tuple[slice, Tensor]]:
        """Map distinct states (m, D) to the next layer's (n, D), block by block, without gradients.

        The first linear map comes before the sum over senders, which it commutes with. It overwrites the
        states: fresh memory would take longer than the copies.
        """
        first, _, second = cast(tuple[nn.Linear, nn.ReLU, nn.Linear], tuple(self.mlp))
        for block in torch.split(states, reads.size):
            block.copy_(nn.functional.linear(block, first.weight))
        for rows, senders, starts, _ in reads.blocks():
            weights = states.new_ones(len(senders))
            weights[starts[:-1]] += self.epsilon
            arriving = nn.functional.embedding_bag(
                senders, states, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
            )
            yield rows, second(arriving.add_(first.bias).relu_())
