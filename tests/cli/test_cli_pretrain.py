"""`archflow pretrain`."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from archflow.datasets import read_table
from archflow.pretrain import PretrainedEncoder, pretrain


def weights(folder):
    module = PretrainedEncoder.load(folder).module
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


@pytest.fixture
def tiny(run, tmp_path):
    """Pre-train for an instant and return the folder."""

    def command(name, *arguments, code=0, space="nasbench201"):
        words = f"pretrain --space {space} --width 8 --batch 8"
        outcome = run(words, *arguments, "--out", tmp_path / name, code=code)
        return tmp_path / name, outcome

    return command


def test_on_a_table(tiny, measured, space):
    folder, outcome = tiny("e", "--table", measured, "--epochs", "3")
    loaded = PretrainedEncoder.load(folder, space.operations)
    assert (loaded.config.encoder.name, loaded.config.encoder.width) == ("gin", 8)
    assert (loaded.config.training.epochs, loaded.config.training.batch_size) == (3, 8)
    table = read_table(measured, space).architectures
    assert loaded.provenance["data"]["digest"] == table.in_form(loaded.config.form).digest()
    assert loaded.provenance["data"]["architectures"] == 16
    assert len(loaded.provenance["losses"]) == 3
    assert outcome.out == ""
    assert outcome.err.startswith(f"{folder}: gin pre-trained on 16 architectures (")
    first, *_, last = loaded.provenance["losses"]
    assert f"loss {first:.4f} -> {last:.4f}" in outcome.err


def test_it_is_the_librarys_run(tiny, measured, space, tmp_path):
    folder, _ = tiny("e", "--table", measured, "--epochs", "2", "--seed", "4")
    config = PretrainedEncoder.load(folder).config
    pretrain(space, read_table(measured, space).architectures, config, folder=tmp_path / "lib", device="cpu")
    assert weights(folder) == weights(tmp_path / "lib")


def test_every_option_reaches_the_run(tiny, measured):
    folder, _ = tiny(
        "e", "--table", measured, "--epochs", "1", "--encoder", "gated_gcn", "--form", "as-written",
        "--objective", "flow=0.25+proxy=0.125", "--seed", "9", "--device", "cpu", "--no-standardize",
        "--surrogate-width", "5", "--alpha", "0.25", "--decoder-layers", "1", "--patience", "7", "--weighted",
    )  # fmt: skip
    config = PretrainedEncoder.load(folder).config
    assert (config.encoder.name, config.form, config.seed) == ("gated_gcn", "as-written", 9)
    assert config.objectives == {"flow": 0.25, "proxy": 0.125}
    assert (config.surrogate.width, config.surrogate.std, config.surrogate.alpha) == (5, 0.1, 0.25)
    assert (config.decoder_layers, config.standardize) == (1, False)
    assert (config.patience, config.weighted) == (7, True)


def test_the_quick_schedule_and_what_is_given_beside_it(tiny, measured):
    folder, _ = tiny("e", "--table", measured, "--quick", "--epochs", "1")
    config = PretrainedEncoder.load(folder).config
    quick = dataclasses.replace(config.quick().training, epochs=1, batch_size=8)
    assert config.training == quick
    assert config.training.schedule == "cosine"
    assert (config.patience, config.weighted) == (None, True)
    folder, _ = tiny("d", "--table", measured, "--quick", "--epochs", "1", "--distinct")
    assert PretrainedEncoder.load(folder).config == dataclasses.replace(config, weighted=False)


def test_a_plateau_ends_the_run_and_is_told(tiny, measured):
    folder, outcome = tiny("e", "--table", measured, "--epochs", "500", "--patience", "1")
    losses = PretrainedEncoder.load(folder).provenance["losses"]
    assert len(losses) < 500
    assert f"-> {losses[-1]:.4f} in {len(losses)} epochs, " in outcome.err


def test_on_a_sample(tiny, space):
    folder, _ = tiny("e", "--sample", "12", "--epochs", "1", "--seed", "3")
    data = PretrainedEncoder.load(folder).provenance["data"]
    drawn = space.sample(12, np.random.default_rng(3))
    assert data["architectures"] == 12
    assert data["digest"] == drawn.in_form(PretrainedEncoder.load(folder).config.form).digest()


def test_on_the_whole_space(tiny, monkeypatch, space):
    monkeypatch.setattr(type(space), "all", lambda self: self.sample(30, np.random.default_rng(0)))
    folder, _ = tiny("e", "--all", "--epochs", "1")
    assert PretrainedEncoder.load(folder).provenance["data"]["architectures"] == 30


def test_with_a_proxy_column(tiny, measured):
    by_parameters, _ = tiny("a", "--table", measured, "--epochs", "2")
    by_cost, _ = tiny("b", "--table", measured, "--epochs", "2", "--proxy", "cost")
    by_accuracy, _ = tiny("c", "--table", measured, "--epochs", "2", "--proxy", "acc")
    assert weights(by_cost) != weights(by_parameters)
    assert weights(by_cost) == weights(by_accuracy)  # the square has the same order


def test_gaps_in_the_proxy_are_counted(tiny, table, cells):
    path = table("t.csv", arch=cells, cost=[None if row in (3, 8) else row for row in range(len(cells))])
    folder, outcome = tiny("e", "--table", path, "--epochs", "1", "--proxy", "cost")
    assert outcome.err.startswith(f"{path}: 2 rows without cost; the proxy's ranking leaves them out\n")
    assert PretrainedEncoder.load(folder).provenance["data"]["architectures"] == len(cells)


def test_a_proxy_without_its_objective_is_refused(refused, measured, tmp_path):
    command = ["pretrain", "--space", "nasbench201", "--table", measured, "--out", tmp_path / "e"]
    words = [*command, "--proxy", "cost", "--objective", "flow"]
    refused(*words, code=2, parts=["--proxy is for the objective proxy"])


def test_objectives_that_are_none(refused, measured, tmp_path):
    command = ["pretrain", "--space", "nasbench201", "--table", measured, "--out", tmp_path / "e"]
    refused(*command, "--objective", "flo", code=2, parts=["unknown objective 'flo'", "Did you mean 'flow'?"])
    refused(*command, "--objective", "flow=much", code=2, parts=["'flow=much'", "no number"])
    assert not (tmp_path / "e").exists()


def test_on_the_free_space_with_meanings(tiny, table, free_measured):
    tiny("e", "--table", free_measured, "--epochs", "1", space="free")
    texts = ["input,blank,wire,conv,output;0>1,1>4,0>2,2>3,3>4", "input,conv,output;0>1,1>2"]
    path = table("t.csv", arch=texts)
    folder, _ = tiny(
        "f", "--table", path, "--epochs", "1", "--zero", "blank", "--identity", "wire",
        "--form", "collapsed", space="free",
    )  # fmt: skip
    operations = PretrainedEncoder.load(folder).operations
    assert (operations.zero, operations.identity) == ({"blank"}, {"wire"})
    assert PretrainedEncoder.load(folder).provenance["data"]["distinct_graphs"] == 1


def test_json_alone_on_stdout(tiny, measured):
    folder, outcome = tiny("e", "--table", measured, "--epochs", "2", "--json", "-")
    record = json.loads(outcome.out)
    assert record == PretrainedEncoder.load(folder).content() | {"provenance": record["provenance"]}
    assert record["provenance"]["epochs"] == 2


def test_skip_bad_counts(tiny, table, cells):
    path = table("t.csv", arch=[*cells[:6], "spam"])
    folder, outcome = tiny("e", "--table", path, "--epochs", "1", "--skip-bad")
    assert outcome.err.startswith("left out 1 bad row; the first: row 7: arch 'spam'")
    assert PretrainedEncoder.load(folder).provenance["data"]["architectures"] == 6


def test_saving_every_so_many_epochs(tiny, measured, monkeypatch):
    from archflow.pretrain import run as run_module

    saved, save = [], run_module.save_checkpoint

    def counting(folder, tensors, content):
        saved.append(content["provenance"]["epochs"])
        save(folder, tensors, content)

    monkeypatch.setattr(run_module, "save_checkpoint", counting)
    tiny("e", "--table", measured, "--epochs", "5", "--save-every", "3")
    assert saved == [0, 3, 5]


def test_say_what_to_pretrain_on(refused, measured, tmp_path):
    command = ["pretrain", "--space", "nasbench201", "--out", tmp_path / "e"]
    one_of = "one of --table, --all and --sample"
    refused(*command, code=2, parts=[one_of])
    refused(*command, "--all", "--sample", "3", code=2, parts=[one_of])
    refused(*command, "--table", measured, "--all", code=2, parts=[one_of])
    refused(*command, "--all", "--proxy", "acc", code=2, parts=["--proxy names a column of --table"])
    refused(*command, "--sample", "20000", code=2, parts=["cannot draw 20000 distinct architectures"])
    assert not (tmp_path / "e").exists()


def test_the_free_space_needs_a_table(refused, tmp_path):
    for what in ("--all", "--sample=3"):
        words = f"pretrain --space free {what}"
        refused(words, "--out", tmp_path / "e", code=2, parts=["give a table"])


# Stopped and resumed


def test_stopped_and_resumed_in_one_process(tiny, measured, monkeypatch):
    from archflow.pretrain import run as run_module

    whole, _ = tiny("whole", "--table", measured, "--epochs", "5")
    calls, loss = iter(range(1000)), run_module._Run.loss

    def stopping(self, rows):
        if next(calls) == 5:  # two steps an epoch: within the third
            raise KeyboardInterrupt
        return loss(self, rows)

    monkeypatch.setattr(run_module._Run, "loss", stopping)
    folder, outcome = tiny("run", "--table", measured, "--epochs", "5", code=1)
    monkeypatch.setattr(run_module._Run, "loss", loss)
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) <= 2
    assert "the last whole epoch is saved" in outcome.err
    assert "--resume" in outcome.err
    assert str(folder) in outcome.err
    assert PretrainedEncoder.load(folder).provenance["epochs"] == 2
    tiny("run", "--table", measured, "--epochs", "5", "--resume")
    assert weights(folder) == weights(whole)


def test_resuming_with_other_options_is_refused(tiny, measured, candidates):
    folder, _ = tiny("run", "--table", measured, "--epochs", "2")
    for change, key in (
        (["--epochs", "3"], "epochs"),
        (["--seed", "1"], "seed"),
        (["--objective", "flow"], "objectives"),
        (["--alpha", "0"], "alpha"),
        (["--encoder", "gated_gcn"], "encoder"),
    ):
        options = {"--epochs": "2"} | dict([change])
        words = [word for option in options.items() for word in option]
        _, outcome = tiny("run", "--table", measured, *words, "--resume", code=1)
        assert outcome.err.startswith(f"archflow: {folder}: cannot resume with ")
        assert key in outcome.err
    _, outcome = tiny("run", "--table", candidates, "--epochs", "2", "--resume", code=1)
    assert outcome.err == f"archflow: {folder}: cannot resume, the run was begun on other architectures\n"


def test_resuming_nothing_starts(tiny, measured):
    folder, _ = tiny("run", "--table", measured, "--epochs", "2", "--resume")
    assert PretrainedEncoder.load(folder).provenance["epochs"] == 2


# A shell's background jobs start with Ctrl-C ignored, so the child asks for it again.
CHILD = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + (
    "runpy.run_module('archflow', run_name='__main__')"
)


def epochs_in(folder):
    file = folder / "checkpoint.json"
    return json.loads(file.read_text())["content"]["provenance"]["epochs"] if file.exists() else 0


def test_ctrl_c_and_resume(tiny, measured, tmp_path):
    options = ["--table", str(measured), "--epochs", "40", "--save-every", "4", "--device", "cpu"]
    whole, _ = tiny("whole", *options)
    folder = tmp_path / "run"
    command = [
        sys.executable, "-c", CHILD, "pretrain", "--space", "nasbench201", "--width", "8", "--batch", "8",
        *options, "--out", str(folder),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        while child.poll() is None and epochs_in(folder) < 4:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert (child.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert "--resume" in err
    assert 4 <= epochs_in(folder) < 40
    tiny("run", *options, "--resume")
    assert weights(folder) == weights(whole)
    assert len(PretrainedEncoder.load(folder).provenance["losses"]) == 40
