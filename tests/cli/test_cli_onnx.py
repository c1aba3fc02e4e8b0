"""ONNX files in place of texts, through the commands."""

import csv
import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper


def write_chain(path, convolutions, channels, *, last="Relu", domain=""):
    """Write a chain of convolutions; weights have sizes, no numbers."""
    sizes = [(3, channels), *[(channels, channels)] * (convolutions - 1)]
    nodes, weights, value = [], [], "x"
    for number, (n_in, n_out) in enumerate(sizes):
        weights.append(TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[n_out, n_in, 3, 3]))
        nodes.append(helper.make_node("Conv", [value, f"w{number}"], [f"c{number}"], pads=[1, 1, 1, 1]))
        value = f"c{number}"
    nodes.append(helper.make_node(last, [value], ["y"], domain=domain))
    shapes = {"x": [1, 3, 8, 8], "y": [1, channels, 8, 8]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], initializer=weights)
    opsets = [helper.make_opsetid(name, 17) for name in {"", domain}]
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve networks, each wider and deeper than the last, eight of which are measured."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        write_chain(tmp_path / "networks" / f"net{number:02}.onnx", 1 + number % 4, 8 + 8 * number)
    rows = [(f"net{number:02}.onnx", number + 0.5) for number in range(0, 12, 2)]
    write_csv("measured.csv", [*rows, ("net11.onnx", 11.5), ("net01.onnx", 1.5)])
    return tmp_path / "networks"


def write_csv(path, rows):
    lines = (f"{name},{value}\n" for name, value in [("arch", "latency"), *rows])
    Path(path).write_text("".join(lines))


def read_csv(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


RANK = "rank --space onnx --labels measured.csv --target latency --method onehot-rf --out ranking.csv"


def test_a_folder_is_ranked_from_some_measured_files(folder, run):
    run(f"{RANK} --candidates networks --json record.json")
    rows = read_csv("ranking.csv")
    assert sorted(row["arch"] for row in rows) == sorted(path.name for path in folder.iterdir())
    means = [float(row["mean"]) for row in rows]
    assert means == sorted(means, reverse=True)
    places = [row["arch"] for row in rows]
    assert places.index("net10.onnx") < places.index("net02.onnx")
    assert json.loads(Path("record.json").read_text())["candidates"] == 12


def test_a_table_of_candidates_and_the_folder_named(folder, run):
    write_csv("candidates.csv", [("net03.onnx", ""), ("net05.onnx", "")])
    run(f"{RANK} --candidates candidates.csv --folder networks")
    assert {row["arch"] for row in read_csv("ranking.csv")} == {"net03.onnx", "net05.onnx"}


def test_a_folder_of_candidates_in_the_folder_of_files(folder, run, tmp_path):
    (folder / "broken.onnx").write_bytes(b"not among the candidates")
    write_chain(folder / "new" / "wide.onnx", 2, 128)
    write_chain(folder / "new" / "thin.onnx", 2, 4)
    run(f"{RANK} --candidates networks/new --folder {folder}")
    assert {row["arch"] for row in read_csv("ranking.csv")} == {"new/wide.onnx", "new/thin.onnx"}
    (folder / "none").mkdir()
    empty = run(f"{RANK} --candidates networks/none --folder networks --overwrite", code=2)
    assert "networks/none: no file" in empty.err
    apart = run(f"{RANK} --candidates networks --folder networks/new --overwrite", code=2)
    assert "--candidates networks is not in --folder networks/new" in apart.err


def test_candidates_that_are_not_there(folder, run):
    assert "nowhere: there is no such file or folder" in run(f"{RANK} --candidates nowhere", code=1).err


def test_all_and_a_sample_are_files_of_the_folder(folder, run):
    run(f"{RANK} --all --folder networks")
    assert len(read_csv("ranking.csv")) == 12
    run(f"{RANK} --sample 5 --folder networks --overwrite")
    assert len(read_csv("ranking.csv")) == 5


def test_a_fitted_model_ranks_the_folder_later(folder, run):
    labels = "--labels measured.csv --target latency --folder networks"
    run(f"fit --space onnx {labels} --method onehot-rf --out model")
    run("rank --space onnx --model model --candidates networks --out ranking.csv")
    assert len(read_csv("ranking.csv")) == 12
    write_chain(folder / "odd.onnx", 2, 16, last="Strange", domain="my.own")
    failed = run("rank --space onnx --model model --candidates networks --out other.csv", code=1)
    assert "odd.onnx" in failed.err
    assert "my.own.Strange" in failed.err
    assert "--skip-bad" in failed.err


def test_other_commands_take_files_beside_the_table(folder, run, tmp_path):
    (tmp_path / "measured.csv").rename(folder / "measured.csv")
    table = "--space onnx --table networks/measured.csv"
    run(f"evaluate {table} --target latency --labels 5 --method onehot-rf --seeds 1")
    run(f"encode {table} --out vectors.csv")
    assert len(read_csv("vectors.csv")) == 8
    run(f"pretrain {table} --epochs 1 --width 8 --out encoder")
    run(f"encode {table} --pretrained encoder --out embedded.csv")
    run("data check networks/measured.csv --space onnx --target latency")


def test_an_unknown_operator_is_counted(folder, run):
    write_chain(folder / "odd.onnx", 2, 16, last="Strange", domain="my.own")
    assert (
        "outside the vocabulary, each an operation of its own: 1 my.own.Strange"
        in run(f"{RANK} --candidates networks").err
    )


def test_a_broken_file_is_named_and_can_be_left_out(folder, run):
    (folder / "net07.onnx").write_bytes(b"\x08\x07 this is no model")
    failed = run(f"{RANK} --candidates networks", code=1)
    assert "1 of 12 files are bad" in failed.err
    assert "net07.onnx" in failed.err
    assert "left out 1 bad file;" in run(f"{RANK} --candidates networks --skip-bad").err
    assert len(read_csv("ranking.csv")) == 11


@pytest.mark.parametrize("name", ["../secret.onnx", "/etc/passwd", "gone.onnx", "measured.csv"])
def test_a_measured_file_outside_the_folder_is_a_bad_row(folder, run, tmp_path, name):
    write_chain(tmp_path / "secret.onnx", 1, 8)
    write_csv("measured.csv", [(f"net{n:02}.onnx", n) for n in range(6)] + [(name, 3)])
    failed = run(f"{RANK} --candidates networks", code=1)
    assert "row 7" in failed.err
    run(f"{RANK} --candidates networks --skip-bad")


def test_bad_use(folder, run):
    assert "no such folder" in run(f"{RANK} --all --folder nowhere", code=2).err
    assert (
        "--folder is for space onnx"
        in run("spaces", code=0).err
        + run(
            "fit --space nasbench201 --labels measured.csv --target latency --out m --folder networks", code=2
        ).err
    )
    assert "--identity" in run(f"{RANK} --candidates networks --identity skip", code=2).err
    empty = folder.parent / "empty"
    empty.mkdir()
    assert "no file in it ends with .onnx" in run(f"{RANK} --candidates empty", code=2).err


@pytest.mark.parametrize("what", ["--all", "--sample 5"])
def test_a_whole_folder_names_its_broken_files(folder, run, what):
    (folder / "net07.onnx").write_bytes(b"\x08\x07 this is no model")
    failed = run(f"{RANK} {what} --folder networks", code=1)
    assert "1 of 12 files are bad" in failed.err
    assert "left out 1 bad file" in run(f"{RANK} {what} --folder networks --skip-bad").err
    pretrain = f"pretrain --space onnx --folder networks {what} --epochs 1 --width 8 --out encoder"
    assert "net07.onnx" in run(pretrain, code=1).err
    run(f"{pretrain} --skip-bad")


def test_files_with_one_graph_keep_their_names(folder, run):
    (folder / "copy.onnx").write_bytes((folder / "net03.onnx").read_bytes())
    run(f"{RANK} --all --folder networks")
    assert {"copy.onnx", "net03.onnx"} <= {row["arch"] for row in read_csv("ranking.csv")}
