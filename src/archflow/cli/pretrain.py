"""`archflow pretrain`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from archflow.cli.common import (
    ONNX,
    Device,
    Folder,
    FormName,
    Identity,
    Json,
    Overwrite,
    Seed,
    SkipBad,
    SpaceName,
    Zero,
    check_outputs,
    files_in,
    handled,
    open_space,
    tell,
    tell_skipped,
    write_record,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from archflow.graphs import ArchitectureTable, Form
    from archflow.importers import OnnxFolder
    from archflow.protocols import FloatArray, Space

Settings = TypeVar("Settings", bound="DataclassInstance")


@handled
def run(
    space: SpaceName,
    out: Annotated[Path, typer.Option("--out", help="Folder of the checkpoint.")],
    table: Annotated[Path | None, typer.Option("--table", help="Architectures to pre-train on.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Pre-train on the whole space.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Pre-train on so many drawn.")] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="Which encoder, such as gin.")] = "gin",
    form: FormName = "collapsed",
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the graphs.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Graphs a step.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A schedule that takes a fraction of the time.")
    ] = False,
    patience: Annotated[
        int | None,
        typer.Option("--patience", min=1, help="End after so many epochs in a row without progress."),
    ] = None,
    weighted: Annotated[
        bool | None,
        typer.Option("--weighted/--distinct", help="Count equal graphs as often as they are there, or once."),
    ] = None,
    width: Annotated[int | None, typer.Option("--width", min=1, help="Width of the encoder.")] = None,
    proxy: Annotated[
        str | None, typer.Option("--proxy", help="Column of --table to rank by (default: parameters).")
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", help="Pretext tasks, such as contrastive or flow=0.7+proxy=0.3.")
    ] = "flow+proxy",
    standardize: Annotated[
        bool, typer.Option(help="Standardise the surrogate first; the paper does not.")
    ] = True,
    surrogate_width: Annotated[
        int | None,
        typer.Option("--surrogate-width", min=1, help="Length of the surrogate (default: by space)."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", min=0, max=1, help="How much of a message the surrogate passes on."),
    ] = None,
    decoder_layers: Annotated[
        int | None, typer.Option("--decoder-layers", min=1, help="Linear maps in the flow decoder.")
    ] = None,
    save_every: Annotated[int, typer.Option("--save-every", min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    seed: Seed = 0,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    identity: Identity = None,
    zero: Zero = None,
    folder: Folder = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Pre-train an encoder without labels: reconstruct the flow surrogate, rank a cheap proxy.

    Example: archflow pretrain --space nasbench201 --all --encoder gin --out encoders/gin
    """
    from archflow.errors import UsageError, plural
    from archflow.pretrain import PretrainConfig, parse_objectives, pretrain
    from archflow.progress import progress_bar, silent
    from archflow.training import ProcessLostError, launched_processes

    check_outputs(json, overwrite=overwrite)
    the_space = open_space(space, [table], identity, zero, folder=folder)
    objectives = parse_objectives(objective)
    if proxy is not None and "proxy" not in objectives:
        raise UsageError("--proxy is for the objective proxy, which is not among --objective")
    architectures, column = _architectures(the_space, table, all_, sample, proxy, seed, skip_bad)
    config = PretrainConfig.for_space(space, encoder, form=cast("Form", form), seed=seed)
    config = config.quick() if quick else config
    config = dataclasses.replace(
        _changed(config, decoder_layers=decoder_layers, patience=patience, weighted=weighted),
        objectives=objectives,
        standardize=standardize,
        encoder=_changed(config.encoder, width=width),
        surrogate=_changed(config.surrogate, width=surrogate_width, alpha=alpha),
        training=_changed(config.training, epochs=epochs, batch_size=batch),
    )
    with launched_processes(device) as processes:
        bar = progress_bar(f"pre-training {encoder}") if processes.main else contextlib.nullcontext(silent)
        try:
            with bar as report:
                trained = pretrain(
                    the_space,
                    architectures,
                    config,
                    proxy=column,
                    folder=out,
                    save_every=save_every,
                    resume=resume,
                    device=device,
                    report=report,
                    processes=processes,
                )
        except (KeyboardInterrupt, ProcessLostError):
            if processes.main and (out / "checkpoint.json").exists():
                tell(f"{out}: the last whole epoch is saved; the same command with --resume goes on from it")
            raise
    if not processes.main:
        return
    record = trained.content()
    seen, losses = record["provenance"]["data"], record["provenance"]["losses"]
    tell(
        f"{out}: {encoder} pre-trained on {seen['architectures']} architectures "
        f"({seen['distinct_graphs']} distinct graphs), loss {losses[0]:.4f} -> {losses[-1]:.4f} "
        f"in {plural(len(losses), 'epoch')}, {record['provenance']['seconds']:.0f} s"
    )
    write_record(json, record)


def _changed(settings: Settings, **changes: float | None) -> Settings:
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(settings, **given)


def _architectures(
    space: Space,
    table: Path | None,
    whole: bool,
    sample: int | None,
    proxy: str | None,
    seed: int,
    skip_bad: bool,
) -> tuple[ArchitectureTable, FloatArray | None]:
    import numpy as np

    from archflow.datasets import read_table
    from archflow.errors import TableError, UsageError, plural, unknown_name

    if sum((table is not None, whole, sample is not None)) != 1:
        raise UsageError("say what to pre-train on with one of --table, --all and --sample")
    if proxy is not None and table is None:
        raise UsageError("--proxy names a column of --table; give the table")
    if space.name == ONNX and table is None:
        files_in(cast("OnnxFolder", space), None, skip_bad)
    if sample is not None:
        return space.sample(sample, np.random.default_rng(seed)), None
    if table is None:
        return space.all(), None
    measured = read_table(table, space, skip_bad=skip_bad)
    tell_skipped(measured)
    if proxy is None:
        return measured.architectures, None
    if proxy not in measured.columns:
        raise TableError(f"{table}: {unknown_name('numeric column', proxy, measured.columns)}")
    column = measured.columns[proxy]
    endless = np.flatnonzero(np.isinf(column))
    if len(endless):
        raise TableError(
            f"{table}: row {measured.rows[endless[0]]}: {proxy} is {column[endless[0]]}; "
            f"a proxy needs a finite number or none"
        )
    if gaps := int(np.isnan(column).sum()):
        tell(f"{table}: {plural(gaps, 'row')} without {proxy}; the proxy's ranking leaves them out")
    return measured.architectures, column
