"""What every encoder must do, checked on small graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from archflow.encoders import fit_scale
from archflow.graphs import Architecture, ArchitectureTable, Columns, GraphBatch, Operations
from archflow.testing.require import require
from archflow.testing.toys import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table

Build = Callable[[int, int], nn.Module]


def check_encoder(build: Build, *, tolerance: float = 1e-5) -> None:
    """Check that an encoder fulfils `archflow.protocols.Encoder`.

    Shapes (N, D) and (B, D); it leaves its batch unchanged, with and without gradients; in evaluation mode it
    answers the same twice, and after its weights went through a state dict; a graph's embeddings are the
    same alone, in a batch and among strangers, and follow the renumbering of its nodes; they depend on the
    operations, on the wiring and, where there are any, on the attributes; the gradient of the graph
    embeddings reaches every parameter and equals the difference quotient in float64; a batch of one graph
    without edges trains.

    Args:
        build: Makes an encoder with fresh random weights for so many operations and attributes.
        tolerance: Largest absolute difference between embeddings that should be equal, in float32.

    Raises:
        AssertionError: A rule is broken; the message says which.
    """
    for operations in (TOY_OPERATIONS, SIZED_TOY_OPERATIONS):
        table = toy_table(24, seed=1, operations=operations)
        encoder = _fresh(build, operations).eval()
        fit_scale(encoder, table.columns)
        _check_batch_unchanged(encoder, table)
        batch = GraphBatch.of(table.columns)
        _check_shapes(encoder, batch)
        _check_repeatable(build, encoder, table)
        _check_one_by_one(encoder, table, tolerance)
        _check_strangers(encoder, table, tolerance)
        _check_renumbering(encoder, table, tolerance)
        _check_sensitivity(encoder, operations, tolerance)
        _check_gradients(build, table)
        _check_smallest_batch(encoder, operations)


def _fresh(build: Build, operations: Operations) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(len(operations), len(operations.attributes))


def _embed(encoder: nn.Module, columns: Columns) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        nodes, graphs = encoder(GraphBatch.of(columns))
    return nodes, graphs


def _check_batch_unchanged(encoder: nn.Module, table: ArchitectureTable) -> None:
    for training in (False, True):
        batch, before = GraphBatch.of(table.columns.take(np.arange(len(table)))), GraphBatch.of(table.columns)
        encoder.train(training)
        encoder(batch)
        for field in dataclasses.fields(batch):
            same = torch.equal(getattr(batch, field.name), getattr(before, field.name))
            require(same, f"the encoder changed its batch's {field.name}")
    encoder.eval()


def _check_shapes(encoder: nn.Module, batch: GraphBatch) -> None:
    width = getattr(encoder, "width", None)
    require(isinstance(width, int), f"an encoder's width must be an integer, not {width!r}")
    nodes, graphs = encoder(batch)
    for name, values, count in (("node", nodes, batch.n_nodes), ("graph", graphs, batch.n_graphs)):
        require(
            values.shape == (count, width),
            f"{name} embeddings must have shape {(count, width)}, not {tuple(values.shape)}",
        )
        require(values.dtype == torch.float32, f"{name} embeddings must be float32, not {values.dtype}")
        require(bool(values.isfinite().all()), f"{name} embeddings must be finite")


def _check_repeatable(build: Build, encoder: nn.Module, table: ArchitectureTable) -> None:
    batch, operations = GraphBatch.of(table.columns), table.operations
    with torch.inference_mode():
        first, second = encoder(batch)[1], encoder(batch)[1]
        require(torch.equal(first, second), "in evaluation mode an encoder must answer the same twice")
        copy = build(len(operations), len(operations.attributes)).eval()  # other random weights
        copy.load_state_dict(encoder.state_dict())
        require(torch.equal(first, copy(batch)[1]), "the state dict must hold all that the answer depends on")


def _check_one_by_one(encoder: nn.Module, table: ArchitectureTable, tolerance: float) -> None:
    nodes, graphs = _embed(encoder, table.columns)
    for row in range(len(table)):
        alone_nodes, alone_graphs = _embed(encoder, table[[row]].columns)
        own = nodes[table.columns.node_offsets[row] : table.columns.node_offsets[row + 1]]
        _require_close(own, alone_nodes, tolerance, f"node embeddings of graph {row} alone and batched")
        _require_close(graphs[[row]], alone_graphs, tolerance, f"embedding of graph {row} alone and batched")


def _check_strangers(encoder: nn.Module, table: ArchitectureTable, tolerance: float) -> None:
    graphs = _embed(encoder, table.columns)[1]
    order = np.random.default_rng(0).permutation(len(table))
    crowd = ArchitectureTable.concatenate(
        [
            toy_table(9, seed=2, operations=table.operations),
            table[order],
            toy_table(5, seed=3, operations=table.operations),
        ]
    )
    among = _embed(encoder, crowd.columns)[1][9 : 9 + len(table)]
    _require_close(graphs[torch.from_numpy(order)], among, tolerance, "embeddings among other graphs")


def _check_renumbering(encoder: nn.Module, table: ArchitectureTable, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    for row, architecture in enumerate(table):
        other, places = renumbered(architecture, rng)
        nodes, graph = _embed(encoder, architecture.to_columns(table.operations))
        other_nodes, other_graph = _embed(encoder, other.to_columns(table.operations))
        moved = other_nodes[torch.from_numpy(places)]
        _require_close(nodes, moved, tolerance, f"node embeddings of graph {row} renumbered")
        _require_close(graph, other_graph, tolerance, f"embedding of graph {row} renumbered")


def _check_sensitivity(encoder: nn.Module, operations: Operations, tolerance: float) -> None:
    names = ("input", "conv", "pool", "conv", "output")
    chain = Architecture(names, ((0, 1), (1, 2), (2, 3), (3, 4)))
    others = {
        "wiring": Architecture(names, ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4))),
        "operations": Architecture(("input", "conv", "pool", "pool", "output"), chain.edges),
    }
    for name in operations.attributes:
        others[f"attribute {name}"] = Architecture(names, chain.edges, ((name, (0, 3, 0, 0, 0)),))
    embedding = _embed(encoder, chain.to_columns(operations))[1]
    for name, other in others.items():
        difference = (_embed(encoder, other.to_columns(operations))[1] - embedding).abs().max().item()
        require(difference > tolerance, f"graph embeddings must depend on the {name}")


def _check_gradients(build: Build, table: ArchitectureTable) -> None:
    encoder = _fresh(build, table.operations)
    fit_scale(encoder, table.columns)
    encoder = encoder.eval().double()
    batch = GraphBatch.of(table.columns)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(batch.n_graphs, 1, generator=generator, dtype=torch.float64)
    names, parameters = zip(*encoder.named_parameters(), strict=True)

    def loss() -> Tensor:
        graphs: Tensor = encoder(batch)[1]
        return (weights * (graphs + graphs.square())).sum()

    slope = 0.0
    directions = []
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
        reached = gradient is not None and bool(gradient.abs().max() > 0)
        require(reached, f"no gradient reaches {name}")
        directions.append(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        slope += float((gradient * directions[-1]).sum())

    def moved(step: float) -> float:
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(step * direction)
            value = loss().item()
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.sub_(step * direction)
        return value

    # A kink of a relu on the way spoils the quotient of one step, but hardly that of a much shorter one too.
    quotients = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-6, 1e-7, 1e-8)]
    require(
        min(abs(quotient - slope) for quotient in quotients) <= 1e-4 * max(1.0, abs(slope)),
        f"the gradient along a random direction is {slope:.8g}, the difference quotients are {quotients}",
    )


def _check_smallest_batch(encoder: nn.Module, operations: Operations) -> None:
    smallest = Architecture(("input", "output"), ())
    encoder.train()
    try:
        graphs = encoder(GraphBatch.of(smallest.to_columns(operations)))[1]
        require(
            bool(graphs.isfinite().all()), "a graph without edges must give finite embeddings in training"
        )
    finally:
        encoder.eval()


def _require_close(first: Tensor, second: Tensor, tolerance: float, what: str) -> None:
    difference = (first - second).abs().max().item()
    require(difference <= tolerance, f"{what} differ by {difference:.3g}, more than {tolerance:.3g}")
