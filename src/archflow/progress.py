"""Progress bars on the terminal: the loss and the time left of anything that takes more than a moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """What long work calls to say how far it is."""

    def __call__(self, done: int, total: int, remark: str = "") -> None:
        """Say how much of the total is done, with a short remark such as the loss."""
        ...


def silent(done: int, total: int, remark: str = "") -> None:
    """Report to nobody."""


@contextlib.contextmanager
def progress_bar(title: str, *, console: Console | None = None) -> Iterator[Report]:
    """Show one bar on stderr for as long as the block runs; nothing where stderr is no terminal.

    Args:
        title: What is going on.
        console: Where to draw; by default stderr.

    Yields:
        The function to call with (done, total, remark).
    """
    console = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[remark]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, remark="")

        def report(done: int, total: int, remark: str = "") -> None:
            bar.update(task, completed=done, total=total, remark=remark)

        yield report
