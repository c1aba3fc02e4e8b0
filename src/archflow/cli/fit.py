"""`archflow fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archflow.cli.common import (
    Device,
    Duplicates,
    EncoderFolder,
    Folder,
    FormName,
    Identity,
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
)
from archflow.cli.targets import Minimize, TargetList, choose_targets


@handled
def run(
    space: SpaceName,
    labels: Annotated[Path, typer.Option("--labels", help="Table of measured architectures.")],
    target: TargetList,
    out: Annotated[Path, typer.Option("--out", help="Folder of the fitted predictor.")],
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
) -> None:
    """Fit a predictor on measured architectures and keep it for `archflow rank --model`.

    With several targets each is fitted by itself, on the rows that have a value for it.

    Example: archflow fit --space nasbench201 --labels measured.csv --target accuracy --out model
    """
    import numpy as np

    from archflow.progress import progress_bar

    check_outputs(out, overwrite=overwrite)
    targets = choose_targets(target, minimize, labels)
    the_space = open_space(space, [labels], identity, zero, encoder, folder=folder)
    predictor = make_predictor(
        the_space,
        method=method,
        form=form,
        targets=targets,
        seed=seed,
        device=device,
        encoder=load_encoder(encoder, the_space),
        pretrain_epochs=pretrain_epochs,
    )
    table = read_labels(labels, the_space, targets, skip_bad=skip_bad, duplicates=duplicates)
    with progress_bar(f"fitting {method}") as report:
        predictor.fit(table.architectures, table.values, report=report)
    predictor.save(out, overwrite=overwrite)
    each = ""
    if len(targets.names) > 1:
        counts = np.count_nonzero(~np.isnan(table.values), axis=0)
        each = ", " + ", ".join(f"{count} with {n}" for n, count in zip(targets.names, counts, strict=True))
    tell(f"{out}: {method} fitted on {len(table)} architectures{each}")
