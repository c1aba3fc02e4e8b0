"""The command line: one file a command; each parses, calls one library function and prints its record."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from archflow.cli import data, demo, encode, evaluate, fit, label, methods, pretrain, rank, spaces
from archflow.cli.common import debugging

app = typer.Typer(
    name="archflow",
    help="Rank neural architectures from a handful of trained ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (demo, spaces, methods, encode, pretrain, fit, rank, evaluate, label):
    app.command(name=command.__name__.rpartition(".")[2])(command.run)
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"archflow {metadata.version('archflow')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    debugging(debug)


def main() -> None:
    """Run the command line."""
    app()
