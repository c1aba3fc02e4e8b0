"""The command line: one file a command; each parses, calls one library function and prints its record."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer
from typer.exceptions import TyperException

from archflow.cli import (
    benchmark,
    data,
    demo,
    encode,
    evaluate,
    fit,
    label,
    methods,
    pretrain,
    proxies,
    rank,
    spaces,
)
from archflow.cli.common import BAD_USE, FAILED, debugging

app = typer.Typer(
    name="archflow",
    help="Rank neural architectures from a handful of trained ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (demo, spaces, methods, encode, pretrain, fit, rank, evaluate, label, proxies):
    app.command(name=command.__name__.rpartition(".")[2])(command.run)
app.add_typer(data.app, name="data")
app.add_typer(benchmark.app, name="benchmark")


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
    """Run the command line; bad options, too, are one line on stderr and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.exit(FAILED)
    except TyperException as error:
        message = getattr(error, "format_message", error.__str__)()  # the longer one names the option
        if message:  # there is none where a bare command printed its help
            typer.echo(f"archflow: {message} (see --help)", err=True)
        sys.exit(BAD_USE)
