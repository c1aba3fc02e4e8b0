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
from archflow.encoders.embedding import embed
from archflow.errors import CheckpointError, OutputExistsError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.pretrain import OBJECTIVES, PretrainedEncoder, pretrain
from archflow.pretrain import run as run_module
from archflow.records import versions
from archflow.spaces.free import Free
from archflow.testing import SIZED_TOY_OPERATIONS, toy_table
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


def on(objective, config, **training):
    """Return settings with one objective."""
    training = dataclasses.replace(config.training, **training)
    return dataclasses.replace(config, objectives={objective: 1.0}, training=training)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_of_every_objective_falls(space, config, objective):
    config = on(objective, config, epochs=25, batch_size=20, learning_rate=0.01)
    table = space.sample(60, np.random.default_rng(1))
    losses = pretrain(space, table, config, device="cpu").provenance["losses"]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_teaches_the_encoder(space, table, config, objective):
    run = run_module._Run(space, table, on(objective, config), None, torch.device("cpu"))
    run.loss(torch.arange(20)).backward()
    gradients = [weight.grad for weight in run.module["encoder"].parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(gradient.abs().sum() > 0 for gradient in gradients) > len(gradients) / 2


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_stands_the_smallest_graphs(config, objective):
    graphs = [
        Architecture(("input", "output"), ()),
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2))),
    ]
    space = Free(Operations.of(["conv"]))
    for rows in (graphs[:1], graphs[1:2], graphs):
        table = ArchitectureTable.of(rows, space.operations)
        encoder = pretrain(space, table, on(objective, config, batch_size=1), device="cpu")
        assert all(math.isfinite(loss) for loss in encoder.provenance["losses"])
        assert np.isfinite(encoder.embed(table)).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_sees_graphs_with_attributes(config, objective):
    table = toy_table(30, operations=SIZED_TOY_OPERATIONS)
    space = Free(SIZED_TOY_OPERATIONS)
    encoder = pretrain(space, table, on(objective, config, epochs=1), device="cpu")
    assert np.isfinite(encoder.embed(table)).all()


def test_objectives_add_up_on_one_encoder_call(space, table, config):
    weights = {"flow": 0.25, "proxy": 2.0, "path": 0.5}
    run = run_module._Run(
        space, table, dataclasses.replace(config, objectives=weights), None, torch.device("cpu")
    )
    calls = []
    run.module["encoder"].register_forward_hook(lambda *_: calls.append(0))
    run.module.eval()
    total = run.loss(torch.arange(20)).item()
    assert len(calls) == 1
    sums = run.module["objectives"]
    parts = []
    for name in weights:
        sums.weights = {other: float(other == name) for other in weights}
        parts.append(weights[name] * run.loss(torch.arange(20)).item())
    assert total == pytest.approx(sum(parts), rel=1e-6)


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


def test_weighted_graphs_take_part_as_often_as_they_are_there(space, table, config, trained, monkeypatch):
    seen, loss = [], run_module._Run.loss

    def noting(self, rows):
        columns = self.columns.take(self.graphs[rows.numpy()])
        seen.extend(ArchitectureTable(columns, space.operations).keys())
        return loss(self, rows)

    monkeypatch.setattr(run_module._Run, "loss", noting)
    weighted = dataclasses.replace(config, weighted=True)
    encoder = pretrain(space, table, with_epochs(weighted, 1), device="cpu")
    assert sorted(seen) == sorted(table.pruned().keys())
    assert len(set(seen)) == encoder.provenance["data"]["distinct_graphs"] < len(table)
    monkeypatch.undo()
    assert weights(pretrain(space, table, weighted, device="cpu")) != weights(trained)


def test_weights_change_nothing_where_every_graph_is_there_once(space, table, config, trained):
    once = table[np.sort(np.unique(table.pruned().keys(), return_index=True)[1])]
    weighted = pretrain(space, once, dataclasses.replace(config, weighted=True), device="cpu")
    assert weights(weighted) == weights(trained)


def test_the_targets_of_weighted_graphs_are_their_own(space, table, config):
    """A batch of one row has the loss of that row's graph, evaluated by itself."""
    config = dataclasses.replace(config, objectives={"flow": 1.0}, weighted=True, standardize=False)
    run = run_module._Run(space, table, config, None, torch.device("cpu"))
    run.module.eval()
    surrogates = torch.from_numpy(run.surrogate(table.pruned(), dtype=np.float64)).float()
    embeddings = torch.from_numpy(embed(run.module["encoder"], table.pruned()))
    decoder = run.module.get_submodule("objectives.objectives.flow.decoder")
    wanted = (decoder(embeddings) - surrogates).square().sum(dim=1)
    losses = [run.loss(torch.tensor([row])).item() for row in range(len(table))]
    assert losses == pytest.approx(wanted.tolist(), rel=1e-4)


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


def test_a_proxy_takes_part_where_it_is_an_objective(space, table, config, trained):
    proxy = np.random.default_rng(0).normal(size=len(table))
    assert weights(pretrain(space, table, config, proxy=proxy, device="cpu")) != weights(trained)
    alone = dataclasses.replace(config, objectives={"flow": 1.0})
    one, other = (pretrain(space, table, alone, proxy=p, device="cpu") for p in (proxy, -proxy))
    assert weights(one) == weights(other)


def test_gaps_in_the_proxy(space, table, config):
    proxy = np.random.default_rng(0).normal(size=len(table))
    proxy[[4, 5, 9]] = np.nan
    encoder = pretrain(space, table, config, proxy=proxy, device="cpu")
    assert all(math.isfinite(loss) for loss in encoder.provenance["losses"])
    assert weights(encoder) != weights(
        pretrain(space, table, config, proxy=np.nan_to_num(proxy), device="cpu")
    )


def test_a_gap_is_filled_by_the_same_graph_in_another_row(space, table, config):
    """Rows 0 and 1 are one graph in the form that the encoder sees, and so are rows 5 and 22."""
    assert table.pruned().keys()[0] == table.pruned().keys()[1]
    assert table.pruned().keys()[5] == table.pruned().keys()[22]
    proxy = np.random.default_rng(0).normal(size=len(table))
    gaps = proxy.copy()
    gaps[0], gaps[1], gaps[22] = np.nan, proxy[0], np.nan
    one, other = (pretrain(space, table, config, proxy=column, device="cpu") for column in (proxy, gaps))
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
    assert sorted(provenance) == ["data", "epochs", "losses", "processes", "seconds", "versions"]
    assert provenance["data"]["digest"] == table.in_form(config.form).digest()
    assert provenance["epochs"] == 4
    assert provenance["processes"] == 1
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


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_goes_on_where_it_stopped(space, table, config, tmp_path, stop_at_step, objective):
    config = on(objective, config, epochs=3)
    whole = pretrain(space, table, config, device="cpu")
    stop_at_step(5)  # within the second epoch
    stopped(space, table, config, tmp_path / "run")
    assert PretrainedEncoder.load(tmp_path / "run").provenance["epochs"] == 1
    same_as_uninterrupted(resumed(space, table, config, tmp_path / "run"), whole)


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


# Ended by a plateau


@pytest.fixture
def impatient(config):
    """Settings whose loss stays where it is, but for the dropout."""
    training = TrainingConfig(epochs=20, batch_size=8, learning_rate=1e-6)
    return dataclasses.replace(config, training=training, patience=2)


def test_a_plateau_ends_the_run(space, table, impatient, tmp_path):
    patient = dataclasses.replace(impatient, patience=None)
    whole = pretrain(space, table, patient, device="cpu").provenance["losses"]
    early = pretrain(space, table, impatient, folder=tmp_path / "run", device="cpu")
    losses = early.provenance["losses"]
    assert 2 < len(losses) < 20
    assert losses == whole[: len(losses)]
    assert [impatient.finished(losses[:epochs]) for epochs in range(1, len(losses) + 1)] == [
        *[False] * (len(losses) - 1),
        True,
    ]
    assert early.provenance["epochs"] == len(losses)
    tensors, content = run_module.load_checkpoint(tmp_path / "run")
    assert content["provenance"]["losses"] == losses  # saved at its end, and without the decoders
    assert {name.partition(".")[0] for name in tensors} == {"encoder", "surrogate"}


def test_a_run_that_a_plateau_ends_goes_on_where_it_stopped(space, table, impatient, tmp_path):
    whole = pretrain(space, table, impatient, device="cpu")
    last = whole.provenance["epochs"]
    for epoch in range(1, last):
        stopped(space, table, impatient, tmp_path / "run", resume=True, report=stop_when(epoch + 1))
    same_as_uninterrupted(resumed(space, table, impatient, tmp_path / "run"), whole)


def test_resuming_a_run_that_a_plateau_ended_trains_no_more(space, table, impatient, tmp_path, stop_at_step):
    whole = pretrain(space, table, impatient, folder=tmp_path / "run", device="cpu")
    stop_at_step(0, error=AssertionError)
    same_as_uninterrupted(resumed(space, table, impatient, tmp_path / "run"), whole)


CHANGES = {
    "encoder": EncoderConfig(width=9, layers=2),
    "form": "collapsed",
    "objectives": {"flow": 0.25, "proxy": 0.5},
    "standardize": not run_module.PretrainConfig().standardize,
    "surrogate": dataclasses.replace(run_module.PretrainConfig().surrogate, std=0.2),
    "decoder_layers": 3,
    "training": TrainingConfig(epochs=4, batch_size=9),
    "seed": 5,
    "patience": 3,
    "weighted": True,
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


@pytest.mark.parametrize(("begun", "other"), [("flow", "flow+path"), ("flow+path", "flow")])
def test_resuming_with_more_or_fewer_objectives_is_refused(space, table, config, tmp_path, begun, other):
    begun, other = (
        dataclasses.replace(config, objectives=dict.fromkeys(names.split("+"), 0.5))
        for names in (begun, other)
    )
    stopped(space, table, begun, tmp_path / "run", report=stop_when(2))
    with pytest.raises(
        CheckpointError, match=r"cannot resume with objectives = \{.*\}; the run was begun with \{"
    ):
        resumed(space, table, other, tmp_path / "run")


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
    with pytest.raises(UsageError, match="one finite number, or NaN, for each of the 23 architectures"):
        pretrain(space, table, config, proxy=proxy)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_a_proxy_that_is_not_finite_is_refused(space, table, config, value):
    proxy = np.arange(float(len(table)))
    proxy[7] = value
    with pytest.raises(UsageError, match="proxy needs one finite number"):
        pretrain(space, table, config, proxy=proxy)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0]], ids=len)
def test_a_proxy_that_ranks_nothing_is_refused(space, table, config, values):
    proxy = np.full(len(table), np.nan)
    proxy[3 : 3 + len(values)] = values
    with pytest.raises(UsageError, match="nothing to rank by: the proxy needs at least two different values"):
        pretrain(space, table, config, proxy=proxy)
    pretrain(space, table[:5], with_epochs(dataclasses.replace(config, objectives={"flow": 1.0}), 1),
             proxy=proxy[:5], device="cpu")  # fmt: skip


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
