"""Some architectures of a folder of Parquet files, to look at before or beside all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from archflow.errors import TableError
from archflow.graphs import ArchitectureTable
from archflow.predictors.streaming.parts import files_in
from archflow.predictors.streaming.reading import read_part
from archflow.predictors.streaming.state import survey
from archflow.protocols import Space

_PARTS = 32  # places to read from


def drawn_from(folder: Path, space: Space, count: int = 1000, seed: int = 0) -> ArchitectureTable:
    """Read rows from the beginnings of parts of a folder, drawn at random.

    Rows that follow each other may be alike, so that up to 32 parts give about as many each, more where one
    is short.

    Args:
        folder: Of Parquet files.
        space: The space of their architectures.
        count: How many architectures are wanted.
        seed: Draws the parts.

    Returns:
        At most `count` architectures, without bad rows and those of damaged files; fewer where the drawn
        parts have no more.

    Raises:
        TableError: There is no such folder.
        UsageError: There is no Parquet file in it.
    """
    files, _ = survey(files_in(folder), skip_bad=True)
    parts = [part for file in files for part in file.parts()]
    drawn = [parts[number] for number in np.random.default_rng(seed).permutation(len(parts))[:_PARTS]]
    tables, found = [ArchitectureTable.of([], space.operations)], 0
    for number, part in enumerate(drawn):
        if found == count:
            break
        wanted = -(-(count - found) // (len(drawn) - number))  # of this one, if the rest give as many each
        try:
            batches = read_part(folder / part.file, part, space, chunk=wanted, skip_bad=True)
            tables.append(next(batches).architectures)
        except TableError:
            continue
        found += len(tables[-1])
    return ArchitectureTable.concatenate(tables)
