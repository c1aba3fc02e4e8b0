"""Readers of the files in the registry of `archflow.datasets.published`, one for each form of file.

A reader yields the architectures of a file as text of their space, each with its values by column; None is a
gap. A value or text that cannot be used is a `BadEntryError` that names it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archflow.datasets.official.entries import (
    BadEntryError,
    Number,
    brief,
    item,
    mapping,
    measured,
    number,
    read_json,
)
from archflow.datasets.sources import shorten
from archflow.datasets.unpickle import load_pickle
from archflow.spaces.nasbench201 import CELL_EDGES
from archflow.spaces.nasbench_graph import LINKS, OPERATIONS

Row = tuple[str, dict[str, Number]]

PROXIES = (
    "epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params", "plain", "snip",
    "synflow", "zen",
)  # fmt: skip
"""The zero-cost proxies of NAS-Bench-201 cells; `flops` and `params` are in millions."""

DEVICES = {
    "edgegpu_latency": "edgegpu_latency_ms",
    "edgegpu_energy": "edgegpu_energy_mj",
    "raspi4_latency": "raspi4_latency_ms",
    "edgetpu_latency": "edgetpu_latency_ms",
    "pixel3_latency": "pixel3_latency_ms",
    "eyeriss_latency": "eyeriss_latency_ms",
    "eyeriss_energy": "eyeriss_energy_mj",
    "eyeriss_arithmetic_intensity": "eyeriss_arithmetic_intensity",
    "fpga_latency": "fpga_latency_ms",
    "fpga_energy": "fpga_energy_mj",
}
"""The columns of the file on hardware, and ours, which tell the unit."""

_FAILED = -1  # what the file on hardware holds where a device could not run the network
_CELL_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_CELL = re.compile(r"\(([0-4]), ([0-4]), ([0-4]), ([0-4]), ([0-4]), ([0-4])\)")
_GRAPH_COLUMNS = {"valid_perf": "val_acc", "perf": "test_acc", "latency": "latency", "para": "params"}


def read_accuracies(path: Path) -> Iterator[Row]:
    """Yield NAS-Bench-201 cells with `cifar10_test_acc`, percent, from JSON of two lists."""
    content = mapping(read_json(path), "the file")
    texts, accuracies = (_list(content, name) for name in ("archs", "accuracies"))
    if len(texts) != len(accuracies):
        raise BadEntryError(f"{len(texts)} architectures and {len(accuracies)} accuracies")
    for text, accuracy in zip(texts, accuracies, strict=True):
        yield _text(text), {"cifar10_test_acc": measured(accuracy, f"the accuracy of {brief(text)}", 100)}


def read_hardware(path: Path) -> Iterator[Row]:
    """Yield NAS-Bench-201 cells with what they take on seven devices, from CSV."""
    for row in _csv_rows(path, ("net", *DEVICES)):
        match = _CELL.fullmatch(row["net"])
        if match is None:
            raise BadEntryError(f"net is {shorten(row['net'])}; six numbers from 0 to 4 were expected")
        # The file goes by where an edge starts, the official string by where it ends.
        on = dict(
            zip(sorted(CELL_EDGES), (_CELL_OPERATIONS[int(one)] for one in match.groups()), strict=True)
        )
        words = [f"{on[edge]}~{edge[0]}" for edge in CELL_EDGES]
        values = {name: _float(row, key) for key, name in DEVICES.items()}
        yield (
            "|{}|+|{}|{}|+|{}|{}|{}|".format(*words),
            {name: None if value == _FAILED else value for name, value in values.items()},
        )


def read_proxies(path: Path) -> Iterator[Row]:
    """Yield NAS-Bench-201 cells with their zero-cost proxies, from CSV."""
    for row in _csv_rows(path, ("net_str", *PROXIES)):
        yield row["net_str"], {name: _float(row, name) for name in PROXIES}


def read_macro(path: Path) -> Iterator[Row]:
    """Yield NAS-Bench-Macro networks with their mean accuracy, percent, from JSON."""
    for text, results in mapping(read_json(path), "the file").items():
        what = f"what is under {brief(text)}"
        values = [item(mapping(results, what), key, what) for key in ("mean_acc", "std", "params", "flops")]
        accuracy, deviation, params, flops = values
        yield (
            _text(text),
            {
                "cifar10_test_acc": measured(accuracy, f"mean_acc of {brief(text)}", 100),
                "cifar10_test_acc_std": measured(deviation, f"std of {brief(text)}", 100),
                "params": measured(params, f"params of {brief(text)}"),
                "flops": measured(flops, f"flops of {brief(text)}"),
            },
        )


def read_graph(path: Path) -> Iterator[Row]:
    """Yield NAS-Bench-Graph architectures with accuracies (fractions), latency and parameters (millions).

    The file is a pickle. A key is a whole number: which of `LINKS`, then the operation of each layer as a
    decimal digit that counts in `OPERATIONS`.
    """
    for code, results in mapping(load_pickle(path), "the file").items():
        what = f"what is under {brief(code)}"
        links, digits = divmod(code, 10_000) if type(code) is int else (-1, 0)
        operations = [int(digit) for digit in f"{digits:04}"]
        if not 0 <= links < len(LINKS) or max(operations) >= len(OPERATIONS):
            raise BadEntryError(
                f"{brief(code)} is no architecture; the digits of a link list, 0 to {len(LINKS) - 1}, and "
                f"four operations, 0 to {len(OPERATIONS) - 1}, were expected"
            )
        values = {
            name: measured(item(mapping(results, what), key, what), f"{key} of {code}")
            for key, name in _GRAPH_COLUMNS.items()
        }
        names = ",".join(OPERATIONS[operation] for operation in operations)
        yield f"{','.join(map(str, LINKS[links]))}|{names}", values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadEntryError(f"an architecture is {brief(value)}, where text was expected")
    return value


def _list(content: Any, name: str) -> list[Any]:
    value = item(content, name, "the file")
    if not isinstance(value, list):
        raise BadEntryError(f"{name} is {brief(value)}, where a list was expected")
    return value


def _float(row: dict[str, str], name: str) -> Number:
    try:
        return number(float(row[name]), name)
    except ValueError:
        raise BadEntryError(f"{name} is {shorten(row[name])}; a number was expected") from None


def _csv_rows(path: Path, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that must have columns of these names."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            missing = [name for name in names if name not in header]
            if missing:
                raise BadEntryError(f"there is no column {missing[0]!r}")
            for record in reader:
                if len(record) != len(header):
                    raise BadEntryError(
                        f"line {reader.line_num}: {len(record)} fields, where the header has {len(header)}"
                    )
                yield dict(zip(header, record, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadEntryError(f"not CSV in UTF-8 ({error})") from error
