"""What a worker does: pre-train an encoder, or fit, predict and score."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archflow.benchmark.data import SpaceData
from archflow.benchmark.jobs import EncoderJob, Job, RunJob
from archflow.benchmark.protocol import split_rows
from archflow.benchmark.settings import fine_tuning_of
from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError
from archflow.metrics import scores
from archflow.predictors import Predictor
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.progress import Report, silent
from archflow.records import RunRecord
from archflow.training.checkpoints import has_checkpoint

PERCENTS = (1, 5, 10, 50)
"""K of the Precision@K that is recorded, as in the paper."""

_SAVE_EVERY = 5  # epochs


@dataclasses.dataclass(frozen=True, eq=False)
class Workplace:
    """What every job of a benchmark needs.

    Attributes:
        data: The tables by name.
        encoders: The folder of pre-trained encoders.
        device: Where to train and predict.
    """

    data: Mapping[str, SpaceData]
    encoders: Path
    device: str


def work(place: Workplace, job: Job, report: Report = silent) -> RunRecord | None:
    """Do a job: a run returns its record, a pre-training run leaves a checkpoint.

    Args:
        place: Tables, folder and device.
        job: What to do.
        report: Progress.

    Raises:
        ArchflowError: It cannot be done.
    """
    if isinstance(job, RunJob):
        return _score(place, job, report)
    data = place.data[job.table]
    pretrain(
        data.space,
        data.architectures,
        PretrainConfig.from_json(job.settings),
        proxy=data.proxy,
        folder=place.encoders / job.id,
        save_every=_SAVE_EVERY,
        resume=True,
        device=place.device,
        report=report,
    )
    return None


def finished_encoder(place: Workplace, job: EncoderJob) -> bool:
    """Whether an encoder is there and has been trained to the end.

    Raises:
        CheckpointError: Its checkpoint is damaged or of another run.
    """
    if not has_checkpoint(place.encoders / job.id):
        return False
    encoder = _load(place, job)
    return encoder.config.finished(encoder.provenance["losses"])


def _load(place: Workplace, job: EncoderJob) -> PretrainedEncoder:
    folder = place.encoders / job.id
    try:
        encoder = PretrainedEncoder.load(folder, place.data[job.table].space.operations)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; delete {folder} to pre-train that encoder again") from error
    if encoder.config != PretrainConfig.from_json(job.settings):
        raise CheckpointError(f"{folder}: holds another encoder; delete it to pre-train that encoder again")
    return encoder


def _score(place: Workplace, run: RunJob, report: Report) -> RunRecord:
    config, data = run.config, place.data[run.config["table"]]
    split = split_rows(len(data.values), config["labels"], run.seeds["permutation"], config["validation"])
    encoder = None if run.encoder is None else _load(place, run.encoder)
    predictor = _predictor(place, run, encoder)
    graphs, values = data.architectures, data.values
    validation = None
    if len(split.validation):
        validation = (graphs[split.validation], values[split.validation])

    started = time.perf_counter()
    predictor.fit(graphs[split.labelled], values[split.labelled], validation=validation, report=report)
    fitted = time.perf_counter()
    predicted = np.asarray(predictor.predict(graphs[split.test], warn=False))
    seconds = time.perf_counter() - fitted

    sign = -1.0 if config["minimize"] else 1.0
    cost = {
        "fit_seconds": round(fitted - started, 4),
        "predict_seconds": round(seconds, 4),
        "ranked_per_second": round(len(split.test) / max(seconds, 1e-9), 1),
    }
    if predictor.n_parameters is not None:
        cost["parameters"] = predictor.n_parameters
    if encoder is not None and run.encoder is not None:
        cost["pretrain_seconds"] = encoder.provenance["seconds"]
        cost["pretrain_share_seconds"] = round(encoder.provenance["seconds"] / run.encoder.runs, 4)
    return RunRecord(
        config=config,
        seeds=run.seeds,
        data_digest=run.data_digest,
        scores=dict(scores(sign * predicted, sign * values[split.test], percents=PERCENTS)),
        cost=cost,
    )


def _predictor(place: Workplace, run: RunJob, encoder: PretrainedEncoder | None) -> Predictor:
    config, data = run.config, place.data[run.config["table"]]
    settings = config["settings"]
    tuning = None if settings["fine_tuning"] is None else fine_tuning_of(settings)
    fresh = settings["encoder"] is not None and encoder is None  # a pre-trained one has its sizes
    return Predictor(
        data.space,
        settings["method"],
        form=settings["form"],
        minimize=config["minimize"],
        seed=run.seeds["model"],
        device=place.device,
        encoder=encoder,
        fine_tuning=tuning,
        sizes=EncoderConfig(**settings["encoder"]) if fresh else None,
    )
