"""NAS-Bench-101: `nasbench_only108.tfrecord` and `nasbench_full.tfrecord`, without TensorFlow.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019. A record is
the training of one cell with one epoch budget, as a JSON list: the cell's hash, the epochs, the adjacency
matrix as a string of 0 and 1, the operations joined by commas, and a protocol buffer in base64 with what was
measured at the start, halfway and at the end (`nasbench/api.py` and `nasbench/lib/model_metrics.proto` of the
authors' repository).
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from archflow.datasets.official.entries import (
    BadEntries,
    BadEntryError,
    Columns,
    Number,
    OfficialTable,
    brief,
    checked,
    decode_json,
    measured,
    no_task,
)
from archflow.datasets.official.tfrecord import read_records
from archflow.errors import TableError
from archflow.progress import Report, silent
from archflow.protocols import FloatArray
from archflow.spaces.nasbench101 import NASBench101

MOST_BUDGETS = 16
"""So many different epoch budgets are read; the published file has four."""

_HASH = re.compile("[0-9a-f]{32}")
_BITS = re.compile("[01]+")
_EPOCH, _SECONDS, _VALIDATION, _TEST = 1, 2, 4, 5  # fields of EvaluationData
_DOUBLE = struct.Struct("<d")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_COLUMNS = (
    "cifar10_val_acc_{}ep",
    "cifar10_test_acc_{}ep",
    "cifar10_val_acc_{}ep_half",
    "cifar10_test_acc_{}ep_half",
    "train_seconds_{}ep",
)
_PER_BUDGET = len(_COLUMNS) + 1  # and the number of trainings


def read_nasbench101(
    path: Path, *, task: str | None = None, skip_bad: bool = False, progress: Report = silent
) -> OfficialTable:
    """Read the cells of a TFRecord file, a row each, in the order of the file.

    For each epoch budget E of the file, over the trainings of a cell (three in the published files), there
    are the means `cifar10_val_acc_{E}ep` and `cifar10_test_acc_{E}ep` (percent, at the end of training),
    `cifar10_val_acc_{E}ep_half` and `cifar10_test_acc_{E}ep_half` (after half of the epochs), and
    `train_seconds_{E}ep`, and their number `repeats_{E}ep`. Beside them are `params` and the official `hash`.
    Memory grows with the number of cells, not of records.

    Args:
        path: A `.tfrecord` file.
        task: Must be None; there is one task.
        skip_bad: Leave damaged records out, instead of stopping at the first. Where the next record cannot be
            found, that is all the rest of the file.
        progress: Told how many MiB are read.

    Raises:
        TableError: The file cannot be used; names the record and the rule.
        UsageError: A task is given.
    """
    no_task(task, "NAS-Bench-101")
    if not path.is_file():  # opening a pipe would wait for ever
        raise TableError(f"{path}: a folder or device, where a .tfrecord file was expected")
    cells, bad = _Cells(), BadEntries(path, skip_bad=skip_bad)
    for record in read_records(path, progress):
        where = f"record {record.number}"
        if record.damage is not None:
            bad.add(where, record.damage)
            continue
        try:
            cells.add(record.data)
        except BadEntryError as error:
            bad.add(where, error)
    return bad.table(NASBench101.name, cells.columns())


class _Cells:
    """The cells seen so far and the sums over their trainings."""

    def __init__(self) -> None:
        self._space = NASBench101()
        self._rows: dict[str, int] = {}  # by hash
        self._graphs: list[str] = []  # matrix and operations as they stand in the file
        self._texts: list[str] = []
        self._params: list[int] = []
        self._sums: dict[int, array[float]] = {}  # by epochs; _PER_BUDGET numbers a row

    def add(self, data: bytes) -> None:
        """Take a record in, or raise and leave everything as it was."""
        row = decode_json(data)
        if not isinstance(row, list) or len(row) != 5:
            raise BadEntryError(f"a list of five was expected, not {brief(row)}")
        key, epochs, matrix, operations, metrics = row
        if not isinstance(key, str) or not _HASH.fullmatch(key):
            raise BadEntryError(f"the hash is {brief(key)}; it must be 32 hexadecimal digits")
        if type(epochs) is not int or not 0 < epochs < 10_000:
            raise BadEntryError(f"epochs is {brief(epochs)}; it must be a whole number, 1 to 9999")
        if epochs not in self._sums and len(self._sums) == MOST_BUDGETS:
            raise BadEntryError(f"{epochs} epochs: more than {MOST_BUDGETS} different budgets")
        if not all(isinstance(text, str) for text in (matrix, operations, metrics)):
            raise BadEntryError("the matrix, the operations and the measurements must be texts")
        params, values = _training(metrics, epochs)
        graph = f"{matrix} {operations}"
        position = self._rows.get(key)
        if position is None:
            text = checked(self._space, _arch(matrix, operations))
            position = self._rows[key] = len(self._texts)
            self._graphs.append(graph)
            self._texts.append(text)
            self._params.append(params)
        elif (self._graphs[position], self._params[position]) != (graph, params):
            raise BadEntryError(f"an earlier record with the hash {key} has another cell or params")
        sums = self._sums.setdefault(epochs, array("d"))
        sums.frombytes(bytes(8 * max(0, _PER_BUDGET * (position + 1) - len(sums))))
        for place, value in enumerate((*values, 1.0), start=_PER_BUDGET * position):
            sums[place] += value

    def columns(self) -> Columns:
        """Return the means."""
        columns: Columns = {"arch": self._texts}
        for epochs, sums in sorted(self._sums.items()):
            table = np.zeros((len(self._texts), _PER_BUDGET))
            table.ravel()[: len(sums)] = sums
            repeats = table[:, -1]
            for name, total in zip(_COLUMNS, table.T[:-1], strict=True):
                columns[name.format(epochs)] = _ratio(total, repeats)
            columns[f"repeats_{epochs}ep"] = repeats.astype(np.int64)
        return {**columns, "params": np.array(self._params, dtype=np.int64), "hash": list(self._rows)}


def _ratio(totals: FloatArray, counts: FloatArray) -> FloatArray | list[Number]:
    if counts.all():
        return totals / counts
    pairs = zip(totals.tolist(), counts.tolist(), strict=True)
    return [total / count if count else None for total, count in pairs]


def _arch(matrix: str, operations: str) -> str:
    """Return the text format of a cell."""
    size = math.isqrt(len(matrix))
    if not _BITS.fullmatch(matrix) or size * size != len(matrix):
        raise BadEntryError(f"the matrix is {brief(matrix)}; it must be n times n digits 0 and 1")
    rows = ",".join(f"[{','.join(matrix[start : start + size])}]" for start in range(0, len(matrix), size))
    return f'{{"matrix":[{rows}],"ops":{json.dumps(operations.split(","), separators=(",", ":"))}}}'


def _training(metrics: str, epochs: int) -> tuple[int, tuple[float, ...]]:
    """Return the parameter count, and of one training the values of `_COLUMNS`."""
    try:
        message = base64.b64decode(metrics)
    except ValueError as error:
        raise BadEntryError(f"the measurements are not base64 ({error})") from error
    evaluations: list[bytes] = []
    params = None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, bytes):
            evaluations.append(value)
        elif field == 2 and isinstance(value, int):
            params = value
    if params is None or not 0 <= params < 2**31:
        raise BadEntryError(f"trainable_parameters is {params}; it must be a count below 2^31")
    if len(evaluations) != 3:
        raise BadEntryError(f"{len(evaluations)} evaluations; start, halfway and end were expected")
    half, end = (
        {field: value for field, value in _fields(part) if isinstance(value, float)}
        for part in evaluations[1:]
    )
    for name, evaluation, expected in (("second", half, epochs / 2), ("last", end, epochs)):
        if not abs(evaluation.get(_EPOCH, expected) - expected) <= 1:
            raise BadEntryError(
                f"the {name} evaluation is of epoch {evaluation[_EPOCH]:g}, where {expected:g} was expected"
            )
    percents = [100 * _value(which, at, 1) for which in (end, half) for at in (_VALIDATION, _TEST)]
    return params, (*percents, _value(end, _SECONDS))


def _value(evaluation: dict[int, float], field: int, most: float = math.inf) -> float:
    name = {_SECONDS: "training_time", _VALIDATION: "validation_accuracy", _TEST: "test_accuracy"}[field]
    value = measured(evaluation.get(field), name, most)
    if value is None:
        raise BadEntryError(f"an evaluation has no {name}")
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield the number and value of each field of a protocol buffer: whole number, double or bytes."""
    place = 0
    while place < len(message):
        tag, place = message[place], place + 1
        if tag >= 0x80:  # hardly ever, and this loop is where the time goes
            tag, place = _varint(message, place - 1)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield field, value
            continue
        if wire == _BYTES:
            size, place = _varint(message, place)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise BadEntryError(f"the measurements are no protocol buffer: wire type {wire}")
        if size > len(message) - place:
            raise BadEntryError("the measurements are no whole protocol buffer: a field ends beyond them")
        if wire == _FIXED64:
            yield field, _DOUBLE.unpack_from(message, place)[0]
        else:
            yield field, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a whole number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise BadEntryError("the measurements are no whole protocol buffer: they end inside a number")
        octet = message[place]
        value |= (octet & 0x7F) << shift
        place += 1
        if octet < 0x80:
            return value, place
    raise BadEntryError("the measurements are no protocol buffer: a number has more than ten bytes")
