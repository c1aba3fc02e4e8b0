"""Millions of NAS-Bench-101 cells to rank, as a folder of Parquet files, for the benchmarks of scale.

NAS-Bench-101 has 423,624 cells that differ in what they compute, so more of them can only be the same ones
again. Each file holds all of them once, in a random order, the vertices of each numbered at random in an
order that is topological again (many cells have only one). So nothing that looks for equal graphs within a
file is helped by the repetition: ranking this folder is the work of ranking a space that is really so
large. Random labelled matrices, the other way to many cells, are mostly small once pruned, and the same
ones over and over.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from archflow.errors import UsageError
from archflow.files import atomic_path
from archflow.graphs import ArchitectureTable, Columns
from archflow.graphs.arrow import to_arrow
from archflow.predictors.streaming.parts import files_in, inspect
from archflow.predictors.streaming.reading import read_part
from archflow.progress import progress_bar
from archflow.spaces import NASBench101

SPACE = NASBench101()
GROUP = 65_536
"""Rows of a row group: as many as are read at once."""


def renumbered(columns: Columns, rng: np.random.Generator) -> Columns:
    """Number the nodes of each architecture at random, in an order that is topological again.

    Args:
        columns: A architectures without attributes, at most one edge between two nodes.
        rng: Source of the orders.
    """
    counts, rows = np.diff(columns.node_offsets), np.arange(len(columns))
    width = int(counts.max(initial=0))
    edges = np.zeros((len(columns), width, width), dtype=np.int8)
    edges[np.repeat(rows, np.diff(columns.edge_offsets)), columns.sources, columns.targets] = 1
    waiting = edges.sum(axis=1, dtype=np.int8)  # for so many predecessors; -1 once a node has its place
    waiting[np.arange(width) >= counts[:, None]] = -1
    places = np.zeros((len(columns), width), dtype=np.int64)
    for place in range(width):
        left = rows[place < counts]
        draw = rng.random((len(left), width), dtype=np.float32)
        node = np.where(waiting[left] == 0, draw, -1).argmax(axis=1)
        places[left, node] = place
        waiting[left] -= edges[left, node]
        waiting[left, node] = -1
    present = np.arange(width) < counts[:, None]
    moved = (places + columns.node_offsets[:-1, None])[present]
    operation_ids = np.empty_like(columns.operation_ids)
    operation_ids[moved] = columns.operation_ids
    sources, targets = columns.global_edges()
    every = np.ones(len(moved), dtype=bool)
    same = dataclasses.replace(columns, operation_ids=operation_ids)
    return same.with_graphs(every, moved[sources], moved[targets])


def cells(number: int, count: int) -> ArchitectureTable:
    """Return the first `count` cells of a file, which has at most 423,624."""
    rng = np.random.default_rng(number)
    rows = rng.permutation(SPACE.size)[:count]
    return ArchitectureTable(renumbered(SPACE.all().columns.take(rows), rng), SPACE.operations)


def write_folder(folder: Path, count: int) -> Path:
    """Write `count` cells as Parquet files, but those that are there already, and return the folder.

    Raises:
        UsageError: Other Parquet files are in the folder.
    """
    sizes = [min(SPACE.size, count - begin) for begin in range(0, count, SPACE.size)]
    paths = [folder / f"cells-{number:03}.parquet" for number in range(len(sizes))]
    for path in folder.glob("*.parquet"):
        if path not in paths:
            raise UsageError(f"{path}: is not of {count:,} cells; choose another folder")
    with progress_bar(f"writing {count:,} cells to {folder}") as report:
        for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
            report(number, len(sizes))
            if not path.exists() or pq.read_metadata(path).num_rows != size:
                table = cells(number, size)
                arrow = to_arrow(table.columns, table.operations)
                with atomic_path(path) as temporary:
                    pq.write_table(arrow, temporary, row_group_size=GROUP)
    return folder


def read_folder(folder: Path) -> tuple[float, int]:
    """Read a folder as a ranking does, on this process, without ranking it.

    Returns:
        The seconds it takes, and the bytes of the arrays of one table that would hold all.
    """
    start, size = time.perf_counter(), 0
    for path in files_in(folder):
        for batch in read_part(path, inspect(path).whole(), SPACE):
            arrays = dataclasses.asdict(batch.architectures.columns).values()
            size += sum(array.nbytes for array in arrays)
    return time.perf_counter() - start, size
