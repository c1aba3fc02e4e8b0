"""How fast tables go through the operation-aware flow, against one graph after the other in plain loops.

    python benchmarks/operation_flow.py

Beside the times stand what bounds them: the matrix products that the definition asks for, one for each node
on which an operation acts and something flows, those that are computed, because equal states are computed
once, and the bytes of the result, each at a rate that is measured in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from archflow.flow import OperationFlow
from archflow.flow.operation_flow import _BLOCK, PASSES, _Maps
from archflow.graphs import INPUT, OUTPUT, ArchitectureTable, generations
from archflow.spaces import get
from harness import (
    Timing,
    copy_rate,
    measure_in_turn,
    parser,
    pin_threads,
    print_hardware,
    print_timings,
    product_rate,
    write_json,
)

COUNT, TWIN_COUNT = 15_000, 500
SPACES = ("nasbench201", "nasbench101")
TWIN = Path(__file__).parents[1] / "tests" / "reference" / "operation_flow.py"


def plain_loop_twin() -> Callable[..., Any]:
    """Load the slow twin that the tests compare with."""
    spec = importlib.util.spec_from_file_location("plain_loop_twin", TWIN)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(TWIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.operation_flow  # type: ignore[no-any-return]


def measure(table: ArchitectureTable, repeats: int) -> list[Timing]:
    """Time a table with the library and a part of it with the twin."""
    flow, twin, operations = OperationFlow.draw(table.operations), plain_loop_twin(), table.operations
    draws = {
        way: (
            flow.start(way),
            {name: flow.operation_map(place, way) for place, name in enumerate(operations.names)},
            flow.attribute_map(way),
        )
        for way in PASSES
    }
    part = table[:TWIN_COUNT]
    sample = list(part)

    def loop() -> list[Any]:
        meaning = (operations.identity, operations.zero)
        return [twin(architecture, draws, flow.config.alpha, *meaning) for architecture in sample]

    difference = np.abs(flow(part) - np.array(loop())).max()
    print(f"largest difference between the two on {TWIN_COUNT} cells: {difference:.1e}")
    return measure_in_turn(
        [
            (f"OperationFlow, width {flow.config.width}, float32", len(table), lambda: flow(table)),
            (f"plain loops, float64, {TWIN_COUNT} cells", TWIN_COUNT, loop),
        ],
        repeats=repeats,
    )


def products_needed(table: ArchitectureTable) -> int:
    """Count the nodes, in both passes, on which an operation acts and to which something flows."""
    operations, columns = table.operations, table.columns
    ids, edges = columns.operation_ids, columns.global_edges()
    silent = operations.mask(operations.zero)[ids]
    acts = ~operations.mask(operations.identity | operations.zero | {INPUT, OUTPUT})[ids]
    count = 0
    for end, (senders, receivers) in ((INPUT, edges), (OUTPUT, edges[::-1])):
        flows = ids == operations.id(end)
        for step in generations(senders, receivers, len(ids)):
            arrives = np.maximum.reduceat(flows[step.senders], step.starts[:-1])
            count += int((arrives & acts[step.nodes]).sum())
            flows[step.nodes] = arrives & ~silent[step.nodes]
    return count


def products_done(flow: OperationFlow, table: ArchitectureTable) -> int:
    """Count the rows of the products that one simulation computes."""
    rows: list[int] = []
    act = _Maps._act

    def counted(maps: _Maps, operation: int, messages: Any, *others: Any) -> Any:
        rows.append(len(messages))
        return act(maps, operation, messages, *others)

    with patch.object(_Maps, "_act", counted):
        flow(table)
    return sum(rows)


def bounds(table: ArchitectureTable, timing: Timing) -> dict[str, float]:
    """Print what products and writing take alone; return the shares of the measured time."""
    flow, whole = OperationFlow.draw(table.operations), statistics.median(timing.seconds)
    width = flow.config.width
    rate, copies = product_rate(_BLOCK, width), copy_rate(len(table) * flow.width)
    shares: dict[str, float] = {}
    for what, count in (("needed", products_needed(table)), ("done", products_done(flow, table))):
        operations = 2 * count * width**2
        shares[what] = operations / rate / whole
        print(
            f"products {what}: {count / len(table):.2f} a cell, {operations / 1e9:.2f} GFLOP; alone, at "
            f"{rate / 1e9:.0f} GFLOP/s, {operations / rate:.3f} s, {shares[what]:.0%} of {whole:.3f} s"
        )
    written = 4 * len(table) * flow.width
    shares["result"] = written / copies / whole
    print(f"the result: {written / 1e6:.0f} MB, written in {written / copies:.3f} s, {shares['result']:.0%}")
    return shares


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    arguments = options.parse_args()
    pin_threads(arguments.threads)
    print_hardware()
    results, shares = {}, {}
    for name in SPACES:
        table = get(name).sample(COUNT, np.random.default_rng(0))
        timings = measure(table, arguments.repeats)
        title = f"Operation-aware flow of {COUNT:,} cells of {name}"
        print_timings(title, timings)
        results[title], shares[title] = timings, bounds(table, timings[0])
    write_json(arguments.json, results, shares_of_ceilings=shares)


if __name__ == "__main__":
    main()
