"""Official benchmark files, as their authors publish them, as tables of ours."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from archflow.datasets.official.entries import OfficialTable, Reader
from archflow.datasets.official.nasbench101 import read_nasbench101
from archflow.datasets.official.nasbench301 import read_nasbench301
from archflow.datasets.official.nats_bench import archive_files as _archive_files
from archflow.datasets.official.nats_bench import read_nats_bench
from archflow.datasets.official.zero_cost import read_zero_cost
from archflow.errors import TableError, UsageError, unknown_name
from archflow.progress import Report, silent


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of official files.

    Attributes:
        read: What reads it.
        about: What it is, in a line.
    """

    read: Reader
    about: str


FORMATS: dict[str, Format] = {
    "nasbench101": Format(
        read_nasbench101, "NAS-Bench-101: nasbench_only108.tfrecord, nasbench_full.tfrecord"
    ),
    "nats_bench": Format(read_nats_bench, "NATS-Bench, NAS-Bench-201: folders of .pickle.pbz2 or .pth files"),
    "nasbench301": Format(read_nasbench301, "NAS-Bench-301: folders of results_*.json"),
    "zero_cost": Format(read_zero_cost, "NAS-Bench-Suite-Zero: zc_*.json"),
}
"""Every format by name."""


def read_official(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    task: str | None = None,
    skip_bad: bool = False,
    progress: Report = silent,
    **options: Any,
) -> OfficialTable:
    """Read official files; `archflow.datasets.write_table` writes the columns of the result.

    Args:
        path: The file or folder.
        format: A name in `FORMATS`; by default the name of the file, or what is in the folder, tells.
        task: Which data set or task, where the benchmark has several; see the reader of the format.
        skip_bad: Leave out and count what cannot be used, instead of stopping at the first.
        progress: Told how much is read.
        options: More of what the reader takes: `space` of `read_zero_cost`.

    Raises:
        TableError: The files cannot be used; one line that names the file, the place in it and the rule.
        UnknownNameError: There is no such format or task.
        UsageError: The options do not fit the format, or nothing tells the format.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if not path.exists():
        raise TableError(f"{path}: there is no such file or folder")
    name = format or format_of(path)
    if set(options) - ({"space"} if name == "zero_cost" else set()):
        raise UsageError(f"the format {name} has no option {', '.join(sorted(options))}")
    try:
        return FORMATS[name].read(path, task=task, skip_bad=skip_bad, progress=progress, **options)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error


def format_of(path: Path) -> str:
    """Return the format that the name of a file, or what is in a folder, tells.

    Raises:
        UsageError: They tell none.
    """
    if path.is_dir() and _archive_files(path):
        return "nats_bench"
    if path.is_dir() and next(path.rglob("results_*.json"), None):
        return "nasbench301"
    endings = {".tfrecord": "nasbench101", ".pickle.pbz2": "nats_bench", ".pth": "nats_bench"}
    for ending, name in endings.items():
        if path.name.endswith(ending):
            return name
    if path.suffix == ".json":
        return "nasbench301" if path.name.startswith("results_") else "zero_cost"
    raise UsageError(f"{path}: nothing tells the format; pass --from (format=), one of {', '.join(FORMATS)}")


__all__ = [
    "FORMATS",
    "Format",
    "OfficialTable",
    "Reader",
    "format_of",
    "read_nasbench101",
    "read_nasbench301",
    "read_nats_bench",
    "read_official",
    "read_zero_cost",
]
