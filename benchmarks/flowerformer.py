"""How fast FlowerFormer ranks, beside the published way to batch it, and how many times as fast GIN does.

    python benchmarks/flowerformer.py
    python benchmarks/flowerformer.py --forms collapsed --repeats 1

All 15,625 NAS-Bench-201 cells; finding equal graphs is timed too. The reference, on a sample of the cells,
has the same weights and works as the published code does (arXiv 2403.12821): graphs of torch_geometric carry
masks of edges, one a generation, and all pairs of nodes on a common path, made beforehand and not timed; the
data loader pads and joins the masks of a batch graph by graph; messages travel along the edges of one mask
after the other, and along the pairs. Its batches are of 128 graphs, as when the published code tests, and of
as many as ours. In one thing it departs from that code, so as to compute the same: there the backward pass,
too, takes edges by the generation of their targets, and so loses some where edges skip a generation.

The floating-point operations of our matrix products are counted, and the time that they alone would take at
the rate measured in this run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch_geometric.data import Batch, Data
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.utils import index_to_mask, softmax

from archflow.encoders import EncoderConfig
from archflow.encoders.embedding import BATCH, embed
from archflow.encoders.sharing import NODES
from archflow.graphs import FORMS, Architecture, ArchitectureTable, Form
from archflow.graphs.keys import distinct_rows
from archflow.spaces.nasbench201 import NASBench201
from encoders import rank
from harness import (
    Timing,
    measure_in_turn,
    parser,
    pin_threads,
    print_hardware,
    print_timings,
    product_rate,
    write_json,
)

PUBLISHED_BATCH = 128
"""Graphs of a batch of the published test loader."""
SAMPLE = 4_096
TOLERANCE = 1e-5


class EdgeAttention(MessagePassing):  # type: ignore[misc]
    """Attention of a receiver's state before a pass to its senders' states after it."""

    def __init__(self, width: int, flow: str) -> None:
        super().__init__(aggr="add", flow=flow)
        self.score = nn.Linear(2 * width, 1)

    def forward(self, states: Tensor, before: Tensor, edges: Tensor) -> Tensor:
        """Add up what arrives at each node, (N, D)."""
        messages: Tensor = self.propagate(edges, states=states, before=before)
        return messages

    def message(self, states_j: Tensor, before_i: Tensor, index: Tensor, size_i: int | None) -> Tensor:
        """Return what travels along each edge, (E, D)."""
        scores = self.score(torch.cat([before_i, states_j], dim=1))
        messages: Tensor = softmax(scores, index, num_nodes=size_i) * states_j
        return messages


class MaskedPass(nn.Module):
    """An asynchronous pass over a batch, generation by generation."""

    def __init__(self, width: int, flow: str) -> None:
        super().__init__()
        self.receiver = 1 if flow == "source_to_target" else 0
        self.gather = EdgeAttention(width, flow)
        self.cell = nn.GRUCell(width, width)

    def forward(self, before: Tensor, edges: Tensor, masks: Iterable[Tensor]) -> Tensor:
        """Update all nodes, (N, D), along the edges (2, E) of one mask (E,) after the other."""
        states = torch.zeros_like(before)
        first = ~index_to_mask(edges[self.receiver], len(before))
        states[first] = self.cell(before[first])
        for mask in masks:
            own = edges[:, mask]
            messages = self.gather(states, before, own)
            reached = index_to_mask(own[self.receiver], len(before))
            states[reached] = self.cell(before[reached], messages[reached])
        return states


class PairAttention(MessagePassing):  # type: ignore[misc]
    """Multi-head attention as messages along pairs of nodes."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.heads = heads
        self.queries, self.keys, self.values = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.join = nn.Linear(width, width)

    def forward(self, states: Tensor, pairs: Tensor) -> Tensor:
        """Map node states (N, D) to (N, D) along pairs (2, P)."""
        queries, keys, values = (
            linear(states).view(len(states), self.heads, -1)
            for linear in (self.queries, self.keys, self.values)
        )
        attended = self.propagate(pairs, queries=queries, keys=keys, values=values)  # (N, H, D / H)
        joined: Tensor = self.join(attended.flatten(1))
        return joined

    def message(
        self, queries_i: Tensor, keys_j: Tensor, values_j: Tensor, index: Tensor, size_i: int | None
    ) -> Tensor:
        """Return what travels along each pair, (P, H, D / H)."""
        scores = (queries_i * keys_j).sum(-1) * keys_j.shape[-1] ** -0.5
        messages: Tensor = softmax(scores, index, num_nodes=size_i).unsqueeze(-1) * values_j
        return messages


class ReferenceLayer(nn.Module):
    """A layer of `Reference`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.forward_pass = MaskedPass(width, "source_to_target")
        self.backward_pass = MaskedPass(width, "target_to_source")
        self.attention = PairAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.flow_norm, self.attention_norm, self.norm = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, states: Tensor, batch: Any) -> Tensor:
        """Map node states (N, D) to (N, D)."""
        forth, back = batch.edge_masks.unbind(1)
        flowed = self.forward_pass(states, batch.edge_index, forth)
        flowed = self.backward_pass(flowed, batch.edge_index, back.flip(0)).relu()
        joined = self.flow_norm(states + flowed)
        joined = joined + self.attention_norm(states + self.attention(states, batch.path_index))
        updated: Tensor = self.norm(joined + self.mlp(joined))
        return updated


class Reference(nn.Module):
    """The encoder of archflow.encoders.flowerformer, batched as the published code is; see above.

    Args:
        encoder: Where its weights come from.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(*encoder.embedding.weight.shape)
        self.embedding.weight = encoder.embedding.weight
        heads = encoder.layers[0].attention.heads
        self.layers = nn.ModuleList(ReferenceLayer(encoder.width, heads) for _ in encoder.layers)
        renamed: dict[str, Tensor] = {}
        for key, value in encoder.layers.state_dict().items():
            if key.endswith("pass.attention"):
                gather = key.removesuffix("attention") + "gather.score."
                renamed[gather + "weight"] = torch.cat([torch.zeros_like(value), value]).unsqueeze(0)
                renamed[gather + "bias"] = torch.zeros(1)
            elif key.endswith("attention.maps.weight"):
                parts = zip(("queries", "keys", "values"), value.chunk(3), strict=True)
                renamed |= {key.replace("maps", name): part for name, part in parts}
            else:
                renamed[key] = value
        self.layers.load_state_dict(renamed)

    def forward(self, batch: Any) -> Tensor:
        """Embed a batch of torch_geometric: (B, D)."""
        states = self.embedding(batch.x)
        for layer in self.layers:
            states = layer(states, batch)
        pooled: Tensor = global_mean_pool(states, batch.batch, batch.num_graphs)
        return pooled


def with_masks(architecture: Architecture, operation_ids: np.ndarray) -> Data:
    """Return a graph of torch_geometric with a mask of edges for each generation, and its pairs."""
    count = architecture.n_nodes
    reached = np.eye(count, dtype=bool)  # by column, what reaches a node
    generation = np.zeros(count, dtype=np.int64)
    for source, target in sorted(architecture.edges, key=lambda edge: edge[1]):
        generation[target] = max(generation[target], generation[source] + 1)
        reached[:, target] |= reached[:, source]
    edges = np.array(architecture.edges, dtype=np.int64).reshape(-1, 2).T
    turns = np.arange(generation.max())[:, None]
    masks = np.stack([generation[edges[1]] == turns + 1, generation[edges[0]] == turns], axis=1)
    return Data(
        x=torch.from_numpy(operation_ids.astype(np.int64)),
        edge_index=torch.from_numpy(edges),
        edge_masks=torch.from_numpy(masks),  # (generations, forth and back, E)
        path_index=torch.from_numpy(np.stack(np.nonzero(reached | reached.T))),
        num_nodes=count,
    )


def graphs_with_masks(table: ArchitectureTable) -> list[Data]:
    """Return a graph of torch_geometric an architecture."""
    ids = np.split(table.columns.operation_ids, table.columns.node_offsets[1:-1])
    return [with_masks(architecture, own) for architecture, own in zip(table, ids, strict=True)]


def collated(graphs: list[Data]) -> Any:
    """Join graphs to a batch; their masks are padded to those of the deepest."""
    batch: Any = Batch.from_data_list(graphs, exclude_keys=["edge_masks"])
    depth = max(len(graph.edge_masks) for graph in graphs)
    batch.edge_masks = torch.zeros(depth, 2, batch.num_edges, dtype=torch.bool)
    begin = 0
    for graph in graphs:
        own, _, count = graph.edge_masks.shape
        batch.edge_masks[:own, :, begin : begin + count] = graph.edge_masks
        begin += count
    return batch


def rank_masked(reference: Reference, graphs: list[Data], batch_size: int) -> list[Tensor]:
    """Embed all graphs with the reference."""
    with torch.inference_mode():
        loader: DataLoader[Any] = DataLoader(graphs, batch_size, collate_fn=collated)  # type: ignore[arg-type]
        return [reference(batch) for batch in loader]


def compare(form: Form, table: ArchitectureTable, repeats: int) -> list[Timing]:
    """Time all on a form of the cells."""
    flowerformer, gin = (
        EncoderConfig.default(name).build(len(table.operations)).eval() for name in ("flowerformer", "gin")
    )
    reference, sample = Reference(flowerformer).eval(), table[:SAMPLE]
    graphs = graphs_with_masks(sample)
    theirs = torch.cat(rank_masked(reference, graphs, PUBLISHED_BATCH)).numpy()
    difference = np.abs(embed(flowerformer, sample) - theirs).max()
    print(f"\n{form}: largest difference to the reference on {len(sample):,} cells: {difference:.1e}")
    if not difference < TOLERANCE:
        raise SystemExit(f"the reference computes something else: it must agree within {TOLERANCE}")
    timings = measure_in_turn(
        [
            ("gin", len(table), lambda: rank(gin, table)),
            ("flowerformer", len(table), lambda: rank(flowerformer, table)),
            (f"masks, batches of {BATCH}", len(sample), lambda: rank_masked(reference, graphs, BATCH)),
            ("masks, as published", len(sample), lambda: rank_masked(reference, graphs, PUBLISHED_BATCH)),
        ],
        repeats=repeats,
    )
    print_timings(f"ranking NAS-Bench-201 cells, {form}", timings)
    ours = timings[1].median
    print(f"gin ranks {timings[0].rate / timings[1].rate:.1f} times as fast as flowerformer")
    operations = counted(flowerformer, table)
    products = operations / product_rate(NODES // 2, EncoderConfig.default("flowerformer").width)
    print(
        f"{operations / 1e9:.0f} GFLOP of matrix products take {products:.2f} s alone, "
        f"{products / ours:.0%} of {ours:.2f} s"
    )
    return timings


def counted(encoder: Any, table: ArchitectureTable) -> float:
    """Return the operations, in FLOP, of the matrix products on the distinct graphs of a table.

    In squares of the width, a node has in a layer 2 x 3 of its inputs and, where something arrives, as many
    of its messages, 4 of attention and 4 of the feed-forward part.
    """
    distinct, _ = distinct_rows(table.keys())
    sources, targets = (np.unique(ends) for ends in table.columns.take(distinct).global_edges())
    nodes = int(np.diff(table.columns.node_offsets)[distinct].sum())
    products = 14 * nodes + 3 * (len(sources) + len(targets))
    return float(2 * encoder.width**2 * products * len(encoder.layers))


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument(
        "--forms", nargs="+", choices=FORMS, default=["as-written", "collapsed"], metavar="FORM"
    )
    arguments = options.parse_args()
    pin_threads()
    torch.manual_seed(0)
    print_hardware()
    space = NASBench201()
    written = space.sample(space.size, np.random.default_rng(0))
    results = {form: compare(form, written.in_form(form), arguments.repeats) for form in arguments.forms}
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
