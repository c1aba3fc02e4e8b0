"""Several targets on the command line: directions, weights, conditions and the Pareto front."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from archflow.cli.targets import choose_targets, read_weights
from archflow.datasets import read_table
from archflow.errors import UsageError
from archflow.metrics import pareto_fronts
from archflow.predictors import Predictor

BOTH = ["--target", "acc", "--target", "lat_ms:min"]


@pytest.fixture
def two(table, cells):
    """Sixteen cells; of some the accuracy is missing, of others the latency, of one both."""
    rng = np.random.default_rng(1)
    acc, latency = rng.normal(90, 3, size=16).tolist(), rng.gamma(4, 1, size=16).tolist()
    acc[2] = latency[5] = latency[6] = acc[9] = latency[9] = None
    return table("two.csv", arch=cells[:16], acc=acc, lat_ms=latency)


@pytest.fixture
def rank(run, tmp_path, candidates):
    """Rank the candidates with a forest, and return the rows of the table written and what was printed."""

    def command(*arguments, out="ranking.parquet"):
        words = ["rank", "--space", "nasbench201", "--candidates", candidates, "--out", tmp_path / out]
        outcome = run(*words, *arguments)
        return pq.read_table(tmp_path / out).to_pylist(), outcome

    return command


@pytest.fixture
def forest(two):
    return ["--labels", two, "--method", "onehot-rf", *BOTH]


@pytest.fixture
def predictor(two, space):
    read = read_table(two, space, ("acc", "lat_ms"))
    made = Predictor(space, "onehot-rf", targets=("acc", "lat_ms"), minimize=(False, True), device="cpu")
    return made.fit(read.architectures, read.values)


ORDERS = {
    "first": ([], {}),
    "weights": (["--weight", "acc=1", "--weight", "lat_ms=0.5"], {"weights": {"acc": 1, "lat_ms": 0.5}}),
    "pareto": (["--pareto"], {"pareto": True}),
    "where": (["--where", "lat_ms<4.5", "--where", "acc >= 88"], {"where": ["lat_ms<4.5", "acc>=88"]}),
    "all": (
        ["--pareto", "--where", "lat_ms<4.5", "--top", "3"],
        {"pareto": True, "where": "lat_ms<4.5", "top": 3},
    ),
}  # fmt: skip
every_order = pytest.mark.parametrize("order", ORDERS)


@every_order
def test_it_is_the_librarys_ranking(rank, forest, predictor, candidates, space, order):
    options, wish = ORDERS[order]
    rows, outcome = rank(*forest, *options)
    table = read_table(candidates, space)
    expected = predictor.rank(table.architectures, **wish)
    names = ["rank", "arch", "mean_acc", "std_acc", "mean_lat_ms", "std_lat_ms"]
    assert list(rows[0]) == names + ["front"] * ("--pareto" in options)
    assert [row["rank"] for row in rows] == list(range(1, len(expected) + 1))
    assert [row["arch"] for row in rows] == [table.texts[row] for row in expected.rows]
    for place, name in enumerate(("acc", "lat_ms")):
        assert [row[f"mean_{name}"] for row in rows] == expected.mean[:, place].tolist()
        assert [row[f"std_{name}"] for row in rows] == expected.std[:, place].tolist()
    if "--pareto" in options:
        assert [row["front"] for row in rows] == expected.front.tolist()
    assert f"{len(rows)} of 14 candidates" in outcome.err
    shown = outcome.out.splitlines()
    assert shown[0] == "\t".join(rows[0])
    assert len(shown) == 1 + min(len(rows), 10)
    assert shown[1].split("\t")[2] == f"{rows[0]['mean_acc']:.4f}"


@every_order
def test_a_fitted_model_keeps_names_and_directions(run, rank, forest, tmp_path, order):
    options, _ = ORDERS[order]
    run("fit --space nasbench201", *forest, "--out", tmp_path / "model")
    at_once, _ = rank(*forest, *options)
    later, _ = rank("--model", tmp_path / "model", *options, out="later.parquet")
    assert later == at_once


def test_fit_counts_the_labels_of_each(run, forest, tmp_path):
    outcome = run("fit --space nasbench201", *forest, "--out", tmp_path / "model")
    assert outcome.err.splitlines() == [
        "left out 1 row without a value of acc or lat_ms",
        f"{tmp_path / 'model'}: onehot-rf fitted on 15 architectures, 14 with acc, 13 with lat_ms",
    ]


def test_json_holds_the_same(rank, forest):
    rows, outcome = rank(*forest, "--pareto", "--json", "-")
    record = json.loads(outcome.out)
    assert (record["candidates"], record["top"]) == (14, rows[:10])


def test_csv_too(run, forest, candidates, tmp_path):
    words = ["rank", "--space", "nasbench201", *forest, "--pareto", "--candidates", candidates]
    run(*words, "--out", tmp_path / "r.csv")
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "rank,arch,mean_acc,std_acc,mean_lat_ms,std_lat_ms,front"
    cells = [line.split(",") for line in lines[1:]]
    means = np.array([[float(row[2]), float(row[4])] for row in cells])
    assert [int(row[6]) for row in cells] == pareto_fronts(means * [1, -1]).tolist()


# One target


@pytest.mark.parametrize("options", [["--target", "acc:min"], ["--target", "acc:min", "--minimize"]])
def test_a_direction_after_the_name_does_what_minimize_does(rank, two, options):
    labels = ["--labels", two, "--method", "onehot-rf"]
    plain, _ = rank(*labels, "--target", "acc", "--minimize")
    rows, _ = rank(*labels, *options, out="other.parquet")
    assert rows == plain
    assert list(rows[0]) == ["rank", "arch", "mean", "std"]
    assert rows[0]["mean"] < rows[-1]["mean"]


def test_max_overrides_minimize(rank, two):
    labels = ["--labels", two, "--method", "onehot-rf"]
    rows, _ = rank(*labels, "--target", "acc:max", "--minimize")
    assert rows == rank(*labels, "--target", "acc", out="other.parquet")[0]


def test_one_target_has_conditions(rank, two):
    labels = ["--labels", two, "--method", "onehot-rf", "--target", "acc"]
    whole, _ = rank(*labels)
    some, _ = rank(*labels, "--where", "acc>90", out="some.parquet")
    assert [row["arch"] for row in some] == [row["arch"] for row in whole if row["mean"] > 90]
    assert 0 < len(some) < len(whole)


# Which columns are meant


@pytest.mark.parametrize(
    ("word", "name", "minimize"),
    [
        ("acc", "acc", False),
        ("acc:min", "acc:min", False),  # a column of the whole name goes first
        ("acc:min:min", "acc:min", True),
        ("acc:min:max", "acc:min", False),
        ("acc:max", "acc", False),
        ("lat:min", "lat", True),
        ("note:min", "note:min", False),  # text: refused when it is read
        ("lat:mim", "lat:mim", False),
        (":min", ":min", False),
    ],
)
def test_names_with_directions(table, cells, word, name, minimize):
    path = table("t.csv", **{"arch": cells[:2], "acc": [1, 2], "acc:min": [3, 4], "lat": [5, 6],
                             "note:min": ["a", "b"]})  # fmt: skip
    targets = choose_targets([word], False, path)
    assert (targets.names, targets.minimize) == ((name,), (minimize,))


def test_minimize_is_for_names_without_a_direction(measured):
    assert choose_targets(["acc"], True, measured).minimize == (True,)
    assert choose_targets(["acc:max"], True, measured).minimize == (False,)


def test_without_directions_the_table_is_not_read(tmp_path):
    assert choose_targets(["a", "b"], False, tmp_path / "nowhere.csv").names == ("a", "b")


@pytest.mark.parametrize("words", [["acc", "acc"], ["acc:min", "acc"], ["acc:min", "acc:max"]])
def test_a_target_twice(measured, words):
    with pytest.raises(UsageError, match="--target acc is given twice"):
        choose_targets(words, False, measured)


def test_evaluate_takes_a_direction_too(run, two):
    words = "evaluate --space nasbench201 --labels 6 --method onehot-rf --seeds 2 --json -"
    records = [
        json.loads(run(words, "--table", two, *options).out)
        for options in (["--target", "lat_ms:min"], ["--target", "lat_ms", "--minimize"])
    ]
    assert records[0]["target"] == records[1]["target"] == "lat_ms"
    assert [run["kendall_tau"] for run in records[0]["runs"]] == [
        run["kendall_tau"] for run in records[1]["runs"]
    ]
    assert records[0]["record"]["config"]["minimize"] is True


# Weights


def test_weights_are_read():
    assert read_weights(["acc=1", "a=b=0.5", "lat ms=2e-1"]) == {"acc": 1, "a=b": 0.5, "lat ms": 0.2}
    assert read_weights(None) is read_weights([]) is None


@pytest.mark.parametrize("word", ["acc", "acc=", "=1", "acc=much", "", "acc=1,5"])
def test_what_is_no_weight(word):
    with pytest.raises(UsageError, match=r"is not COLUMN=NUMBER, such as accuracy=1"):
        read_weights([word])


# Used wrongly


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("--target acc --target lat_ms --minimize", ["--minimize is for one --target", "COLUMN:min"]),
        ("--target acc --target acc:min", ["--target acc is given twice"]),
        ("--target acc --target lat_ms --weight accu=1", ["unknown target 'accu'", "Did you mean 'acc'?"]),
        ("--target acc --target lat_ms --weight acc=0", ["no target has a weight above 0"]),
        ("--target acc --target lat_ms --weight acc=-1", ["weight of acc", "at least 0, not -1.0"]),
        ("--target acc --target lat_ms --weight acc=nan", ["weight of acc", "not nan"]),
        ("--target acc --target lat_ms --weight acc", ["--weight 'acc' is not COLUMN=NUMBER"]),
        ("--target acc --target lat_ms --weight acc=1 --weight acc=2", ["--weight acc is given twice"]),
        ("--target acc --target lat_ms --weight acc=1 --pareto", ["two orders; choose one"]),
        ("--target acc --pareto", ["needs two targets or more"]),
        ("--target acc --where acc=5", ["cannot read the condition 'acc=5'", "'latency_ms<5'"]),
        ("--target acc --where lat_ms<5", ["unknown target 'lat_ms'; choose from: acc"]),
    ],
)  # fmt: skip
def test_contradictions(refused, two, candidates, tmp_path, arguments, parts):
    words = ["rank", "--space", "nasbench201", "--labels", two, "--method", "random", *arguments.split()]
    message = refused(*words, "--candidates", candidates, "--out", tmp_path / "r.csv", code=2, parts=parts)
    assert message.count("\n") == 1
    assert not (tmp_path / "r.csv").exists()


def test_a_condition_that_no_candidate_meets(refused, measured, candidates, tmp_path):
    words = ["rank", "--space", "nasbench201", "--labels", measured, "--target", "acc", "--method", "random"]
    refused(
        *words, "--candidates", candidates, "--where", "acc>1000", "--out", tmp_path / "r.csv", code=2,
        parts=["no candidate is predicted to have acc>1000; the closest has acc 9"],
    )  # fmt: skip
    assert not (tmp_path / "r.csv").exists()


def test_wrong_wishes_are_refused_before_anything_is_fitted(refused, two, candidates, tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    words = ["rank", "--space", "nasbench201", "--labels", two, *BOTH, "--candidates", candidates]
    refused(*words, "--where", "latency<5", "--out", tmp_path / "r.csv", code=2, parts=["'latency'"])


@pytest.mark.parametrize("command", ["fit", "rank"])
def test_too_few_labels_of_one_target_name_its_column(refused, table, cells, tmp_path, command):
    path = table("t.csv", arch=cells[:8], acc=range(8), lat_ms=[1, 2, 3, *[None] * 5])
    more = ["--candidates", path] if command == "rank" else []
    refused(
        command, "--space", "nasbench201", "--labels", path, *BOTH, "--method", "random", *more,
        "--out", tmp_path / "out.csv", code=1, parts=[f"{path}, column lat_ms: 3 labels are too few"],
    )  # fmt: skip


def test_a_target_that_is_nowhere(refused, two, tmp_path):
    words = ["fit", "--space", "nasbench201", "--labels", two, "--target", "acc", "--target", "latms:min"]
    parts = ["unknown numeric column 'latms'", "Did you mean 'lat_ms'?"]
    refused(*words, "--method", "random", "--out", tmp_path / "model", code=1, parts=parts)


def test_a_model_has_its_targets(run, refused, forest, candidates, tmp_path):
    run("fit --space nasbench201", *forest, "--out", tmp_path / "model")
    words = ["rank", "--space", "nasbench201", "--model", tmp_path / "model", "--candidates", candidates]
    out = ["--out", tmp_path / "r.csv"]
    refused(*words, "--target", "acc", *out, code=2, parts=["--target cannot go with --model"])
    refused(*words, "--weight", "accuracy=1", *out, code=2, parts=["unknown target 'accuracy'"])
