"""`archflow rank`."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.datasets import read_table
from archflow.predictors import METHODS, Predictor

METHODS_TRIED = [name for name in METHODS if METHODS[name].encoder in (None, "gin")]


@pytest.fixture
def rank(run, tmp_path):
    """Rank, and return the rows of the table written and what was printed."""

    def command(*arguments, out="ranking.parquet", space="nasbench201"):
        outcome = run("rank", "--space", space, *arguments, "--out", tmp_path / out)
        return pq.read_table(tmp_path / out).to_pylist(), outcome

    return command


@pytest.fixture
def learn(measured, encoder):
    """The options that fit a method on the measured cells."""

    def options(method, labels=measured):
        extra = ["--pretrained", encoder] if METHODS[method].pretrained else []
        return ["--labels", labels, "--target", "acc", "--method", method, *extra]

    return options


def test_the_best_predicted_come_first(rank, learn, candidates, space):
    rows, outcome = rank(*learn("onehot-rf"), "--candidates", candidates)
    assert list(rows[0]) == ["rank", "arch", "mean", "std"]
    assert [row["rank"] for row in rows] == list(range(1, 15))
    means = [row["mean"] for row in rows]
    assert means == sorted(means, reverse=True)
    assert sorted(row["arch"] for row in rows) == sorted(read_table(candidates, space).texts)
    assert all(row["std"] >= 0 for row in rows)
    assert outcome.err.endswith("14 of 14 candidates, best predicted first (onehot-rf)\n")
    shown = outcome.out.splitlines()
    assert shown[0] == "rank\tarch\tmean\tstd"
    assert len(shown) == 11  # the best ten
    assert shown[1].split("\t")[:2] == ["1", rows[0]["arch"]]


@pytest.mark.parametrize("method", METHODS_TRIED)
def test_it_is_the_librarys_ranking(rank, learn, measured, candidates, encoder, space, method):
    from archflow.pretrain import PretrainedEncoder

    rows, _ = rank(*learn(method), "--candidates", candidates, "--seed", "2", "--top", "5")
    labelled = read_table(measured, space, "acc")
    given = PretrainedEncoder.load(encoder) if METHODS[method].pretrained else None
    predictor = Predictor(space, method, seed=2, device="cpu", encoder=given)
    predictor.fit(labelled.architectures, labelled.values)
    expected = predictor.rank(read_table(candidates, space).architectures, top=5)
    assert [row["arch"] for row in rows] == [space.format(a) for a in expected.architectures]
    assert [row["mean"] for row in rows] == expected.mean.tolist()
    assert [row["std"] for row in rows] == expected.std.tolist()


@pytest.mark.parametrize("method", METHODS_TRIED)
def test_ranking_with_a_fitted_model_is_the_same(run, rank, learn, candidates, tmp_path, method):
    options = learn(method)
    run("fit", "--space", "nasbench201", *options, "--seed", "2", "--out", tmp_path / "model")
    at_once, _ = rank(*options, "--seed", "2", "--candidates", candidates)
    later, outcome = rank("--model", tmp_path / "model", "--candidates", candidates, out="later.parquet")
    assert later == at_once
    assert f"({method})" in outcome.err


def test_minimising_puts_the_lowest_first(run, rank, learn, candidates, tmp_path):
    rows, _ = rank(*learn("onehot-rf"), "--candidates", candidates, "--minimize")
    means = [row["mean"] for row in rows]
    assert means == sorted(means)
    run("fit", "--space", "nasbench201", *learn("onehot-rf"), "--minimize", "--out", tmp_path / "model")
    again, _ = rank("--model", tmp_path / "model", "--candidates", candidates, out="again.parquet")
    assert again == rows


def test_of_the_whole_space_the_top(rank, learn, space):
    rows, outcome = rank(*learn("random"), "--all", "--top", "100")
    assert len(rows) == len({row["arch"] for row in rows}) == 100
    assert "100 of 15625 candidates" in outcome.err


def test_of_a_sample(rank, learn, space):
    rows, _ = rank(*learn("random"), "--sample", "30", "--seed", "4")
    drawn = {space.format(a) for a in space.sample(30, np.random.default_rng(4))}
    assert {row["arch"] for row in rows} == drawn


def test_csv_and_parquet_hold_the_same(rank, run, learn, candidates, tmp_path):
    rows, _ = rank(*learn("gin"), "--candidates", candidates)
    run("rank --space nasbench201", *learn("gin"), "--candidates", candidates, "--out", tmp_path / "r.csv")
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "rank,arch,mean,std"
    for line, row in zip(lines[1:], rows, strict=True):
        rank_text, arch, mean, std = line.split(",")
        assert (int(rank_text), arch, float(mean), float(std)) == tuple(row.values())


def test_json_alone_on_stdout(rank, learn, candidates):
    rows, outcome = rank(*learn("onehot-rf"), "--candidates", candidates, "--json", "-")
    record = json.loads(outcome.out)
    assert list(record) == ["candidates", "unlike", "explanation", "top"]
    assert (record["candidates"], record["unlike"]) == (14, 0)
    assert record["explanation"].endswith("fitted on 16 labels.")
    assert record["top"] == rows[:10]


def test_blends_explain_themselves_once_they_are_fitted(run, rank, learn, candidates, tmp_path):
    _, outcome = rank(*learn("onehot-gp"), "--candidates", candidates, "--json", "-")
    explanation = json.loads(outcome.out)["explanation"]
    assert explanation.startswith("Fitted on 16 labels")
    assert outcome.err.startswith(explanation)
    run("fit", "--space", "nasbench201", *learn("onehot-gp"), "--out", tmp_path / "model")
    model = ["--model", tmp_path / "model", "--candidates", candidates]
    _, later = rank(*model, "--json", "-", out="later.parquet")
    assert json.loads(later.out)["explanation"] == explanation
    assert later.err.count("\n") == 1


def test_skip_bad_counts_in_labels_and_candidates(rank, table, cells):
    labels = table("l.csv", arch=[*cells[:8], "spam"], acc=np.arange(9.0))
    some = table("c.csv", arch=["eggs", *cells[8:12], "ham"])
    rows, outcome = rank(
        "--labels", labels, "--target", "acc", "--method", "random", "--candidates", some, "--skip-bad"
    )
    told = outcome.err.splitlines()
    assert told[0].startswith("left out 1 bad row; the first: row 9: arch 'spam'")
    assert told[1].startswith("left out 2 bad rows; the first: row 1: arch 'eggs'")
    assert len(rows) == 4


def test_a_candidate_with_more_nodes_than_any_label(run, table, tmp_path):
    small = ["input,output;0>1", *(f"input,conv,output;{edges}" for edges in ("0>1,1>2", "0>1,0>2", "0>2"))]
    labels = table("l.csv", arch=small, acc=[1, 2, 3, 4])
    large = table("c.csv", arch=["input,conv,conv,output;0>1,1>2,2>3"])
    run(
        "rank --space free --target acc --method onehot-rf", "--labels", labels, "--candidates", large,
        "--out", tmp_path / "r.csv",
    )  # fmt: skip
    assert "input,conv,conv,output;0>1,1>2,2>3" in (tmp_path / "r.csv").read_text()


# The free space


def test_the_free_space(rank, free_measured, table):
    chains = ["input,conv,conv,pool,output;0>1,1>2,2>3,3>4", "input,pool,pool,output;0>1,1>2,2>3"]
    rows, _ = rank(
        "--labels", free_measured, "--target", "acc", "--method", "gin",
        "--candidates", table("c.csv", arch=chains), space="free",
    )  # fmt: skip
    assert sorted(row["arch"] for row in rows) == chains


@pytest.mark.parametrize("method", ["gin", "onehot-gp", "random"])
def test_the_free_space_with_operations_that_no_label_has(rank, free_measured, table, method):
    new, old = "input,attention,output;0>1,1>2", "input,conv,output;0>1,1>2"
    rows, outcome = rank(
        "--labels", free_measured, "--target", "acc", "--method", method,
        "--candidates", table("c.csv", arch=[new, old]), "--json", "-", space="free",
    )  # fmt: skip
    assert {row["arch"] for row in rows} == {new, old}
    assert list(rows[0]) == ["rank", "arch", "mean", "std"]
    assert json.loads(outcome.out)["unlike"] == 1
    assert (
        "1 of 2 ranked architectures is unlike the labelled ones (1 has operations without a label: "
        "attention): label some of them first\n"
    ) in outcome.err
    assert "Warning" not in outcome.err


@pytest.mark.parametrize("method", ["random", "onehot-rf", "gin"])
def test_a_fitted_model_brings_its_vocabulary(run, rank, free_measured, table, tmp_path, method):
    options = ["--labels", free_measured, "--target", "acc", "--method", method]
    few = table("c.csv", arch=["input,conv,output;0>1,1>2", "input,output;0>1"])  # no pool
    run("fit", "--space", "free", *options, "--out", tmp_path / "model")
    later, _ = rank("--model", tmp_path / "model", "--candidates", few, space="free")
    at_once, _ = rank(*options, "--candidates", few, space="free", out="at_once.parquet")
    assert later == at_once


def test_a_fitted_model_names_what_it_never_saw(run, refused, free_measured, table, tmp_path):
    model, out = tmp_path / "model", tmp_path / "r.csv"
    run("fit --space free --target acc --method random", "--labels", free_measured, "--out", model)
    new = table("c.csv", arch=["input,attention,output;0>1,1>2"])
    words = "rank --space free"
    refused(words, "--model", model, "--candidates", new, "--out", out, code=1, parts=["'attention'"])


def test_meanings_carry_into_a_fitted_model(run, rank, table, tmp_path):
    inner = ["conv,wire", "wire,conv", "conv,pool", "pool,wire", "wire,wire"]
    texts = [f"input,{names},output;0>1,1>2,2>3" for names in inner]
    labels = table("l.csv", arch=texts, acc=np.arange(5.0))
    words = "fit --space free --target acc --method gin --identity wire --form collapsed"
    run(words, "--labels", labels, "--out", tmp_path / "model")
    rows, _ = rank("--model", tmp_path / "model", "--candidates", labels, space="free")
    means = {row["arch"]: row["mean"] for row in rows}
    assert means[texts[0]] == pytest.approx(means[texts[1]])  # both are one conv


def test_candidates_keep_their_text(rank, free_measured, table):
    text = "output,conv,input;2>1,1>0"
    rows, _ = rank(
        "--labels", free_measured, "--target", "acc", "--method", "random",
        "--candidates", table("c.csv", arch=[text]), space="free",
    )  # fmt: skip
    assert [row["arch"] for row in rows] == [text]


# Used wrongly


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("--candidates C", "either --labels and --target, or --model"),
        ("--model M --labels L --target acc --candidates C", "either --labels and --target, or --model"),
        ("--labels L --candidates C", "--labels needs --target"),
        ("--labels L --target acc", "one of --candidates, --all and --sample"),
        ("--labels L --target acc --candidates C --all", "one of --candidates, --all and --sample"),
        ("--model M --candidates C --minimize", "--minimize cannot go with --model"),
        ("--model M --candidates C --method gin", "--method cannot go with --model"),
        ("--model M --candidates C --form pruned", "--form cannot go with --model"),
        ("--model M --candidates C --pretrained E", "--pretrained cannot go with --model"),
    ],
)
def test_contradictions(refused, measured, candidates, tmp_path, arguments, part):
    words = {"C": candidates, "L": measured, "M": tmp_path / "model", "E": tmp_path / "encoder"}
    given = [words.get(word, word) for word in arguments.split()]
    refused("rank", "--space", "nasbench201", *given, "--out", tmp_path / "r.csv", code=2, parts=[part])
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize("what", ["--all", "--sample=3"])
def test_the_free_space_has_no_end(refused, free_measured, tmp_path, what):
    words, out = f"rank --space free --target acc --method random {what}", tmp_path / "r.csv"
    refused(words, "--labels", free_measured, "--out", out, code=2, parts=["give a table of candidates"])


def test_more_than_the_space_has(refused, learn, tmp_path):
    words, out = "rank --space nasbench201 --sample 20000", tmp_path / "r.csv"
    refused(words, *learn("random"), "--out", out, code=2, parts=["cannot draw 20000", "15625"])
