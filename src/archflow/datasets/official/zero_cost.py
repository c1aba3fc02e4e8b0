"""NAS-Bench-Suite-Zero: `zc_<space>.json`, the zero-cost proxies of sampled architectures of five spaces.

Source: Krishnakumar et al., "NAS-Bench-Suite-Zero: Accelerating Research on Zero Cost Proxies", NeurIPS 2022
Datasets and Benchmarks, and its code in NASLib (`search_spaces/*/conversions.py`). A file maps a task to
architectures, and those to `{proxy: {"score": number, "time": seconds}, "val_accuracy": number}`. In older
files the scores stand there bare, and everything is within the name of the space.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archflow.datasets.official.entries import (
    BadEntries,
    BadEntryError,
    Columns,
    Number,
    OfficialTable,
    brief,
    checked,
    decode_json,
    mapping,
    number,
    read_json,
)
from archflow.datasets.official.nasbench301 import genotype
from archflow.datasets.sources import shorten
from archflow.errors import TableError, UsageError, unknown_name
from archflow.progress import Report, silent
from archflow.protocols import Space
from archflow.spaces.darts import DARTS
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench101_hash import live_vertices
from archflow.spaces.nasbench201 import CELL_EDGES, NASBench201
from archflow.spaces.transnas_macro import TransNASMacro
from archflow.spaces.transnas_micro import TransNASMicro

MOST_PROXIES = 100
"""So many different proxies are read; a published file has 13."""

_MOST_TASKS = 50  # names that an error can list; a published file has at most seven
_MOST_TEXT = 10_000  # characters of an architecture; a published one has at most 200
_NO_PROXY = frozenset({"arch", "id", "idx", "val_accuracy"})
_OPERATIONS_201 = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_OPERATIONS_301 = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect",
    "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip
_OPERATIONS_101 = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")


def read_zero_cost(
    path: Path,
    *,
    task: str | None = None,
    skip_bad: bool = False,
    progress: Report = silent,
    space: str | None = None,
) -> OfficialTable:
    """Read the architectures of one task, a row each, in the order of the file.

    The columns are `arch`, one for each proxy with its score, and `val_accuracy` as the file has it: percent
    for classification, something else for the other tasks of TransNAS-Bench-101. A score that is missing or
    not finite is a gap. The whole file is read into memory.

    Vertices of NAS-Bench-101 cells that lie on no path from input to output are dropped, as that benchmark
    does when it is asked for such a cell.

    Args:
        path: The file.
        task: Which task, such as "cifar10"; not needed where the file has one.
        skip_bad: Leave architectures that cannot be used out, instead of stopping at the first.
        progress: Told how many architectures are read.
        space: "nasbench101", "nasbench201", "darts", "transnas_micro" or "transnas_macro"; needed where the
            file is not called as published.

    Raises:
        TableError: The file cannot be used; names the architecture and the rule.
        UnknownNameError: There is no such task or space.
        UsageError: The file has several tasks and none is given, or nothing tells the space.
    """
    try:
        content = mapping(read_json(path), "the file")
        if len(content) == 1 and set(content) <= set(_SPACES):
            ((inside, content),) = content.items()
            content = mapping(content, inside)
        else:
            inside = None
        ours, decode = _space(path, inside, space)
        entries = mapping(content[_task(path, content, task)], "the task")
    except BadEntryError as error:
        raise TableError(f"{path}: {error}") from error
    texts: list[str] = []
    rows: list[dict[str, Number]] = []
    names: set[str] = set()
    bad = BadEntries(path, skip_bad=skip_bad)
    for done, (key, entry) in enumerate(entries.items(), start=1):
        try:
            row = _scores(mapping(entry, "its value"))
            if len(names | row.keys()) > MOST_PROXIES:
                raise BadEntryError(f"with it there are more than {MOST_PROXIES} different proxies")
            texts.append(checked(ours, decode(_numbers(key))))
            rows.append(row)
            names |= row.keys()
        except BadEntryError as error:
            bad.add(f"architecture {brief(key)}", error)
        if done % 1000 == 0 or done == len(entries):
            progress(done, len(entries))
    order = sorted(names, key=lambda name: (name == "val_accuracy", name))
    columns: Columns = {"arch": texts, **{name: [row.get(name) for row in rows] for name in order}}
    return bad.table(ours.name, columns)


def _space(path: Path, named: str | None, space: str | None) -> tuple[Space, Callable[[Any], str]]:
    """Return the space that the option, the content or the file's name tells, and what reads its codes."""
    known = {name: (make(), decode) for name, (make, decode) in _SPACES.items()}
    if space is not None:
        ours = {pair[0].name: pair for pair in known.values()}
        if space not in ours:
            raise unknown_name("space", space, ours)
        return ours[space]
    found = re.search("|".join(_SPACES), named or path.name)
    if found is None:
        names = ", ".join(pair[0].name for pair in known.values())
        raise UsageError(
            f"{path}: neither the name nor the content tells the space; pass --space (space=), one of {names}"
        )
    return known[found[0]]


def _task(path: Path, content: Mapping[str, Any], task: str | None) -> str:
    if not 0 < len(content) <= _MOST_TASKS:
        raise BadEntryError(f"it has {len(content)} entries, where tasks such as cifar10 were expected")
    if task is None and len(content) == 1:
        return next(iter(content))
    if task is None:
        tasks = shorten(", ".join(content), 200)
        raise UsageError(f"{path}: choose one of its {len(content)} tasks with --task (task=): {tasks}")
    if task not in content:
        raise unknown_name("task", task, (name[:80] for name in content))
    return task


def _scores(entry: Mapping[str, Any]) -> dict[str, Number]:
    """Return the score of each proxy, and the accuracy."""
    row: dict[str, Number] = {}
    for name, value in entry.items():
        if name not in _NO_PROXY:
            bare = value["score"] if isinstance(value, dict) and "score" in value else value
            row[name] = number(bare, brief(name))
    accuracy = entry.get("val_accuracy")
    row["val_accuracy"] = number(accuracy, "val_accuracy")
    if accuracy is not None and row["val_accuracy"] is None:
        raise BadEntryError(f"val_accuracy is {brief(accuracy)}; it must be finite")
    if all(value is None for value in row.values()):
        raise BadEntryError("it has neither a score nor an accuracy")
    return row


def _numbers(key: str) -> Any:
    """Read nested tuples or lists of numbers, such as `(4, 0, 3, 1, 4, 3)`; nothing is run."""
    if len(key) > _MOST_TEXT:
        raise BadEntryError(f"it has {len(key)} characters; at most {_MOST_TEXT} are read")
    return decode_json(key.replace("(", "[").replace(")", "]"))


def _whole(values: Any, most: int, what: str) -> Sequence[int]:
    """Return values that must be whole numbers from 0 to `most`."""
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value <= most for value in values):
        raise BadEntryError(f"{what} expected, each a whole number from 0 to {most}")
    return values


def _nasbench201(code: Any) -> str:
    """Six operations on the edges 0>1, 0>2, 0>3, 1>2, 1>3, 2>3."""
    numbers = _whole(code, len(_OPERATIONS_201) - 1, "six operations")
    if len(numbers) != len(CELL_EDGES):
        raise BadEntryError(f"{len(numbers)} operations, where six were expected")
    on = dict(zip(sorted(CELL_EDGES), numbers, strict=True))
    words = [f"{_OPERATIONS_201[on[edge]]}~{edge[0]}" for edge in CELL_EDGES]
    return "|{}|+|{}|{}|+|{}|{}|{}|".format(*words)


def _nasbench101(code: Any) -> str:
    """The matrix row by row, then the operations."""
    numbers = _whole(code, len(_OPERATIONS_101) - 1, "a matrix and operations")
    size = (math.isqrt(1 + 4 * len(numbers)) - 1) // 2
    if size < 2 or size * (size + 1) != len(numbers):
        raise BadEntryError(f"{len(numbers)} numbers, where n times n and n were expected")
    rows = [list(numbers[start : start + size]) for start in range(0, size * size, size)]
    operations = [_OPERATIONS_101[operation] for operation in numbers[size * size :]]
    if any(rows[source][target] for source in range(size) for target in range(source + 1)):
        raise BadEntryError("the matrix must be above the diagonal")
    edges = [(source, target) for source, row in enumerate(rows) for target, one in enumerate(row) if one]
    live = live_vertices(size, edges) or list(range(size))  # the space says what is wrong
    cell = {
        "matrix": [[rows[source][target] for target in live] for source in live],
        "ops": [operations[vertex] for vertex in live],
    }
    return json.dumps(cell, separators=(",", ":"))


def _nasbench301(code: Any) -> str:
    """Input and operation of eight edges, for the normal and the reduction cell."""
    if not isinstance(code, list) or len(code) != 2 or not all(isinstance(cell, list) for cell in code):
        raise BadEntryError("two cells were expected")
    cells = []
    most = len(_OPERATIONS_301) - 1
    for cell in code:
        pairs = [_whole(pair, most, "the input and operation of an edge") for pair in cell]
        if any(len(pair) != 2 for pair in pairs):
            raise BadEntryError("an edge must be an input and an operation")
        cells.append([(_OPERATIONS_301[operation], source) for source, operation in pairs])
    return genotype(*cells)


def _transnas_micro(code: Any) -> str:
    """Six operations in the order of the official text."""
    numbers = _whole(code, 3, "six operations")
    if len(numbers) != len(CELL_EDGES):
        raise BadEntryError(f"{len(numbers)} operations, where six were expected")
    return "64-41414-{}_{}{}_{}{}{}".format(*numbers)


def _transnas_macro(code: Any) -> str:
    """Four to six modules; shorter ones are filled up with zeros."""
    modules = "".join(map(str, _whole(code, 4, "four to six modules"))).rstrip("0")
    return f"64-{modules}-basic"


# By the name that the files have.
_SPACES: dict[str, tuple[Callable[[], Space], Callable[[Any], str]]] = {
    "nasbench101": (NASBench101, _nasbench101),
    "nasbench201": (NASBench201, _nasbench201),
    "nasbench301": (DARTS, _nasbench301),
    "transbench101_micro": (TransNASMicro, _transnas_micro),
    "transbench101_macro": (TransNASMacro, _transnas_macro),
}
