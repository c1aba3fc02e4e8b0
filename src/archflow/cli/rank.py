"""`archflow rank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archflow.cli.columns import ColumnNames, candidates_with, choose_columns, columns_of, require_table
from archflow.cli.common import (
    ONNX,
    Device,
    Duplicates,
    EncoderFolder,
    Folder,
    FormName,
    Identity,
    Json,
    MethodName,
    Overwrite,
    PretrainEpochs,
    Seed,
    SkipBad,
    SpaceName,
    Zero,
    check_outputs,
    handled,
    load_encoder,
    make_predictor,
    open_space,
    owns_stdout,
    print_rows,
    read_labels,
    tell,
    tell_explanation,
    telling_warnings,
    write_record,
)
from archflow.cli.folders import (
    Chunk,
    EngineName,
    RayAddress,
    Workers,
    engine_for,
    is_folder,
    rank_tables,
    refuse_for_folder,
    refuse_for_tables,
)
from archflow.cli.precision import PrecisionName, tell_rank_change
from archflow.cli.targets import Minimize, Pareto, TargetsIfAny, Weight, Where, choose_targets, read_weights
from archflow.errors import TableError, UsageError

if TYPE_CHECKING:
    from archflow.predictors import Predictor, Ranking

_SHOWN = 10


@handled
def run(
    context: typer.Context,
    space: SpaceName,
    out: Annotated[Path, typer.Option("--out", help="Ranking to write, .csv or .parquet.")],
    labels: Annotated[Path | None, typer.Option("--labels", help="Table of measured architectures.")] = None,
    target: TargetsIfAny = None,
    column: ColumnNames = None,
    model: Annotated[Path | None, typer.Option("--model", help="Fitted predictor (archflow fit).")] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(
            "--candidates", help="Table of candidates, or a folder: of Parquet tables, or of ONNX files."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Rank the whole space.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Rank so many, drawn.")] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Keep only the best so many.")] = None,
    method: MethodName = "auto",
    form: FormName = "collapsed",
    minimize: Minimize = False,
    weight: Weight = None,
    where: Where = None,
    pareto: Pareto = False,
    encoder: EncoderFolder = None,
    pretrain_epochs: PretrainEpochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: PrecisionName = "float32",
    skip_bad: SkipBad = False,
    duplicates: Duplicates = "error",
    identity: Identity = None,
    zero: Zero = None,
    folder: Folder = None,
    workers: Workers = None,
    chunk: Chunk = None,
    engine: EngineName = "processes",
    ray_address: RayAddress = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Rank candidates from a few measured architectures, best predicted first.

    With several --target the first decides the order, or --weight, or --pareto. A --column, such as a
    zero-cost proxy, has to be in the table of candidates, too.

    Example: archflow rank --space nasbench201 --labels measured.csv --target accuracy --all --top 100
    --out ranking.csv
    """
    from archflow.datasets.sources import table_suffix
    from archflow.predictors import Predictor, UnlikeWarning
    from archflow.predictors.precision import in_precision, require_encoder
    from archflow.predictors.targets import Order
    from archflow.progress import progress_bar

    _refuse_contradictions(context, labels, target, model, (candidates is not None, all_, sample is not None))
    weights, conditions = read_weights(weight), tuple(where or ())
    tables = is_folder(space, candidates)
    if tables:
        refuse_for_folder(pareto=pareto, columns=column or ())
    else:
        refuse_for_tables(workers, chunk, engine, ray_address)
        require_table(column or (), candidates)
    table_suffix(out)
    check_outputs(out, json, overwrite=overwrite)
    crew = engine_for(engine, workers, ray_address, device) if tables else None
    files = _files_to_rank(candidates, labels, folder) if space == ONNX else candidates
    read = [labels, None if tables else files]
    the_space = open_space(space, read, identity, zero, model or encoder, folder)
    if labels is None:
        assert model is not None
        predictor = Predictor.load(model, the_space, device=device)
    else:
        targets = choose_targets(target or (), minimize, labels)
        predictor = make_predictor(
            the_space,
            method=method,
            form=form,
            targets=targets,
            columns=choose_columns(column, targets.names),
            seed=seed,
            device=device,
            encoder=load_encoder(encoder, the_space),
            pretrain_epochs=pretrain_epochs,
        )
    names = predictor.config.columns
    if tables:
        refuse_for_folder(pareto=pareto, columns=names)
    else:
        require_table(names, candidates)
    Order.of(predictor.targets, weights, conditions, pareto)  # refused before anything is computed
    require_encoder(predictor.method, precision)
    measured = known = None
    if labels is not None:
        measured = read_labels(labels, the_space, predictor.targets, skip_bad=skip_bad, duplicates=duplicates)
        known = columns_of(measured, names, labels)
    if not tables:
        chosen, written, beside = candidates_with(names, the_space, candidates, sample, seed, skip_bad)
    if measured is not None:
        with progress_bar(f"fitting {method}") as report:
            predictor.fit(measured.architectures, measured.values, columns=known, report=report)
        tell_explanation(predictor)
    predictor = in_precision(predictor, precision)
    if tables:
        assert candidates is not None
        rank_tables(
            predictor, candidates, out, top=top, weights=weights, where=conditions,
            engine=crew, chunk=chunk, skip_bad=skip_bad, overwrite=overwrite, json=json,
        )  # fmt: skip
        return
    with telling_warnings(UnlikeWarning), progress_bar(f"ranking {len(chosen)} architectures") as report:
        ranking = predictor.rank(
            chosen, top, columns=beside, weights=weights, where=conditions, pareto=pareto, report=report
        )
    if written is None:
        texts = [the_space.format(architecture) for architecture in ranking.architectures]
    else:
        texts = [written[row] for row in ranking.rows]
    change = tell_rank_change(predictor, chosen, top)
    _write(predictor, ranking, texts, len(chosen), change, out, json)


def _write(
    predictor: Predictor,
    ranking: Ranking,
    texts: Sequence[str],
    candidates: int,
    change: Mapping[str, Any],
    out: Path,
    json: Path | None,
) -> None:
    """Write the table and the record, and show the first rows."""
    from archflow.datasets import write_table

    columns: dict[str, list[object]] = {
        "rank": list(range(1, len(texts) + 1)),
        "arch": [*texts],
        **_predictions(ranking, predictor.targets.names),
    }
    write_table(out, columns)
    tell(f"{out}: {len(texts)} of {candidates} candidates, best predicted first ({predictor.method.name})")
    rows = list(zip(*(cells[:_SHOWN] for cells in columns.values()), strict=True))
    write_record(
        json,
        {
            "candidates": candidates,
            "unlike": 0 if ranking.unlike is None else int(ranking.unlike.sum()),
            "explanation": predictor.explain(),
            **change,
            "top": [dict(zip(columns, row, strict=True)) for row in rows],
        },
    )
    if not owns_stdout(json):
        print_rows(tuple(columns), [[f"{x:.4f}" if isinstance(x, float) else x for x in row] for row in rows])


def _predictions(ranking: Ranking, names: Sequence[str]) -> dict[str, list[object]]:
    """Return the columns that say what is predicted; with several targets they have their names."""
    columns: dict[str, list[object]] = {}
    if len(names) == 1:
        columns = {"mean": ranking.mean.tolist(), "std": ranking.std.tolist()}
    else:
        for name, mean, std in zip(names, ranking.mean.T, ranking.std.T, strict=True):
            columns |= {f"mean_{name}": mean.tolist(), f"std_{name}": std.tolist()}
    return columns if ranking.front is None else {**columns, "front": ranking.front.tolist()}


def _refuse_contradictions(
    context: typer.Context,
    labels: Path | None,
    target: Sequence[str] | None,
    model: Path | None,
    candidates: Sequence[bool],
) -> None:
    """Refuse options that exclude each other; `candidates` says which of the ways to name them were taken."""
    if (model is None) == (labels is None):
        raise UsageError("give either --labels and --target, or --model")
    if model is not None:
        _refuse_settings_of_model(context)
    if labels is not None and not target:
        raise UsageError("--labels needs --target, the column to predict")
    if sum(candidates) != 1:
        raise UsageError("say what to rank with one of --candidates, --all and --sample")


def _refuse_settings_of_model(context: typer.Context) -> None:
    """Refuse options that a fitted model has decided already, instead of ignoring them."""
    fixed = ("target", "column", "method", "form", "minimize", "encoder", "pretrain_epochs")
    given = [
        name for name in fixed if getattr(context.get_parameter_source(name), "name", None) == "COMMANDLINE"
    ]
    if given:
        options = {"encoder": "pretrained"}
        names = ", ".join(f"--{options.get(name, name).replace('_', '-')}" for name in given)
        raise UsageError(f"{names} cannot go with --model; they were decided when it was fitted")


def _files_to_rank(candidates: Path | None, labels: Path | None, folder: Path | None) -> Path | None:
    """Return the table or the folder of the imported networks that are to be ranked."""
    if candidates is None:  # all of them, or a sample of all
        return folder or (None if labels is None else labels.parent)
    if not candidates.exists():
        raise TableError(f"{candidates}: there is no such file or folder")
    if folder and candidates.is_dir() and not candidates.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--candidates {candidates} is not in --folder {folder}; pass a folder in it")
    return candidates
