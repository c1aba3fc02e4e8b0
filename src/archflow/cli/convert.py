"""`archflow data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archflow.cli.common import (
    Json,
    Overwrite,
    SkipBad,
    check_outputs,
    handled,
    owns_stdout,
    print_rows,
    tell,
    write_record,
)


@handled
def run(
    path: Annotated[Path, typer.Argument(help="Official file or folder.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .parquet or .csv.")],
    format: Annotated[
        str | None,
        typer.Option("--from", help="nasbench101, nats_bench, nasbench301, zero_cost; else the path tells."),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Data set or task, where there are several.")
    ] = None,
    space: Annotated[
        str | None, typer.Option("--space", help="Space of a zero_cost file whose name does not tell it.")
    ] = None,
    skip_bad: SkipBad = False,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert the official files of a benchmark to a table.

    Example: archflow data convert nasbench_only108.tfrecord --from nasbench101 --out nasbench101.parquet
    """
    from archflow.datasets import write_table
    from archflow.datasets.official import format_of, read_official
    from archflow.datasets.sources import table_suffix
    from archflow.progress import progress_bar

    check_outputs(out, json, overwrite=overwrite)
    table_suffix(out)  # before the long work
    options = {} if space is None else {"space": space}
    with progress_bar(f"reading {path.name}") as report:
        table = read_official(path, format, task=task, skip_bad=skip_bad, progress=report, **options)
    write_table(out, table.columns)
    if table.n_skipped:
        tell(f"left out {table.n_skipped} bad entries; the first: {table.skipped[0]}")
    tell(f"{out}: {len(table)} architectures of {table.space}")
    record = {
        "path": str(path),
        "format": format or format_of(path),
        "task": task,
        "space": table.space,
        "rows": len(table),
        "columns": list(table.columns),
        "skipped": table.n_skipped,
        "out": str(out),
    }
    write_record(json, record)
    if not owns_stdout(json):
        filled = [
            (name, sum(value is not None for value in values)) for name, values in table.columns.items()
        ]
        print_rows(("column", "filled"), filled)
