"""What every reader of official files shares: its result, what is bad, numbers and JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.sources import ARCH, one_line, shorten
from archflow.errors import InvalidArchitectureError, TableError, UsageError
from archflow.progress import Report, silent
from archflow.protocols import Space

MOST_MESSAGES = 100
"""So many bad entries are kept as text; the others are counted."""

Columns = dict[str, Sequence[Any] | NDArray[Any]]
Number = float | None


@dataclasses.dataclass(frozen=True, eq=False)
class OfficialTable:
    """What was read from official files.

    Attributes:
        space: Name of the space whose text format the column `arch` is in.
        columns: `arch`, A texts, and what was measured beside it, A values each; None is a gap. This is what
            `archflow.datasets.write_table` takes.
        skipped: A message for each of the first `MOST_MESSAGES` bad entries that were left out.
        n_skipped: How many entries were left out.
    """

    space: str
    columns: Columns
    skipped: tuple[str, ...] = ()
    n_skipped: int = 0

    def __len__(self) -> int:
        return len(self.columns[ARCH])


class Reader(Protocol):
    """What reads the official files of one benchmark."""

    def __call__(
        self, path: Path, *, task: str | None = None, skip_bad: bool = False, progress: Report = silent
    ) -> OfficialTable:
        """Read a file or folder; see `archflow.datasets.official.read_official`."""
        ...


class BadEntryError(ValueError):
    """An entry of a file that cannot be used; its text is the reason, without the place."""


class BadEntries:
    """The entries that cannot be used: the first stops the reading, or all are left out and counted.

    Args:
        path: The file or folder that is read.
        skip_bad: Leave bad entries out.
    """

    def __init__(self, path: Path, *, skip_bad: bool) -> None:
        self.path = path
        self.skip_bad = skip_bad
        self.messages: list[str] = []
        self.count = 0

    def add(self, where: str, reason: object) -> None:
        """Leave an entry out.

        Args:
            where: Which entry, such as "record 7".
            reason: What is wrong with it.

        Raises:
            TableError: Bad entries are not to be left out.
        """
        message = one_line(f"{where}: {reason}")
        if not self.skip_bad:
            raise TableError(
                f"{self.path}: {message}; --skip-bad (skip_bad=True) leaves out what cannot be used"
            )
        self.count += 1
        if len(self.messages) < MOST_MESSAGES:
            self.messages.append(message)

    def table(self, space: str, columns: Columns) -> OfficialTable:
        """Return the result.

        Raises:
            TableError: Nothing is left.
        """
        if not len(columns[ARCH]):
            first = f"; the first bad one is {self.messages[0]}" if self.messages else ""
            raise TableError(f"{self.path}: none of the {self.count} entries can be used{first}")
        return OfficialTable(space, columns, tuple(self.messages), self.count)


def brief(value: object) -> str:
    """Return a value in few words: texts and numbers as such, anything else by its type.

    The repr of what a file holds could be endless, or too deep.
    """
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to write the longest
        return "a huge whole number"
    if value is None or isinstance(value, str | int | float | np.number):
        return shorten(value)
    return f"a {type(value).__name__}"


def checked(space: Space, text: str) -> str:
    """Return an architecture's text, once the space has read it.

    Raises:
        BadEntryError: It is no architecture of the space; names the part and the rule.
    """
    try:
        space.parse(text)
    except InvalidArchitectureError as error:
        raise BadEntryError(f"architecture {shorten(text)}: {error}") from error
    return text


def number(value: object, name: str) -> Number:
    """Return a value as a float, or None where it is None or not finite.

    Raises:
        BadEntryError: It is no number.
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise BadEntryError(f"{name} is {brief(value)}; a number was expected")
    try:
        as_float = float(value)
    except OverflowError:  # an integer beyond the largest float
        return None
    return as_float if math.isfinite(as_float) else None


def measured(value: object, name: str, most: float = math.inf) -> Number:
    """Return a measurement as a float, or None where there is none.

    Args:
        value: What the file holds.
        name: What it is called there.
        most: The largest value that makes sense; the smallest is 0.

    Raises:
        BadEntryError: It is no number, or a number that no measurement gives.
    """
    result = number(value, name)
    if value is not None and (result is None or not 0 <= result <= most):
        limit = "0 or more" if math.isinf(most) else f"between 0 and {most:g}"
        raise BadEntryError(f"{name} is {brief(value)}; it must be {limit}")
    return result


def mean(values: Sequence[float]) -> Number:
    """Return the mean, or None of nothing."""
    return sum(values) / len(values) if values else None


def mapping(value: object, name: str) -> Mapping[Any, Any]:
    """Return a value that must be a mapping.

    Raises:
        BadEntryError: It is something else.
    """
    if not isinstance(value, Mapping):
        raise BadEntryError(f"{name} is {brief(value)}, where keys and values were expected")
    return value


def item(of: Mapping[Any, Any], key: object, name: str) -> Any:
    """Return what a mapping that is called `name` holds under a key.

    Raises:
        BadEntryError: It has no such key.
    """
    if key not in of:
        some = ", ".join(brief(other) for other in itertools.islice(of, 5))
        raise BadEntryError(f"{name} has no {brief(key)}; it begins with {some or 'nothing'}")
    return of[key]


def decode_json(text: str | bytes) -> Any:
    """Decode JSON.

    Raises:
        BadEntryError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise BadEntryError("not usable JSON: it is nested too deeply") from error
    except ValueError as error:
        raise BadEntryError(f"not JSON ({error})") from error


def read_json(path: Path) -> Any:
    """Decode a JSON file.

    Raises:
        BadEntryError: It cannot be read, is no JSON, or is nested too deeply.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise BadEntryError("a folder or device, where a JSON file was expected")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadEntryError(f"cannot be read ({one_line(error)})") from error
    return decode_json(content)


def no_task(task: str | None, benchmark: str) -> None:
    """Refuse a task where a benchmark has but one.

    Raises:
        UsageError: A task is given.
    """
    if task is not None:
        raise UsageError(f"{benchmark} has one task; leave the task {task!r} out")
