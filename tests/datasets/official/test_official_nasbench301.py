"""NAS-Bench-301 results: what comes out, and every way a file can be bad."""

import json
import os
from pathlib import Path

import pytest
from official_files import result_301

from archflow.datasets import read_texts
from archflow.datasets.official import read_nasbench301, read_official
from archflow.datasets.official.nasbench301 import genotype
from archflow.errors import UsageError

# Read by hand off surrogate_models/test/results_fidelity_0/results_0.json in the authors' repository.
PUBLISHED = (
    '{"normal":[["skip_connect",0],["sep_conv_3x3",1],["sep_conv_3x3",0],["skip_connect",1],'
    '["dil_conv_3x3",0],["dil_conv_5x5",2],["sep_conv_3x3",1],["skip_connect",2]],'
    '"normal_concat":[2,3,4,5],'
    '"reduce":[["max_pool_3x3",0],["avg_pool_3x3",1],["skip_connect",0],["dil_conv_5x5",1],'
    '["sep_conv_3x3",1],["sep_conv_5x5",2],["sep_conv_3x3",2],["dil_conv_3x3",3]],'
    '"reduce_concat":[2,3,4,5]}'
)
NEEDS_TABLES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


@pytest.fixture
def folder(tmp_path):
    """Write results by path within a folder, and return it."""

    def write(**results):
        for name, result in results.items():
            path = tmp_path / "nb_301" / name.replace("__", "/")
            path = path.with_name(f"results_{path.name}.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(result if isinstance(result, bytes) else json.dumps(result).encode())
        return tmp_path / "nb_301"

    return write


def test_the_published_example(folder):
    table = read_nasbench301(folder(rs__0=result_301()))
    assert table.space == "darts"
    assert dict(table.columns) == {
        "arch": [PUBLISHED],
        "cifar10_val_acc": [97.68],
        "cifar10_test_acc": [97.54],
        "params": [6369358.0],
        "train_seconds": [365136.0],
        "epochs": [1500.0],
        "layers": [20.0],
        "init_channels": [50.0],
        "file": ["rs/results_0.json"],
    }


def test_a_folder_is_read_in_the_order_of_its_paths(folder):
    path = folder(
        tpe__3=result_301(test_accuracy=94.0),
        darts__10=result_301(test_accuracy=93.0, runtime=None),
        rs__1_ti=result_301(test_accuracy=None, info=[{"val_accuracy": 90.0}]),
    )
    (path / "rs" / "notes.json").write_text("no result")
    (path / "rs" / "results_1.txt").write_text("no result")
    columns = read_nasbench301(path).columns
    assert columns["file"] == ["darts/results_10.json", "rs/results_1_ti.json", "tpe/results_3.json"]
    assert columns["cifar10_test_acc"] == [93.0, None, 94.0]
    assert columns["train_seconds"] == [None, 365136.0, 365136.0]
    assert columns["params"] == [6369358.0, None, 6369358.0]


def test_one_file(folder):
    path = folder(rs__0=result_301()) / "rs" / "results_0.json"
    assert read_official(path).columns["file"] == ["results_0.json"]


@NEEDS_TABLES
def test_the_form_is_that_of_the_real_table():
    texts = read_texts(Path(os.environ["ARCHFLOW_DATA"]) / "darts.parquet")
    for text in texts:
        cells = json.loads(text)
        assert genotype(*([tuple(edge) for edge in cells[name]] for name in ("normal", "reduce"))) == text


INPUTS, EDGE = "inputs_node_normal_4", "edge_reduce_12"
BAD = {
    "empty": (b"", "not JSON"),
    "no JSON": (b"{'a': 1}", "not JSON"),
    "not UTF-8": (b'{"\xff": 1}', "not JSON"),
    "deep nesting": (b"[" * 10**6, "nested too deeply"),
    "deep objects": (b'{"a":' * 10**6, "nested too deeply"),
    "a list": (b"[]", "the file is a list, where keys and values were expected"),
    "no configuration": (
        result_301(optimized_hyperparamater_config=None),
        "the file has no 'optimized_hyperparamater_config'; it begins with 'final_metric_score'",
    ),
    "configuration of another shape": (
        result_301(optimized_hyperparamater_config=[1]),
        "optimized_hyperparamater_config is a list",
    ),
    "no info": (result_301(info=None), "the file has no 'info'"),
    "empty info": (result_301(info=[]), "info is a list"),
    "info of another shape": (result_301(info={"a": 1}), "info is a dict, where a list"),
    "no accuracy": (result_301(info=[{}]), "info[0] has no 'val_accuracy'; it begins with nothing"),
    "accuracy of NaN": (result_301(info=[{"val_accuracy": float("nan")}]), "val_accuracy is nan"),
    "accuracy beyond 100": (result_301(test_accuracy=945.4), "test_accuracy is 945.4; it must be between 0"),
    "accuracy in words": (result_301(test_accuracy="high"), "test_accuracy is 'high'; a number"),
    "accuracy that is true": (result_301(test_accuracy=True), "test_accuracy is True; a number"),
    "endless runtime": (result_301(runtime=float("inf")), "runtime is inf"),
    "huge params": (
        result_301(info=[{"val_accuracy": 1.0, "model_parameters": 10**400}]),
        "model_parameters is a huge whole number",
    ),
    "missing edge": (result_301(config={EDGE: None}), f"no 'NetworkSelectorDatasetInfo:darts:{EDGE}'"),
    "unknown operation": (
        result_301(config={EDGE: "sep_conv_9x9"}),
        f"{EDGE} is 'sep_conv_9x9'; it must be one of max_pool_3x3, avg_pool_3x3, skip_connect",
    ),
    "operation of the supernet": (result_301(config={EDGE: "none"}), f"{EDGE} is 'none'; it must be one of"),
    "operation of another type": (result_301(config={EDGE: [3]}), f"{EDGE} is a list; it must be one of"),
    "missing inputs": (result_301(config={INPUTS: None}), f"no 'NetworkSelectorDatasetInfo:darts:{INPUTS}'"),
    "inputs of another form": (
        result_301(config={INPUTS: "0-1"}),
        "is '0-1'; the form is i_j with i < j",
    ),
    "inputs that come later": (result_301(config={INPUTS: "3_4"}), "is '3_4'"),
    "one input twice": (result_301(config={INPUTS: "1_1"}), "is '1_1'"),
    "inputs in a list": (result_301(config={INPUTS: [0, 1]}), "is a list"),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_bad_files(folder, refused, content):
    content, part = content
    path = folder(a=result_301(), b=content, c=result_301())
    refused(path, "results_b.json: ", part, "--skip-bad")
    table = read_official(path, skip_bad=True)
    assert table.columns["file"] == ["results_a.json", "results_c.json"]
    assert table.n_skipped == 1


def test_a_folder_under_the_name_of_a_file(folder, refused):
    path = folder(a=result_301())
    (path / "results_b.json").mkdir()
    refused(path, "results_b.json: a folder or device")
    os.mkfifo(path / "results_0.json")
    assert read_official(path, skip_bad=True).n_skipped == 2


def test_nothing_to_read(folder, refused, tmp_path):
    refused(tmp_path, "there is no results_*.json", format="nasbench301")
    path = folder(a=b"{}")
    refused(path, "none of the 1 entries can be used; the first bad one is results_a.json", skip_bad=True)


def test_there_is_one_task(folder, refused):
    refused(folder(a=result_301()), "has one task", error=UsageError, task="cifar10")
