"""How fast every encoder ranks and trains, side by side, and how many times slower than GIN it is.

    python benchmarks/encoders.py
    python benchmarks/encoders.py --encoders gin ta_gates --forms collapsed

Ranking embeds all 15,625 NAS-Bench-201 cells; architectures with equal graphs are embedded once, and finding
them is timed too. Training is an epoch of steps, mean squared error and AdamW, at the batch size of
pre-training on 4,096 cells and at that of fine-tuning on 512. Each encoder has its usual sizes. Beside GIN
and the gated GCN stand the same encoders built from torch_geometric's layers, which embed every cell, with
graphs from its DataLoader that are made beforehand and not timed; beside TA-GATES its slow twin from the
tests, plain loops over one graph after the other.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, ResGatedGraphConv, global_mean_pool

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.encoders.embedding import BATCH, embed
from archflow.graphs import FORMS, ArchitectureTable, GraphBatch
from archflow.spaces.nasbench201 import NASBench201
from harness import Timing, measure_in_turn, parser, pin_threads, print_hardware, print_timings, write_json

BASELINE = "gin"
WIDTH = 128
LAYERS = 3
DROPOUT = 0.1
TRAINING = {"pre-training": (256, 4_096), "fine-tuning": (16, 512)}
"""Batch size and number of architectures of an epoch."""
LOOPED = 50
LOOPS = ("ta_gates",)
"""Encoders whose slow twin, `NAME(architecture, first, weights)` in tests/reference/NAME.py, is timed too."""

Run = tuple[str, int, Callable[[], object]]


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


def plain_loops(name: str) -> Callable[..., Tensor]:
    """Load the slow twin of an encoder that the tests compare with."""
    path = Path(__file__).parents[1] / "tests" / "reference" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"plain_loops_{name}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)  # type: ignore[no-any-return]


def ranking(names: Sequence[str], table: ArchitectureTable, graphs: list[Data]) -> list[Run]:
    """List the embeddings of the whole table to time."""
    runs: list[Run] = []
    for name in names:
        encoder = EncoderConfig.default(name).build(len(table.operations))
        if name in TWINS:
            twin = TWINS[name](len(table.operations)).eval()
            runs.append(
                (f"{name}, torch_geometric", len(table), functools.partial(rank_geometric, twin, graphs))
            )
        if name in LOOPS:
            loops = functools.partial(rank_plainly, plain_loops(name), encoder, table[:LOOPED])
            difference = np.abs(loops() - embed(encoder, table[:LOOPED])).max()
            print(f"largest difference of {name} and its plain loops on {LOOPED} cells: {difference:.1e}")
            runs.append((f"{name}, plain loops, {LOOPED} cells", LOOPED, loops))
        runs.append((name, len(table), functools.partial(rank, encoder, table)))
    return runs


def rank(encoder: nn.Module, table: ArchitectureTable) -> object:
    """Embed the table; as a new one, whose keys, by which equal graphs are found, are a part of the work."""
    return embed(encoder, ArchitectureTable(table.columns, table.operations))


def rank_geometric(encoder: nn.Module, graphs: list[Data]) -> list[Tensor]:
    """Embed all graphs of torch_geometric."""
    with torch.inference_mode():
        return [encoder(batch) for batch in DataLoader(graphs, batch_size=BATCH)]


def rank_plainly(twin: Callable[..., Tensor], encoder: nn.Module, table: ArchitectureTable) -> Any:
    """Embed a table by plain loops: (A, D)."""
    weights = encoder.state_dict()
    with torch.inference_mode():
        first = encoder.embedding(GraphBatch.of(table.columns))  # type: ignore[operator]
        parts = first.split(np.diff(table.columns.node_offsets).tolist())
        rows = [
            twin(architecture, own, weights).mean(0) for architecture, own in zip(table, parts, strict=True)
        ]
    return torch.stack(rows).numpy()


def training(
    names: Sequence[str], table: ArchitectureTable, graphs: list[Data], batch_size: int
) -> list[Run]:
    """List the epochs to time."""
    runs: list[Run] = []
    for name in names:
        ours = EncoderConfig.default(name).build(len(table.operations))
        if name in TWINS:
            epoch = functools.partial(train_geometric, TWINS[name](len(table.operations)), graphs, batch_size)
            runs.append((f"{name}, torch_geometric", len(table), epoch))
        runs.append((name, len(table), functools.partial(train, ours, table, batch_size)))
    return runs


def train(encoder: nn.Module, table: ArchitectureTable, batch_size: int) -> None:
    """Train for one epoch."""
    optimizer = torch.optim.AdamW(encoder.train().parameters(), lr=1e-3)
    order = np.random.default_rng(0).permutation(len(table))
    for begin in range(0, len(table), batch_size):
        batch = GraphBatch.of(table.columns.take(order[begin : begin + batch_size]))
        step(optimizer, encoder(batch)[1])


def train_geometric(encoder: nn.Module, graphs: list[Data], batch_size: int) -> None:
    """Train for one epoch with the data loader of torch_geometric."""
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    for batch in DataLoader(graphs, batch_size=batch_size, shuffle=True):
        step(optimizer, encoder(batch))


def step(optimizer: torch.optim.Optimizer, embeddings: Tensor) -> None:
    """Take one step towards embeddings of ones."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward((embeddings - 1).square().mean())
    optimizer.step()


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.add_argument(
        "--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS), metavar="NAME"
    )
    options.add_argument(
        "--forms", nargs="+", choices=FORMS, default=["as-written", "collapsed"], metavar="FORM"
    )
    arguments = options.parse_args()
    names = [*(name for name in arguments.encoders if name != BASELINE), BASELINE]
    pin_threads()
    torch.manual_seed(0)
    print_hardware()
    sizes = [EncoderConfig.default(name) for name in names]
    print("width x layers: " + ", ".join(f"{size.name} {size.width} x {size.layers}" for size in sizes))
    space = NASBench201()
    written = space.sample(space.size, np.random.default_rng(0))
    results = {}
    for form in arguments.forms:
        table = written.in_form(form)
        graphs = geometric_graphs(table)
        runs = {f"ranking, {form}": ranking(names, table, graphs)}
        for what, (batch_size, count) in TRAINING.items():
            title = f"{what}, {form}, batch {batch_size}"
            runs[title] = training(names, table[:count], graphs[:count], batch_size)
        for title, calls in runs.items():
            results[title] = measure_in_turn(calls, repeats=arguments.repeats)
            report(title, results[title])
    write_json(arguments.json, results)


def report(title: str, timings: list[Timing]) -> None:
    """Print the table, whose ratios are to the baseline in its last row, and those ratios upside down."""
    print_timings(title, timings)
    slower = (f"{timing.name} {timings[-1].rate / timing.rate:.1f}" for timing in timings[:-1])
    print(f"times slower than {BASELINE}: {'; '.join(slower)}")


if __name__ == "__main__":
    main()
