"""`archflow fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    Seed,
    SkipBad,
    SpaceName,
    Zero,
    check_outputs,
    handled,
    load_encoder,
    make_predictor,
    open_space,
    read_labels,
    tell,
    tell_explanation,
    write_record,
)
from archflow.cli.targets import Minimize, TargetList, choose_targets


@handled
def run(
    space: SpaceName,
    labels: Annotated[Path, typer.Option("--labels", help="Table of measured architectures.")],
    target: TargetList,
    out: Annotated[Path, typer.Option("--out", help="Folder of the fitted predictor.")],
    column: ColumnNames = None,
    method: MethodName = "auto",
    form: FormName = "collapsed",
    minimize: Minimize = False,
    encoder: EncoderFolder = None,
    pretrain_epochs: PretrainEpochs = None,
    seed: Seed = 0,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    duplicates: Duplicates = "error",
    identity: Identity = None,
    zero: Zero = None,
    folder: Folder = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Fit a predictor on measured architectures and keep it for `archflow rank --model`.

    With several targets each is fitted by itself, on the rows that have a value for it. The columns of
    --column are read from the table of candidates, too, when the model ranks.

    Example: archflow fit --space nasbench201 --labels measured.csv --target accuracy --out model
    """
    import numpy as np

    from archflow.progress import progress_bar

    check_outputs(out, json, overwrite=overwrite)
    targets = choose_targets(target, minimize, labels)
    names = choose_columns(column, targets.names)
    the_space = open_space(space, [labels], identity, zero, encoder, folder=folder)
    predictor = make_predictor(
        the_space,
        method=method,
        form=form,
        targets=targets,
        columns=names,
        seed=seed,
        device=device,
        encoder=load_encoder(encoder, the_space),
        pretrain_epochs=pretrain_epochs,
    )
    table = read_labels(labels, the_space, targets, skip_bad=skip_bad, duplicates=duplicates)
    known = columns_of(table, names, labels)
    with progress_bar(f"fitting {method}") as report:
        predictor.fit(table.architectures, table.values, columns=known, report=report)
    predictor.save(out, overwrite=overwrite)
    each = ""
    if len(targets.names) > 1:
        counts = np.count_nonzero(~np.isnan(table.values), axis=0)
        each = ", " + ", ".join(f"{count} with {n}" for n, count in zip(targets.names, counts, strict=True))
    tell_explanation(predictor)
    tell(f"{out}: {method} fitted on {len(table)} architectures{each}")
    write_record(json, {"method": method, "architectures": len(table), "explanation": predictor.explain()})
