"""What is read from the published files, small ones by hand and the real ones."""

import csv
import dataclasses
import json
import math
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from archflow.datasets.published import published
from archflow.datasets.published_readers import DEVICES, PROXIES
from archflow.errors import TableError

CELL = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
# The same cell: avg on 0>1, skip on 0>2, 1x1 on 0>3, none on 1>2, avg on 1>3, 3x3 on 2>3.
NET = "(4, 0, 3, 1, 4, 2)"
RAW = Path(os.environ.get("ARCHFLOW_DATA", "none")).parent / "raw"
NEEDS_FILES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ or not RAW.is_dir(),
    reason="the published files are not shipped; set ARCHFLOW_DATA to a folder beside one called raw",
)


@pytest.fixture
def read(tmp_path):
    """Read some content as the published file of a table, with as many rows as are said."""

    def columns(name, content, rows=1):
        entry = dataclasses.replace(published(name), rows=rows)
        path = tmp_path / entry.file
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return entry.columns(path)

    return columns


def csv_of(tmp_path, header, *rows):
    path = tmp_path / "some.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path.read_text()


def test_accuracies(read):
    content = json.dumps({"archs": [CELL], "accuracies": [85.5], "embeddings": [[0, 1]]})
    assert read("nasbench201", content) == {"arch": [CELL], "cifar10_test_acc": [85.5]}


def test_hardware(read, tmp_path):
    values = [float(number) for number in range(1, len(DEVICES) + 1)]
    values[3] = -1.0
    columns = read("nasbench201_hardware", csv_of(tmp_path, ["net", *DEVICES], [NET, *values]))
    assert columns == {"arch": [CELL]} | {
        name: [None if value == -1 else value] for name, value in zip(DEVICES.values(), values, strict=True)
    }
    assert columns["edgetpu_latency_ms"] == [None]


def test_every_edge_of_the_cell_has_its_place(read, tmp_path):
    """The file goes 0>1, 0>2, 0>3, 1>2, 1>3, 2>3; the official string 0>1, 0>2, 1>2, 0>3, 1>3, 2>3."""
    nets, cells = [], []
    for place, (source, slot) in enumerate([(0, 0), (0, 1), (0, 3), (1, 2), (1, 4), (2, 5)]):
        nets.append("({}, {}, {}, {}, {}, {})".format(*(2 if i == place else 1 for i in range(6))))
        words = ["none~0", "none~0", "none~1", "none~0", "none~1", "none~2"]
        words[slot] = f"nor_conv_3x3~{source}"
        cells.append("|{}|+|{}|{}|+|{}|{}|{}|".format(*words))
    rows = [[net, *[1.0] * len(DEVICES)] for net in nets]
    columns = read("nasbench201_hardware", csv_of(tmp_path, ["net", *DEVICES], *rows), rows=6)
    assert columns["arch"] == cells


def test_proxies(read, tmp_path):
    values = [-float(number) for number in range(len(PROXIES))]
    values[1] = math.nan
    content = csv_of(tmp_path, ["net", "net_str", *PROXIES], [NET, CELL, *values])
    columns = read("nasbench201_proxies", content)
    expected = [[None] if math.isnan(value) else [value] for value in values]
    assert columns == {"arch": [CELL]} | dict(zip(PROXIES, expected, strict=True))


def test_macro(read):
    results = {"test_acc": [88.0, 90.0], "mean_acc": 89.0, "std": 1.0, "params": 890666, "flops": 47327744}
    assert read("nasbench_macro", json.dumps({"02012100": results})) == {
        "arch": ["02012100"],
        "cifar10_test_acc": [89.0],
        "cifar10_test_acc_std": [1.0],
        "params": [890666],
        "flops": [47327744],
    }


def test_graph(read):
    results = {"valid_perf": 0.75, "perf": 0.5, "latency": 0.25, "para": np.float64(1.5)}
    columns = read("nasbench_graph_cora", pickle.dumps({38107: results, 70: results}), rows=2)
    assert columns == {
        "arch": ["0,0,1,2|skip,gcn,gat,fc", "0,0,0,0|gat,gat,fc,gat"],
        "val_acc": [0.75] * 2,
        "test_acc": [0.5] * 2,
        "latency": [0.25] * 2,
        "params": [1.5] * 2,
    }


RESULTS = {"mean_acc": 89.0, "std": 1.0, "params": 1, "flops": 1}
GRAPH = {"valid_perf": 0.75, "perf": 0.5, "latency": 0.25, "para": 1.5}
DEVICE_HEADER = ",".join(["net", *DEVICES])
ONES = ",1" * len(DEVICES)
BAD = [
    ("nasbench201", b"spam", "not JSON"),
    ("nasbench201", b"\xff\xfe", "not JSON"),
    ("nasbench201", b"[" * 100_000, "not usable JSON"),
    ("nasbench201", b"[]", "the file is a list, where keys and values were expected"),
    ("nasbench201", b"{}", "the file has no 'archs'"),
    ("nasbench201", b'{"archs": 3, "accuracies": []}', "archs is 3, where a list was expected"),
    ("nasbench201", b'{"archs": ["a"], "accuracies": []}', "1 architectures and 0 accuracies"),
    ("nasbench201", b'{"archs": [5], "accuracies": [1]}', "an architecture is 5, where text was expected"),
    ("nasbench201", b'{"archs": ["spam"], "accuracies": [1]}', "architecture 'spam': not a NAS-Bench-201"),
    (
        "nasbench201",
        b'{"archs": ["a"], "accuracies": [101]}',
        "accuracy of 'a' is 101; it must be between 0 and 100",
    ),
    ("nasbench201", b'{"archs": ["a"], "accuracies": [NaN]}', "accuracy of 'a' is nan; it must be between"),
    (
        "nasbench201",
        b'{"archs": ["a"], "accuracies": ["1"]}',
        "accuracy of 'a' is '1'; a number was expected",
    ),
    ("nasbench201", b'{"archs": [], "accuracies": []}', "0 rows with 0 architectures; 1 different ones"),
    ("nasbench201_hardware", b"", "no column 'net'"),
    ("nasbench201_hardware", b"net,spam\n", "no column 'edgegpu_latency'"),
    ("nasbench201_hardware", f"{DEVICE_HEADER}\n".encode(), "0 rows"),
    ("nasbench201_hardware", f"{DEVICE_HEADER}\n1,2\n".encode(), "line 2: 2 fields, where the header has 11"),
    (
        "nasbench201_hardware",
        f"{DEVICE_HEADER}\nspam{ONES}\n".encode(),
        "net is 'spam'; six numbers from 0 to 4",
    ),
    (
        "nasbench201_hardware",
        f'{DEVICE_HEADER}\n"(0, 1, 2, 3, 4, 5)"{ONES}\n'.encode(),
        "six numbers from 0 to 4",
    ),
    (
        "nasbench201_hardware",
        f'{DEVICE_HEADER}\n"{NET}"{ONES}x\n'.encode(),
        "fpga_energy is '1x'; a number was",
    ),
    ("nasbench201_hardware", f'{DEVICE_HEADER}\n"{NET}'.encode(), "not CSV in UTF-8"),
    ("nasbench201_hardware", b"net\xff", "not CSV in UTF-8"),
    ("nasbench201_proxies", b"net\n", "no column 'net_str'"),
    ("nasbench_macro", json.dumps({"02012100": 5}), "what is under '02012100' is 5"),
    ("nasbench_macro", json.dumps({"02012100": {"mean_acc": 5}}), "what is under '02012100' has no 'std'"),
    (
        "nasbench_macro",
        json.dumps({"0201210": RESULTS}),
        "architecture '0201210': not a NAS-Bench-Macro text",
    ),
    (
        "nasbench_macro",
        json.dumps({"02012100": RESULTS, "02012101": RESULTS}),
        "2 rows with 2 architectures; 1",
    ),
    (
        "nasbench_macro",
        json.dumps({"02012100": RESULTS | {"params": -1}}),
        "params of '02012100' is -1; it must be 0",
    ),
    ("nasbench_graph_cora", b"spam", "not a usable pickle"),
    ("nasbench_graph_cora", pickle.dumps([1]), "the file is a list"),
    (
        "nasbench_graph_cora",
        pickle.dumps({"0": GRAPH}),
        "'0' is no architecture; the digits of a link list, 0 to 8",
    ),
    ("nasbench_graph_cora", pickle.dumps({90_000: GRAPH}), "90000 is no architecture"),
    ("nasbench_graph_cora", pickle.dumps({9: GRAPH}), "9 is no architecture"),
    ("nasbench_graph_cora", pickle.dumps({-5: GRAPH}), "-5 is no architecture"),
    ("nasbench_graph_cora", pickle.dumps({True: GRAPH}), "True is no architecture"),
    ("nasbench_graph_cora", pickle.dumps({8888: GRAPH}), "skips alone lead from the input to the output"),
    ("nasbench_graph_cora", pickle.dumps({0: {}}), "what is under 0 has no 'valid_perf'"),
    (
        "nasbench_graph_cora",
        pickle.dumps({0: GRAPH | {"para": []}}),
        "para of 0 is a list; a number was expected",
    ),
]


@pytest.mark.parametrize(("name", "content", "part"), BAD, ids=[part for _, _, part in BAD])
def test_files_that_hold_something_else(read, tmp_path, name, content, part):
    with pytest.raises(TableError) as error:
        read(name, content)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / published(name).file}: ")
    assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["nasbench201", "nasbench201_hardware", "nasbench_graph_cora"])
def test_files_that_are_not_there(tmp_path, name):
    with pytest.raises(TableError, match=re.escape(str(tmp_path / "none"))):
        published(name).columns(tmp_path / "none")


@NEEDS_FILES
def test_what_the_edge_tpu_could_not_run_is_a_gap():
    """4,699 cells have -1 there; the other devices ran every cell."""
    entry = published("nasbench201_hardware")
    columns = entry.columns(RAW / entry.file)
    gaps = {name: sum(value is None for value in values) for name, values in columns.items()}
    assert {name: count for name, count in gaps.items() if count} == {"edgetpu_latency_ms": 4_699}
    assert min(value for value in columns["edgetpu_latency_ms"] if value is not None) > 0
