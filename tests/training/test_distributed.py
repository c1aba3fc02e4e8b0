"""Training in several processes: the curve of one, whatever the loss compares, and nobody waits for ever."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archflow.encoders import EncoderConfig
from archflow.errors import ArchflowError, UsageError
from archflow.graphs import GraphBatch
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.pretrain import run as run_module
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import toy_table
from archflow.training import Processes, ProcessLostError, TrainingConfig, launched_processes
from archflow.training.distributed import ALONE, SharedEncoder, _OwnDraws, graphs_between
from archflow.training.loop import seeded

SPACE = NASBench201()
ROWS = 25  # three batches, of 12, 12 and 1: the last leaves a process without a graph
PATIENCE = 120  # seconds; what hangs fails
COLUMNS = toy_table(9).columns


def config(objectives, dropout=0.0, encoder="gin"):
    return PretrainConfig(
        encoder=EncoderConfig(encoder, width=8, layers=2, dropout=dropout),
        form="as-written",
        objectives=dict.fromkeys(objectives.split("+"), 1.0),
        training=TrainingConfig(epochs=4, batch_size=12, learning_rate=0.01),
    )


def run(settings, folder, processes=ALONE, **options):
    table = SPACE.sample(ROWS, np.random.default_rng(0))
    return pretrain(SPACE, table, settings, folder=folder, device="cpu", processes=processes, **options)


SAME = {
    "fgp": config("flow+proxy"),
    "contrastive": config("contrastive"),
    "masked": config("masked-operations", encoder="gated_gcn"),
    "nodes": config("graph-reconstruction+path"),
}
DROPOUT = config("flow+proxy", dropout=0.3)


class Drawing(nn.Module):
    """Embeds graphs as random numbers."""

    def forward(self, batch):
        return torch.zeros(batch.n_nodes, 1), torch.rand(batch.n_graphs, 1)


# What two processes do, in one start of them


def digest(encoder):
    content = b"".join(tensor.numpy().tobytes() for tensor in encoder.module.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def interrupted_at(step, action):
    """Let the given call of a run's loss, counted from 0, do something first."""
    calls, loss = iter(range(1_000_000)), run_module._Run.loss

    def acting(self, rows):
        if next(calls) == step:
            action()
        return loss(self, rows)

    run_module._Run.loss = acting
    return loss


def all_goes_well(processes, folder):
    """Return what a process finds, which becomes JSON."""
    found = {}
    for name, settings in SAME.items():
        trained = run(settings, folder / name, processes)
        found[name] = [digest(trained), trained.provenance["losses"]]

    whole = run(DROPOUT, None, processes)
    loss = interrupted_at(7, lambda: processes.main or os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(DROPOUT, folder / "stopped", processes)
    run_module._Run.loss = loss
    processes.wait()  # for what the main one saves
    found["stopped after"] = PretrainedEncoder.load(folder / "stopped").provenance["epochs"]
    if processes.main:
        shutil.copytree(folder / "stopped", folder / "half")
    processes.wait()
    resumed = run(DROPOUT, folder / "stopped", processes, resume=True)
    found["whole"], found["resumed"] = digest(whole), digest(resumed)

    with pytest.raises(UsageError, match="processes of this run differ in settings, architectures or"):
        run(dataclasses.replace(DROPOUT, seed=processes.number), None, processes)

    layers = nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(3))
    layers[0].weight.grad = torch.full((1, 2), float(processes.number))
    if processes.main:
        layers[1].weight.grad = torch.tensor([[4.0, 8.0]])
    processes.average_gradients(layers)
    found["gradients"] = [None if w.grad is None else w.grad.tolist() for w in layers.parameters()]
    found["agreed"] = processes.agreed(processes.number + 0.1)

    encoder, batch = processes.sharing(Drawing()), GraphBatch.of(COLUMNS)
    with seeded(3):
        nodes, graphs = encoder(batch)
        found["drawn within"], found["drawn outside"] = graphs.flatten().tolist(), float(torch.rand(()))
    found["shape"] = [len(nodes), len(graphs)]
    return found


def one_dies(processes, folder):
    interrupted_at(7, lambda: processes.main or os._exit(9))
    with pytest.raises(ProcessLostError, match="ended or does not answer; see what it said"):
        run(DROPOUT, folder / "lost", processes)


def work(number, port, folder):
    """Be one of two processes, as a launcher starts them."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with launched_processes("cpu") as processes:
        assert (processes.number, processes.count, processes.main) == (number, 2, number == 0)
        found = all_goes_well(processes, folder)
        (folder / f"{number}.json").write_text(json.dumps(found))
        one_dies(processes, folder)
        sys.exit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def both(folder):
    """What the two processes found before one of them died."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    crew = [context.Process(target=work, args=(number, port, folder)) for number in range(2)]
    for process in crew:
        process.start()
    deadline = time.monotonic() + PATIENCE
    for process in crew:
        process.join(max(0.0, deadline - time.monotonic()))
    hung = [process for process in crew if process.exitcode is None]
    for process in hung:
        process.kill()
    assert not hung
    assert [process.exitcode for process in crew] == [0, 9]
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(2)]


# Two processes are one


@pytest.mark.parametrize("name", SAME)
def test_the_curve_and_the_weights_are_those_of_one_process(both, folder, name):
    alone = run(SAME[name], None)
    together = PretrainedEncoder.load(folder / name)
    assert together.provenance["losses"] == pytest.approx(alone.provenance["losses"], abs=1e-5, rel=0)
    for key, weight in alone.module.state_dict().items():
        torch.testing.assert_close(together.module.state_dict()[key], weight, atol=1e-5, rtol=0)
    assert (together.provenance["processes"], alone.provenance["processes"]) == (2, 1)


@pytest.mark.parametrize("name", SAME)
def test_both_processes_have_the_same_bits(both, folder, name):
    assert both[0][name] == both[1][name]
    assert both[0][name][0] == digest(PretrainedEncoder.load(folder / name))


def test_ctrl_c_to_one_stops_both_and_they_resume_to_the_same_bits(both):
    for found in both:
        assert found["stopped after"] == 2  # three steps an epoch, and a signal in the eighth
        assert found["resumed"] == found["whole"]


def test_one_process_goes_on_with_the_run_of_two(both, folder):
    resumed = run(DROPOUT, folder / "half", resume=True)
    assert (resumed.provenance["epochs"], resumed.provenance["processes"]) == (4, 1)


def test_gradients_are_averaged_and_what_nobody_has_stays_none(both):
    for found in both:
        assert found["gradients"] == [[[0.5, 0.5]], [[2.0, 4.0]], None]


def test_the_main_process_decides_what_is_agreed(both):
    assert [found["agreed"] for found in both] == [0.1, 0.1]


def test_what_encoders_draw_differs_between_processes_and_what_else_is_drawn_does_not(both):
    one, other = both
    assert one["drawn within"] == other["drawn within"]  # each has the whole
    assert len(set(one["drawn within"])) == len(COLUMNS)
    with seeded(3):
        assert one["drawn outside"] == other["drawn outside"] == float(torch.rand(()))
    assert one["shape"] == [len(COLUMNS.operation_ids), len(COLUMNS)]


def test_when_a_process_dies_the_other_saves_and_ends(both, folder):
    assert PretrainedEncoder.load(folder / "lost").provenance["epochs"] == 2


def test_the_command_under_accelerate(tmp_path):
    out, record = tmp_path / "encoder", tmp_path / "record.json"
    words = (
        "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no "
        "--dynamo_backend no --main_process_port 0 -m archflow pretrain --space nasbench201 --sample 30 "
        f"--epochs 2 --batch 16 --width 8 --device cpu --out {out} --json {record}"
    )
    result = subprocess.run(
        [sys.executable, *words.split()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("gin pre-trained on 30 architectures") == 1
    assert json.loads(record.read_text())["provenance"]["processes"] == 2
    assert len(PretrainedEncoder.load(out, SPACE.operations).provenance["losses"]) == 2


# Parts that need no second process


@given(st.integers(0, 40), st.integers(1, 7))
def test_shares_cover_the_rows_in_order_and_are_even(length, count):
    shares = [Processes(number, count).share(length) for number in range(count)]
    assert [row for begin, end in shares for row in range(begin, end)] == list(range(length))
    sizes = [end - begin for begin, end in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 8), st.integers(1, 9))
def test_graphs_between_are_a_batch_of_their_own(begin, count):
    end = min(begin + count, len(COLUMNS))
    part = graphs_between(GraphBatch.of(COLUMNS), begin, end)
    expected = GraphBatch.of(COLUMNS.take(np.arange(begin, end)))
    for field in dataclasses.fields(GraphBatch):
        assert torch.equal(getattr(part, field.name), getattr(expected, field.name)), field.name


@given(st.integers(1, 9), st.integers(2, 12))
def test_every_node_is_seen_by_one_process_unless_graphs_are_few(length, count):
    batch = GraphBatch.of(COLUMNS.take(np.arange(length)))
    seen = [SharedEncoder(nn.Identity(), Processes(n, count)).own_nodes(batch) for n in range(count)]
    assert all(nodes.start < nodes.stop for nodes in seen)  # no encoder meets an empty batch
    covered = [node for nodes in seen for node in range(nodes.start, nodes.stop)]
    assert set(covered) == set(range(batch.n_nodes))
    assert length < count or len(covered) == batch.n_nodes


def test_own_draws_go_on_until_the_common_stream_is_seeded_anew():
    draws, kept = _OwnDraws(Processes(1, 2)), []
    for epoch in (0, 0, 1):
        with seeded(5, epoch):
            for _ in range(2):
                with draws:
                    kept.append(float(torch.rand(())))
            common = float(torch.rand(()))
        with seeded(5, epoch):
            assert common == float(torch.rand(()))
    assert kept[2:4] != kept[:2]  # of one seed, the stream goes on
    assert len(set(kept)) == 6
    again = _OwnDraws(Processes(1, 2))
    with seeded(5, 0), again:
        assert float(torch.rand(())) == kept[0]


def test_one_process_is_left_as_it_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)  # which nobody asks for
    encoder, handler = nn.Linear(1, 1), signal.getsignal(signal.SIGINT)
    with launched_processes("cuda:7") as processes, processes.stopping_together():
        assert processes is ALONE
        assert signal.getsignal(signal.SIGINT) is handler
        assert processes.sharing(encoder) is encoder
        processes.average_gradients(encoder)
        processes.require_same("anything")
        assert processes.agreed(2.5) == 2.5
    assert encoder.weight.grad is None


@pytest.fixture
def launched(monkeypatch):
    """Look like the second of two processes; nobody listens where the first one should be."""
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("MASTER_ADDR", raising=False)


def refused(*parts, device="cpu"):
    with pytest.raises(UsageError) as error, launched_processes(device):
        pass
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_several_processes_need_accelerate(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    refused("one of 2 processes, which need accelerate", "pip install 'archflow[multi-gpu]'")


def test_processes_that_do_not_find_each_other(launched, monkeypatch):
    refused("this process of 2 does not find the others (", "MASTER_ADDR")
    monkeypatch.setenv("RANK", "first")
    refused("this process of 2 does not find the others (")


def test_processes_do_not_meet_twice(launched, monkeypatch):
    state = types.SimpleNamespace(PartialState=lambda cpu, timeout: None)  # remembers that it was set up
    monkeypatch.setitem(sys.modules, "accelerate", state)
    refused("the processes have parted")


def test_devices_of_several_processes(launched, monkeypatch):
    refused("device 'cuda:1' is for one process", "--device cpu", device="cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device in ("cuda", "auto"):
        refused("more processes than GPUs here (1)", "--device cpu", device=device)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    refused("does not find the others", device="auto")


def test_a_batch_has_a_graph_for_each_process(tmp_path):
    with pytest.raises(UsageError, match="batch of 12 is less than one graph for each of 13 processes"):
        run(SAME["fgp"], tmp_path / "run", Processes(0, 13))
    assert not (tmp_path / "run").exists()


def test_a_lost_process_is_one_of_our_errors():
    assert issubclass(ProcessLostError, ArchflowError)
    assert issubclass(ProcessLostError, ConnectionError)
