"""What does the parts: this process, several ones, or anything else that can call a function on a part."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from archflow.datasets.sources import one_line
from archflow.errors import ArchflowError, TableError, UsageError
from archflow.predictors.streaming.parts import Part, leave_out
from archflow.progress import Report
from archflow.workers import Done, Failed, JobError, Under, work_through

PartWork = Callable[[Any, Part, Report], str | None]
"""A module-level function (place, part, report) that does a part and leaves its result in the folders of the
place. It returns None, or what is wrong with the part's file."""

Hear = Callable[[Under], None]


class Engine(Protocol):
    """Does parts in any order, anywhere that sees the place's folders."""

    def __call__(
        self, parts: Sequence[Part], work: PartWork, place: Any, hear: Hear
    ) -> Generator[Done | Failed]:
        """Call `work(place, part, report)` for every part.

        Args:
            parts: What to do.
            work: The function; it can be pickled, and repeated where it was interrupted.
            place: Its first argument; it can be pickled.
            hear: To be told how far a part is, in rows, if that is known.

        Yields:
            `Done` with what `work` returned, or `Failed`, for each part as it ends. Closing the generator
            stops the work.
        """
        ...


def in_this_process(
    parts: Sequence[Part], work: PartWork, place: Any, hear: Hear
) -> Generator[Done | Failed]:
    """Do one part after the other here, on all threads."""
    for part in parts:

        def report(done: int, total: int, remark: str = "", part: Part = part) -> None:
            hear(Under(part, done, total, remark))

        try:
            yield Done(part, work(place, part, report))
        except ArchflowError as error:
            yield Failed(part, str(error))


def in_processes(workers: int) -> Engine:
    """Return the engine of so many processes on this machine, each on one thread."""
    return functools.partial(_in_processes, workers)


def _in_processes(
    workers: int, parts: Sequence[Part], work: PartWork, place: Any, hear: Hear
) -> Generator[Done | Failed]:
    with contextlib.closing(work_through(parts, lambda part: None, work, place, workers)) as events:
        for event in events:
            if isinstance(event, Under):
                hear(event)
            else:
                yield event


def engine_of(workers: int) -> Engine:
    """Return the engine for a number of processes; one needs no process but this.

    Raises:
        UsageError: There is less than one.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    return in_this_process if workers == 1 else in_processes(workers)


def saying_what_is_bad(work: Callable[[Any, Part, Report], None]) -> PartWork:
    """Return part work that returns the message of a bad file, and says so where the disk is full."""

    @functools.wraps(work)
    def wrapped(place: Any, part: Part, report: Report) -> str | None:
        try:
            work(place, part, report)
        except TableError as error:
            return str(error)
        except OSError as error:  # files are read in a way that raises TableError, so it is the writing
            raise ArchflowError(f"cannot be written: {one_line(error)}") from error
        return None

    return wrapped


def do_parts(
    parts: Sequence[Part],
    work: PartWork,
    place: Any,
    engine: Engine,
    *,
    skip_bad: bool,
    report: Report,
    kept: str,
) -> dict[str, str]:
    """Have all parts done.

    Args:
        parts: What to do.
        work: What does a part.
        place: Its first argument.
        engine: Who calls it.
        skip_bad: Go on where a file is bad.
        report: Told how many rows are done.
        kept: What a message says about the parts that are finished.

    Returns:
        What is wrong with the bad files, by their names.

    Raises:
        TableError: A file is bad, and `skip_bad` is false.
        JobError: A part failed for another reason, or the process that did it died.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    total, done, count = sum(part.rows for part in parts), 0, 0
    under: dict[Part, int] = {}
    bad: dict[str, str] = {}

    def say() -> None:
        report(done + sum(under.values()), total, f"{count} of {len(parts)} parts")

    def hear(event: Under) -> None:
        under[event.job] = event.done
        say()

    say()
    try:
        with contextlib.closing(engine(parts, work, place, hear)) as events:
            for event in events:
                if isinstance(event, Failed):
                    raise JobError(f"{event.job}: {event.reason}; {kept}")
                if event.result is not None and not skip_bad:
                    raise leave_out(event.result)
                if event.result is not None:
                    bad.setdefault(event.job.file, event.result)
                under.pop(event.job, None)
                done, count = done + event.job.rows, count + 1
                say()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {kept}") from None
    return bad
