import numpy as np
import pytest

from archflow.benchmark import read_protocol
from archflow.benchmark.data import read_data
from archflow.benchmark.folder import BenchmarkFolder
from archflow.datasets import read_table, write_table
from archflow.encoders import EncoderConfig
from archflow.errors import ArchflowError
from archflow.predictors import FineTuneConfig
from archflow.pretrain import PretrainConfig, pretrain
from archflow.progress import silent
from archflow.records import RunRecord
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig
from archflow.workers import Done, Failed


@pytest.fixture(scope="session")
def space():
    return NASBench201()


@pytest.fixture(scope="session")
def measure(space, tmp_path_factory):
    """Write so many cells with an accuracy that their operations decide, and read them as a table."""

    def build(count, target="accuracy"):
        cells = space.sample(count, np.random.default_rng(0))
        names = np.array([cell.operations for cell in cells])
        worth = {"nor_conv_3x3": 2.0, "nor_conv_1x1": 1.5, "skip_connect": 1.0, "none": -1.0}
        accuracy = 80 + sum(value * (names == name).sum(axis=1) for name, value in worth.items())
        accuracy = accuracy + np.random.default_rng(1).normal(scale=0.1, size=count)
        path = tmp_path_factory.mktemp("table") / "measured.parquet"
        write_table(path, {"arch": [space.format(cell) for cell in cells], target: accuracy})
        return read_table(path, space, target)

    return build


@pytest.fixture(scope="session")
def tuning():
    return FineTuneConfig(TrainingConfig(epochs=2, batch_size=16, gradient_norm=1.0))


@pytest.fixture(scope="session")
def encoder(space):
    settings = PretrainConfig(encoder=EncoderConfig(width=8), training=TrainingConfig(1, 16))
    return pretrain(space, space.sample(30, np.random.default_rng(2)), settings, device="cpu")


TINY = """
name: tiny
spaces:
  digits: {space: nasbench201, table: digits, target: valid_acc}
labels: [1%, 30]
permutations: [21, 2021]
model_seeds: [21]
sizes: {width: 8, layers: 1}
pretraining: {epochs: 2}
fine_tuning: {epochs: 2}
methods:
  - random
  - {encoder: gin, pretext: [none, flow+proxy]}
quick: {labels: [1%], permutations: [21]}
"""
"""A protocol of 12 runs and one encoder, on the table that ships."""


@pytest.fixture
def protocol_file(tmp_path):
    """Write the tiny protocol with some of its text replaced, and return its path."""

    def write(*replacements, text=TINY, name="tiny.yaml"):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.fixture
def in_process(monkeypatch):
    """Do a benchmark's jobs in this process, one after the other: starting others takes seconds."""

    def serially(jobs, needs, work, place, workers):
        failed = set()
        for job in jobs:
            try:
                if needs(job) in failed:
                    raise ArchflowError("what it needs failed")
                yield Done(job, work(place, job, silent))
            except ArchflowError as error:
                failed.add(job)
                yield Failed(job, str(error))

    monkeypatch.setattr("archflow.benchmark.runner.work_through", serially)


@pytest.fixture
def opened(protocol_file, tmp_path):
    """Make the folder of the tiny protocol, without running anything."""

    def build(*replacements, out="out"):
        path = protocol_file(*replacements)
        protocol = read_protocol(path)
        identities = {name: table.identity() for name, table in read_data(protocol, path, None).items()}
        return BenchmarkFolder.create(tmp_path / out, protocol, identities)

    return build


@pytest.fixture
def record_of():
    """Return a record of a run with some scores."""

    def build(run, tau=0.5, **cost):
        return RunRecord(
            config=run.config,
            seeds=run.seeds,
            data_digest=run.data_digest,
            scores={
                "kendall_tau": tau,
                "spearman": tau + 0.1,
                "precision_at": {"1": 0.1, "5": 0.2, "10": 0.3, "50": 0.8},
            },
            cost={"fit_seconds": 2.0, "predict_seconds": 0.5, "ranked_per_second": 1000.0, **cost},
        )

    return build
