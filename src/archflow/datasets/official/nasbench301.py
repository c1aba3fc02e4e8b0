"""NAS-Bench-301: folders of `results_*.json`, one file a training of a DARTS architecture on CIFAR-10.

Source: Zela, Siems et al., "Surrogate NAS Benchmarks: Going Beyond the Limited Search Space Sizes of Tabular
NAS Benchmarks", ICLR 2022, and the authors' repository (`configspace.json`, `surrogate_models/utils.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archflow.datasets.official.entries import (
    BadEntries,
    BadEntryError,
    OfficialTable,
    brief,
    checked,
    item,
    mapping,
    measured,
    no_task,
    read_json,
)
from archflow.errors import TableError
from archflow.progress import Report, silent
from archflow.spaces.darts import DARTS

_CONFIG = "optimized_hyperparamater_config"  # spelt so in the files
_PREFIX = "NetworkSelectorDatasetInfo:darts:"
_NODES = (2, 3, 4, 5)  # the inner nodes of a cell; 0 and 1 are its inputs


def read_nasbench301(
    path: Path, *, task: str | None = None, skip_bad: bool = False, progress: Report = silent
) -> OfficialTable:
    """Read every `results_*.json` of a folder and of the folders in it, a row each, sorted by path.

    The columns are `arch`, `cifar10_val_acc` and `cifar10_test_acc` (percent), `params`, `train_seconds`,
    what the training was made with (`epochs`, `layers`, `init_channels`), and `file`, the path within the
    folder. An architecture that was trained more than once has as many rows; trainings of another size or
    length are not comparable, so choose rows by those columns first.

    Args:
        path: The folder, or one file.
        task: Must be None; there is one task.
        skip_bad: Leave files that cannot be used out, instead of stopping at the first.
        progress: Told how many files are read.

    Raises:
        TableError: There is no such file, or one cannot be used; names the file and the rule.
        UsageError: A task is given.
    """
    no_task(task, "NAS-Bench-301")
    files = sorted(path.rglob("results_*.json")) if path.is_dir() else [path]
    if not files:
        raise TableError(f"{path}: there is no results_*.json in the folder or below it")
    columns: dict[str, list[Any]] = defaultdict(list, arch=[])
    bad = BadEntries(path, skip_bad=skip_bad)
    for done, file in enumerate(files, start=1):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        try:
            row = _row(mapping(read_json(file), "the file"))
        except BadEntryError as error:
            bad.add(name, error)
        else:
            for column, value in {**row, "file": name}.items():
                columns[column].append(value)
        progress(done, len(files))
    return bad.table(DARTS.name, dict(columns))


def genotype(normal: list[tuple[str, int]], reduce: list[tuple[str, int]]) -> str:
    """Return the text format of a DARTS architecture.

    Args:
        normal: Operation and input of each of the eight edges, two for each inner node in order.
        reduce: Likewise for the reduction cell.
    """
    whole = {"normal": normal, "normal_concat": _NODES, "reduce": reduce, "reduce_concat": _NODES}
    return json.dumps(whole, separators=(",", ":"))


def _row(result: Mapping[Any, Any]) -> dict[str, Any]:
    config = mapping(item(result, _CONFIG, "the file"), _CONFIG)
    information = item(result, "info", "the file")
    if not isinstance(information, list) or not information:
        raise BadEntryError(f"info is {brief(information)}, where a list with one entry was expected")
    info = mapping(information[0], "info[0]")
    return {
        "arch": checked(DARTS(), genotype(_cell(config, "normal"), _cell(config, "reduce"))),
        "cifar10_val_acc": measured(item(info, "val_accuracy", "info[0]"), "val_accuracy", 100),
        "cifar10_test_acc": measured(result.get("test_accuracy"), "test_accuracy", 100),
        "params": measured(info.get("model_parameters"), "model_parameters"),
        "train_seconds": measured(result.get("runtime"), "runtime"),
        "epochs": measured(result.get("budget"), "budget"),
        "layers": measured(config.get(f"{_PREFIX}layers"), "layers"),
        "init_channels": measured(config.get(f"{_PREFIX}init_channels"), "init_channels"),
    }


def _cell(config: Mapping[Any, Any], cell: str) -> list[tuple[str, int]]:
    """Return operation and input of the eight edges; edges are numbered over all pairs of nodes."""
    edges, first = [], 0
    for node in _NODES:
        key = f"{_PREFIX}inputs_node_{cell}_{node}"
        sources = (0, 1) if node == _NODES[0] else _inputs(config, key, node)
        for source in sources:
            key = f"{_PREFIX}edge_{cell}_{first + source}"
            operation = item(config, key, _CONFIG)
            if operation not in DARTS.choices:
                names = ", ".join(DARTS.choices)
                raise BadEntryError(f"{key} is {brief(operation)}; it must be one of {names}")
            edges.append((operation, source))
        first += node
    return edges


def _inputs(config: Mapping[Any, Any], key: str, node: int) -> tuple[int, int]:
    """Return the two inputs of a node, which are written such as `0_2`."""
    text = item(config, key, _CONFIG)
    for second in range(node):
        for first in range(second):
            if text == f"{first}_{second}":
                return first, second
    raise BadEntryError(f"{key} is {brief(text)}; the form is i_j with i < j < {node}")
