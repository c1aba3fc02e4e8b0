import numpy as np
import pytest

from archflow.datasets import read_table, write_table
from archflow.encoders import EncoderConfig
from archflow.predictors import FineTuneConfig
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig


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
