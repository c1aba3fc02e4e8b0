"""How fast our encoders rank and train, against the same encoders built from torch_geometric's layers.

    python benchmarks/encoders.py

Ranking embeds all 15,625 NAS-Bench-201 cells; a training run is one epoch of steps on 4,096 of them, batch
256, mean squared error and AdamW. torch_geometric reads its graphs through its DataLoader, from a list that
is made beforehand and not timed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, ResGatedGraphConv, global_mean_pool

from archflow.encoders import EncoderConfig
from archflow.encoders.embedding import BATCH, embed
from archflow.graphs import ArchitectureTable, GraphBatch
from archflow.spaces.nasbench201 import NASBench201
from harness import Timing, measure_in_turn, parser, pin_threads, print_hardware, print_timings, write_json

WIDTH = 128
LAYERS = 3
DROPOUT = 0.1
TRAINED = 4_096
TRAINING_BATCH = 256


class GeometricGIN(nn.Module):
    """The encoder of archflow.encoders.gin, of torch_geometric's layers."""

    def __init__(self, n_operations: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_operations, WIDTH)
        self.layers = nn.ModuleList(
            GINConv(
                nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)), train_eps=True
            )
            for _ in range(LAYERS)
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.jump = nn.Linear(LAYERS * WIDTH, WIDTH)

    def forward(self, data: Any) -> Tensor:
        """Embed a batch of torch_geometric: (B, D)."""
        states, outputs = self.embedding(data.x), []
        for layer in self.layers:
            states = self.dropout(layer(states, data.edge_index).relu())
            outputs.append(states)
        pooled: Tensor = global_mean_pool(self.jump(torch.cat(outputs, dim=1)), data.batch, data.num_graphs)
        return pooled


class GeometricGatedGCN(nn.Module):
    """The encoder of archflow.encoders.gated_gcn, of torch_geometric's layers."""

    def __init__(self, n_operations: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_operations, WIDTH)
        self.layers = nn.ModuleList(ResGatedGraphConv(WIDTH, WIDTH) for _ in range(LAYERS))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, data: Any) -> Tensor:
        """Embed a batch of torch_geometric: (B, D)."""
        first = states = self.embedding(data.x)
        for layer in self.layers:
            states = 0.2 * first + 0.8 * self.dropout(layer(states, data.edge_index).relu())
        pooled: Tensor = global_mean_pool(states, data.batch, data.num_graphs)
        return pooled


TWINS: dict[str, type[nn.Module]] = {"gin": GeometricGIN, "gated_gcn": GeometricGatedGCN}


def geometric_graphs(table: ArchitectureTable) -> list[Data]:
    """Return a torch_geometric graph an architecture, with edges both ways as our encoders read them."""
    graphs = []
    for row in range(len(table)):
        columns = table.columns.take(np.array([row]))
        one_way = torch.from_numpy(np.stack([columns.sources, columns.targets]).astype(np.int64))
        both_ways = torch.cat([one_way, one_way.flip(0)], dim=1)
        nodes = torch.from_numpy(columns.operation_ids.astype(np.int64))
        graphs.append(Data(x=nodes, edge_index=both_ways, num_nodes=len(nodes)))
    return graphs


def ranking(name: str, table: ArchitectureTable, graphs: list[Data], repeats: int) -> list[Timing]:
    """Time the embedding of the whole table."""
    ours = EncoderConfig(name=name, width=WIDTH, layers=LAYERS, dropout=DROPOUT).build(len(table.operations))
    theirs = TWINS[name](len(table.operations)).eval()

    def geometric() -> list[Tensor]:
        with torch.inference_mode():
            return [theirs(batch) for batch in DataLoader(graphs, batch_size=BATCH)]

    return measure_in_turn(
        [
            # A new table each time: its keys, by which equal graphs are found, are a part of the work.
            ("archflow", len(table), lambda: embed(ours, ArchitectureTable(table.columns, table.operations))),
            ("torch_geometric", len(table), geometric),
        ],
        repeats=repeats,
    )


def training(name: str, table: ArchitectureTable, graphs: list[Data], repeats: int) -> list[Timing]:
    """Time one epoch of training steps."""
    table, graphs = table[:TRAINED], graphs[:TRAINED]
    goals = torch.randn(TRAINED, WIDTH, generator=torch.Generator().manual_seed(0))
    ours = EncoderConfig(name=name, width=WIDTH, layers=LAYERS, dropout=DROPOUT).build(len(table.operations))
    theirs = TWINS[name](len(table.operations))
    our_steps, their_steps = (torch.optim.AdamW(model.parameters(), lr=1e-3) for model in (ours, theirs))
    for graph, goal in zip(graphs, goals, strict=True):
        graph.y = goal.unsqueeze(0)
    rng = np.random.default_rng(0)

    def step(optimizer: torch.optim.Optimizer, embeddings: Tensor, goal: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward((embeddings - goal).square().mean())
        optimizer.step()

    def epoch() -> None:
        order = rng.permutation(TRAINED)
        for begin in range(0, TRAINED, TRAINING_BATCH):
            rows = order[begin : begin + TRAINING_BATCH]
            embeddings = ours(GraphBatch.of(table.columns.take(rows)))[1]
            step(our_steps, embeddings, goals[torch.from_numpy(rows)])

    def geometric() -> None:
        for batch in DataLoader(graphs, batch_size=TRAINING_BATCH, shuffle=True):
            step(their_steps, theirs(batch), batch.y)

    return measure_in_turn(
        [("archflow", TRAINED, epoch), ("torch_geometric", TRAINED, geometric)], repeats=repeats
    )


def main() -> None:
    """Parse the options, run and print."""
    arguments = parser(__doc__).parse_args()
    pin_threads()
    torch.manual_seed(0)
    print_hardware()
    space = NASBench201()
    table = space.sample(space.size, np.random.default_rng(0))
    graphs = geometric_graphs(table)
    results = {}
    for name in TWINS:
        for what, run in (("ranking", ranking), ("training", training)):
            title = f"{what} with {name}, width {WIDTH}, {LAYERS} layers"
            results[title] = run(name, table, graphs, arguments.repeats)
            print_timings(title, results[title])
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
