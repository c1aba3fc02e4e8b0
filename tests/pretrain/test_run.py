"""The pre-training run: what it sees, what it leaves behind, and that a stop in any place changes no bit."""

import dataclasses
import hashlib
import json
import math
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.errors import CheckpointError, OutputExistsError, UsageError
from archflow.graphs import ArchitectureTable
from archflow.pretrain import PretrainedEncoder, pretrain
from archflow.pretrain import run as run_module
from archflow.records import versions
from archflow.spaces.free import Free
from archflow.testing import toy_table
from archflow.training import DivergedError, TrainingConfig


def weights(encoder):
    return {name: tensor.numpy().tobytes() for name, tensor in encoder.module.state_dict().items()}


def stop_when(done_wanted):
    def report(done, total, remark=""):
        if done == done_wanted:
            raise KeyboardInterrupt

    return report


@pytest.fixture
def stop_at_step(monkeypatch):
    """Return a function after which the given call of a run's loss, counted from 0, raises an error."""

    def arrange(step, error=KeyboardInterrupt):
        calls, loss = iter(range(1_000_000)), run_module._Run.loss

        def stopping(self, rows):
            if next(calls) == step:
                raise error
            return loss(self, rows)

        monkeypatch.setattr(run_module._Run, "loss", stopping)

    yield arrange
    monkeypatch.undo()


def stopped(space, table, config, folder, error=KeyboardInterrupt, **options):
    with pytest.raises(error):
        pretrain(space, table, config, folder=folder, device="cpu", **options)


def resumed(space, table, config, folder, **options):
    return pretrain(space, table, config, folder=folder, resume=True, device="cpu", **options)


def with_epochs(config, epochs):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))


# What it does


@pytest.mark.parametrize("name", ENCODERS)
def test_the_loss_falls(space, table, config, name):
    encoder = dataclasses.replace(config.encoder, name=name)
    config = dataclasses.replace(
        config, encoder=encoder, training=TrainingConfig(epochs=25, batch_size=8, learning_rate=0.01)
    )
    losses = pretrain(space, table, config, device="cpu").provenance["losses"]
    assert len(losses) == 25
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_is_the_same_bits_whatever_the_callers_random_state(space, table, config, trained):
    torch.manual_seed(8)
    state = torch.get_rng_state()
    again = pretrain(space, table, config, device="cpu")
    assert weights(again) == weights(trained)
    assert again.provenance["losses"] == trained.provenance["losses"]
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_is_another_encoder(space, table, config, trained):
    other = pretrain(space, table, dataclasses.replace(config, seed=4), device="cpu")
    assert weights(other) != weights(trained)


def test_it_returns_an_encoder_that_is_ready(trained, config, space):
    assert not trained.module.training
    assert {p.device.type for p in trained.module.parameters()} == {"cpu"}
    assert trained.config == config
    assert trained.operations == space.operations


def test_isomorphic_duplicates_count_once(space, table, config, trained):
    assert trained.provenance["data"]["architectures"] == 23
    keys = table.pruned().keys()
    first = np.sort(np.unique(keys, return_index=True)[1])
    assert len(first) < 23
    assert trained.provenance["data"]["distinct_graphs"] == len(first)
    without = pretrain(space, table[first], config, device="cpu")
    assert weights(without) == weights(trained)


def test_the_form_decides_what_is_distinct_and_what_is_seen(space, table, config, trained):
    encoders = {
        form: pretrain(space, table, dataclasses.replace(config, form=form), device="cpu")
        for form in ("as-written", "collapsed")
    }
    counts = [
        encoder.provenance["data"]["distinct_graphs"]
        for encoder in (encoders["as-written"], trained, encoders["collapsed"])
    ]
    assert counts[0] == 22
    assert counts[0] > counts[1] >= counts[2]
    assert weights(encoders["as-written"]) != weights(trained)


def test_the_default_proxy_is_the_spaces_parameter_count(space, table, config, trained):
    given = pretrain(space, table, config, proxy=space.parameters(table.pruned()), device="cpu")
    assert weights(given) == weights(trained)


def test_a_proxy_takes_part_unless_its_weight_is_zero(space, table, config, trained):
    proxy = np.random.default_rng(0).normal(size=len(table))
    assert weights(pretrain(space, table, config, proxy=proxy, device="cpu")) != weights(trained)
    alone = dataclasses.replace(config, proxy_weight=0.0)
    one, other = (pretrain(space, table, alone, proxy=p, device="cpu") for p in (proxy, -proxy))
    assert weights(one) == weights(other)


def test_the_space_without_end_can_be_pretrained_on(config):
    texts = [
        "input,conv,pool,output;0>1,1>2,2>3",
        "input,conv,output;0>1,1>2",
        "input,skip,pool,output;0>1,1>2,2>3",
    ]
    space = Free.of_texts(texts)
    table = ArchitectureTable.of([space.parse(text) for text in texts], space.operations)
    encoder = pretrain(space, table, config, device="cpu")
    assert encoder.space == "free"
    assert encoder.embed(table).shape == (3, 8)


def test_one_architecture_is_enough(space, table, config):
    assert pretrain(space, table[:1], config, device="cpu").provenance["epochs"] == 4


# What it leaves behind


def test_provenance(trained, table, config):
    provenance = trained.provenance
    assert sorted(provenance) == ["data", "epochs", "losses", "seconds", "versions"]
    assert provenance["data"]["digest"] == table.in_form(config.form).digest()
    assert provenance["epochs"] == 4
    assert len(provenance["losses"]) == 4
    assert all(math.isfinite(loss) and loss > 0 for loss in provenance["losses"])
    assert provenance["seconds"] > 0
    assert provenance["versions"] == versions()


def test_the_folder_holds_the_encoder_and_the_surrogate(space, table, config, trained, tmp_path):
    folder = tmp_path / "deep" / "encoder"
    written = pretrain(space, table, config, folder=folder, device="cpu")
    assert weights(written) == weights(trained)  # saving changes nothing
    loaded = PretrainedEncoder.load(folder, space.operations)
    assert weights(loaded) == weights(trained)
    assert loaded.provenance == json.loads(json.dumps(written.provenance)) | {
        "seconds": loaded.provenance["seconds"]
    }
    tensors, _ = run_module.load_checkpoint(folder)
    width, k = config.surrogate.width, len(space.operations)
    shapes = {name: tuple(t.shape) for name, t in tensors.items() if name.startswith("surrogate.")}
    assert shapes == {
        "surrogate.start": (width,),
        "surrogate.operation_map": (k, width),
        "surrogate.state_map": (2 * width, width),
    }


def test_a_checkpoint_every_so_many_epochs(space, table, config, tmp_path, monkeypatch):
    saved, save = [], run_module.save_checkpoint

    def counting(folder, tensors, content):
        saved.append(content["provenance"]["epochs"])
        save(folder, tensors, content)

    monkeypatch.setattr(run_module, "save_checkpoint", counting)
    pretrain(space, table, with_epochs(config, 5), folder=tmp_path / "run", save_every=2, device="cpu")
    assert saved == [0, 2, 4, 5]


def test_without_a_folder_nothing_is_written(space, table, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pretrain(space, table, with_epochs(config, 1), device="cpu")
    assert list(tmp_path.iterdir()) == []


# Stopped and resumed


def same_as_uninterrupted(encoder, trained):
    assert weights(encoder) == weights(trained)
    assert encoder.provenance["losses"] == trained.provenance["losses"]
    assert encoder.provenance["epochs"] == trained.provenance["epochs"]


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_stopped_at_an_epoch_and_resumed(space, table, config, trained, tmp_path, epoch):
    stopped(space, table, config, tmp_path / "run", report=stop_when(epoch))
    half = PretrainedEncoder.load(tmp_path / "run")
    assert half.provenance["epochs"] in (epoch - 1, epoch)
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)
    assert weights(PretrainedEncoder.load(tmp_path / "run")) == weights(trained)


@pytest.mark.parametrize("step", [0, 1, 4, 7, 11])  # three steps an epoch
def test_stopped_within_an_epoch_and_resumed(space, table, config, trained, tmp_path, stop_at_step, step):
    stop_at_step(step)
    stopped(space, table, config, tmp_path / "run")
    assert PretrainedEncoder.load(tmp_path / "run").provenance["epochs"] == step // 3
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_stopped_while_an_epoch_is_remembered(space, table, config, trained, tmp_path, monkeypatch):
    copies, state = iter(range(100)), run_module._Run._state

    def stopping(self):
        if next(copies) == 2:
            raise KeyboardInterrupt
        return state(self)

    monkeypatch.setattr(run_module._Run, "_state", stopping)
    stopped(space, table, config, tmp_path / "run")
    monkeypatch.undo()
    assert PretrainedEncoder.load(tmp_path / "run").provenance["epochs"] == 1
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_stopped_while_a_checkpoint_is_written(space, table, config, trained, tmp_path, monkeypatch):
    saves, save = iter(range(100)), run_module.save_checkpoint

    def stopping(folder, tensors, content):
        if next(saves) == 1:
            raise KeyboardInterrupt
        save(folder, tensors, content)

    monkeypatch.setattr(run_module, "save_checkpoint", stopping)
    stopped(space, table, config, tmp_path / "run", save_every=2)
    assert PretrainedEncoder.load(tmp_path / "run").provenance["epochs"] == 2  # the handler wrote it
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_stopped_after_every_epoch(space, table, config, trained, tmp_path):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    for epoch in (3, 4):
        stopped(space, table, config, tmp_path / "run", resume=True, report=stop_when(epoch))
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_killed_without_a_last_word(space, table, config, trained, tmp_path, stop_at_step):
    """A crash saves nothing, so the run goes on from the last regular checkpoint."""
    stop_at_step(10, error=MemoryError)
    stopped(space, table, config, tmp_path / "run", error=MemoryError, save_every=2)
    assert PretrainedEncoder.load(tmp_path / "run").provenance["epochs"] == 2
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_resuming_adds_up_the_seconds(space, table, config, tmp_path):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    before = PretrainedEncoder.load(tmp_path / "run").provenance["seconds"]
    assert resumed(space, table, config, tmp_path / "run").provenance["seconds"] > before > 0


def test_resuming_a_finished_run_trains_no_more(space, table, config, trained, tmp_path, stop_at_step):
    pretrain(space, table, config, folder=tmp_path / "run", device="cpu")
    stop_at_step(0, error=AssertionError)
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


def test_resuming_nothing_starts(space, table, config, trained, tmp_path):
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)
    assert weights(PretrainedEncoder.load(tmp_path / "run")) == weights(trained)


def test_resuming_in_an_empty_folder_starts(space, table, config, trained, tmp_path):
    same_as_uninterrupted(resumed(space, table, config, tmp_path), trained)


def test_killed_while_the_first_checkpoint_is_written(space, table, config, trained, tmp_path, monkeypatch):
    def killed(path, value):
        raise MemoryError

    monkeypatch.setattr("archflow.training.checkpoints.write_json", killed)
    stopped(space, table, config, tmp_path / "run", error=MemoryError)
    monkeypatch.undo()
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), trained)


CHANGES = {
    "encoder": EncoderConfig(width=9, layers=2),
    "form": "collapsed",
    "flow_weight": 0.25,
    "proxy_weight": 0.25,
    "standardize": not run_module.PretrainConfig().standardize,
    "surrogate": dataclasses.replace(run_module.PretrainConfig().surrogate, std=0.2),
    "decoder_layers": 3,
    "training": TrainingConfig(epochs=4, batch_size=9),
    "seed": 5,
}


def test_every_setting_is_tried_below():
    assert set(CHANGES) == {field.name for field in dataclasses.fields(run_module.PretrainConfig)}


@pytest.mark.parametrize("key", CHANGES)
def test_resuming_with_another_setting_names_it(space, table, config, tmp_path, key):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    before = (tmp_path / "run" / "checkpoint.json").read_bytes()
    changed = dataclasses.replace(config, **{key: CHANGES[key]})
    with pytest.raises(CheckpointError, match=rf"run: cannot resume with {key}[.a-z_]* = .*; the run was"):
        resumed(space, table, changed, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.json").read_bytes() == before


def test_resuming_on_other_architectures_is_refused(space, table, config, tmp_path):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    for other in (table[:-1], table[::-1], space.sample(len(table), np.random.default_rng(1))):
        with pytest.raises(CheckpointError, match="cannot resume, the run was begun on other architectures"):
            resumed(space, other, config, tmp_path / "run")


def test_resuming_with_another_proxy_is_refused(space, table, config, tmp_path):
    proxy = np.arange(float(len(table)))
    stopped(space, table, config, tmp_path / "run", report=stop_when(2), proxy=proxy)
    with pytest.raises(CheckpointError, match="proxy"):
        resumed(space, table, config, tmp_path / "run", proxy=-proxy)


def test_resuming_in_another_space_is_refused(space, table, config, tmp_path):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    toys = toy_table(10)
    with pytest.raises(CheckpointError, match="trained for another vocabulary than the space's"):
        resumed(Free(toys.operations), toys, config, tmp_path / "run")


def test_resuming_a_damaged_checkpoint_is_refused(space, table, config, tmp_path):
    stopped(space, table, config, tmp_path / "run", report=stop_when(2))
    (file,) = (tmp_path / "run").glob("weights-*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is cut off or damaged"):
        resumed(space, table, config, tmp_path / "run")


def test_an_existing_folder_is_refused_and_left_alone(space, table, config, tmp_path):
    pretrain(space, table, with_epochs(config, 1), folder=tmp_path / "run", device="cpu")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(OutputExistsError, match="run exists already"):
        pretrain(space, table, config, folder=tmp_path / "run", device="cpu")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


# What it refuses


@pytest.mark.parametrize(
    "proxy",
    [np.arange(22.0), np.arange(24.0), np.zeros((23, 1)), np.float64(3), np.zeros(0)],
    ids=lambda proxy: str(proxy.shape),
)
def test_a_proxy_of_another_length_is_refused(space, table, config, proxy):
    with pytest.raises(UsageError, match="proxy needs one finite number for each of the 23 architectures"):
        pretrain(space, table, config, proxy=proxy)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_proxy_that_is_not_finite_is_refused(space, table, config, value):
    proxy = np.arange(float(len(table)))
    proxy[7] = value
    with pytest.raises(UsageError, match="proxy needs one finite number"):
        pretrain(space, table, config, proxy=proxy)


def test_an_empty_table_is_refused(space, table, config, tmp_path):
    with pytest.raises(UsageError, match="at least one architecture; the table is empty"):
        pretrain(space, table[:0], config, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_in_another_vocabulary_is_refused(space, config):
    with pytest.raises(UsageError, match="another vocabulary"):
        pretrain(space, toy_table(5), config)


def test_a_device_that_is_not_there_is_refused(space, table, config, tmp_path):
    with pytest.raises(UsageError, match="device 'gpu' cannot be used"):
        pretrain(space, table, config, folder=tmp_path / "run", device="gpu")
    assert not (tmp_path / "run").exists()


def test_save_every_out_of_range_is_refused(space, table, config, tmp_path):
    with pytest.raises(UsageError, match="save_every"):
        pretrain(space, table, config, folder=tmp_path / "run", save_every=0)


def test_a_diverged_run_keeps_its_last_good_checkpoint(space, table, config, tmp_path, monkeypatch):
    steps, loss = iter(range(1000)), run_module._Run.loss
    monkeypatch.setattr(
        run_module._Run, "loss", lambda self, rows: loss(self, rows) * (1 if next(steps) < 7 else math.nan)
    )
    with pytest.raises(DivergedError, match="became nan in epoch 3"):
        pretrain(space, table, config, folder=tmp_path / "run", save_every=1, device="cpu")
    encoder = PretrainedEncoder.load(tmp_path / "run")
    assert encoder.provenance["epochs"] == 2
    assert np.isfinite(encoder.embed(table)).all()


# Killed for real

CHILD = """
import sys, time
import numpy as np
import torch
from pathlib import Path
from archflow.encoders import EncoderConfig
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig

def report(done, total, remark=""):
    print(done, flush=True)
    time.sleep(0.3)

torch.set_num_threads(1)
space = NASBench201()
table = space.sample(20, np.random.default_rng(0))
config = PretrainConfig(
    encoder=EncoderConfig(width=8, layers=2),
    form="pruned",
    training=TrainingConfig(epochs=6, batch_size=8),
    seed=3,
)
pretrain(space, table, config, folder=Path(sys.argv[1]), save_every=1, device="cpu", report=report)
"""


def test_killed_by_the_system_and_resumed(space, config, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if line.strip() == "4":
                child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    half = PretrainedEncoder.load(folder)
    assert 3 <= half.provenance["epochs"] <= 4
    table, config = space.sample(20, np.random.default_rng(0)), with_epochs(config, 6)
    same_as_uninterrupted(resumed(space, table, config, folder), pretrain(space, table, config, device="cpu"))
    names = sorted(path.name for path in folder.iterdir())
    (file,) = folder.glob("weights-*")
    assert names == ["checkpoint.json", file.name]
    assert file.name == f"weights-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}.safetensors"
