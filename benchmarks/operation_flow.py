"""How fast tables go through the operation-aware flow, against one graph after the other in plain loops.

python benchmarks/operation_flow.py
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from archflow.flow import OperationFlow
from archflow.flow.operation_flow import PASSES
from archflow.graphs import ArchitectureTable
from archflow.spaces import get
from harness import (
    Timing,
    measure_in_turn,
    parser,
    pin_threads,
    print_hardware,
    print_timings,
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


def main() -> None:
    """Parse the options, run and print."""
    arguments = parser(__doc__).parse_args()
    pin_threads()
    print_hardware()
    results = {}
    for name in SPACES:
        table = get(name).sample(COUNT, np.random.default_rng(0))
        timings = measure(table, arguments.repeats)
        title = f"Operation-aware flow of {COUNT:,} cells of {name}"
        print_timings(title, timings)
        results[title] = timings
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
