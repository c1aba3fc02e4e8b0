"""The choices of a pre-training run, as text beside the weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from archflow.encoders import EncoderConfig
from archflow.errors import CheckpointError, UsageError, unknown_name
from archflow.flow import PUBLISHED, SurrogateConfig
from archflow.graphs import DEFAULT_FORM, FORMS, Form
from archflow.pretrain.registry import OBJECTIVES
from archflow.training import TrainingConfig

_PROGRESS = 0.99  # an epoch's loss over the lowest one before it
_QUICK = TrainingConfig(
    epochs=30, batch_size=64, learning_rate=2e-3, gradient_norm=1.0, schedule="cosine", warm_up_epochs=1
)
_ADDED = {"patience": None, "weighted": False}


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """The choices of a pre-training run, by default the FGP paper's (docs/paper-to-code.md).

    Attributes:
        encoder: Which encoder to pre-train.
        form: The form of the graphs that it sees.
        objectives: The weight of each pretext task, by its name in `OBJECTIVES`; kept in the order there.
        standardize: Whether each number of the surrogate is standardised over the table before it is
            reconstructed. The paper's is not, so that one loss drowns in the other: as drawn, the numbers
            deviate by about 0.01 on NAS-Bench-201 and by about 100 on NAS-Bench-101.
        surrogate: Width, standard deviation and alpha of the flow surrogate.
        decoder_layers: Linear maps in the flow decoder.
        training: Epochs, batch size and optimizer settings.
        seed: Seed of the weights, the surrogate's draw and the order of batches.
        patience: Epochs in a row that may pass without the mean training loss falling by a hundredth of its
            lowest so far; the run then ends. None lets it run for all its epochs.
        weighted: Whether a graph counts as often as the table holds it, as in the paper, which trains on
            every architecture; otherwise each distinct graph counts once.
    """

    encoder: EncoderConfig = EncoderConfig()
    form: Form = DEFAULT_FORM
    objectives: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"flow": 0.5, "proxy": 0.5}, hash=False
    )
    standardize: bool = True
    surrogate: SurrogateConfig = SurrogateConfig()
    decoder_layers: int = 2
    training: TrainingConfig = TrainingConfig(epochs=200, batch_size=256)
    seed: int = 0
    patience: int | None = None
    weighted: bool = False

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown_name("form", self.form, FORMS)
        for name, weight in self.objectives.items():
            if name not in OBJECTIVES:
                raise unknown_name("objective", name, OBJECTIVES)
            if not 0 < weight < math.inf:
                raise UsageError(
                    f"the weight of objective {name!r} must be a finite number above 0, not {weight}"
                )
        if not self.objectives:
            raise UsageError(f"pre-training needs an objective; choose from: {', '.join(OBJECTIVES)}")
        # One order, because the order of objectives decides which random weights each one starts with.
        ordered = {name: self.objectives[name] for name in OBJECTIVES if name in self.objectives}
        object.__setattr__(self, "objectives", ordered)
        if self.decoder_layers < 1:
            raise UsageError(f"decoder_layers must be at least 1, not {self.decoder_layers}")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience must be at least 1, or None to train on, not {self.patience}")

    @classmethod
    def for_space(
        cls,
        space: str,
        encoder: str,
        *,
        form: Form = DEFAULT_FORM,
        objectives: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> PretrainConfig:
        """Return the defaults with the paper's surrogate for a space, or that of NAS-Bench-201.

        Args:
            space: Name of the search space.
            encoder: Name of the encoder.
            form: The form of the graphs that it sees.
            objectives: The weight of each pretext task; by default the paper's two.
            seed: Seed of the run.
        """
        surrogate = PUBLISHED.get(space, SurrogateConfig())
        config = cls(encoder=EncoderConfig.default(encoder), form=form, surrogate=surrogate, seed=seed)
        return config if objectives is None else dataclasses.replace(config, objectives=objectives)

    def quick(self) -> PretrainConfig:
        """Return these choices with a schedule that needs a fraction of the time for the paper's loss.

        Graphs are weighted, as in that loss; batches are smaller, and steps larger, clipped and shrinking to
        nothing (benchmarks/pretraining.py).
        """
        return dataclasses.replace(self, training=_QUICK, weighted=True)

    def finished(self, losses: Sequence[float]) -> bool:
        """Return whether a run is over that has these mean training losses, one an epoch."""
        lowest, waited = math.inf, 0
        for loss in losses:
            lowest, waited = (loss, 0) if loss < _PROGRESS * lowest else (lowest, waited + 1)
        return len(losses) >= self.training.epochs or (self.patience is not None and waited >= self.patience)

    def to_json(self) -> dict[str, Any]:
        """Return the choices as nested dicts; those that came later are left out where they change nothing.

        Settings that were written before there were such choices thus stay equal to today's.
        """
        value = dataclasses.asdict(self)
        return {name: choice for name, choice in value.items() if _ADDED.get(name, ...) != choice}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PretrainConfig:
        """Rebuild the choices from what `to_json` returned.

        Raises:
            CheckpointError: A key is unknown or missing.
        """
        try:
            return cls(
                **{
                    **value,
                    "encoder": EncoderConfig(**value["encoder"]),
                    "surrogate": SurrogateConfig(**value["surrogate"]),
                    "training": TrainingConfig(**value["training"]),
                }
            )
        except (TypeError, AttributeError, KeyError) as error:
            raise CheckpointError(f"not the settings of a pre-training run: {error}") from error
