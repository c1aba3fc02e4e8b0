"""`archflow evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archflow.cli.columns import ColumnNames, choose_columns, columns_of
from archflow.cli.common import (
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
    write_record,
)
from archflow.cli.targets import Minimize, Target, choose_targets

if TYPE_CHECKING:
    from archflow.predictors import Predictor


@handled
def run(
    space: SpaceName,
    table: Annotated[Path, typer.Option("--table", help="Table of measured architectures.")],
    target: Target,
    labels: Annotated[int, typer.Option("--labels", min=1, help="Rows that are labelled in each run.")],
    column: ColumnNames = None,
    method: MethodName = "auto",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs, each with another draw of labels.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the first run; the others follow.")] = 0,
    form: FormName = "collapsed",
    minimize: Minimize = False,
    encoder: EncoderFolder = None,
    pretrain_epochs: PretrainEpochs = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    duplicates: Duplicates = "error",
    identity: Identity = None,
    zero: Zero = None,
    folder: Folder = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Score a method on a table: draw labels, predict all other rows, compare.

    An fgp method takes --pretrained, else the encoder that archflow ships for the space, else it pre-trains
    once on the table, rows to be predicted included (no label is used); for minutes, or --pretrain-epochs.

    Example: archflow evaluate --space nasbench201 --table nasbench201.parquet --target cifar10_test_acc
    --labels 78 --method fgp-gin --seeds 5
    """
    from archflow.benchmark import Run, evaluate
    from archflow.progress import progress_bar

    check_outputs(json, overwrite=overwrite)
    targets = choose_targets([target], minimize, table)
    names = choose_columns(column, targets.names)
    the_space = open_space(space, [table], identity, zero, encoder, folder=folder)
    pretrained = load_encoder(encoder, the_space)
    measured = read_labels(table, the_space, targets, skip_bad=skip_bad, duplicates=duplicates)
    known = columns_of(measured, names, table)

    def predictor_of(seed: int) -> Predictor:
        return make_predictor(
            the_space,
            method=method,
            form=form,
            targets=targets,
            columns=names,
            seed=seed,
            device=device,
            encoder=pretrained,
            pretrain_epochs=pretrain_epochs,
            unlabelled=measured.architectures,
        )

    for end in (seed, seed + seeds - 1):  # wrong options are reported before anything is computed
        predictor_of(end)
    runs: list[Run] = []
    with progress_bar(f"{method}, run 1 of {seeds}") as report:

        def report_run(done: int, total: int, remark: str = "") -> None:
            report(done, total, f"run {len(runs) + 1} of {seeds} {remark}")

        evaluation = evaluate(
            the_space,
            measured,
            predictor_of,
            labels=labels,
            seeds=range(seed, seed + seeds),
            columns=known,
            report=report_run,
            on_run=runs.append,
        )
    result = evaluation.to_json()
    write_record(json, result)
    if not owns_stdout(json):
        print_rows(
            ("seed", "Kendall tau", "Spearman", "P@1%", "P@5%", "P@10%", "fit s", "predict s"),
            [
                *(_cells(run["seed"], run) for run in result["runs"]),
                *(_cells(name, result[name]) for name in ("mean", "std")),
            ],
            title=f"{method} on {table.name}, {targets.names[0]}, {labels} labels",
        )


def _cells(name: object, scores: dict[str, Any]) -> list[object]:
    numbers = [scores["kendall_tau"], scores["spearman"], *scores["precision_at"].values()]
    seconds = [scores["fit_seconds"], scores["predict_seconds"]]
    return [name, *(f"{number:.4f}" for number in numbers), *(f"{value:.2f}" for value in seconds)]
