"""Checkpoints: a folder with weights as safetensors and everything else as JSON.

`checkpoint.json` is written last and names the weights file with its SHA-256, so that a checkpoint is
either the old one or the new one, whole. Its own digest shows whether somebody edited it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from archflow.errors import CheckpointError
from archflow.files import atomic_path, sha256_of, write_json

_JSON = "checkpoint.json"
_FORMAT = 1


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write a checkpoint, or replace the one that is in the folder.

    Args:
        folder: Created if need be.
        tensors: Weights by name.
        content: Anything JSON can hold.
    """
    payload = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(payload).hexdigest()
    weights = folder / f"weights-{digest[:16]}.safetensors"
    with atomic_path(weights) as temporary:
        temporary.write_bytes(payload)
    body = {"format": _FORMAT, "weights": weights.name, "weights_sha256": digest, "content": dict(content)}
    write_json(folder / _JSON, {**body, "digest": _digest(body)})
    for old in (*folder.glob("weights-*.safetensors"), *folder.glob(".weights-*.partial")):
        if old != weights:
            old.unlink(missing_ok=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a checkpoint, good or damaged."""
    return (folder / _JSON).is_file()


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Returns:
        The tensors by name, on the CPU, and the content.

    Raises:
        CheckpointError: There is no checkpoint, or it was cut off, damaged or edited.
    """
    file = folder / _JSON
    if not has_checkpoint(folder):
        raise CheckpointError(f"{folder}: no checkpoint here ({_JSON} is missing)")
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        digest = body.pop("digest")
        name, expected, content = str(body["weights"]), body["weights_sha256"], body["content"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file}: not a checkpoint, or damaged ({error})") from error
    if digest != _digest(body):
        raise CheckpointError(f"{file}: was changed after archflow wrote it; restore it or train again")
    if body["format"] != _FORMAT:
        raise CheckpointError(f"{file}: has format {body['format']}, but this archflow reads {_FORMAT}")
    weights = folder / Path(name).name
    try:
        if sha256_of(weights) == expected:
            return load_file(weights), content
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{weights}: cannot be read ({error})") from error
    raise CheckpointError(f"{weights}: is cut off or damaged (its SHA-256 is not the recorded one)")


def require_content(content: Any, kind: str, keys: Collection[str], where: str) -> None:
    """Refuse a checkpoint of another kind, or one that lacks some of its content.

    Raises:
        CheckpointError: It is; names the kind or the missing keys.
    """
    found = content.get("kind") if isinstance(content, Mapping) else None
    if found != kind:
        raise CheckpointError(f"{where}: holds a {found}, not a {kind}")
    missing = [key for key in keys if key not in content]
    if missing:
        raise CheckpointError(f"{where}: lacks {', '.join(missing)}; it was not written by archflow")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as flat tensors, named by parameter number and quantity."""
    states = optimizer.state_dict()["state"]
    return {
        f"{number}.{quantity}": torch.as_tensor(value)
        for number, state in states.items()
        for quantity, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, quantity = name.partition(".")
        state.setdefault(int(number), {})[quantity] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with a prefix and a dot before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name has the prefix, without it."""
    return {
        name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load weights into a module, all of them and nothing else.

    Raises:
        CheckpointError: Names or shapes do not match; the first mismatch is named.
    """
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointError(f"{where}: the weights of {name!r} are missing")
        if name not in own:
            raise CheckpointError(f"{where}: holds weights {name!r} that the model has no place for")
        if own[name].shape != tensors[name].shape:
            raise CheckpointError(
                f"{where}: {name!r} has shape {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
            )
    module.load_state_dict(dict(tensors))


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
