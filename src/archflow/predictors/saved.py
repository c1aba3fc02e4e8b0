"""The choices of a predictor, and the checkpoint that keeps them with what it learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError, UsageError, plural
from archflow.graphs import DEFAULT_FORM, Form, Operations
from archflow.predictors.fine_tuned import FineTuneConfig, FineTuned
from archflow.predictors.labels import Labels
from archflow.predictors.measured import MeasuredArchitectures
from archflow.predictors.methods import DEFAULT, method_named
from archflow.predictors.targets import Targets
from archflow.pretrain import PretrainedEncoder
from archflow.pretrain.encoder import require_vocabulary
from archflow.protocols import FittedPredictor, Space
from archflow.records import versions
from archflow.training import TrainingConfig, load_checkpoint, save_checkpoint
from archflow.training.checkpoints import require_content, with_prefix, without_prefix

KIND = "predictor"


@dataclasses.dataclass(frozen=True)
class PredictorConfig:
    """The choices of a predictor.

    Attributes:
        method: A name in the registry of methods.
        form: The form of the graphs that encoders see; the other methods see them as written.
        minimize: Whether a lower target is better; for several targets one answer for all, or one for each.
        seed: Seed of everything random.
        fine_tuning: How encoders are fine-tuned.
        columns: Names of the measured columns that were fitted beside the architectures.
    """

    method: str = DEFAULT
    form: Form = DEFAULT_FORM
    minimize: bool | tuple[bool, ...] = False
    seed: int = 0
    fine_tuning: FineTuneConfig = FineTuneConfig()
    columns: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the choices as JSON reads them again, without tuples."""
        minimize = list(self.minimize) if isinstance(self.minimize, tuple) else self.minimize
        return {**dataclasses.asdict(self), "minimize": minimize, "columns": list(self.columns)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PredictorConfig:
        """Rebuild the choices from what `to_json` returned.

        Raises:
            CheckpointError: A key is unknown or missing.
        """
        try:
            tuning, minimize = value["fine_tuning"], value["minimize"]
            training = TrainingConfig(**tuning["training"])
            changed = {
                "minimize": tuple(minimize) if isinstance(minimize, list) else minimize,
                "fine_tuning": FineTuneConfig(**{**tuning, "training": training}),
                "columns": tuple(value.get("columns", ())),
            }
            return cls(**{**value, **changed})
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"not the settings of a predictor: {error}") from error


@dataclasses.dataclass(frozen=True, eq=False)
class SavedPredictor:
    """What a checkpoint folder of a predictor holds.

    Attributes:
        config: The choices.
        targets: Names and directions of the T targets.
        labels: The labels of each target, T of them.
        models: The weights fitted to each target by name, T of them; empty where labels are all there is.
        encoder: Which encoder the weights are of, or None.
        provenance: How the encoder that it started from was pre-trained, or None.
    """

    config: PredictorConfig
    targets: Targets
    labels: tuple[Labels, ...]
    models: tuple[Mapping[str, Tensor], ...]
    encoder: EncoderConfig | None = None
    provenance: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        config: PredictorConfig,
        targets: Targets,
        labels: tuple[Labels, ...],
        fitted: Sequence[FittedPredictor],
        encoder: PretrainedEncoder | None,
        provenance: Mapping[str, Any] | None,
    ) -> SavedPredictor:
        """Gather what labels alone do not give back: fine-tuned encoders, or a blend's pre-trained one.

        Args:
            config: The choices.
            targets: Names and directions of the T targets.
            labels: The labels of each target, T of them.
            fitted: What was fitted to each target, T of them.
            encoder: The pre-trained encoder that they started from, if any.
            provenance: How it was pre-trained, or None.
        """
        models: list[Mapping[str, Tensor]] = [
            model.tensors() if isinstance(model, FineTuned) else {} for model in fitted
        ]
        trained = [model.encoder_config for model in fitted if isinstance(model, FineTuned)]
        if encoder is not None and not trained:  # the targets share it: once is enough
            models[0] = with_prefix("encoder", encoder.module.state_dict())
        return cls(config, targets, labels, tuple(models), trained[0] if trained else None, provenance)

    def pretrained(self, folder: Path, operations: Operations) -> PretrainedEncoder | None:
        """Return the pre-trained encoder of a blend, or None where there is none.

        Raises:
            CheckpointError: Its weights or settings are damaged.
        """
        if self.provenance is None or not method_named(self.config.method).takes_encoder:
            return None
        return PretrainedEncoder.restore(self.models[0], self.provenance, str(folder), operations)

    def write(self, folder: Path, space: Space) -> None:
        """Write the folder; labels and weights have the number of their target before their names."""
        tensors: dict[str, Tensor] = {}
        for number, (labels, model) in enumerate(zip(self.labels, self.models, strict=True)):
            tensors |= with_prefix(f"labels.{number}", labels.tensors())
            tensors |= with_prefix(f"model.{number}", model)
        content: dict[str, Any] = {
            "kind": KIND,
            "space": space.name,
            "operations": self.labels[0].table.operations.to_json(),
            "config": self.config.to_json(),
            "targets": list(self.targets.names),
            "versions": versions(),
        }
        if self.encoder is not None:
            content["encoder"] = dataclasses.asdict(self.encoder)
        if self.provenance is not None:
            content["pretraining"] = self.provenance
        save_checkpoint(folder, tensors, content)

    @classmethod
    def read(cls, folder: Path, space: Space) -> SavedPredictor:
        """Read what `write` wrote.

        Raises:
            CheckpointError: The checkpoint is damaged, edited, of another kind or for another vocabulary.
        """
        tensors, content = load_checkpoint(folder)
        require_content(content, KIND, ("space", "operations", "config", "targets"), str(folder))
        require_vocabulary(Operations.from_json(content["operations"]), space.operations, str(folder))
        config = PredictorConfig.from_json(content["config"])
        try:
            targets = Targets.of([*content["targets"]], config.minimize)
        except (UsageError, TypeError) as error:
            raise CheckpointError(f"{folder}: not the targets of a predictor: {error}") from error
        numbers = range(len(targets.names))
        kept = {name.split(".")[1] for name in tensors if name.startswith("labels.")}
        if kept != set(map(str, numbers)):
            raise CheckpointError(
                f"{folder}: names {plural(len(numbers), 'target')}, but has labels of {len(kept)}"
            )
        labels = [Labels.restore(without_prefix(f"labels.{n}", tensors), space.operations) for n in numbers]
        for own in labels:
            count = own.table.measured.shape[1] if isinstance(own.table, MeasuredArchitectures) else 0
            if count != len(config.columns):
                raise CheckpointError(
                    f"{folder}: names {plural(len(config.columns), 'measured column')}, but has {count}"
                )
        encoder = content.get("encoder")
        return cls(
            config,
            targets,
            tuple(labels),
            tuple(without_prefix(f"model.{number}", tensors) for number in numbers),
            None if encoder is None else EncoderConfig(**encoder),
            content.get("pretraining"),
        )
