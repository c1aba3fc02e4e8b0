import numpy as np
import pytest

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.predictors import METHODS, FineTuneConfig, Predictor
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.nasbench201 import NASBench201
from archflow.training import TrainingConfig

TUNING = FineTuneConfig(TrainingConfig(epochs=3, batch_size=8, gradient_norm=1.0))
PRETRAINING = TrainingConfig(epochs=1, batch_size=16)


@pytest.fixture(scope="session")
def space():
    return NASBench201()


@pytest.fixture(scope="session")
def table(space):
    return space.sample(24, np.random.default_rng(0))


@pytest.fixture(scope="session")
def values(table):
    return np.random.default_rng(1).normal(90, 3, size=len(table))


@pytest.fixture(scope="session")
def candidates(space):
    return space.sample(40, np.random.default_rng(2))


@pytest.fixture(scope="session")
def tuning():
    return TUNING


@pytest.fixture(scope="session")
def pretraining():
    """Settings by name of the encoder."""
    return {
        name: PretrainConfig(EncoderConfig(name, width=8, layers=2), form="pruned", training=PRETRAINING)
        for name in ENCODERS
    }


@pytest.fixture(scope="session")
def encoders(space, candidates, pretraining):
    """Pre-trained encoders by name."""
    return {name: pretrain(space, candidates, config, device="cpu") for name, config in pretraining.items()}


@pytest.fixture(scope="session")
def make(space, encoders):
    """Build a predictor that trains in an instant."""

    def build(method, **options):
        if METHODS[method].pretrained:
            options = {"encoder": encoders[METHODS[method].encoder or "gin"], **options}
        return Predictor(
            space, method, **{"form": "pruned", "fine_tuning": TUNING, "device": "cpu", **options}
        )

    return build
