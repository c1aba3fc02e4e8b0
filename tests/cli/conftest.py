import dataclasses
import re
import sys

import numpy as np
import pytest

from archflow.cli import main
from archflow.datasets import write_table
from archflow.encoders import EncoderConfig
from archflow.predictors import FineTuneConfig
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig

FREE = [
    "input,conv,pool,output;0>1,1>2,2>3",
    "input,conv,output;0>1,1>2",
    "input,pool,output;0>1,1>2",
    "input,conv,conv,output;0>1,1>2,2>3",
    "input,conv,pool,output;0>1,0>2,1>3,2>3",
    "input,output;0>1",
]
"""Architectures of the free space over conv and pool."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command printed, plain."""

    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command that must end with the given exit code, and return what it printed.

    The first argument may be several words.
    """
    monkeypatch.setenv("COLUMNS", "100")
    quick = FineTuneConfig(TrainingConfig(epochs=2, batch_size=16, gradient_norm=1.0))
    monkeypatch.setattr(FineTuneConfig, "default", staticmethod(lambda encoder, *, pretrained: quick))

    def command(words="", *arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["archflow", *words.split(), *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
        plain = Outcome(*printed)
        assert (end.value.code or 0) == code, plain
        return plain

    return command


@pytest.fixture
def refused(run):
    """Run a command that must fail with one line on stderr that holds all the given parts; return it."""

    def command(*arguments, code, parts=()):
        outcome = run(*arguments, code=code)
        assert outcome.out == ""
        assert outcome.err.startswith("archflow: ")
        assert outcome.err.count("\n") <= 2
        assert "Traceback" not in outcome.err
        for part in parts:
            assert str(part) in outcome.err
        return outcome.err

    return command


@pytest.fixture(scope="session")
def space():
    return NASBench201()


@pytest.fixture(scope="session")
def cells(space):
    """The texts of 24 distinct cells."""
    return [space.format(cell) for cell in space.sample(24, np.random.default_rng(0))]


@pytest.fixture
def table(tmp_path):
    """Write a table and return its path."""

    def write(name, **columns):
        write_table(tmp_path / name, columns)
        return tmp_path / name

    return write


@pytest.fixture
def measured(table, cells):
    """Sixteen measured cells."""
    accuracy = np.random.default_rng(1).normal(90, 3, size=16)
    return table("measured.csv", arch=cells[:16], acc=accuracy, cost=accuracy**2)


@pytest.fixture
def candidates(table, cells):
    """Fourteen cells, six of them measured."""
    return table("candidates.csv", arch=cells[10:])


@pytest.fixture
def free_measured(table):
    return table("free.csv", arch=FREE, acc=np.arange(float(len(FREE))))


@pytest.fixture(scope="session")
def encoder(space, tmp_path_factory):
    """The folder of a tiny pre-trained encoder."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    settings = PretrainConfig(encoder=EncoderConfig(width=8), training=TrainingConfig(1, 16))
    pretrain(space, space.sample(30, np.random.default_rng(2)), settings, folder=folder, device="cpu")
    return folder
