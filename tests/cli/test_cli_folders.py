"""Folders of Parquet tables in place of a table: `encode`, and what `rank` calls."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer

from archflow.cli.folders import engine_for, is_folder, rank_tables, refuse_for_folder
from archflow.datasets import read_table
from archflow.errors import UsageError
from archflow.flow import PUBLISHED, FlowSurrogate
from archflow.graphs import ArchitectureTable
from archflow.predictors import Predictor
from archflow.pretrain import PretrainedEncoder


@pytest.fixture
def folder(table, cells, tmp_path):
    (tmp_path / "cells").mkdir()
    table("cells/a.parquet", arch=cells[:10])
    table("cells/b.parquet", arch=cells[10:])
    return tmp_path / "cells"


@pytest.fixture
def predictor(space, measured):
    read = read_table(measured, space, "acc")
    return Predictor(space, "onehot-rf", device="cpu").fit(read.architectures, read.values)


def numbers(folder, letter):
    tables = [pq.read_table(folder / name) for name in ("a.parquet", "b.parquet")]
    names = [name for name in tables[0].column_names if name[0] == letter and name[1:].isdigit()]
    return np.concatenate([np.column_stack([one[name] for name in names]) for one in tables])


def test_what_is_a_folder_of_tables(folder, tmp_path):
    assert is_folder("nasbench201", folder)
    assert not is_folder("onnx", folder)
    assert not is_folder("nasbench201", folder / "a.parquet")
    assert not is_folder("nasbench201", None)


def test_encode_and_go_on(run, folder, table, cells, space, tmp_path):
    out = tmp_path / "out"
    words = ("encode --space nasbench201 --seed 5 --chunk 3", "--table", folder, "--out", out)
    outcome = run(*words)
    assert outcome.out == ""
    assert outcome.err == f"{out}: 24 architectures in 2 files, 7 dimensions each; 2 written now\n"
    surrogate = FlowSurrogate.draw(space.operations, PUBLISHED["nasbench201"], 5)
    expected = surrogate(ArchitectureTable.of([space.parse(text) for text in cells], space.operations))
    np.testing.assert_allclose(numbers(out, "s"), expected, rtol=1e-5, atol=1e-7)
    table("cells/b.parquet", arch=cells[10:12])
    assert run(*words).err.splitlines() == [
        "1 finished part of files that changed since or are gone: done again",
        f"1 of 2 parts finished already, by {out / '.archflow'}",
        f"{out}: 12 architectures in 2 files, 7 dimensions each; 1 written now",
    ]


def test_encode_with_a_pretrained_encoder(run, folder, encoder, space, cells, tmp_path):
    run("encode --space nasbench201", "--table", folder, "--pretrained", encoder, "--out", tmp_path / "out")
    table = ArchitectureTable.of([space.parse(text) for text in cells], space.operations)
    expected = PretrainedEncoder.load(encoder).embed(table)
    np.testing.assert_allclose(numbers(tmp_path / "out", "e"), expected, atol=1e-5)


def test_damaged_files_are_named_and_the_rest_is_done(run, refused, folder, table, cells, tmp_path):
    (folder / "c.parquet").write_bytes(b"spam")
    table("cells/a.parquet", arch=[cells[0], "spam"])
    words = ("encode --space nasbench201", "--table", folder, "--out", tmp_path / "out")
    refused(*words, code=1, parts=[folder / "c.parquet", "--skip-bad"])
    outcome = run(*words, "--skip-bad", code=1)
    assert "15 architectures in 2 files" in outcome.err
    assert "left out 1 bad row; the first: row 2: arch 'spam'" in outcome.err
    assert f"left out: {folder / 'c.parquet'}: not a whole Parquet file" in outcome.err
    assert outcome.err.endswith("left out 1 damaged file; the rest is done\n")


def test_bad_use_of_encode(refused, folder, measured, tmp_path):
    def encode(words, path, part, code=2, out="out"):
        refused(f"encode {words}", "--table", path, "--out", tmp_path / out, code=code, parts=[part])

    encode("--space free", folder, "needs --pretrained")
    encode("--space nasbench201 --zero none", folder, "--identity and --zero do not go")
    encode("--space nasbench201 --workers 2", measured, "--workers can only go with a folder", out="o.csv")
    encode("--space nasbench201 --chunk 9", measured, "--chunk can only go with a folder", out="o.csv")
    encode("--space nasbench201 --engine ray", measured, "--engine can only go with a folder", out="o.csv")
    encode("--space nasbench201 --ray-address here", folder, "--ray-address needs --engine ray")
    encode("--space nasbench201 --engine ray --ray-address here", folder, "auto or HOST:PORT, such as")
    encode("--space nasbench201", folder, "exists already", out="measured.csv")
    (tmp_path / "empty").mkdir()
    encode("--space nasbench201", tmp_path / "empty", "no file in it ends with .parquet")
    assert not (tmp_path / "out").exists()


def test_rank_prints_the_first(predictor, folder, tmp_path, capsys):
    out = tmp_path / "ranking.csv"
    rank_tables(predictor, folder, out, top=3, chunk=4, json=tmp_path / "record.json")
    printed = capsys.readouterr()
    assert printed.err == f"{out}: 3 of 24 candidates, best predicted first (onehot-rf)\n"
    lines = printed.out.splitlines()
    assert lines[0].split("\t") == ["rank", "arch", "mean", "std", "file", "row"]
    assert len(lines) == 4
    assert out.read_text().splitlines()[0] == "rank,arch,mean,std,file,row"


def test_rank_fails_where_files_were_left_out(predictor, folder, tmp_path, capsys):
    (folder / "c.parquet").write_bytes(b"spam")
    with pytest.raises(typer.Exit) as end:
        rank_tables(predictor, folder, tmp_path / "ranking.csv", skip_bad=True)
    assert end.value.exit_code == 1
    assert "left out 1 damaged file; the rest is done" in capsys.readouterr().err
    assert (tmp_path / "ranking.csv").exists()


def test_what_ranking_a_folder_cannot_do():
    refuse_for_folder(pareto=False, columns=())
    with pytest.raises(UsageError, match="--pareto compares all candidates"):
        refuse_for_folder(pareto=True, columns=())
    with pytest.raises(UsageError, match=r"measured columns \(flops\) cannot go with a folder"):
        refuse_for_folder(pareto=False, columns=("flops",))


def test_rank_reads_all_tables_of_a_folder(run, refused, measured, table, cells, tmp_path):
    (tmp_path / "candidates").mkdir()
    table("candidates/a.parquet", arch=cells[:10])
    table("candidates/b.parquet", arch=cells[10:])
    command = (
        "rank --space nasbench201 --method onehot-rf --target acc", "--labels", measured,
        "--candidates", tmp_path / "candidates", "--out", tmp_path / "best.parquet", "--top", "5",
    )  # fmt: skip
    run(*command, "--chunk", "4")
    best = pq.read_table(tmp_path / "best.parquet").to_pydict()
    table("all.parquet", arch=cells)
    whole = (*command[:3], "--candidates", tmp_path / "all.parquet", "--out", tmp_path / "whole.parquet")
    run(*whole, "--top", "5")
    assert best["arch"] == pq.read_table(tmp_path / "whole.parquet").to_pydict()["arch"]

    (tmp_path / "candidates" / "z.parquet").write_bytes(b"x" * 50)
    refused(*command, "--overwrite", code=1, parts=["z.parquet"])
    run(*command, "--overwrite", "--skip-bad", code=1)
    assert pq.read_table(tmp_path / "best.parquet").to_pydict()["arch"] == best["arch"]


def test_ray_does_what_processes_do(run, measured, folder, tmp_path):
    pytest.importorskip("ray")
    command = (
        "rank --space nasbench201 --method onehot-rf --target acc", "--labels", measured,
        "--candidates", folder,
    )  # fmt: skip
    for name, more in (("here", ()), ("ray", ("--engine", "ray", "--workers", "2"))):
        outcome = run(*command, *more, "--out", tmp_path / f"{name}.parquet")
        assert outcome.err.endswith("24 of 24 candidates, best predicted first (onehot-rf)\n")
        assert outcome.err.count("\n") == 1
    here, there = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("here", "ray"))
    assert here.equals(there)


def test_an_address_that_does_not_answer_is_refused_before_anything_is_fitted(
    refused, measured, folder, tmp_path
):
    pytest.importorskip("ray")
    refused(
        "rank --space nasbench201 --method onehot-rf --target acc --engine ray --ray-address 127.0.0.1:1",
        "--labels", measured, "--candidates", folder, "--out", tmp_path / "best.csv",
        code=2, parts=["no Ray cluster answers at 127.0.0.1:1"],
    )  # fmt: skip
    assert not list(tmp_path.glob("best*"))


def test_options_of_engines_that_contradict_each_other():
    with pytest.raises(UsageError, match="--ray-address needs --engine ray"):
        engine_for("processes", ray_address="auto")
    with pytest.raises(UsageError, match="--workers is for this machine"):
        engine_for("ray", 2, "auto")
    with pytest.raises(UsageError, match="pass --device cuda in place of cuda:1"):
        engine_for("ray", device="cuda:1")


def test_workers_and_chunk_are_for_folders(refused, measured, tmp_path):
    refused(
        "rank --space nasbench201 --workers 2 --method onehot-rf --target acc", "--labels", measured,
        "--all", "--out", tmp_path / "best.csv", code=2, parts=["--workers"],
    )  # fmt: skip
