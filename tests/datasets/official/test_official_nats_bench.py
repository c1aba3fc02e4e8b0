"""NATS-Bench and NAS-Bench-201 archives: what comes out, and every way a file can be bad."""

import bz2
import contextlib
import os
import pickle
import random

import numpy as np
import pytest
import torch
from official_files import CELL, results_201, state_201, training_201, write_pickle

from archflow.datasets import read_table, write_table
from archflow.datasets.official import nats_bench, read_nats_bench, read_official
from archflow.errors import TableError, UnknownNameError, UsageError
from archflow.spaces import NASBench201

OTHER = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
COLUMNS = {
    "cifar10_test_acc_12ep": 80.0,
    "cifar10_val_acc_12ep": 65.0,
    "cifar10_test_acc_200ep": 80.0,
    "cifar10_val_acc_200ep": 65.0,
    "cifar10_flops_m": 80.25,
    "cifar10_latency_ms": 15.625,
    "cifar10_params_m": 0.5,
    "cifar100_test_acc_12ep": 41.0,
    "cifar100_val_acc_12ep": 40.0,
    "cifar100_test_acc_200ep": 41.0,
    "cifar100_val_acc_200ep": 40.0,
    "cifar100_flops_m": 80.25,
    "cifar100_latency_ms": 15.625,
    "cifar100_params_m": 0.5,
    "imagenet16_120_test_acc_12ep": 21.0,
    "imagenet16_120_val_acc_12ep": 20.0,
    "imagenet16_120_test_acc_200ep": 21.0,
    "imagenet16_120_val_acc_200ep": 20.0,
    "imagenet16_120_flops_m": 80.25,
    "imagenet16_120_latency_ms": 15.625,
    "imagenet16_120_params_m": 0.5,
}


@pytest.fixture
def archive(tmp_path):
    """Write the files of an archive of NATS-Bench, and return its folder."""
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"

    def write(*results):
        folder.mkdir(exist_ok=True)
        write_pickle(folder / "meta.pickle.pbz2", {"meta_archs": [CELL, OTHER], "arch2infos": None})
        for index, result in enumerate(results):
            path = folder / f"{index:06d}.pickle.pbz2"
            if isinstance(result, bytes):
                path.write_bytes(result)
            else:
                write_pickle(path, result)
        return folder

    return write


def test_seeds_are_averaged_after_the_last_epoch(archive):
    table = read_nats_bench(archive(results_201()))
    assert table.space == "nasbench201"
    assert {name: list(values) for name, values in table.columns.items()} == {
        "arch": [CELL],
        **{name: [value] for name, value in COLUMNS.items()},
    }
    assert list(table.columns) == ["arch", *COLUMNS]


def test_one_task(archive):
    columns = read_nats_bench(archive(results_201()), task="ImageNet16-120").columns
    assert list(columns) == ["arch", *(name for name in COLUMNS if name.startswith("imagenet"))]


def test_the_size_space(archive, tmp_path):
    table = read_nats_bench(archive(results_201("8:64:16:24:32", budgets=(1, 12, 90))), task="cifar100")
    assert table.space == "nats_size"
    assert list(table.columns)[:7] == [
        "arch",
        *(f"cifar100_{kind}_acc_{epochs}ep" for epochs in (1, 12, 90) for kind in ("test", "val")),
    ]


def test_what_was_not_measured_is_a_gap(archive, tmp_path):
    bare = {"12": state_201(OTHER, {("cifar10", 1): training_201("cifar10", 12, {"ori-test": 10.0})})}
    bare["12"]["all_results"][("cifar10", 1)] |= {"latency": None, "params": None}
    folder = archive(results_201(budgets=(12,)), bare)
    columns = read_nats_bench(folder, task="cifar10").columns
    assert columns["arch"] == [CELL, OTHER]
    assert columns["cifar10_test_acc_12ep"] == [80.0, 10.0]
    assert columns["cifar10_val_acc_12ep"] == [65.0, None]
    assert columns["cifar10_latency_ms"] == [15.625, None]
    assert columns["cifar10_params_m"] == [0.5, None]
    write_table(tmp_path / "t.parquet", columns)
    table = read_table(tmp_path / "t.parquet", NASBench201(), "cifar10_val_acc_12ep")
    assert (table.values.tolist(), table.n_unlabelled) == ([65.0], 1)


def test_numpy_numbers_are_read(archive):
    """The published counts of parameters are NumPy scalars."""
    result = results_201(params=np.float64(1.25), flop=np.float32(2.5), latency=[np.float64(0.5)])
    columns = read_nats_bench(archive(result), task="cifar10").columns
    costs = [columns[f"cifar10_{name}"] for name in ("params_m", "flops_m", "latency_ms")]
    assert costs == [[1.25], [2.5], [500.0]]


def saved(path, value):
    torch.save(value, path)
    return path


def test_files_of_torch(tmp_path):
    """Of NAS-Bench-201, with weights; budgets are called less and full."""
    weights = {"layer.weight": torch.zeros(3), "count": torch.tensor(1)}
    result = results_201(names=("less", "full"), net_state_dict=weights, params=np.float64(0.5))
    folder = tmp_path / "NAS-Bench-201-v1_1-096897-archive"
    folder.mkdir()
    saved(folder / "000003-FULL.pth", result)
    table = read_official(folder)
    assert {name: values[0] for name, values in table.columns.items()} == {"arch": CELL, **COLUMNS}


def test_of_two_files_of_one_number_that_without_weights_is_read(tmp_path):
    for kind in ("FULL", "SIMPLE"):
        saved(tmp_path / f"000000-{kind}.pth", {})
        saved(tmp_path / f"000001-{kind}.pth", {})
    saved(tmp_path / "000002-FULL.pth", {})
    (tmp_path / "notes.txt").touch()
    write_pickle(tmp_path / "meta.pickle.pbz2", {})
    names = [path.name for path in nats_bench.archive_files(tmp_path)]
    assert names == ["000000-SIMPLE.pth", "000001-SIMPLE.pth", "000002-FULL.pth"]


@pytest.mark.parametrize("name", ["NATS-tss-v1_0-3ffb9.pickle.pbz2", "NAS-Bench-201-v1_1-096897.pth"])
def test_a_whole_benchmark_in_one_file(tmp_path, name, refused):
    content = {
        "meta_archs": [CELL, OTHER],
        "evaluated_indexes": {0, 1},
        "arch2infos": {0: results_201(), 1: results_201(OTHER)},
    }
    write = saved if name.endswith("pth") else write_pickle
    told = []
    columns = read_official(write(tmp_path / name, content), progress=lambda *step: told.append(step)).columns
    assert columns["arch"] == [CELL, OTHER]
    assert columns["cifar10_val_acc_200ep"] == [65.0, 65.0]
    assert told == [(1, 2), (2, 2)]
    content["arch2infos"][1] = 3
    path = write(tmp_path / name, content)
    refused(path, "architecture 1: the file is 3, where keys and values were expected")
    assert read_official(path, skip_bad=True).columns["arch"] == [CELL]
    refused(write(tmp_path / name, {"arch2infos": None}), "arch2infos is None")
    refused(write(tmp_path / name, [1]), "the file is a list")


def test_one_file_of_an_archive(archive):
    path = archive(results_201()) / "000000.pickle.pbz2"
    assert read_official(path).columns["cifar10_val_acc_200ep"] == [65.0]


class Malice:
    """Runs a command when it is unpickled as usual."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_malicious_files_are_refused_and_nothing_is_run(archive, tmp_path, refused):
    mark = tmp_path / "mark"
    folder = archive(results_201(), {"200": Malice(mark)})
    refused(folder, "000001.pickle.pbz2: ", "mkdir")
    path = tmp_path / "whole.pth"
    torch.save({"arch2infos": Malice(mark)}, path)
    refused(path, "torch.load refuses it", "mkdir")
    assert not mark.exists()
    assert read_official(folder, skip_bad=True).n_skipped == 1


def test_weights_in_a_pickle_are_refused(archive, refused):
    """The archives of NATS-Bench with weights are pickled tensors."""
    refused(archive(results_201(net_state_dict={"w": torch.zeros(2)})), "torch", "000000.pickle.pbz2")


def bz2_of(content):
    return bz2.compress(content)


def wild():
    """A list that holds itself, and one that has more than 10^9 entries when it is written out."""
    endless = []
    endless.append(endless)
    lists = [0]
    for _ in range(30):
        lists = [lists, lists]
    return endless, lists


ENDLESS, LISTS = wild()


def changed(**changes):
    return results_201(budgets=(12,), **changes)


BAD = {
    "empty": (b"", "not a whole bz2 file"),
    "no bz2": (pickle.dumps({}), "not a whole bz2 file"),
    "truncated bz2": (bz2_of(pickle.dumps(results_201()))[:-20], "not a whole bz2 file"),
    "no pickle": (bz2_of(b"spam"), "not a usable pickle"),
    "empty pickle": (bz2_of(b""), "not a usable pickle"),
    "truncated pickle": (bz2_of(pickle.dumps(results_201())[:-9]), "not a usable pickle"),
    "far too much to remember": (bz2_of(b"\x80\x04Nr\xff\xff\xff\xff."), "the file is None"),
    "deep nesting": (bz2_of(b"\x80\x04" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."), "the file is a list"),
    "a list": ([1], "the file is a list, where keys and values were expected"),
    "a list within itself": (ENDLESS, "the file is a list"),
    "lists without end": ({"12": LISTS}, "the results of '12' is a list"),
    "nothing": ({}, "one architecture was expected, not []"),
    "another shape": ({"12": {"accuracy": 3}}, "the results of '12' has no 'arch_str'; it begins with 'acc"),
    "no results": ({"12": {"arch_str": CELL}}, "the results of '12' has no 'all_results'"),
    "architecture in numbers": ({"12": {"arch_str": 5, "all_results": {}}}, "arch_str is 5"),
    "two architectures": ({**changed(), "x": state_201(OTHER, {})}, "one architecture was expected, not ["),
    "unknown operation": (changed(arch=CELL.replace("none", "nope")), "unknown operation 'nope'"),
    "sizes that do not exist": (changed(arch="8:16:9:8:8"), "'8:16:9:8:8' is of the space nats_size"),
    "keys that are no pairs": ({"12": state_201(CELL, {}) | {"all_results": {1: {}}}}, "no pairs of a seed"),
    "unknown data set": (
        {"12": state_201(CELL, {("svhn", 1): training_201("svhn", 12, {})})},
        "cifar10-valid, cifar10, cifar100, ImageNet16-120",
    ),
    "nothing measured": (
        {"12": state_201(CELL, {("cifar10", 1): training_201("cifar10", 12, {})})},
        "there is no accuracy of cifar10, cifar100, ImageNet16-120",
    ),
    "a training in numbers": ({"12": state_201(CELL, {("cifar10", 1): 5})}, "a training on cifar10 is 5"),
    "no epochs": ({"12": state_201(CELL, {("cifar10", 1): {}})}, "a training has no 'epochs'"),
    "epochs of zero": (changed(epochs=0), "epochs is 0"),
    "huge epochs": (changed(epochs=10**5_000), "epochs is a huge whole number"),
    "accuracies in a list": (changed(eval_acc1es=[1.0]), "eval_acc1es is a list"),
    "accuracy of NaN": (
        changed(eval_acc1es={"ori-test@11": float("nan")}),
        "cifar10 test accuracy is nan",
    ),
    "accuracy of 101": (
        changed(eval_acc1es={"x-valid@11": 101}),
        "accuracy is 101; it must be between",
    ),
    "accuracy in words": (changed(eval_acc1es={"x-valid@11": "high"}), "accuracy is 'high'; a number"),
    "accuracy in an array": (changed(eval_acc1es={"x-valid@11": np.ones(3)}), "accuracy is a ndarray"),
    "endless params": (changed(params=float("inf")), "the cifar10 params_m is inf; it must be 0 or more"),
    "latency below zero": (changed(latency=[-2.0]), "the cifar10 latency_ms is -2.0"),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_bad_files(archive, refused, content):
    content, part = content
    folder = archive(results_201(), content, results_201(OTHER))
    refused(folder, "000001.pickle.pbz2: ", part, "--skip-bad")
    table = read_official(folder, skip_bad=True)
    assert table.columns["arch"] == [CELL, OTHER]
    assert table.n_skipped == 1


def test_sizes_that_do_not_exist(archive, refused):
    refused(archive(results_201("8:16:9:8:8")), "architecture '8:16:9:8:8'")


def test_another_space(archive, refused):
    folder = archive(results_201(), results_201("8:8:8:8:8"))
    refused(folder, "000001", "'8:8:8:8:8' is of the space nats_size, earlier ones are of nasbench201")


def test_files_that_unpack_to_too_much(archive, refused, monkeypatch):
    folder = archive(bz2_of(bytes(10**6)))
    monkeypatch.setattr(nats_bench, "MOST_BYTES", 10**5)
    refused(folder, "unpacked it has more than 100000 bytes")


def test_damaged_torch_files_are_refused(tmp_path, refused):
    path = saved(tmp_path / "000000-FULL.pth", results_201(budgets=(12,)))
    content, rng = path.read_bytes(), random.Random(0)
    for length in (0, 1, 10, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "torch.load refuses it")
    for position in rng.sample(range(len(content)), 40):
        damaged = bytearray(content)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(TableError):
            assert len(read_official(path)) == 1


def test_damaged_pickles_are_refused_or_harmless(tmp_path):
    whole, rng = pickle.dumps(results_201(budgets=(12,)), protocol=4), random.Random(0)
    path = tmp_path / "000000.pickle.pbz2"
    for position in rng.sample(range(len(whole)), 150):
        damaged = bytearray(whole)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(bz2_of(bytes(damaged)))
        with contextlib.suppress(TableError):
            assert len(read_official(path)) == 1


def test_too_many_columns(archive, refused, monkeypatch):
    monkeypatch.setattr(nats_bench, "MOST_COLUMNS", 21)
    folder = archive(results_201(), results_201(budgets=(90,)))
    refused(folder, "000001", "more than 21 columns")


def test_nothing_to_read(tmp_path, refused):
    refused(tmp_path, "there is no 000000.pickle.pbz2 or 000000-FULL.pth", format="nats_bench")
    (tmp_path / "000000.pickle.pbz2").mkdir()
    refused(tmp_path, "000000.pickle.pbz2: a folder or device", format="nats_bench")


def test_unknown_task(archive, refused):
    refused(archive(results_201()), "unknown task 'cifar1000'", error=UnknownNameError, task="cifar1000")


def test_torch_that_is_too_old(tmp_path, refused, monkeypatch):
    path = saved(tmp_path / "000000-FULL.pth", {})
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    refused(path, "needs torch 2.6 or newer; this is 2.5.1", error=UsageError)
