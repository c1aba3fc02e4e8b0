"""How commands are told what to predict, which way is better, and what counts how much."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archflow.errors import UsageError, short

if TYPE_CHECKING:
    from archflow.predictors.targets import Targets

Minimize = Annotated[bool, typer.Option("--minimize", help="A lower target is better.")]
_COLUMN = "Numeric column to predict; COLUMN:min where lower is better"
_SEVERAL = typer.Option("--target", help=f"{_COLUMN} (repeatable).")
Target = Annotated[str, typer.Option("--target", help=f"{_COLUMN}.")]
TargetList = Annotated[list[str], _SEVERAL]
TargetsIfAny = Annotated[list[str] | None, _SEVERAL]
Weight = Annotated[
    list[str] | None,
    typer.Option("--weight", help="COLUMN=NUMBER: rank by the weighted sum of targets (repeatable)."),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help='Condition on a predicted target, such as "latency_ms<5" (repeatable).'),
]
Pareto = Annotated[bool, typer.Option("--pareto", help="Rank by Pareto fronts of the targets.")]

_DIRECTIONS = {":min": True, ":max": False}


def choose_targets(words: Sequence[str], minimize: bool, table: Path) -> Targets:
    """Return the columns to predict and their directions.

    Args:
        words: Names of columns, each with ":min" or ":max" after it or not. A column of the whole name goes
            first; the table is read to know.
        minimize: What --minimize says of a name without a direction.
        table: The table that has the columns.

    Raises:
        UsageError: A column is given twice, or --minimize goes with several.
        TableError: The table is missing or bad.
    """
    from archflow.datasets.sources import read_source
    from archflow.predictors.targets import Targets

    if minimize and len(words) > 1:
        raise UsageError("--minimize is for one --target; of several, write those as --target COLUMN:min")
    columns: set[str] = set()
    if any(word.endswith(tuple(_DIRECTIONS)) for word in words):
        source = read_source(table)
        columns = {*source.numbers, *source.others}
    names, directions = [], []
    for word in words:
        name, direction = word[:-4], _DIRECTIONS.get(word[-4:])
        if direction is None or not name or word in columns:
            name, direction = word, minimize
        if name in names:
            raise UsageError(f"--target {name} is given twice; leave one out")
        names.append(name)
        directions.append(direction)
    return Targets(tuple(names), tuple(directions))


def read_weights(words: Sequence[str] | None) -> dict[str, float] | None:
    """Return weights by the name of their column, or None where there are none.

    Args:
        words: Each a name, "=" and a number.

    Raises:
        UsageError: A word is something else, or a name is given twice.
    """
    weights: dict[str, float] = {}
    for word in words or ():
        name, _, number = word.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = None
        if weight is None or not name:
            raise UsageError(f"--weight {short(word)} is not COLUMN=NUMBER, such as accuracy=1")
        if name in weights:
            raise UsageError(f"--weight {name} is given twice; leave one out")
        weights[name] = weight
    return weights or None
