"""`archflow benchmark`."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from archflow.cli.common import (
    FAILED,
    Device,
    Json,
    Overwrite,
    check_outputs,
    handled,
    owns_stdout,
    print_rows,
    tell,
    write_record,
)

if TYPE_CHECKING:
    from archflow.benchmark import Summary

_SHOWN = 5


@contextlib.contextmanager
def _stopped_by_terminate() -> Iterator[None]:
    """Take SIGTERM, which schedulers and `timeout` send, for Ctrl-C: what runs is saved first."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _RunByDefault(TyperGroup):
    """A group in which `run` may be left out: a first word that is no command is a protocol."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    help="Compare methods by a protocol: spaces x labels x methods x seeds. "
    "`archflow benchmark PROTOCOL` is short for `archflow benchmark run PROTOCOL`.",
    no_args_is_help=True,
)


@app.command()
@handled
def run(
    protocol: Annotated[str, typer.Argument(help="A .yaml file, or a protocol that ships: paper.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of records; a folder of this protocol goes on.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the tables; else $ARCHFLOW_DATA.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes, each on one thread.")] = 1,
    device: Device = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Only what the protocol calls quick.")] = False,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Run a protocol, resumably: a finished run is a record in --out and is never repeated.

    Encoders are pre-trained once for all runs that can share them. Runs that fail are noted, the others go
    on, and the next call tries them again.

    Example: archflow benchmark run paper --data tables --out paper --workers 4
    """
    from archflow.benchmark import run_benchmark, summarise
    from archflow.benchmark.live import LiveTable

    check_outputs(json, overwrite=overwrite)
    with _stopped_by_terminate(), LiveTable(workers) as live:
        done = run_benchmark(
            protocol, out, data=data, workers=workers, device=device, quick=quick, listener=live
        )
    _print(summarise(out), json)
    if done.failed:
        for name, reason in list(done.failed.items())[:_SHOWN]:
            tell(f"failed: {name}: {reason}")
        tell(f"{len(done.failed)} failed, see {out / 'failed'}; the same command tries them again")
        raise typer.Exit(FAILED)


@app.command()
@handled
def show(
    folder: Annotated[Path, typer.Argument(help="Folder of a benchmark.")],
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the tables as Markdown.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the tables as CSV, every digit.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables as LaTeX.")] = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Print the tables of a benchmark: mean and deviation over its finished runs.

    Example: archflow benchmark show paper --markdown tables.md
    """
    from archflow.benchmark import summarise
    from archflow.files import atomic_path

    check_outputs(markdown, csv, latex, json, overwrite=overwrite)
    summary = summarise(folder)
    for path, text in (
        (markdown, summary.to_markdown),
        (csv, summary.to_csv),
        (latex, summary.to_latex),
    ):
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text(), encoding="utf-8")
    _print(summary, json)


def _print(summary: Summary, json: Path | None) -> None:
    """Print a table for each comparison; where stdout is no terminal, one with all of them."""
    from archflow.benchmark.tables import QUANTITIES, cells_of

    write_record(json, summary.to_json())
    tell(summary.status)
    if owns_stdout(json):
        return
    head = ("method", *(quantity.title for quantity in QUANTITIES), "runs")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    joint = "±" if terminal else " ± "  # screens are narrow
    tables = {
        comparison: [(row.method, *cells_of(comparison, row, joint=joint)) for row in comparison.rows]
        for comparison in summary.comparisons
    }
    if terminal:
        for comparison, rows in tables.items():
            print_rows(head, rows, title=comparison.title)
    else:
        print_rows(
            ("table", "labels", *head),
            [(one.table, one.labels, *row) for one, rows in tables.items() for row in rows],
        )
