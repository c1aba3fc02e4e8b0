"""NATS-Bench and NAS-Bench-201: archives with a pickled or saved file for each architecture.

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", TPAMI 2021,
and the class `ArchResults` of the authors' `api_utils.py`. A file maps a training budget to the state of the
architecture's results, and that a data set and a seed to one training: accuracies by `<set>@<epoch>`, numbers
of parameters and FLOPs in millions, seconds for a batch of 256.
"""

from __future__ import annotations

import bz2
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.torch_version import TorchVersion

from archflow.datasets.official.entries import (
    BadEntries,
    BadEntryError,
    Columns,
    OfficialTable,
    brief,
    checked,
    item,
    mapping,
    mean,
    measured,
)
from archflow.datasets.sources import one_line, shorten
from archflow.datasets.unpickle import loads_plain
from archflow.errors import TableError, UsageError, unknown_name
from archflow.progress import Report, silent
from archflow.spaces.nasbench201 import NASBench201
from archflow.spaces.nats_size import NATSSize

TASKS = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16_120"}
"""How a task is called in columns."""

MOST_BYTES = 2**28
"""Largest file of an archive, unpacked; one without weights has some hundred thousand bytes."""

MOST_BYTES_WHOLE = 2**35
"""Largest benchmark in one file, unpacked."""

MOST_COLUMNS = 200
"""So many columns are written; a published archive has about 20."""

_STEP = 2**20  # bytes unpacked at a time, because a read takes the memory that it might need

# Which trainings and evaluation sets give the validation and the test accuracy, as the authors' API has it:
# for CIFAR-10, training on half of the training set is validated on the other half, and on all of it tested.
_SETS = {
    "cifar10-valid": ("cifar10", {"val": "x-valid"}),
    "cifar10": ("cifar10", {"test": "ori-test"}),
    "cifar100": ("cifar100", {"val": "x-valid", "test": "x-test"}),
    "ImageNet16-120": ("ImageNet16-120", {"val": "x-valid", "test": "x-test"}),
}
_FILE = re.compile(r"(?P<index>\d{1,6})(?P<kind>-FULL|-SIMPLE)?(\.pickle\.pbz2|\.pth)")
_Key = tuple[int, bool, int, str]  # rank of the task, whether it is a cost, epochs, and the column's name
_Row = dict[_Key, list[float]]
_SCALARS = tuple(type(np.dtype(code)) for code in ("b1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"))


def read_nats_bench(
    path: Path, *, task: str | None = None, skip_bad: bool = False, progress: Report = silent
) -> OfficialTable:
    """Read an archive folder or one of its files, an architecture a row, in the order of the archive.

    A folder holds `000000.pickle.pbz2`, ... (NATS-Bench, without weights) or `000000-FULL.pth`, ...
    (NAS-Bench-201). A whole benchmark in one file is read too, but into memory. For each task T and epoch
    budget E there are `{T}_val_acc_{E}ep` and `{T}_test_acc_{E}ep`, percent after the last epoch, mean over
    the seeds; for each task `{T}_params_m`, `{T}_flops_m` (millions) and `{T}_latency_ms`. What was not
    measured is a gap.

    Args:
        path: The folder or file.
        task: "cifar10", "cifar100" or "ImageNet16-120"; by default all of them.
        skip_bad: Leave architectures that cannot be used out, instead of stopping at the first.
        progress: Told how many architectures are read.

    Raises:
        TableError: The files cannot be used; names the file or architecture and the rule.
        UnknownNameError: There is no such task.
        UsageError: A `.pth` file, and torch is older than 2.6.
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    bad = BadEntries(path, skip_bad=skip_bad)
    texts: list[str] = []
    rows: list[_Row] = []
    keys: set[_Key] = set()
    space = None
    for where, results in _architectures(path, bad, progress):
        try:
            text, row = _row(results, list(TASKS) if task is None else [task])
            own = NATSSize() if text[:1].isdigit() else NASBench201()
            if space not in (None, own.name):
                raise BadEntryError(f"{brief(text)} is of the space {own.name}, earlier ones are of {space}")
            if len(keys | row.keys()) > MOST_COLUMNS:
                raise BadEntryError(f"with it there are more than {MOST_COLUMNS} columns")
            texts.append(checked(own, text))
        except BadEntryError as error:
            bad.add(where, error)
            continue
        rows.append(row)
        keys |= row.keys()
        space = own.name
    columns: Columns = {"arch": texts}
    for key in sorted(keys):
        columns[key[-1]] = [mean(row.get(key, [])) for row in rows]
    return bad.table(space or NASBench201.name, columns)


def archive_files(folder: Path) -> list[Path]:
    """Return the files of an archive folder by number; of two with one number, the one without weights."""
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        match = _FILE.fullmatch(file.name)
        if match and (match["kind"] != "-FULL" or int(match["index"]) not in found):
            found[int(match["index"])] = file
    return [found[index] for index in sorted(found)]


def _architectures(path: Path, bad: BadEntries, progress: Report) -> Iterator[tuple[str, Any]]:
    """Yield each architecture's results, and where they stand; files that cannot be read are bad entries."""
    if path.is_dir():
        files = archive_files(path)
        if not files:
            raise TableError(f"{path}: there is no 000000.pickle.pbz2 or 000000-FULL.pth in the folder")
        for done, file in enumerate(files, start=1):
            try:
                yield file.name, _load(file, whole=False)
            except BadEntryError as error:
                bad.add(file.name, error)
            progress(done, len(files))
        return
    try:
        content = mapping(_load(path, whole=True), "the file")
        if "arch2infos" not in content:
            yield path.name, content
            return
        everything = mapping(content["arch2infos"], "arch2infos")
    except BadEntryError as error:
        raise TableError(f"{path}: {error}") from error
    for done, (index, results) in enumerate(everything.items(), start=1):
        yield f"architecture {brief(index)}", results
        progress(done, len(everything))


def _row(results: Any, tasks: list[str]) -> tuple[str, _Row]:
    """Return the text of an architecture and its values."""
    texts = set()
    row: _Row = defaultdict(list)
    for budget, state in mapping(results, "the file").items():
        name = f"the results of {brief(budget)}"
        text = item(mapping(state, name), "arch_str", name)
        if not isinstance(text, str):
            raise BadEntryError(f"arch_str is {brief(text)}, where text was expected")
        texts.add(text)
        for key, training in mapping(item(state, "all_results", name), "all_results").items():
            if not isinstance(key, tuple) or len(key) != 2 or key[0] not in _SETS:
                raise BadEntryError(f"all_results has no pairs of a seed and one of {', '.join(_SETS)}")
            task, sets = _SETS[key[0]]
            if task in tasks:
                _add(row, tasks.index(task), task, sets, mapping(training, f"a training on {key[0]}"))
    if len(texts) != 1:
        raise BadEntryError(f"one architecture was expected, not {shorten(sorted(texts))}")
    if all(is_cost for _, is_cost, *_ in row):
        raise BadEntryError(f"there is no accuracy of {', '.join(tasks)}")
    return texts.pop(), row


def _add(row: _Row, order: int, task: str, sets: Mapping[str, str], training: Mapping[Any, Any]) -> None:
    """Add the values of one training."""
    epochs = item(training, "epochs", "a training")
    if type(epochs) is not int or not 0 < epochs < 10_000:
        raise BadEntryError(f"epochs is {brief(epochs)}; it must be a whole number, 1 to 9999")
    accuracies = mapping(item(training, "eval_acc1es", "a training"), "eval_acc1es")
    prefix = TASKS[task]
    for kind, name in sets.items():
        accuracy = measured(accuracies.get(f"{name}@{epochs - 1}"), f"the {task} {kind} accuracy", 100)
        if accuracy is not None:
            row[order, False, epochs, f"{prefix}_{kind}_acc_{epochs}ep"].append(accuracy)
    latencies = training.get("latency")
    costs = [("params_m", training.get("params"), 1), ("flops_m", training.get("flop"), 1)]
    costs += [("latency_ms", seconds, 1000) for seconds in latencies] if isinstance(latencies, list) else []
    for kind, value, scale in costs:
        cost = measured(value, f"the {task} {kind}")
        if cost is not None:
            row[order, True, 0, f"{prefix}_{kind}"].append(scale * cost)


def _load(path: Path, *, whole: bool) -> Any:
    """Return what a file holds, plain dicts, lists, texts and numbers (and weights, in `.pth` files)."""
    if not path.is_file():
        raise BadEntryError("a folder or device, where a file was expected")
    if path.suffix == ".pth":
        return _load_saved(path)
    most = MOST_BYTES_WHOLE if whole else MOST_BYTES
    content = bytearray()
    try:
        with bz2.open(path) as file:
            while len(content) <= most and (more := file.read(_STEP)):
                content += more
    except (OSError, EOFError) as error:
        raise BadEntryError(f"not a whole bz2 file ({one_line(error)})") from error
    if len(content) > most:
        raise BadEntryError(f"unpacked it has more than {most} bytes")
    try:
        return loads_plain(bytes(content), path.name)
    except TableError as error:
        raise BadEntryError(str(error).removeprefix(f"{path.name}: ")) from error


def _load_saved(path: Path) -> Any:
    """Read what `torch.save` wrote: tensors, plain values and NumPy numbers; nothing else is allowed."""
    if TorchVersion(torch.__version__) < "2.6":
        raise UsageError(f"{path}: reading .pth files needs torch 2.6 or newer; this is {torch.__version__}")
    scalar = np.float64(0).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
    allowed: list[Any] = [np.dtype, *_SCALARS, *((scalar, f"{module}.scalar") for module in modules)]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make it raise almost anything
        named = re.search(r"GLOBAL (\S+)", str(error))  # its own advice is to trust the file
        reason = f"it holds {named[1]}" if named else one_line(error).rpartition("error: ")[2]
        raise BadEntryError(f"torch.load refuses it: {reason[:100]}") from error
