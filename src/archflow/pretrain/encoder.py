"""A pre-trained encoder with all that is needed to use it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders.embedding import Precision, embed
from archflow.errors import CheckpointError
from archflow.graphs import ArchitectureTable, Operations
from archflow.pretrain.config import PretrainConfig
from archflow.training import load_checkpoint, save_checkpoint
from archflow.training.checkpoints import load_weights, require_content, with_prefix, without_prefix

KIND = "pretrained-encoder"


@dataclasses.dataclass(frozen=True)
class PretrainedEncoder:
    """An encoder, the choices it was trained with and what it saw.

    Attributes:
        module: The encoder.
        config: The choices of the run.
        operations: The vocabulary that the encoder has embeddings for.
        space: Name of the search space.
        provenance: What the run saw and cost: digest and number of architectures, versions, losses, seconds.
    """

    module: nn.Module
    config: PretrainConfig
    operations: Operations
    space: str
    provenance: Mapping[str, Any]

    def embed(
        self,
        table: ArchitectureTable,
        *,
        precision: Precision = "float32",
        report: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Embed architectures.

        Args:
            table: A architectures as written.
            precision: What the encoder computes in.
            report: Called with (graphs done, graphs to do).

        Returns:
            (A, D) float32.

        Raises:
            CheckpointError: The table counts operations in another vocabulary.
            UnknownNameError: There is no such precision.
        """
        require_vocabulary(self.operations, table.operations, "this encoder")
        device = next(self.module.parameters()).device
        formed = table.in_form(self.config.form)
        return embed(self.module, formed, device=device, precision=precision, report=report)

    def content(self) -> dict[str, Any]:
        """Return everything but the weights, as JSON holds it."""
        return {
            "kind": KIND,
            "space": self.space,
            "operations": self.operations.to_json(),
            "config": self.config.to_json(),
            "provenance": dict(self.provenance),
        }

    def save(self, folder: Path) -> None:
        """Write the encoder as a checkpoint folder, atomically."""
        save_checkpoint(folder, with_prefix("encoder", self.module.state_dict()), self.content())

    @classmethod
    def load(cls, folder: Path, operations: Operations | None = None) -> PretrainedEncoder:
        """Read an encoder from a folder that `save` or a pre-training run wrote.

        Args:
            folder: The checkpoint folder.
            operations: The vocabulary that the encoder should have, where it matters.

        Raises:
            CheckpointError: The checkpoint is damaged, edited, of another kind or for another vocabulary.
        """
        tensors, content = load_checkpoint(folder)
        return cls.restore(tensors, content, str(folder), operations)

    @classmethod
    def restore(
        cls,
        tensors: Mapping[str, Tensor],
        content: Mapping[str, Any],
        where: str,
        operations: Operations | None = None,
    ) -> PretrainedEncoder:
        """Build the encoder from a checkpoint's parts; `load` says what is raised."""
        require_content(content, KIND, ("space", "operations", "config", "provenance"), where)
        own = Operations.from_json(content["operations"])
        if operations is not None:
            require_vocabulary(own, operations, where)
        config = PretrainConfig.from_json(content["config"])
        module = config.encoder.build(len(own), len(own.attributes))
        load_weights(module, without_prefix("encoder", tensors), where)
        return cls(module, config, own, content["space"], content["provenance"])


def checkpoint_operations(folder: Path) -> Operations:
    """Return the vocabulary of the encoder or predictor in a checkpoint folder.

    Raises:
        CheckpointError: The checkpoint is damaged, edited or of another kind.
    """
    content = load_checkpoint(folder)[1]
    if "operations" not in content:
        raise CheckpointError(f"{folder}: holds neither an encoder nor a predictor")
    return Operations.from_json(content["operations"])


def require_vocabulary(own: Operations, other: Operations, where: str) -> None:
    """Refuse a vocabulary that is not the one a model was trained on.

    Raises:
        CheckpointError: Names, order or meanings differ; the first difference is named.
    """
    if own == other:
        return
    detail = (
        _first_difference("operation", own.names, other.names)
        or _first_difference("attribute", own.attributes, other.attributes)
        or "other operations are identity, zero or parametric"
    )
    raise CheckpointError(f"{where}: trained for another vocabulary than the space's: {detail}")


def _first_difference(kind: str, own: Sequence[str], other: Sequence[str]) -> str | None:
    extra, missing = sorted(set(other) - set(own)), sorted(set(own) - set(other))
    if extra:
        return f"it has never seen {kind} {extra[0]!r}"
    if missing:
        return f"it knows {kind} {missing[0]!r}, which the space lacks"
    return None if own == other else f"the {kind}s are in another order"
