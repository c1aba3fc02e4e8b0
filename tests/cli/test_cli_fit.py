"""`archflow fit`."""

import json

import numpy as np
import pytest

from archflow.datasets import read_table
from archflow.predictors import METHODS, Predictor


@pytest.fixture
def fit(run, tmp_path):
    """Fit on a table and return the folder and what was printed."""

    def command(labels, method, *arguments, space="nasbench201", target="acc", out="model"):
        words = f"fit --space {space} --target {target} --method {method}"
        outcome = run(words, "--labels", labels, "--out", tmp_path / out, *arguments)
        return tmp_path / out, outcome

    return command


def pretrained(method, encoder):
    return ["--pretrained", encoder] if METHODS[method].pretrained else []


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].encoder in (None, "gin")])
def test_it_keeps_the_librarys_predictor(fit, measured, encoder, space, method):
    folder, outcome = fit(measured, method, *pretrained(method, encoder), "--seed", "3")
    assert outcome.out == ""
    loaded = Predictor.load(folder, space, device="cpu")
    assert (loaded.method.name, loaded.config.seed) == (method, 3)
    read = read_table(measured, space, "acc")
    fresh = Predictor(space, method, seed=3, device="cpu", encoder=encoder_of(method, encoder))
    fresh.fit(read.architectures, read.values)
    cells = space.sample(20, np.random.default_rng(5))
    assert loaded.predict(cells, warn=False).tobytes() == fresh.predict(cells, warn=False).tobytes()
    said = f"{fresh.explain()}\n" if METHODS[method].views else ""  # of others it is their description
    assert outcome.err == f"{said}{folder}: {method} fitted on 16 architectures\n"


def encoder_of(method, folder):
    from archflow.pretrain import PretrainedEncoder

    return PretrainedEncoder.load(folder) if METHODS[method].pretrained else None


def test_every_option_reaches_the_predictor(fit, measured, space):
    folder, _ = fit(measured, "gin", "--form", "as-written", "--minimize", "--seed", "8", "--device", "cpu")
    config = Predictor.load(folder, space).config
    assert (config.form, config.minimize, config.seed) == ("as-written", True, 8)


def test_pretraining_afresh(fit, free_measured):
    """Of a space without end the labelled architectures are what there is to pre-train on."""
    folder, outcome = fit(free_measured, "fgp-gin", "--pretrain-epochs", "2", space="free")
    assert outcome.err == f"{folder}: fgp-gin fitted on 6 architectures\n"
    from archflow.training import load_checkpoint

    assert load_checkpoint(folder)[1]["pretraining"]["provenance"]["epochs"] == 2
    assert load_checkpoint(folder)[1]["pretraining"]["provenance"]["data"]["architectures"] == 6


def test_unlabelled_and_bad_rows_are_counted(fit, table, cells):
    path = table("t.csv", arch=[*cells[:8], "spam"], acc=[None, *np.arange(8.0)])
    folder, outcome = fit(path, "random", "--skip-bad")
    told = outcome.err.splitlines()
    assert told[0].startswith("left out 1 bad row; the first: row 9: arch 'spam'")
    assert "left out 1 row without a value of acc" in told
    assert told[-1] == f"{folder}: random fitted on 7 architectures"


def test_duplicates_can_be_averaged(fit, table, cells, space):
    path = table("t.csv", arch=[*cells[:6], cells[0]], acc=[1.0, 2, 3, 4, 5, 6, 9])
    folder, outcome = fit(path, "random", "--duplicates", "mean")
    assert outcome.err.endswith("random fitted on 6 architectures\n")
    averaged = fit(table("u.csv", arch=cells[:6], acc=[5.0, 2, 3, 4, 5, 6]), "random", out="other")[0]
    whole = space.all()
    one, other = (Predictor.load(f, space).predict(whole) for f in (folder, averaged))
    assert one.tobytes() == other.tobytes()


def test_an_output_may_be_replaced_by_another_method(fit, measured, space):
    fit(measured, "random")
    folder, _ = fit(measured, "gin", "--overwrite")
    assert Predictor.load(folder, space).method.name == "gin"
    assert len(list(folder.iterdir())) == 2


def test_json_alone_on_stdout(fit, measured):
    _, outcome = fit(measured, "onehot-gp", "--json", "-")
    record = json.loads(outcome.out)
    assert list(record) == ["method", "architectures", "explanation"]
    assert (record["method"], record["architectures"]) == ("onehot-gp", 16)
    assert record["explanation"].startswith("Fitted on 16 labels")
    assert record["explanation"] in outcome.err
    _, outcome = fit(measured, "random", "--json", "-", out="other")
    assert json.loads(outcome.out)["explanation"] == "a random order, to compare with; fitted on 16 labels."
    assert "to compare with" not in outcome.err


def test_a_failed_fit_leaves_the_model_that_was_there(fit, refused, measured, table, cells, space):
    folder, _ = fit(measured, "random")
    flat = table("flat.csv", arch=cells, acc=[1.0] * 24)
    words = "fit --space nasbench201 --target acc --method gin --overwrite"
    refused(words, "--labels", flat, "--out", folder, code=1, parts=["24 labels"])
    assert Predictor.load(folder, space).method.name == "random"
