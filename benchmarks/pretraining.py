"""How soon pre-training reaches the loss at which a plain loop ends, and where the time goes.

    python benchmarks/pretraining.py
    python benchmarks/pretraining.py --seeds 1

GIN on all 15,625 NAS-Bench-201 cells, the paper's two tasks, one thread. The plain loop is what one writes
first: layers and DataLoader of torch_geometric, every cell in every epoch, AdamW at a constant rate, the
paper's batch size and number of epochs. Its graphs and the targets of both tasks are made beforehand and
not timed. Ours is `pretrain` with the settings of `PretrainConfig.quick()`, its own preparations timed:
equal graphs merged and weighted, and another schedule. An epoch with the default settings, where distinct
graphs count once, is run to show the time of their steps.

The loss of both is evaluated alike, without dropout, as the mean over the same 15,625 cells; the ranking's
over all pairs within blocks of cells that are drawn once. The plain loop's final loss is the median of
those after its last ten epochs, because a constant rate ends on a ragged line. Ours has to go below it
once; the loss after its last epoch is printed too. Evaluations are not timed. Times are of the processor,
so that others who use it change little. Each seed has weights, orders and a surrogate of its own, and takes
some six minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from archflow.encoders.embedding import BATCH, embed
from archflow.graphs import ArchitectureTable
from archflow.graphs.keys import distinct_rows
from archflow.pretrain import PretrainConfig
from archflow.pretrain.objectives import FlowReconstruction, ProxyRanking, multilayer_perceptron
from archflow.pretrain.run import _Run
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import pairwise_hinge, train
from archflow.training.loop import seeded
from encoders import WIDTH, GeometricGIN, geometric_graphs
from harness import pin_threads, print_hardware, write_json

LAST = 10
"""Epochs at whose end the plain loop's loss is evaluated."""

BLOCK = 625
"""Cells of which all pairs are ranked in an evaluation, and for which the rest is computed at once."""


@dataclasses.dataclass(frozen=True)
class Targets:
    """What both loops learn about every cell, and how far they are from it.

    Attributes:
        surrogates: The standardised surrogate, (A, k).
        ranks: The rank by parameters, (A,).
        blocks: The cells in an order drawn once, (A,).
    """

    surrogates: Tensor
    ranks: Tensor
    blocks: Tensor

    def loss(self, rows: Tensor, surrogates: Tensor, scores: Tensor) -> Tensor:
        """Return the paper's loss, (), of the outputs (B, k) and (B,) for some rows, (B,)."""
        distances = (surrogates - self.surrogates[rows]).square().sum(dim=1).mean()
        return 0.5 * distances + 0.5 * pairwise_hinge(scores, self.ranks[rows], 0.5)

    @torch.no_grad()
    def evaluate(self, embeddings: Tensor, decoder: nn.Module, scorer: nn.Module) -> float:
        """Return the mean loss over all cells from their embeddings, (A, D)."""
        losses = [
            self.loss(rows, decoder(embeddings[rows]), scorer(embeddings[rows]).squeeze(1))
            for rows in torch.split(self.blocks, BLOCK)
        ]
        return float(torch.stack(losses).mean())


@dataclasses.dataclass(frozen=True)
class Curve:
    """A run, epoch by epoch.

    Attributes:
        graphs: Graphs an epoch.
        steps: Steps an epoch.
        seconds: Time until the end of each epoch, evaluations left out.
        losses: The evaluated loss after an epoch, by the number of epochs done.
    """

    graphs: int
    steps: int
    seconds: list[float]
    losses: dict[int, float]

    def show(self, name: str, epochs: int) -> None:
        """Print a line about the first so many epochs."""
        seconds, steps = self.seconds[epochs - 1], epochs * self.steps
        print(
            f"{name:9}{self.graphs:>8,}{epochs:>8}{steps:>8,}{1e3 * seconds / steps:>9.1f}"
            f"{seconds / epochs:>9.2f}{seconds:>9.1f}"
        )


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Both loops with one seed.

    Attributes:
        seed: The seed.
        plain: The plain loop.
        ours: Ours.
        preparing: Seconds that ours prepares for.
        default: An epoch of ours with the default settings.
    """

    seed: int
    plain: Curve
    ours: Curve
    preparing: float
    default: Curve

    @property
    def goal(self) -> float:
        """The plain loop's final loss."""
        return statistics.median(self.plain.losses.values())

    @property
    def epochs(self) -> int | None:
        """Epochs after which our loss was at most that, or None if it never was."""
        return next((epochs for epochs, loss in self.ours.losses.items() if loss <= self.goal), None)

    @property
    def ratio(self) -> float:
        """How many times our time until then the plain loop takes; 0 where ours never gets there."""
        if self.epochs is None:
            return 0.0
        return self.plain.seconds[-1] / (self.preparing + self.ours.seconds[self.epochs - 1])

    def show(self) -> None:
        """Print both loops and what the ratio is made of."""
        last = self.ours.losses[len(self.ours.losses)]
        print(
            f"\nseed {self.seed}: the plain loop ends at a loss of {self.goal:.4f}, ours at {last:.4f} after"
        )
        print(f"{len(self.ours.seconds)} epochs and {self.preparing + self.ours.seconds[-1]:.1f} s in all")
        print(f"{'':9}{'graphs':>8}{'epochs':>8}{'steps':>8}{'ms/step':>9}{'s/epoch':>9}{'seconds':>9}")
        self.plain.show("plain", len(self.plain.seconds))
        self.default.show("defaults", 1)
        if self.epochs is None:
            print("ours never gets there")
            return
        self.ours.show("ours", self.epochs)
        steps = len(self.plain.seconds) * self.plain.steps / (self.epochs * self.ours.steps)
        print(
            f"with {self.preparing:.1f} s of preparing: {self.ratio:.1f}x sooner, "
            f"{steps:.1f}x the steps and {self.ratio / steps:.1f}x the time of a step"
        )


def plain_loop(graphs: list[Data], targets: Targets, config: PretrainConfig, n_operations: int) -> Curve:
    """Pre-train as one writes it first; evaluate after the last epochs."""
    training = config.training
    width = targets.surrogates.shape[1]
    with seeded(config.seed):
        encoder = GeometricGIN(n_operations)
        decoder, scorer = multilayer_perceptron([WIDTH, 128, width]), multilayer_perceptron([WIDTH, 64, 1])
        model = nn.ModuleList([encoder, decoder, scorer])
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        loader = DataLoader(graphs, batch_size=training.batch_size, shuffle=True)
        seconds, losses = [0.0], {}
        for epoch in range(1, training.epochs + 1):
            start = time.process_time()
            for batch in loader:
                optimizer.zero_grad()
                embeddings = encoder(batch)
                loss = targets.loss(batch.row, decoder(embeddings), scorer(embeddings).squeeze(1))
                torch.autograd.backward(loss)
                optimizer.step()
            seconds.append(seconds[-1] + time.process_time() - start)
            if epoch > training.epochs - LAST:
                losses[epoch] = targets.evaluate(embed_geometric(encoder, graphs), decoder, scorer)
    return Curve(len(graphs), len(loader), seconds[1:], losses)


@torch.no_grad()
def embed_geometric(encoder: nn.Module, graphs: list[Data]) -> Tensor:
    """Embed all graphs in their order, (A, D), without dropout."""
    encoder.eval()
    embeddings = torch.cat([encoder(batch) for batch in DataLoader(graphs, batch_size=BATCH)])
    encoder.train()
    return embeddings


def our_loop(run: _Run, evaluate: Callable[[], float] | None) -> Curve:
    """Pre-train as `pretrain` does, with an evaluation after every epoch if there is one."""
    seconds, losses = [0.0], {}
    start = time.process_time()

    def after_epoch(epochs: int, _: float) -> None:
        nonlocal start
        run.remember(epochs, 0.0)  # a part of the work: what Ctrl-C would save
        seconds.append(seconds[-1] + time.process_time() - start)
        if evaluate is not None:
            losses[epochs] = evaluate()
        start = time.process_time()

    training = run.config.training
    train(run.module, run.loss, len(run.graphs), training, seed=run.config.seed, optimizer=run.optimizer,
          after_epoch=after_epoch)  # fmt: skip
    n_graphs = len(run.graphs)
    return Curve(n_graphs, math.ceil(n_graphs / training.batch_size), seconds[1:], losses)


def compare(table: ArchitectureTable, graphs: list[Data], config: PretrainConfig) -> Comparison:
    """Run both loops with one seed."""
    space, formed = NASBench201(), table.in_form(config.form)
    start = time.process_time()
    run = _Run(space, table, config.quick(), None, torch.device("cpu"))
    prepared = time.process_time() - start
    graph_of = torch.from_numpy(distinct_rows(formed.keys())[1])
    flow, proxy = (run.module.get_submodule(f"objectives.objectives.{name}") for name in ("flow", "proxy"))
    assert isinstance(flow, FlowReconstruction)
    assert isinstance(proxy, ProxyRanking)
    blocks = torch.from_numpy(np.random.default_rng(0).permutation(len(table)))
    targets = Targets(flow.targets[graph_of], proxy.targets[graph_of], blocks)
    distinct = ArchitectureTable(run.columns, table.operations)

    def evaluate() -> float:
        embeddings = torch.from_numpy(embed(run.module["encoder"], distinct))[graph_of]
        return targets.evaluate(embeddings, flow.decoder, proxy.scorer)

    plain = plain_loop(graphs, targets, config, len(table.operations))
    ours = our_loop(run, evaluate)
    once = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=1))
    default = our_loop(_Run(space, table, once, None, torch.device("cpu")), None)
    return Comparison(config.seed, plain, ours, prepared, default)


def main() -> None:
    """Parse the options, run and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, default=3, help="seeds to compare (default 3)")
    options.add_argument(
        "--epochs", type=int, default=200, help="of the plain loop (default 200, as published)"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this file")
    arguments = options.parse_args()
    pin_threads()
    print_hardware()
    table = NASBench201().all()
    default = PretrainConfig.for_space("nasbench201", "gin")
    default = dataclasses.replace(
        default, training=dataclasses.replace(default.training, epochs=arguments.epochs)
    )
    graphs = geometric_graphs(table.in_form(default.form))
    for row, graph in enumerate(graphs):
        graph.row = row
    found = []
    for seed in range(arguments.seeds):
        found.append(compare(table, graphs, dataclasses.replace(default, seed=seed)))
        found[-1].show()
    ratios = [one.ratio for one in found]
    print(
        f"\nratio of times to the plain loop's final loss, median of {len(ratios)}: "
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )
    write_json(arguments.json, {}, runs=[{**dataclasses.asdict(one), "ratio": one.ratio} for one in found])


if __name__ == "__main__":
    main()
