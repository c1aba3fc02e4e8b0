"""The errors archflow raises: one small family, each also the built-in a caller would expect."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArchflowError(Exception):
    """Base of every error that archflow raises on purpose; its text is one or two lines for a person."""


class InvalidArchitectureError(ArchflowError, ValueError):
    """A graph or a text that is no architecture of its space; names the node or part and the rule."""


class TableError(ArchflowError, ValueError):
    """A table of architectures that cannot be used; names the file, the row, the value and the rule."""


class CheckpointError(ArchflowError, ValueError):
    """A saved encoder or predictor that is damaged, edited or made for something else."""


class UnknownNameError(ArchflowError, KeyError):
    """A name that is in no registry; lists the choices and suggests the nearest."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class UsageError(ArchflowError, ValueError):
    """Arguments that contradict each other or lie outside their range."""


class OutputExistsError(ArchflowError, FileExistsError):
    """An output path that exists already and would be overwritten."""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not among the choices.

    Args:
        kind: What the name should have been, such as "method" or "space".
        name: The name that was given.
        choices: Every valid name.

    Returns:
        An error that lists the choices and, where one is close, suggests it.
    """
    options = sorted(choices)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(f"unknown {kind} {name!r}; choose from: {', '.join(options)}.{hint}")


def short(text: str) -> str:
    """Quote a text for a message, cut where it is long."""
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}..."


def plural(count: int, noun: str) -> str:
    """Write a count with its noun, such as "1 row" and "2 rows"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
