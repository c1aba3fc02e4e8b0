"""The choices of a predictor, and the checkpoint that keeps them with what it learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError, UsageError, plural
from archflow.graphs import DEFAULT_FORM, Form, Operations
from archflow.predictors.fine_tuned import FineTuneConfig
from archflow.predictors.labels import Labels
from archflow.predictors.methods import DEFAULT
from archflow.predictors.targets import Targets
from archflow.pretrain.encoder import require_vocabulary
from archflow.protocols import Space
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
    """

    method: str = DEFAULT
    form: Form = DEFAULT_FORM
    minimize: bool | tuple[bool, ...] = False
    seed: int = 0
    fine_tuning: FineTuneConfig = FineTuneConfig()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PredictorConfig:
        """Rebuild the choices from `dataclasses.asdict`.

        Raises:
            CheckpointError: A key is unknown or missing.
        """
        try:
            tuning, minimize = value["fine_tuning"], value["minimize"]
            training = TrainingConfig(**tuning["training"])
            changed = {
                "minimize": tuple(minimize) if isinstance(minimize, list) else minimize,
                "fine_tuning": FineTuneConfig(**{**tuning, "training": training}),
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
            "config": dataclasses.asdict(self.config),
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
        encoder = content.get("encoder")
        return cls(
            config,
            targets,
            tuple(Labels.restore(without_prefix(f"labels.{n}", tensors), space.operations) for n in numbers),
            tuple(without_prefix(f"model.{number}", tensors) for number in numbers),
            None if encoder is None else EncoderConfig(**encoder),
            content.get("pretraining"),
        )
