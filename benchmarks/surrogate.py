"""How fast whole tables go through the flow surrogate, against one graph after the other in plain loops.

python benchmarks/surrogate.py
python benchmarks/surrogate.py --nasbench101
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from archflow.flow import PUBLISHED, FlowSurrogate
from archflow.graphs import ArchitectureTable
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201
from harness import (
    Timing,
    measure_in_turn,
    parser,
    peak_memory,
    pin_threads,
    print_hardware,
    print_timings,
    write_json,
)

TWIN_COUNT = 1_000
TWIN = Path(__file__).parents[1] / "tests" / "reference" / "surrogate.py"


def plain_loop_twin() -> Callable[..., Any]:
    """Load the slow twin that the tests compare with."""
    spec = importlib.util.spec_from_file_location("plain_loop_twin", TWIN)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(TWIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.surrogate  # type: ignore[no-any-return]


def compare(table: ArchitectureTable, published: str, repeats: int) -> list[Timing]:
    """Time all cells with the library and a sample of them with the twin, in turn."""
    flow = FlowSurrogate.draw(table.operations, PUBLISHED[published])
    twin = plain_loop_twin()
    rows = np.random.default_rng(0).choice(len(table), size=TWIN_COUNT, replace=False)
    sample = list(table[rows])
    names = list(table.operations.names)
    maps = (flow.start, flow.operation_map, flow.state_map, flow.alpha)

    def loop() -> list[Any]:
        return [twin(architecture, names, *maps) for architecture in sample]

    difference = np.abs(flow(table[rows]) / np.array(loop()) - 1).max()
    print(f"largest relative difference between the two on {TWIN_COUNT} cells: {difference:.1e}")
    return measure_in_turn(
        [
            ("FlowSurrogate, float32", len(table), lambda: flow(table)),
            (f"plain loop, float64, {TWIN_COUNT} cells", TWIN_COUNT, loop),
        ],
        repeats=repeats,
    )


def memory() -> dict[str, float]:
    """Enumerate and simulate all NAS-Bench-101 cells once; return seconds and growth of memory, in bytes."""
    start_memory, start = peak_memory(), time.perf_counter()
    table = NASBench101().all()
    made_memory, made = peak_memory(), time.perf_counter()
    FlowSurrogate.draw(table.operations, PUBLISHED["nasbench101"])(table)
    return {
        "enumeration_seconds": made - start,
        "enumeration_peak_bytes": made_memory - start_memory,
        "total_peak_bytes": peak_memory() - start_memory,
    }


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.add_argument(
        "--nasbench101", action="store_true", help="all 423,624 NAS-Bench-101 cells instead, and the memory"
    )
    options.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    arguments = options.parse_args()
    pin_threads(arguments.threads)
    print_hardware()
    figures: dict[str, float] = {}
    if arguments.nasbench101:
        figures = memory()
        print(
            f"enumeration of NAS-Bench-101: {figures['enumeration_seconds']:.2f} s; peak memory grows by "
            f"{figures['enumeration_peak_bytes'] / 1e6:,.0f} MB, with the surrogate by "
            f"{figures['total_peak_bytes'] / 1e6:,.0f} MB"
        )
        title, table, published = "the 423,624 NAS-Bench-101 cells", NASBench101().all(), "nasbench101"
    else:
        title, table, published = "the 15,625 NAS-Bench-201 cells", NASBench201().all(), "nasbench201"
    title = f"Flow surrogate of {title}"
    timings = compare(table, published, arguments.repeats)
    print_timings(title, timings)
    write_json(arguments.json, {title: timings}, memory=figures)


if __name__ == "__main__":
    main()
