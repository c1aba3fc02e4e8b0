"""`archflow pretrain`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

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
    from archflow.graphs import ArchitectureTable, Form
    from archflow.importers import OnnxFolder
    from archflow.protocols import FloatArray, Space


@handled
def run(
    space: SpaceName,
    out: Annotated[Path, typer.Option("--out", help="Folder of the checkpoint.")],
    table: Annotated[Path | None, typer.Option("--table", help="Architectures to pre-train on.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Pre-train on the whole space.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Pre-train on so many drawn.")] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="Which encoder: gin, gated_gcn.")] = "gin",
    form: FormName = "collapsed",
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the graphs.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Graphs a step.")] = None,
    width: Annotated[int | None, typer.Option("--width", min=1, help="Width of the encoder.")] = None,
    proxy: Annotated[
        str | None, typer.Option("--proxy", help="Column of --table to rank by (default: parameters).")
    ] = None,
    flow_weight: Annotated[float, typer.Option("--flow-weight", help="Weight of the flow loss.")] = 0.5,
    proxy_weight: Annotated[float, typer.Option("--proxy-weight", help="Weight of the proxy loss.")] = 0.5,
    standardize: Annotated[
        bool, typer.Option(help="Standardise the surrogate first; the paper does not.")
    ] = True,
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
    from archflow.pretrain import PretrainConfig, pretrain
    from archflow.progress import progress_bar

    check_outputs(json, overwrite=overwrite)
    the_space = open_space(space, [table], identity, zero, folder=folder)
    architectures, column = _architectures(the_space, table, all_, sample, proxy, seed, skip_bad)
    config = PretrainConfig.for_space(space, encoder, form=cast("Form", form), seed=seed)
    changes = {"epochs": epochs, "batch_size": batch}
    config = dataclasses.replace(
        config,
        flow_weight=flow_weight,
        proxy_weight=proxy_weight,
        standardize=standardize,
        encoder=dataclasses.replace(config.encoder, width=width or config.encoder.width),
        training=dataclasses.replace(config.training, **{k: v for k, v in changes.items() if v is not None}),
    )
    try:
        with progress_bar(f"pre-training {encoder}") as report:
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
            )
    except KeyboardInterrupt:
        if (out / "checkpoint.json").exists():
            tell(f"{out}: the last whole epoch is saved; the same command with --resume goes on from it")
        raise
    record = trained.content()
    seen, losses = record["provenance"]["data"], record["provenance"]["losses"]
    tell(
        f"{out}: {encoder} pre-trained on {seen['architectures']} architectures "
        f"({seen['distinct_graphs']} distinct graphs), loss {losses[0]:.4f} -> {losses[-1]:.4f}, "
        f"{record['provenance']['seconds']:.0f} s"
    )
    write_record(json, record)


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
    from archflow.errors import TableError, UsageError, unknown_name

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
    gaps = np.flatnonzero(~np.isfinite(column))
    if len(gaps):
        raise TableError(
            f"{table}: row {measured.rows[gaps[0]]}: {proxy} is {column[gaps[0]]}; "
            f"a proxy needs a finite number in every row"
        )
    return measured.architectures, column
