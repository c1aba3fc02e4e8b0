"""`archflow evaluate`."""

import json
import statistics

import numpy as np
import pytest

from archflow.predictors import METHODS
from archflow.records import RunRecord

RANDOM = "evaluate --space nasbench201 --target acc --labels 12 --method random"
KEYS = ["kendall_tau", "spearman", "precision_at", "fit_seconds", "predict_seconds"]


@pytest.fixture
def larger(table, space):
    """Forty measured cells."""
    cells = space.sample(40, np.random.default_rng(3))
    names = np.array([cell.operations for cell in cells])
    accuracy = (names == "nor_conv_3x3").sum(axis=1) + np.random.default_rng(4).uniform(0, 0.5, size=40)
    return table("larger.csv", arch=[space.format(cell) for cell in cells], acc=accuracy, loss=-accuracy)


@pytest.fixture
def evaluate(run):
    """Evaluate a method; return the record and what was printed."""

    def command(table, method, *arguments, target="acc", labels=12, seeds=2, space="nasbench201"):
        words = f"evaluate --space {space} --target {target} --labels {labels} --method {method}"
        outcome = run(f"{words} --seeds {seeds} --json -", "--table", table, *arguments)
        return json.loads(outcome.out), outcome

    return command


def scores(record):
    return [{key: run[key] for key in ("seed", *KEYS[:3])} for run in record["runs"]]


def test_the_record_has_exactly_the_promised_keys(evaluate, larger):
    record, _ = evaluate(larger, "onehot-rf")
    assert list(record) == ["space", "target", "method", "labels", "runs", "mean", "std", "record"]
    assert [record[key] for key in ("space", "target", "method", "labels")] == [
        "nasbench201",
        "acc",
        "onehot-rf",
        12,
    ]
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    for run in record["runs"]:
        assert list(run) == ["seed", *KEYS]
    for name in ("mean", "std"):
        assert list(record[name]) == KEYS
        assert list(record[name]["precision_at"]) == ["1", "5", "10"]
    taus = [run["kendall_tau"] for run in record["runs"]]
    assert record["mean"]["kendall_tau"] == pytest.approx(statistics.mean(taus))
    assert record["std"]["kendall_tau"] == pytest.approx(statistics.pstdev(taus))
    RunRecord.from_json(record["record"])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_twice_has_equal_scores(evaluate, larger, encoder, method):
    extra = []
    if METHODS[method].pretrained:
        extra = ["--pretrain-epochs", "1"] if METHODS[method].encoder != "gin" else ["--pretrained", encoder]
    (one, _), (other, _) = (evaluate(larger, method, *extra) for _ in range(2))
    assert scores(one) == scores(other)
    assert one["method"] == method
    assert one["runs"][0]["kendall_tau"] != one["runs"][1]["kendall_tau"]


def test_minimising_the_negated_target_scores_the_same(evaluate, larger):
    straight, _ = evaluate(larger, "onehot-rf")
    reverse, _ = evaluate(larger, "onehot-rf", "--minimize", target="loss")
    assert scores(straight) == scores(reverse)
    wrong_way, _ = evaluate(larger, "onehot-rf", target="loss")
    assert wrong_way["mean"]["precision_at"] != straight["mean"]["precision_at"]


def test_people_see_a_row_a_run_and_the_mean(run, larger, tmp_path):
    outcome = run(f"{RANDOM} --seeds 3", "--table", larger, "--json", tmp_path / "r.json")
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[0] for line in lines] == ["seed", "0", "1", "2", "mean", "std"]
    record = json.loads((tmp_path / "r.json").read_text())
    assert float(lines[4][1]) == pytest.approx(record["mean"]["kendall_tau"], abs=1e-4)
    assert outcome.err == ""


def test_pretraining_sees_the_table_once(evaluate, larger):
    record, _ = evaluate(larger, "fgp-gin", "--pretrain-epochs", "1", seeds=3)
    provenance = record["record"]["config"]["pretraining"]["provenance"]
    assert provenance["data"]["architectures"] == 40
    assert provenance["epochs"] == 1
    assert len(record["runs"]) == 3


def test_the_free_space(evaluate, table):
    texts = []
    for length in range(1, 13):
        edges = ",".join(f"{node}>{node + 1}" for node in range(length + 2))
        texts.append(f"input,{'conv,' * length}pool,output;{edges}")
    path = table("t.csv", arch=texts, acc=np.arange(12.0))
    record, _ = evaluate(path, "random", space="free", labels=10)
    assert record["space"] == "free"


def test_skip_bad_counts(evaluate, table, cells):
    path = table("t.csv", arch=[*cells[:10], "spam"], acc=[*range(9), None, 3])
    record, outcome = evaluate(path, "random", "--skip-bad", labels=5)
    assert outcome.err.splitlines()[0].startswith("left out 1 bad row; the first: row 11: arch 'spam'")
    assert "left out 1 row without a value of acc" in outcome.err
    assert record["labels"] == 5


def test_duplicates_can_be_averaged(evaluate, table, cells):
    path = table("t.csv", arch=[*cells[:10], cells[0]], acc=np.arange(11.0))
    record, _ = evaluate(path, "random", "--duplicates", "mean", labels=8)
    assert len(record["runs"]) == 2


def test_an_existing_record_is_not_lost(refused, larger, tmp_path):
    (tmp_path / "r.json").write_text("mine")
    record = tmp_path / "r.json"
    refused(RANDOM, "--table", larger, "--json", record, code=2, parts=[record, "exists already"])
    assert (tmp_path / "r.json").read_text() == "mine"


def test_a_record_that_cannot_be_written(run, larger, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = run(RANDOM, "--table", larger, "--json", tmp_path / "file" / "r.json", code=1)
    assert outcome.err.startswith("archflow: ")
    assert outcome.err.count("\n") == 1


def test_seed_moves_the_draws(evaluate, larger):
    record, _ = evaluate(larger, "random", "--seed", "7", seeds=2)
    assert [run["seed"] for run in record["runs"]] == [7, 8]
    later, _ = evaluate(larger, "random", "--seed", "8", seeds=1)
    assert later["runs"][0]["kendall_tau"] == record["runs"][1]["kendall_tau"]
