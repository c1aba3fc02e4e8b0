"""`archflow encode`."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.datasets import read_table
from archflow.flow import PUBLISHED, FlowSurrogate
from archflow.pretrain import PretrainedEncoder


def vectors(path, space, letter):
    read = read_table(path, space)
    names = [f"{letter}{number}" for number in range(len(read.columns))]
    return read.texts, np.column_stack([read.columns[name] for name in names])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_embeddings_of_a_pretrained_encoder(run, measured, encoder, space, tmp_path, suffix):
    out = tmp_path / f"vectors{suffix}"
    outcome = run("encode --space nasbench201", "--table", measured, "--pretrained", encoder, "--out", out)
    assert outcome.out == ""
    assert outcome.err == f"{out}: 16 architectures, 8 dimensions each\n"
    texts, found = vectors(out, space, "e")
    read = read_table(measured, space)
    assert texts == read.texts
    np.testing.assert_allclose(found, PretrainedEncoder.load(encoder).embed(read.architectures), atol=1e-6)


def test_the_flow_surrogate_without_an_encoder(run, measured, space, tmp_path):
    run("encode --space nasbench201 --seed 5", "--table", measured, "--out", tmp_path / "s.parquet")
    _, found = vectors(tmp_path / "s.parquet", space, "s")
    surrogate = FlowSurrogate.draw(space.operations, PUBLISHED["nasbench201"], 5)
    np.testing.assert_allclose(
        found, surrogate(read_table(measured, space).architectures), rtol=1e-5, atol=1e-7
    )


def test_the_seed_draws_the_surrogate(run, measured, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(
            f"encode --space nasbench201 --seed {seed}",
            "--table",
            measured,
            "--out",
            tmp_path / f"{name}.csv",
        )
    a, b, c = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert a == b != c


def test_the_free_space(run, free_measured, tmp_path):
    run("encode --space free", "--table", free_measured, "--out", tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet").num_rows == 6


def test_every_row_keeps_its_place_duplicates_too(run, table, cells, tmp_path):
    path = table("t.csv", arch=[cells[0], cells[1], cells[0]])
    run("encode --space nasbench201", "--table", path, "--out", tmp_path / "s.parquet")
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert [row["arch"] for row in rows] == [cells[0], cells[1], cells[0]]
    assert rows[0] == rows[2] != rows[1]


def test_skip_bad_counts(run, table, cells, tmp_path):
    path = table("t.csv", arch=[cells[0], "spam", cells[1], "eggs"])
    outcome = run("encode --space nasbench201 --skip-bad", "--table", path, "--out", tmp_path / "s.parquet")
    assert outcome.err.startswith("left out 2 bad rows; the first: row 2: arch 'spam'")
    assert pq.read_table(tmp_path / "s.parquet").num_rows == 2
