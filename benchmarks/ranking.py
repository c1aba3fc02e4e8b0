"""How fast the message-passing encoders rank when nodes with equal views are computed once.

    python benchmarks/ranking.py
    python benchmarks/ranking.py --nasbench101 --repeats 1

All 15,625 NAS-Bench-201 cells, as written and collapsed, or all 423,624 NAS-Bench-101 cells. Finding equal
views and equal graphs is timed too. Beside it stand the plain path, which embeds each distinct graph, batch
after batch, and the same encoder with the same weights of torch_geometric's layers, which embeds every cell,
with graphs from its DataLoader that are made beforehand and not timed; of NAS-Bench-101 both see a sample.
The matrix products are counted, and the time that they alone would take at the rate measured in this run.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from archflow.encoders import EncoderConfig
from archflow.encoders.embedding import embed
from archflow.encoders.sharing import NODES, Sharing, chunks, view_keys
from archflow.graphs import ArchitectureTable, Form, GraphBatch
from archflow.graphs.keys import distinct_rows
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201
from encoders import DROPOUT, LAYERS, TWINS, WIDTH, geometric_graphs, rank, rank_geometric
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

FORMS: tuple[Form, ...] = ("as-written", "collapsed")
SAMPLE = 15_000


class Plain(nn.Module):
    """An encoder without its way to share states."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D)."""
        nodes, graphs = self.encoder(batch)
        return nodes, graphs


def twin_of(encoder: nn.Module, name: str, n_operations: int) -> nn.Module:
    """Build the encoder of torch_geometric's layers with the same weights."""
    twin = TWINS[name](n_operations).eval()
    renamed: dict[str, Tensor] = {}
    for key, value in encoder.state_dict().items():
        if ".maps." in key:
            layer, _, kind = key.rpartition(".maps.")
            parts = zip(("lin_key", "lin_query", "lin_value", "lin_skip"), value.chunk(4), strict=True)
            renamed |= {f"{layer}.{part}.{kind}": weights for part, weights in parts}
            if kind == "bias":  # of the skip connection it belongs to the convolution
                renamed[f"{layer}.bias"] = renamed.pop(f"{layer}.lin_skip.bias")
        else:
            renamed[key.replace(".mlp.", ".nn.").replace(".epsilon", ".eps")] = value
    shapes = {key: value.shape for key, value in twin.state_dict().items()}
    twin.load_state_dict({key: value.reshape(shapes[key]) for key, value in renamed.items()})
    return twin


def sharings(table: ArchitectureTable) -> Iterator[Sharing]:
    """Yield which nodes share their states, for each part of a table that is computed at once."""
    distinct, _ = distinct_rows(view_keys(table.columns, LAYERS))
    for rows in chunks(table.columns, distinct):
        yield Sharing.of(table.columns.take(rows), LAYERS)


def counted(table: ArchitectureTable, name: str) -> float:
    """Print the share of distinct nodes by layer; return the operations, in FLOP, of the matrix products."""
    states, graphs, jumps = np.zeros(LAYERS + 1), 0, 0
    for sharing in sharings(table):
        states += [sharing.starts.n_nodes, *map(len, sharing.layers)]
        graphs += len(sharing)
        # A jump comes before the mean over nodes where that is less to multiply, but for the last layer's.
        jumps += sum(min(len(layer), len(sharing)) for layer in sharing.layers[:-1]) + len(sharing)
    nodes = len(table.columns.operation_ids)
    shares = ", ".join(f"{count / nodes:.2%}" for count in states)
    print(f"states computed, of {nodes:,} nodes, by layer from 0: {shares}; {graphs:,} distinct graphs")
    of_gin = states[:-1].sum() + states[1:].sum() + jumps
    return float(2 * WIDTH**2 * (4 * states[:-1].sum() if name == "gated_gcn" else of_gin))


def compare(
    title: str, name: str, table: ArchitectureTable, sample: ArchitectureTable, repeats: int
) -> list[Timing]:
    """Time one encoder on a table, and the two others on a sample of it."""
    print(f"\n{name}, {title}")
    encoder = EncoderConfig(name, WIDTH, LAYERS, DROPOUT).build(len(table.operations)).eval()
    operations = counted(table, name)
    plain, twin, graphs = (
        Plain(encoder),
        twin_of(encoder, name, len(table.operations)),
        geometric_graphs(sample),
    )
    ours = embed(encoder, sample)
    theirs = torch.cat(rank_geometric(twin, graphs)).numpy()
    for other, embeddings in (("plain path", embed(plain, sample)), ("torch_geometric", theirs)):
        print(f"largest difference to the {other}: {np.abs(ours - embeddings).max():.1e}")
    timings = measure_in_turn(
        [
            ("nodes shared", len(table), lambda: rank(encoder, table)),
            ("plain path", len(sample), lambda: rank(plain, sample)),
            ("torch_geometric", len(sample), lambda: rank_geometric(twin, graphs)),
        ],
        repeats=repeats,
    )
    print_timings(f"{name}, {title}", timings)
    products, whole = operations / product_rate(NODES // 2, WIDTH), statistics.median(timings[0].seconds)
    print(
        f"{operations / 1e9:.1f} GFLOP of matrix products take {products:.3f} s alone, "
        f"{products / whole:.0%} of {whole:.3f} s"
    )
    return timings


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--encoders", nargs="+", choices=list(TWINS), default=list(TWINS), metavar="NAME")
    options.add_argument(
        "--nasbench101", action="store_true", help="all NAS-Bench-101 cells instead, as written"
    )
    arguments = options.parse_args()
    pin_threads()
    torch.manual_seed(0)
    print_hardware()
    if arguments.nasbench101:
        cells = NASBench101().all()
        rows = np.random.default_rng(0).permutation(len(cells))
        tables = {"423,624 NAS-Bench-101 cells": (cells, cells[rows[:SAMPLE]])}
    else:
        space = NASBench201()
        written = space.sample(space.size, np.random.default_rng(0))
        formed = {form: written.in_form(form) for form in FORMS}
        tables = {f"15,625 NAS-Bench-201 cells, {form}": (table, table) for form, table in formed.items()}
    results = {}
    for title, (table, sample) in tables.items():
        for name in arguments.encoders:
            results[f"{name}, {title}"] = compare(title, name, table, sample, arguments.repeats)
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
