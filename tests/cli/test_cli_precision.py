"""--precision of rank and encode."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.datasets import write_table
from archflow.graphs import ArchitectureTable
from archflow.pretrain import PretrainedEncoder


@pytest.fixture
def folder(cells, tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    for name, some in (("a.parquet", cells[:9]), ("b.parquet", cells[9:])):
        write_table(folder / name, {"arch": some})
    return folder


RANK = "rank --space nasbench201 --target acc --method gin"


def means_of(path):
    return np.array(pq.read_table(path)["mean"].to_pylist())


def test_rank_says_how_much_bfloat16_changes(run, measured, candidates, tmp_path):
    exact, low = tmp_path / "exact.parquet", tmp_path / "low.parquet"
    words = (RANK, "--labels", measured, "--candidates", candidates, "--top", 5)
    outcome = run(*words, "--out", exact, "--json", tmp_path / "exact.json")
    assert "bfloat16" not in outcome.err
    assert "precision" not in json.loads((tmp_path / "exact.json").read_text())
    outcome = run(*words, "--out", low, "--json", tmp_path / "low.json", "--precision", "bfloat16")
    change = json.loads((tmp_path / "low.json").read_text())["precision"]
    assert (change["precision"], change["sample"], change["top"]) == ("bfloat16", 14, 5)
    assert 0 < change["kendall_tau"]["acc"] <= 1
    assert 0 <= change["changed"]["acc"] <= 5
    line = f"Kendall's tau {change['kendall_tau']['acc']:.4f} on 14 candidates; of the best 5 of them "
    assert f"bfloat16 against float32: {line}{change['changed']['acc']} change" in outcome.err
    assert not np.array_equal(means_of(low), means_of(exact))


def test_a_fitted_model_can_rank_in_bfloat16(run, measured, candidates, tmp_path):
    run("fit --space nasbench201 --target acc --method gin --labels", measured, "--out", tmp_path / "model")
    words = ("rank --space nasbench201 --precision bfloat16 --model", tmp_path / "model")
    outcome = run(*words, "--candidates", candidates, "--out", tmp_path / "r.csv")
    assert "bfloat16 against float32: Kendall's tau" in outcome.err


def test_a_single_candidate_has_no_ranks_to_change(run, measured, table, cells, tmp_path):
    one = table("one.csv", arch=cells[:1])
    words = (RANK, "--labels", measured, "--candidates", one, "--precision", "bfloat16")
    assert "tau" not in run(*words, "--out", tmp_path / "r.csv").err


def test_a_folder_is_ranked_in_bfloat16_by_any_number_of_processes(run, measured, folder, table, tmp_path):
    whole = table("whole.csv", arch=[cell for name in "ab" for cell in _texts(folder / f"{name}.parquet")])
    words = (RANK, "--labels", measured, "--precision", "bfloat16", "--top", 6)
    run(*words, "--candidates", whole, "--out", tmp_path / "table.parquet", "--json", tmp_path / "t.json")
    expected = means_of(tmp_path / "table.parquet")
    for workers in (1, 2):
        out = tmp_path / f"{workers}.parquet"
        record = tmp_path / f"{workers}.json"
        outcome = run(*words, "--candidates", folder, "--workers", workers, "--out", out, "--json", record)
        np.testing.assert_allclose(means_of(out), expected, rtol=0.01)
        change = json.loads(record.read_text())["precision"]
        assert (change["sample"], change["top"]) == (24, 6)
        of_table = json.loads((tmp_path / "t.json").read_text())["precision"]
        assert change["kendall_tau"]["acc"] == pytest.approx(of_table["kendall_tau"]["acc"], abs=0.05)
        assert "bfloat16 against float32" in outcome.err


def _texts(path):
    return pq.read_table(path)["arch"].to_pylist()


def test_encode_in_bfloat16(run, measured, folder, encoder, space, cells, tmp_path):
    words = ("encode --space nasbench201 --precision bfloat16 --pretrained", encoder)
    low = PretrainedEncoder.load(encoder).embed(space_table(space, cells[:16]), precision="bfloat16")
    run(*words, "--table", measured, "--out", tmp_path / "v.parquet")
    written = np.stack(pq.read_table(tmp_path / "v.parquet").drop_columns("arch").columns, axis=1)
    np.testing.assert_allclose(written, low, rtol=1e-2, atol=1e-3)
    run(*words, "--table", folder, "--out", tmp_path / "out")
    columns = pq.read_table(tmp_path / "out" / "a.parquet").drop_columns(["arch", "row"])
    np.testing.assert_allclose(np.stack(columns.columns, axis=1), low[:9], rtol=1e-2, atol=1e-3)
    exact = PretrainedEncoder.load(encoder).embed(space_table(space, cells[:16]))
    assert not np.array_equal(written, exact)


def space_table(space, texts):
    return ArchitectureTable.of([space.parse(text) for text in texts], space.operations)


def test_parts_in_another_precision_are_refused(run, refused, folder, encoder, tmp_path):
    words = (
        "encode --space nasbench201",
        "--pretrained",
        encoder,
        "--table",
        folder,
        "--out",
        tmp_path / "o",
    )
    run(*words)
    parts = ["another precision (float32 there, bfloat16 here)"]
    refused(*words, "--precision", "bfloat16", code=2, parts=parts)
    run(*words, "--precision", "bfloat16", "--overwrite")


@pytest.mark.parametrize("method", ["auto", "onehot-rf"])
def test_methods_without_an_encoder_refuse_it(refused, measured, candidates, tmp_path, method):
    words = ("rank --space nasbench201 --target acc --precision bfloat16 --method", method)
    refused(
        *words, "--labels", measured, "--candidates", candidates, "--out", tmp_path / "r.csv",
        code=2, parts=["(gin, gated_gcn, ", f"{method} computes in float32"],
    )  # fmt: skip


def test_the_surrogate_refuses_it(refused, measured, tmp_path):
    words = ("encode --space nasbench201 --precision bfloat16 --table", measured)
    refused(*words, "--out", tmp_path / "v.csv", code=2, parts=["--precision bfloat16", "--pretrained"])
