"""NAS-Bench-Suite-Zero files: what comes out, and every way one can be bad."""

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from archflow.datasets import read_table, write_table
from archflow.datasets.official import read_official, read_zero_cost
from archflow.errors import UnknownNameError, UsageError
from archflow.graphs import ArchitectureTable
from archflow.spaces import NASBench101, NASBench201

NEEDS_TABLES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
CELL = "(4, 0, 3, 1, 4, 3)"
CELL_TEXT = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"


def entry(accuracy=90.0, **scores):
    proxies = {name: {"score": score, "time": 0.5} for name, score in ({"snip": 1.5} | scores).items()}
    return {"id": 7, **proxies, "val_accuracy": accuracy}


@pytest.fixture
def write(tmp_path):
    def write(content, name="zc_nasbench201.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_scores_and_accuracy(write):
    other = "(0, 0, 0, 0, 0, 1)"
    path = write({"cifar10": {CELL: entry(zen=2.5), other: entry(91.0, snip=None), CELL[:-1] + ",)": 1}})
    table = read_zero_cost(path, skip_bad=True)
    assert table.space == "nasbench201"
    assert dict(table.columns) == {
        "arch": [
            CELL_TEXT,
            "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|none~2|",
        ],
        "snip": [1.5, None],
        "zen": [2.5, None],
        "val_accuracy": [90.0, 91.0],
    }
    assert table.n_skipped == 1


def test_scores_that_are_not_finite_are_gaps(write, tmp_path):
    path = write({"cifar10": {CELL: entry(snip=float("nan"), zen=float("inf"), jacov=10**400, nwot=1)}})
    columns = read_zero_cost(path).columns
    assert {name: columns[name] for name in ("snip", "zen", "jacov", "nwot")} == {
        "snip": [None],
        "zen": [None],
        "jacov": [None],
        "nwot": [1.0],
    }
    write_table(tmp_path / "t.parquet", columns)
    assert read_table(tmp_path / "t.parquet", NASBench201(), "nwot").values.tolist() == [1.0]


@NEEDS_TABLES
def test_every_published_code_of_nasbench201_is_the_published_text(write):
    """The public table of proxies has both side by side, 9,445 times."""
    path = Path(os.environ["ARCHFLOW_DATA"]).parent / "raw" / "nb201_zc_proxies.csv"
    with path.open(newline="") as file:
        published = {row["net"]: row["net_str"] for row in csv.DictReader(file)}
    assert len(published) == 9_445
    table = read_zero_cost(write({"cifar10": {code: entry() for code in published}}))
    assert table.columns["arch"] == list(published.values())


# Codes, parameters in millions and accuracies from the files in NASLib's repository (naslib/data/zc_*.json).
PUBLISHED_201 = {"(0, 2, 3, 2, 3, 1)": 86.06, "(4, 0, 4, 1, 2, 0)": 83.62, "(1, 0, 2, 2, 2, 1)": 88.26}
PUBLISHED_MICRO = {
    "(1, 0, 0, 2, 1, 0)": ("64-41414-1_00_210", 34.89251708984375),
    "(1, 0, 0, 2, 2, 3)": ("64-41414-1_00_223", 35.04180145263672),
    "(0, 1, 1, 2, 3, 3)": ("64-41414-0_11_233", 52.707008361816406),
    "(3, 1, 0, 0, 2, 2)": ("64-41414-3_10_022", 53.19466781616211),
}
# The digits of the matrix, then the operations.
PUBLISHED_101 = {
    ("0001010 0011111 0001010 0000100 0000010 0000001 0000000", "0334231"): 12.08897,
    ("0101110 0001100 0000101 0000100 0000000 0000001 0000000", "0234221"): 0.88257,
    ("0111100 0000010 0001000 0000100 0000001 0000000 0000000", "0344221"): 21.220234,
}


def measured_in(table, column):
    path = Path(os.environ["ARCHFLOW_DATA"]) / f"{table}.parquet"
    columns = pq.read_table(path, columns=["arch", column]).to_pydict()
    return dict(zip(columns["arch"], columns[column], strict=True))


@NEEDS_TABLES
def test_published_accuracies_of_nasbench201_are_those_of_the_real_table(write):
    real = measured_in("nasbench201", "cifar10_val_acc")
    path = write({"cifar10": {code: entry(accuracy) for code, accuracy in PUBLISHED_201.items()}})
    columns = read_zero_cost(path).columns
    assert [real[text] for text in columns["arch"]] == columns["val_accuracy"]


@NEEDS_TABLES
def test_published_accuracies_of_transnas_are_those_of_the_real_table(write):
    real = measured_in("transnas_micro", "val_class_scene")
    content = {"class_scene": {code: entry(accuracy) for code, (_, accuracy) in PUBLISHED_MICRO.items()}}
    columns = read_zero_cost(write(content, "zc_transbench101_micro.json")).columns
    assert [real[text] for text in columns["arch"]] == columns["val_accuracy"]


def test_published_codes_of_transnas_micro(write):
    content = {"class_scene": {code: entry() for code in PUBLISHED_MICRO}}
    table = read_zero_cost(write(content, "zc_transbench101_micro.json"))
    assert table.space == "transnas_micro"
    assert table.columns["arch"] == [text for text, _ in PUBLISHED_MICRO.values()]


def test_published_codes_of_transnas_macro(write):
    codes = {"(1, 2, 4, 2, 0, 0)": "1242", "(1, 2, 1, 1, 1, 3)": "121113", "(3, 2, 1, 2, 1)": "32121"}
    table = read_zero_cost(write({"jigsaw": {c: entry() for c in codes}}, "zc_transbench101_macro.json"))
    assert table.space == "transnas_macro"
    assert table.columns["arch"] == [f"64-{digits}-basic" for digits in codes.values()]


def test_published_codes_of_nasbench101(write):
    """Their published parameters, for which vertices on no path count nothing, prove the numbering."""
    space = NASBench101()
    digits = ["".join(code).replace(" ", "") for code in PUBLISHED_101]
    codes = [f"({', '.join(numbers)})" for numbers in digits]
    path = write({"cifar10": {code: entry() for code in codes}}, "zc_nasbench101.json")
    table = read_zero_cost(path)
    assert table.space == "nasbench101"
    cells = [space.parse(text) for text in table.columns["arch"]]
    parameters = space.parameters(ArchitectureTable.of(cells, space.operations))
    assert [round(count / 1e6, 6) for count in parameters] == list(PUBLISHED_101.values())
    assert [cell.n_nodes for cell in cells] == [5, 3, 5]


@pytest.mark.parametrize("brackets", ["()", "[]"])
def test_published_code_of_nasbench301(write, brackets):
    code = (
        "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], "
        "[(0, 3), (1, 3), (1, 1), (0, 5), (2, 3), (0, 2), (4, 4), (3, 1)]]"
    )
    code = code.replace("[", brackets[0]).replace("]", brackets[1])
    table = read_zero_cost(write({"cifar10": {code: entry()}}, "zc_nasbench301.json"))
    assert table.space == "darts"
    assert table.columns["arch"] == [
        '{"normal":[["sep_conv_5x5",0],["sep_conv_3x3",1],["skip_connect",0],["sep_conv_3x3",2],'
        '["sep_conv_3x3",2],["sep_conv_3x3",0],["dil_conv_5x5",2],["dil_conv_3x3",3]],'
        '"normal_concat":[2,3,4,5],'
        '"reduce":[["sep_conv_3x3",0],["sep_conv_3x3",1],["avg_pool_3x3",1],["dil_conv_3x3",0],'
        '["sep_conv_3x3",2],["skip_connect",0],["sep_conv_5x5",4],["avg_pool_3x3",3]],'
        '"reduce_concat":[2,3,4,5]}'
    ]


def test_older_files_have_bare_scores_within_the_space(write):
    content = {"nasbench201": {"cifar100": {CELL: {"flops": 62.5, "val_accuracy": 68.34}}}}
    table = read_zero_cost(write(content, "anything.json"))
    assert table.space == "nasbench201"
    assert dict(table.columns) == {"arch": [CELL_TEXT], "flops": [62.5], "val_accuracy": [68.34]}


def test_the_task_and_the_space_are_chosen(write, refused):
    path = write({"cifar10": {CELL: entry(1.0)}, "cifar100": {CELL: entry(2.0)}}, "scores.json")
    assert read_official(path, task="cifar100", space="nasbench201").columns["val_accuracy"] == [2.0]
    refused(path, "choose one of its 2 tasks", "'cifar10, cifar100'", error=UsageError, space="nasbench201")
    refused(path, "Did you mean 'cifar10'", error=UnknownNameError, task="cifar1", space="nasbench201")
    refused(path, "neither the name nor the content tells the space", error=UsageError, task="cifar10")
    refused(path, "unknown space 'nasbench'", error=UnknownNameError, task="cifar10", space="nasbench")
    assert (
        read_official(write({"t": {GOOD["nasbench301"]: entry()}}, "x.json"), space="darts").space == "darts"
    )


def test_progress(write):
    told = []
    codes = [f"({a}, {b}, {c}, {d}, {e}, 0)" for a in range(5) for b in range(5) for c in range(5)
             for d in range(5) for e in range(4)]  # fmt: skip
    path = write({"cifar10": {code: entry() for code in codes}})
    assert len(read_zero_cost(path, progress=lambda *step: told.append(step))) == 2500
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]


FILES = {
    "empty": (b"", "not JSON"),
    "no JSON": (b"cifar10", "not JSON"),
    "deep nesting": (b"[" * 10**6, "nested too deeply"),
    "deep objects": (b'{"a":' * 10**6, "nested too deeply"),
    "a list": ([1], "the file is a list, where keys and values were expected"),
    "a number": (b"1", "the file is 1"),
    "no task": ({}, "0 entries, where tasks such as cifar10"),
    "architectures on top": ({f"({i},)": {} for i in range(99)}, "99 entries, where tasks such as cifar10"),
    "a task of another shape": ({"cifar10": [1, 2]}, "the task is a list"),
    "a space of another shape": ({"nasbench201": 3}, "nasbench201 is 3"),
    "no architecture": ({"cifar10": {}}, "none of the 0 entries"),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_bad_files(write, refused, content):
    content, part = content
    refused(write(content), part)
    refused(write(content), part, skip_bad=True)


ENTRIES = {
    "no tuple": ("nasbench201", "spam", entry(), "architecture 'spam': not JSON"),
    "code that runs": ("nasbench201", "__import__('os').abort()", entry(), "not JSON"),
    "deep nesting": ("nasbench201", "(" * 9_000, entry(), "nested too deeply"),
    "a long text": ("nasbench201", "(" + "0, " * 5_000, entry(), "15001 characters; at most 10000"),
    "five numbers": ("nasbench201", "(1, 2, 3, 4, 0)", entry(), "5 operations, where six were expected"),
    "unknown operation": ("nasbench201", "(5, 0, 0, 0, 0, 0)", entry(), "whole number from 0 to 4"),
    "negative operation": ("nasbench201", "(-1, 0, 0, 0, 0, 0)", entry(), "whole number from 0 to 4"),
    "a fraction": ("nasbench201", "(1.0, 0, 0, 0, 0, 0)", entry(), "whole number from 0 to 4"),
    "a truth": ("nasbench201", "(true, 0, 0, 0, 0, 0)", entry(), "whole number from 0 to 4"),
    "micro with a five": ("transbench101_micro", "(4, 0, 0, 0, 0, 0)", entry(), "from 0 to 3"),
    "micro of seven": ("transbench101_micro", "(0, 0, 0, 0, 0, 0, 0)", entry(), "7 operations"),
    "macro of three": ("transbench101_macro", "(1, 1, 3, 0, 0)", entry(), "3 modules"),
    "macro of seven": ("transbench101_macro", "(1, 1, 1, 1, 1, 1, 3)", entry(), "7 modules"),
    "macro with a gap": (
        "transbench101_macro",
        "(1, 1, 0, 1, 3)",
        entry(),
        "not a TransNAS",
    ),
    "matrix and no operations": ("nasbench101", "(0, 1, 0, 0)", entry(), "4 numbers, where n times n and n"),
    "no matrix": ("nasbench101", "()", entry(), "0 numbers"),
    "matrix below": ("nasbench101", "(0, 1, 1, 0, 0, 1)", entry(), "above the diagonal"),
    "matrix with a two": ("nasbench101", "(0, 2, 0, 0, 0, 1)", entry(), "must be 0 or 1"),
    "no path": ("nasbench101", "(0, 0, 0, 0, 0, 1)", entry(), "no path leads from the input to the output"),
    "output first": ("nasbench101", "(0, 1, 0, 0, 1, 0)", entry(), "must be 'input'"),
    "three cells": ("nasbench301", "((), (), ())", entry(), "two cells were expected"),
    "no cells": ("nasbench301", "(1, 2)", entry(), "two cells were expected"),
    "no edges": ("nasbench301", "((), ())", entry(), "architecture"),
    "edges of three": ("nasbench301", "(((0, 0, 0)), ())", entry(), "an edge must be"),
    "edges that are no pairs": ("nasbench301", "((1), (2))", entry(), "input and operation of an edge"),
    "no scores": ("nasbench201", CELL, 5, "its value is 5, where keys and values"),
    "nothing measured": ("nasbench201", CELL, {"id": 3}, "neither a score nor an accuracy"),
    "score in words": ("nasbench201", CELL, entry(snip="big"), "'snip' is 'big'; a number was expected"),
    "score that is true": ("nasbench201", CELL, entry(snip=True), "'snip' is True"),
    "proxy of another shape": ("nasbench201", CELL, {"snip": {"time": 1}}, "'snip' is a dict"),
    "accuracy of NaN": ("nasbench201", CELL, entry(float("nan")), "val_accuracy is nan; it must be finite"),
    "accuracy in words": ("nasbench201", CELL, entry("high"), "val_accuracy is 'high'"),
}
GOOD = {
    "nasbench201": CELL.replace("4", "3"),
    "nasbench101": "(0, 1, 0, 0, 0, 1)",
    "nasbench301": "(((0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0)), "
    "((0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0)))",
    "transbench101_micro": "(0, 1, 2, 3, 0, 1)",
    "transbench101_macro": "(1, 2, 3, 4, 0, 0)",
}


@pytest.mark.parametrize("content", ENTRIES.values(), ids=ENTRIES)
def test_bad_entries(write, refused, content):
    space, code, value, part = content
    path = write({"cifar10": {GOOD[space]: entry(), code: value}}, f"zc_{space}.json")
    refused(path, "architecture ", part, "--skip-bad")
    table = read_official(path, skip_bad=True)
    assert (len(table), table.n_skipped) == (1, 1)


def test_too_many_proxies(write, refused):
    path = write({"cifar10": {CELL: entry(**{f"p{i}": i for i in range(100)})}})
    refused(path, "more than 100 different proxies")
