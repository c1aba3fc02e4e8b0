"""`archflow data`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from archflow.cli import convert
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
from archflow.cli.common import Folder as OnnxFiles
from archflow.errors import UsageError

_SHOWN = 20

app = typer.Typer(help="Look after tables of measured architectures.", no_args_is_help=True)
app.command(name="convert")(convert.run)

Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Folder of fetched tables; else $ARCHFLOW_CACHE or your cache."),
]


@app.command("list")
@handled
def list_tables(folder: Folder = None, json: Json = None, overwrite: Overwrite = False) -> None:
    """List the public benchmark tables that `archflow data fetch` brings.

    Example: archflow data list
    """
    from archflow.datasets.fetch import fetched_path
    from archflow.datasets.published import PUBLISHED

    check_outputs(json, overwrite=overwrite)
    paths = {name: fetched_path(name, folder) for name in PUBLISHED}
    fields = ("name", "space", "rows", "size", "licence", "about", "url", "sha256")
    record = [
        {field: getattr(entry, field) for field in fields}
        | {"path": str(paths[name]), "fetched": paths[name].exists()}
        for name, entry in PUBLISHED.items()
    ]
    write_record(json, {"tables": record})
    if not owns_stdout(json):
        shown = ("name", "space", "rows", "MB", "licence", "about", "fetched")
        for row in record:
            row |= {"MB": f"{row['size'] / 1e6:.1f}", "fetched": "yes" if row["fetched"] else "no"}
        print_rows(shown, [[row[key] for key in shown] for row in record])


@app.command()
@handled
def fetch(
    tables: Annotated[list[str] | None, typer.Argument(help="Names; `archflow data list` has them.")] = None,
    all_tables: Annotated[bool, typer.Option("--all", help="Fetch every table.")] = False,
    folder: Folder = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", help="Address that holds the files; else $ARCHFLOW_MIRROR.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="Published file, or folder of such, that you have already."),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Fetch public benchmark tables, check and convert them; print where they are.

    A table that is there is left alone. After Ctrl-C or a cut connection the same command goes on from there.

    Example: archflow data fetch nasbench201 nasbench_macro
    """
    from archflow.datasets.fetch import fetch as fetch_table
    from archflow.datasets.fetch import fetched_path
    from archflow.datasets.published import PUBLISHED
    from archflow.progress import progress_bar

    if all_tables == bool(tables):
        raise UsageError("name the tables to fetch, or pass --all; `archflow data list` lists them")
    names = list(PUBLISHED) if all_tables else list(dict.fromkeys(tables or ()))
    if source is not None and not source.is_dir() and len(names) > 1:
        raise UsageError(f"{source} is one file for {len(names)} tables; pass a folder, or one table")
    check_outputs(json, overwrite=overwrite)
    there = {name: fetched_path(name, folder).exists() and not overwrite for name in names}
    record = []
    for name in names:
        with progress_bar(f"fetching {name}") as report:
            path = fetch_table(name, folder, overwrite=overwrite, source=source, mirror=mirror, report=report)
        tell(f"{name}: {'fetched already' if there[name] else 'fetched'}")
        record.append({"name": name, "path": str(path), "fetched": not there[name]})
    write_record(json, {"tables": record})
    if not owns_stdout(json):
        print_rows(("name", "path"), [(row["name"], row["path"]) for row in record])


@app.command()
@handled
def check(
    table: Annotated[Path, typer.Argument(help="Parquet or CSV table with an arch column.")],
    space: SpaceName,
    against: Annotated[
        Path | None, typer.Option("--against", help="Another table: report the architectures that both hold.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Report on this column alone, as the one to predict.")
    ] = None,
    identity: Identity = None,
    zero: Zero = None,
    folder: OnnxFiles = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Say what is wrong with a table and what to know about it; exit 1 if it cannot be used as it is.

    Example: archflow data check measured.csv --space nasbench201 --target accuracy
    """
    from archflow.datasets import ColumnReport, check_table
    from archflow.datasets.sources import one_line

    check_outputs(json, overwrite=overwrite)
    opened = open_space(space, [table, against], identity, zero, folder=folder)
    report = check_table(table, opened, against, target)
    write_record(json, report.to_json())
    if not owns_stdout(json):
        counts = (
            "rows", "good_rows", "exact_duplicates", "exact_differing",
            "isomorphic_duplicates", "isomorphic_differing",
            "functional_duplicates", "functional_differing",
        )  # fmt: skip
        print_rows(("what", "count"), [(name.replace("_", " "), getattr(report, name)) for name in counts])
        for finding in report.findings:
            typer.echo(f"{finding.severity}: {one_line(finding.message)}")
            for example in finding.examples:
                typer.echo(f"  {one_line(example)}")
        print_rows(
            tuple(field.name for field in dataclasses.fields(ColumnReport)),
            [dataclasses.astuple(column) for column in report.columns],
        )
    for bad in report.bad[:_SHOWN]:
        tell(bad.message)
    if len(report.bad) > _SHOWN:
        tell(f"... and {len(report.bad) - _SHOWN} more")
    for finding in report.findings:
        if finding.severity == "problem":
            tell(f"archflow: {table}: {one_line(finding.message)}")
    if report.failed:
        raise typer.Exit(FAILED)
