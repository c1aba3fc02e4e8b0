"""The pre-training run: a table of unlabelled architectures in, a pre-trained encoder out."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archflow.encoders import fit_scale
from archflow.errors import CheckpointError, UsageError
from archflow.files import require_absent
from archflow.flow import FlowSurrogate
from archflow.graphs import ArchitectureTable, AttributeScale, GraphBatch
from archflow.pretrain.config import PretrainConfig
from archflow.pretrain.encoder import PretrainedEncoder
from archflow.pretrain.registry import Material, build_objectives
from archflow.pretrain.view import PretextView
from archflow.progress import Report, silent
from archflow.protocols import FloatArray, Space
from archflow.records import versions
from archflow.training import load_checkpoint, resolve_device, save_checkpoint, train
from archflow.training.checkpoints import (
    has_checkpoint,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
    without_prefix,
)
from archflow.training.distributed import ALONE, Processes, ProcessLostError
from archflow.training.loop import make_optimizer, seeded


def pretrain(
    space: Space,
    table: ArchitectureTable,
    config: PretrainConfig,
    *,
    proxy: FloatArray | None = None,
    folder: Path | None = None,
    save_every: int = 10,
    resume: bool = False,
    device: str = "auto",
    report: Report = silent,
    processes: Processes = ALONE,
) -> PretrainedEncoder:
    """Pre-train an encoder on pretext tasks, by default as FGP: reconstruct the flow surrogate, rank a proxy.

    Each distinct graph of the table counts once, in the form that the encoder sees, unless `config.weighted`
    lets it count as often as it is there. No label is used; whose architectures the table holds, the test
    ones included or not, is the caller's choice, and the provenance records their digest.

    Args:
        space: The search space, for its vocabulary and its parameter counts.
        table: A architectures as written.
        config: The choices of the run.
        proxy: The column to rank by, higher is better, (A,), NaN where it is not known; by default the
            space's parameter counts.
        folder: Where to write a checkpoint each `save_every` epochs, at the end and on Ctrl-C.
        save_every: Epochs between checkpoints.
        resume: Go on from the checkpoint in `folder`, to the very weights of an uninterrupted run (on one CPU
            thread); without a checkpoint there, start.
        device: "auto", "cpu", "cuda" and the like; for several processes, `launched_processes` decides.
        report: Progress.
        processes: The processes that call this together; only the main one reports and writes to `folder`.

    Returns:
        The pre-trained encoder, on the CPU.

    Raises:
        UsageError: The table is empty or counts operations in another vocabulary; the proxy has another
            length, is infinite somewhere or has fewer than two different values.
        OutputExistsError: `folder` exists and `resume` is false.
        CheckpointError: The checkpoint to resume is damaged, or of another run.
        KeyboardInterrupt: On Ctrl-C, after the last whole epoch was saved.
        ProcessLostError: Another of the processes is gone; after the last whole epoch was saved, too.
    """
    if save_every < 1:
        raise UsageError(f"save_every must be at least 1, not {save_every}")
    if config.training.batch_size < processes.count:
        raise UsageError(
            f"a batch of {config.training.batch_size} is less than one graph for each of "
            f"{processes.count} processes; make it larger, or start fewer"
        )
    where = resolve_device(device) if processes.count == 1 else processes.device
    run = _Run(space, table, config, proxy, where, processes)
    begun = resume and folder is not None and has_checkpoint(folder)
    if folder is not None:
        if begun:
            run.restore(*load_checkpoint(folder), where=str(folder))
        else:
            require_absent(folder, overwrite=resume, way_out="resume the run in it")
    processes.require_same(run.identity())  # also, all have looked at the folder before one writes to it
    if folder is not None and not begun:
        run.save(folder)

    def after_epoch(epochs: int, loss: float) -> bool:
        run.remember(epochs, loss)
        if folder is not None and (epochs % save_every == 0 or run.finished):
            run.save(folder)
        return run.finished

    with processes.stopping_together():
        try:
            if not run.finished:
                train(
                    run.module,
                    run.loss,
                    len(run.graphs),
                    config.training,
                    seed=config.seed,
                    optimizer=run.optimizer,
                    first_epoch=run.kept.epochs,
                    after_epoch=after_epoch,
                    report=report if processes.main else silent,
                    processes=processes,
                )
        except (KeyboardInterrupt, ProcessLostError):
            if folder is not None:
                run.save(folder)
            raise
    processes.wait()  # for the last checkpoint
    return run.result()


@dataclasses.dataclass(frozen=True)
class _Kept:
    """The state after a whole epoch: replaced at once, so that no interruption meets half of one."""

    epochs: int
    losses: list[float]
    tensors: dict[str, Tensor]


class _Run:
    """The state of a run: what it trains, on what, and how far it is."""

    def __init__(
        self,
        space: Space,
        table: ArchitectureTable,
        config: PretrainConfig,
        proxy: FloatArray | None,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        if not len(table):
            raise UsageError("pre-training needs at least one architecture; the table is empty")
        own, other = space.operations, table.operations
        if (own.names, own.attributes) != (other.names, other.attributes):
            raise UsageError(f"the table counts operations in another vocabulary than the space {space.name}")
        formed = table.in_form(config.form)
        _, first, graph_of = np.unique(formed.keys(), return_index=True, return_inverse=True)
        order = np.argsort(first)
        distinct = first[order]
        named = "parameters" if proxy is None else "given"
        known = space.parameters(formed) if proxy is None else _checked(proxy, len(table))
        ranked = _first_known(known, graph_of)[order]
        if (
            proxy is not None
            and "proxy" in config.objectives
            and len(np.unique(ranked[~np.isnan(ranked)])) < 2
        ):
            raise UsageError("there is nothing to rank by: the proxy needs at least two different values")
        self.space, self.config, self.device = space, config, device
        self.columns = formed.columns.take(distinct)
        self.graphs = np.argsort(order)[graph_of] if config.weighted else np.arange(len(distinct))
        scale = AttributeScale.of(self.columns)
        self.surrogate = FlowSurrogate.draw(space.operations, config.surrogate, config.seed, scale)
        with seeded(config.seed):
            encoder = config.encoder.build(len(space.operations), len(space.operations.attributes))
            fit_scale(encoder, self.columns)
            objectives = build_objectives(Material(config, formed[distinct], self.surrogate, ranked))
        self.module = nn.ModuleDict({"encoder": encoder, "objectives": objectives}).to(device)
        self.processes, self.shared_encoder = processes, processes.sharing(encoder)
        self.optimizer = make_optimizer(self.module, config.training)
        self.data = {
            "architectures": len(table),
            "distinct_graphs": len(distinct),
            "digest": formed.digest(),
            "proxy": named,
            "proxy_digest": hashlib.sha256(known.astype("<f8").tobytes()).hexdigest(),
        }
        self._started, self._seconds_before = time.perf_counter(), 0.0
        self.kept = _Kept(0, [], self._state())

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to do."""
        return self.config.finished(self.kept.losses)

    def identity(self) -> str:
        """Return what is the same in all processes of a run."""
        return repr((self.config, self.data, self.kept.epochs, self.kept.losses))

    def loss(self, rows: Tensor) -> Tensor:
        """Return the mean loss, (), of rows (B,) of `graphs`, the distinct graphs to train on in an epoch."""
        graphs = self.graphs[rows.numpy()]
        batch = GraphBatch.of(self.columns.take(graphs), self.device)
        view = PretextView(self.shared_encoder, batch, graphs)
        value: Tensor = self.module["objectives"](view)
        return value

    def remember(self, epochs: int, loss: float) -> None:
        """Keep a copy of the state after a whole epoch, so that Ctrl-C within the next loses nothing."""
        self.kept = _Kept(epochs, [*self.kept.losses, loss], self._state())

    def save(self, folder: Path) -> None:
        """Write the state that `remember` kept; of a finished run, what using the encoder needs."""
        if not self.processes.main:
            return
        tensors = self.kept.tensors
        if self.finished:
            tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
        save_checkpoint(folder, {**tensors, **self._surrogate_tensors()}, self._described().content())

    def restore(self, tensors: dict[str, Tensor], content: dict[str, Any], where: str) -> None:
        """Go back to a saved state of this same run."""
        saved = PretrainedEncoder.restore(tensors, content, where, self.space.operations)
        mine, theirs = (_flat(config.to_json()) for config in (self.config, saved.config))
        for key in mine | theirs:
            if mine.get(key) != theirs.get(key):
                raise CheckpointError(
                    f"{where}: cannot resume with {key} = {mine.get(key)}; "
                    f"the run was begun with {theirs.get(key)}"
                )
        for key, what in (("digest", "on other architectures"), ("proxy_digest", "with another proxy")):
            if saved.provenance["data"][key] != self.data[key]:
                raise CheckpointError(f"{where}: cannot resume, the run was begun {what}")
        self._seconds_before = saved.provenance["seconds"]
        epochs, losses = int(saved.provenance["epochs"]), list(saved.provenance["losses"])
        if self.config.finished(losses):
            self.module["encoder"] = saved.module.to(self.device)
            self.kept = _Kept(epochs, losses, self._state())
            return
        load_weights(
            self.module,
            {name: tensors[name] for name in tensors if name.startswith(("encoder.", "obj"))},
            where,
        )
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        self.kept = _Kept(epochs, losses, self._state())

    def result(self) -> PretrainedEncoder:
        """Return the encoder as it is now."""
        described = self._described()
        return dataclasses.replace(described, module=described.module.to("cpu").eval())

    def _described(self) -> PretrainedEncoder:
        provenance = {
            "data": self.data,
            "epochs": self.kept.epochs,
            "losses": self.kept.losses,
            "processes": self.processes.count,
            "seconds": round(self._seconds_before + time.perf_counter() - self._started, 3),
            "versions": versions(),
        }
        encoder = self.module["encoder"]
        return PretrainedEncoder(encoder, self.config, self.space.operations, self.space.name, provenance)

    def _state(self) -> dict[str, Tensor]:
        optimizer = with_prefix("optimizer", optimizer_tensors(self.optimizer))
        state = {**self.module.state_dict(), **optimizer}
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def _surrogate_tensors(self) -> dict[str, Tensor]:
        matrices = {
            name: torch.from_numpy(getattr(self.surrogate, name).copy())
            for name in ("start", "operation_map", "state_map")
        }
        return with_prefix("surrogate", matrices)


def _checked(proxy: FloatArray, count: int) -> FloatArray:
    """Return a proxy, (count,) float64, in which every gap is the same NaN.

    Raises:
        UsageError: It has another length, or is infinite somewhere.
    """
    proxy = np.asarray(proxy, dtype=np.float64)
    if proxy.shape != (count,) or np.isinf(proxy).any():
        raise UsageError(f"the proxy needs one finite number, or NaN, for each of the {count} architectures")
    return np.where(np.isnan(proxy), np.nan, proxy)


def _first_known(values: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """Return the first value of each group that is not NaN, (number of groups,); NaN where all are."""
    known = np.flatnonzero(~np.isnan(values))[::-1]
    result = np.full(groups.max() + 1, np.nan)
    result[groups[known]] = values[known]  # of several values for one place the last one stays
    return result


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names, such as training.epochs; the objectives stay together."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = isinstance(value, Mapping) and name != "objectives"
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat
