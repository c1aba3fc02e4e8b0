"""`--column`: columns to predict from, read from the tables of labels and of candidates."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.cli.columns import choose_columns
from archflow.datasets import read_table
from archflow.errors import UsageError
from archflow.predictors import Predictor

TELLING = ["--column", "cost", "--column", "naswot"]


def proxies(count, seed):
    """Return two columns of so many cells; the second has a gap."""
    cost, naswot = np.random.default_rng(seed).normal(size=(2, count)).tolist()
    naswot[1] = None
    return {"cost": cost, "naswot": naswot, "note": ["a"] * count}


@pytest.fixture
def labelled(table, cells):
    columns = proxies(16, 1)
    return table("labelled.csv", arch=cells[:16], acc=[90 + cost for cost in columns["cost"]], **columns)


@pytest.fixture
def others(table, cells):
    return table("others.csv", arch=cells[12:], **proxies(12, 2))


@pytest.fixture
def rank(run, tmp_path):
    """Rank, and return the rows of the table written and what was printed."""

    def command(*arguments, out="ranking.parquet"):
        outcome = run("rank --space nasbench201 --out", tmp_path / out, *arguments)
        return pq.read_table(tmp_path / out).to_pylist(), outcome

    return command


@pytest.fixture
def learn(labelled):
    return ["--labels", labelled, "--target", "acc", "--method", "onehot-gp"]


def test_it_is_the_librarys_ranking(rank, learn, labelled, others, space):
    rows, outcome = rank(*learn, *TELLING, "--candidates", others)
    seen, unseen = read_table(labelled, space, "acc"), read_table(others, space)
    beside = [np.stack([t.columns["cost"], t.columns["naswot"]], axis=1) for t in (seen, unseen)]
    predictor = Predictor(space, "onehot-gp").fit(seen.architectures, seen.values, columns=beside[0])
    expected = predictor.rank(unseen.architectures, columns=beside[1])
    assert [row["arch"] for row in rows] == [unseen.texts[row] for row in expected.rows]
    assert [row["mean"] for row in rows] == expected.mean.tolist()
    assert "measured columns" in outcome.err
    cost = unseen.columns["cost"][expected.rows]  # which is what the labels are made of
    assert np.corrcoef(cost, expected.mean)[0, 1] > 0.9


def test_a_fitted_model_knows_its_columns(run, rank, learn, others, tmp_path):
    run("fit --space nasbench201 --out", tmp_path / "model", *learn, *TELLING)
    at_once, _ = rank(*learn, *TELLING, "--candidates", others)
    later, _ = rank("--model", tmp_path / "model", "--candidates", others, out="later.parquet")
    assert later == at_once


def test_evaluate_takes_them_from_its_table(run, table, space):
    cells = space.sample(40, np.random.default_rng(3))
    secret = np.random.default_rng(4).normal(size=40)
    path = table("t.csv", arch=[space.format(cell) for cell in cells], acc=secret, proxy=2 * secret)
    words = "evaluate --space nasbench201 --target acc --labels 20 --method onehot-gp --seeds 2 --json -"
    blind, seeing = (
        json.loads(run(words, "--table", path, *more).out) for more in ([], ["--column", "proxy"])
    )
    assert seeing["mean"]["kendall_tau"] > 0.9 > 0.6 > blind["mean"]["kendall_tau"]
    assert seeing["record"]["config"]["columns"] == ["proxy"]
    assert blind["record"]["config"]["columns"] == []


def test_columns_are_chosen_by_name():
    assert choose_columns(["b", "a"], ["acc"]) == ("b", "a")
    assert choose_columns(None, ["acc"]) == ()
    with pytest.raises(UsageError, match="--column a is given twice; leave one out"):
        choose_columns(["a", "b", "a"], ["acc"])
    with pytest.raises(UsageError, match="--column acc is the target itself"):
        choose_columns(["acc"], ["lat", "acc"])


# Used wrongly


@pytest.mark.parametrize(
    ("options", "code", "parts"),
    [
        ("--column cost --all", 2, ["columns cost of candidates", "--candidates"]),
        ("--column cost --sample 5", 2, ["columns cost of candidates", "--candidates"]),
        ("--column cost --candidates D", 2, ["columns (cost) cannot go with a folder; rank a table"]),
        ("--column acc --candidates C", 2, ["--column acc is the target itself"]),
        ("--column cost --column cost --candidates C", 2, ["--column cost is given twice"]),
        ("--column cots --candidates C", 1,
         ["labelled.csv: unknown numeric column 'cots'", "Did you mean 'cost'?"]),
        ("--column note --candidates C", 1, ["labelled.csv: unknown numeric column 'note'"]),
        ("--column cost --method random --candidates C", 2, ["method 'random' takes no measured columns"]),
    ],
)  # fmt: skip
def test_what_makes_no_sense(refused, learn, others, tmp_path, options, code, parts):
    words = {"C": others, "D": tmp_path}
    given = [words.get(word, word) for word in options.split()]
    refused("rank --space nasbench201 --out", tmp_path / "r.csv", *learn, *given, code=code, parts=parts)
    assert not (tmp_path / "r.csv").exists()


def test_candidates_that_lack_a_column(run, refused, learn, table, cells, tmp_path):
    path = table("few.csv", arch=cells[:8], cost=np.arange(8.0))
    parts = ["few.csv: unknown numeric column 'naswot'; choose from: cost"]
    words = ["rank --space nasbench201 --out", tmp_path / "r.csv", "--candidates", path]
    refused(*words, *learn, *TELLING, code=1, parts=parts)
    run("fit --space nasbench201 --out", tmp_path / "model", *learn, *TELLING)
    refused(*words, "--model", tmp_path / "model", code=1, parts=parts)


def test_a_model_with_columns_needs_a_table(run, refused, learn, others, tmp_path):
    run("fit --space nasbench201 --out", tmp_path / "model", *learn, *TELLING)
    words = ["rank --space nasbench201 --out", tmp_path / "r.csv", "--model", tmp_path / "model"]
    refused(*words, "--sample", "9", code=2, parts=["columns cost, naswot", "pass it with --candidates"])
    parts = ["--column cannot go with --model"]
    refused(*words, "--candidates", others, "--column", "cost", code=2, parts=parts)


@pytest.mark.parametrize("command", ["fit", "rank", "evaluate"])
def test_an_infinite_number_names_its_row(refused, table, cells, tmp_path, command):
    path = table("t.csv", arch=cells[:8], acc=np.arange(8.0), cost=[1, 2, 3, np.inf, 5, 6, 7, 8])
    more = {
        "fit": ["--labels", path, "--out", tmp_path / "model"],
        "rank": ["--labels", path, "--candidates", path, "--out", tmp_path / "r.csv"],
        "evaluate": ["--table", path, "--labels", "5"],
    }[command]
    words = f"{command} --space nasbench201 --target acc --method onehot-gp --column cost"
    refused(words, *more, code=1, parts=["t.csv: row 4: cost is inf; a column must be finite, or empty"])


def test_a_column_that_is_empty_for_all_labels(refused, table, cells, others, tmp_path):
    path = table("t.csv", arch=cells[:8], acc=np.arange(8.0), cost=[None] * 8)
    words = ["rank --space nasbench201 --target acc --method onehot-gp --column cost --labels", path]
    parts = ["measured column cost is empty for all labels; leave it out"]
    refused(*words, "--candidates", others, "--out", tmp_path / "r.csv", code=1, parts=parts)
