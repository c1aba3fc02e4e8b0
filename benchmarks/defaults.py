"""What each default is worth, on the embedded digits benchmark: one change at a time.

    python benchmarks/defaults.py

Encoders are pre-trained for 60 epochs here, so that it takes minutes; labels are drawn with seeds from 100.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import numpy as np
import torch

from archflow.benchmark import evaluate
from archflow.datasets import digits_table
from archflow.predictors import FineTuneConfig, Predictor
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.spaces import NASBench201

EPOCHS = 60
LABELS = 100


def rate(value: float) -> FineTuneConfig:
    """Return the fine-tuning defaults at another learning rate."""
    config = FineTuneConfig()
    return FineTuneConfig(dataclasses.replace(config.training, learning_rate=value), config.margin)


# Row of the table, method, changes to the predictor, changes to the pre-training.
ROWS: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("gin", "gin", {}, {}),
    ("gin, pruned", "gin", {"form": "pruned"}, {}),
    ("gin, rate 3e-4", "gin", {"fine_tuning": rate(3e-4)}, {}),
    ("fgp-gin", "fgp-gin", {}, {}),
    ("fgp-gin, pruned", "fgp-gin", {"form": "pruned"}, {"form": "pruned"}),
    ("fgp-gin, rate 1e-3", "fgp-gin", {"fine_tuning": rate(1e-3)}, {}),
    ("fgp-gin, surrogate as drawn", "fgp-gin", {}, {"standardize": False}),
    ("fgp-gin, flow alone", "fgp-gin", {}, {"objectives": {"flow": 1.0}}),
    ("fgp-gin, proxy alone", "fgp-gin", {}, {"objectives": {"proxy": 1.0}}),
)


def main() -> None:
    """Measure and print every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="draws of labels")
    seeds = range(100, 100 + parser.parse_args().seeds)
    torch.set_num_threads(1)
    space, table = NASBench201(), digits_table()
    encoders: dict[PretrainConfig, PretrainedEncoder] = {}
    print(f"{'':30}  Kendall tau        P@1%   P@5%  P@10%")
    for name, method, predictor_changes, pretrain_changes in ROWS:
        encoder = None
        if method == "fgp-gin":
            config = dataclasses.replace(PretrainConfig.for_space(space.name, "gin"), **pretrain_changes)
            config = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=EPOCHS))
            encoder = encoders.get(config) or pretrain(space, space.all(), config, device="cpu")
            encoders[config] = encoder

        def make_predictor(
            seed: int,
            method: str = method,
            encoder: PretrainedEncoder | None = encoder,
            changes: dict[str, Any] = predictor_changes,
        ) -> Predictor:
            return Predictor(space, method, seed=seed, device="cpu", encoder=encoder, **changes)

        runs = evaluate(space, table, make_predictor, labels=LABELS, seeds=seeds).runs
        taus = [run["kendall_tau"] for run in runs]
        tops = [np.mean([run["precision_at"][percent] for run in runs]) for percent in ("1", "5", "10")]
        print(
            f"{name:30}  {np.mean(taus):.3f} +- {np.std(taus):.3f}  "
            + "  ".join(f"{top:5.2f}" for top in tops),
            flush=True,
        )


if __name__ == "__main__":
    main()
