import contextlib

import numpy as np
import pytest
import torch

from archflow.encoders import EncoderConfig
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig


@contextlib.contextmanager
def single_threaded():
    """Bitwise equality is promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def one_thread():
    with single_threaded():
        yield


@pytest.fixture(scope="session")
def space():
    return NASBench201()


@pytest.fixture(scope="session")
def table(space):
    """Cells as written, two of which repeat others: one exactly, one up to operations that nothing uses."""
    drawn = space.sample(20, np.random.default_rng(0))
    twin = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    other = space.parse("|avg_pool_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    return type(drawn).of([twin, other, *drawn, drawn[3]], space.operations)


@pytest.fixture(scope="session")
def config():
    return PretrainConfig(
        encoder=EncoderConfig(width=8, layers=2),
        form="pruned",
        training=TrainingConfig(epochs=4, batch_size=8),
        seed=3,
    )


@pytest.fixture(scope="session")
def trained(space, table, config):
    with single_threaded():  # set up before the fixture above
        return pretrain(space, table, config, device="cpu")
