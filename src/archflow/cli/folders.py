"""What `archflow rank` and `archflow encode` do with a folder of Parquet tables in place of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from archflow.cli.common import (
    FAILED,
    ONNX,
    check_outputs,
    load_encoder,
    open_space,
    owns_stdout,
    print_rows,
    tell,
    telling_warnings,
    write_record,
)
from archflow.cli.precision import tell_rank_change
from archflow.errors import UsageError, plural

if TYPE_CHECKING:
    from archflow.encoders.embedding import Precision
    from archflow.predictors import Condition, Predictor
    from archflow.predictors.streaming import Engine

Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Of a folder: processes, each on one thread; 1.")
]
Chunk = Annotated[
    int | None, typer.Option("--chunk", min=1, help="Of a folder: most rows a process reads at once; 65,536.")
]
EngineName = Annotated[
    Literal["processes", "ray"],
    typer.Option("--engine", help="Of a folder: what works, processes of this machine or Ray."),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", help="Cluster to join, auto or HOST:PORT; by default Ray is started here."),
]

_SHOWN = 10


def is_folder(space: str, table: Path | None) -> bool:
    """Whether a table is a folder of Parquet tables; of space onnx it is one of networks."""
    return space != ONNX and table is not None and table.is_dir()


def refuse_for_tables(
    workers: int | None, chunk: int | None, engine: str = "processes", ray_address: str | None = None
) -> None:
    """Refuse the options that act on folders alone, instead of ignoring them."""
    other = None if engine == "processes" else engine
    values = {"--workers": workers, "--chunk": chunk, "--engine": other, "--ray-address": ray_address}
    if given := [name for name, value in values.items() if value is not None]:
        raise UsageError(f"{' and '.join(given)} can only go with a folder of Parquet tables")


def engine_for(
    engine: str, workers: int | None = None, ray_address: str | None = None, device: str = "auto"
) -> Engine:
    """Return what the options say works through a folder; a cluster that does not answer is refused here."""
    if engine != "ray":
        from archflow.predictors.streaming.engine import engine_of

        if ray_address is not None:
            raise UsageError("--ray-address needs --engine ray")
        return engine_of(workers or 1)
    from archflow.predictors.streaming import in_ray

    if ray_address is not None and workers is not None:
        raise UsageError("--workers is for this machine; the cluster at --ray-address has what it has")
    if device.startswith("cuda:"):
        raise UsageError(f"Ray chooses the GPUs; pass --device cuda in place of {device}")
    return in_ray(workers or 1, ray_address, gpus=1 if device == "cuda" else 0)


def refuse_for_folder(*, pareto: bool, columns: Sequence[str]) -> None:
    """Refuse what ranking a folder cannot do, before anything is fitted."""
    if pareto:
        raise UsageError("--pareto compares all candidates at once; of a folder take --weight or --where")
    if columns:
        raise UsageError(
            f"measured columns ({', '.join(columns)}) cannot go with a folder; rank a table, or fit without"
        )


def rank_tables(
    predictor: Predictor,
    folder: Path,
    out: Path,
    *,
    top: int | None = None,
    weights: Mapping[str, float] | None = None,
    where: Sequence[str | Condition] = (),
    engine: Engine | None = None,
    chunk: int | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    json: Path | None = None,
) -> None:
    """Rank a folder with a fitted predictor, print the first, and fail where files were left out."""
    from archflow.predictors import UnlikeWarning
    from archflow.predictors.streaming import rank_folder
    from archflow.predictors.streaming.ranking import DEFAULT_TOP
    from archflow.predictors.streaming.reading import DEFAULT_CHUNK
    from archflow.predictors.streaming.sample import drawn_from
    from archflow.progress import progress_bar

    with telling_warnings(UnlikeWarning), progress_bar(f"ranking {folder}") as report:
        found = rank_folder(
            predictor, folder, out, top or DEFAULT_TOP,
            weights=weights, where=where, chunk=chunk or DEFAULT_CHUNK, engine=engine,
            skip_bad=skip_bad, overwrite=overwrite, report=report, tell=tell,
        )  # fmt: skip
    columns = found.columns(predictor.targets.names)
    tell(
        f"{out}: {len(found.texts)} of {found.n_candidates} candidates, best predicted first "
        f"({predictor.method.name})"
    )
    rows = list(zip(*(column[:_SHOWN] for column in columns.values()), strict=True))
    record = {"candidates": found.n_candidates, "left_out": dict(found.damaged), "skipped": found.skipped}
    if predictor.precision != "float32":
        sample = drawn_from(folder, predictor.space)
        record |= tell_rank_change(predictor, sample, top or DEFAULT_TOP, found.n_candidates)
    write_record(json, {**record, "top": [dict(zip(columns, row, strict=True)) for row in rows]})
    if not owns_stdout(json):
        print_rows(tuple(columns), [[f"{x:.4f}" if isinstance(x, float) else x for x in row] for row in rows])
    _tell_left_out(found.skipped, found.first_skipped, found.damaged)


def encode_tables(
    space: str,
    folder: Path,
    out: Path,
    *,
    encoder: Path | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    engine: Engine | None = None,
    chunk: int | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
) -> None:
    """Encode a folder, and fail where files were left out."""
    from archflow import spaces
    from archflow.flow import PUBLISHED, FlowSurrogate, SurrogateConfig
    from archflow.predictors.streaming import encode_folder
    from archflow.predictors.streaming.reading import DEFAULT_CHUNK
    from archflow.progress import progress_bar

    if space == spaces.Free.name and encoder is None:
        raise UsageError("a folder of space free needs --pretrained, which knows the operations")
    if out.is_file():
        check_outputs(out, overwrite=False)
    the_space = open_space(space, checkpoint=encoder)
    source = load_encoder(encoder, the_space) or FlowSurrogate.draw(
        the_space.operations, PUBLISHED.get(space, SurrogateConfig()), seed
    )
    with progress_bar(f"encoding {folder}") as report:
        found = encode_folder(
            source, the_space, folder, out, precision=precision,
            chunk=chunk or DEFAULT_CHUNK, engine=engine,
            skip_bad=skip_bad, overwrite=overwrite, report=report, tell=tell,
        )  # fmt: skip
    tell(
        f"{out}: {found.rows} architectures in {plural(found.files, 'file')}, {found.width} dimensions each; "
        f"{found.written} written now"
    )
    _tell_left_out(found.skipped, found.first_skipped, found.damaged)


def _tell_left_out(skipped: int, first: str | None, damaged: Mapping[str, str]) -> None:
    """Count what was left out; bad files, unlike bad rows, fail the command."""
    if skipped:
        tell(f"left out {plural(skipped, 'bad row')}; the first: {first}")
    for message in list(damaged.values())[:_SHOWN]:
        tell(f"left out: {message}")
    if damaged:
        tell(f"left out {plural(len(damaged), 'damaged file')}; the rest is done")
        raise typer.Exit(FAILED)
