"""`archflow data`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from archflow.cli.common import (
    FAILED,
    Identity,
    Json,
    Overwrite,
    SpaceName,
    Zero,
    check_outputs,
    handled,
    open_space,
    owns_stdout,
    print_rows,
    tell,
    write_record,
)

_SHOWN = 20

app = typer.Typer(help="Look after tables of measured architectures.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `check` a subcommand while it is the only one."""


@app.command()
@handled
def check(
    table: Annotated[Path, typer.Argument(help="Parquet or CSV table with an arch column.")],
    space: SpaceName,
    identity: Identity = None,
    zero: Zero = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Check a table row by row; exit 1 if a row is bad.

    Example: archflow data check measured.csv --space nasbench201
    """
    from archflow.datasets import ColumnReport, check_table

    check_outputs(json, overwrite=overwrite)
    report = check_table(table, open_space(space, [table], identity, zero))
    write_record(json, report.to_json())
    if not owns_stdout(json):
        counts = (
            "rows", "good_rows", "exact_duplicates", "exact_differing",
            "isomorphic_duplicates", "isomorphic_differing",
        )  # fmt: skip
        print_rows(("what", "count"), [(name.replace("_", " "), getattr(report, name)) for name in counts])
        print_rows(
            tuple(field.name for field in dataclasses.fields(ColumnReport)),
            [dataclasses.astuple(column) for column in report.columns],
        )
    for bad in report.bad[:_SHOWN]:
        tell(bad.message)
    if len(report.bad) > _SHOWN:
        tell(f"... and {len(report.bad) - _SHOWN} more")
    if report.bad:
        tell(f"archflow: {table}: {len(report.bad)} of {report.rows} rows are bad")
        raise typer.Exit(FAILED)
