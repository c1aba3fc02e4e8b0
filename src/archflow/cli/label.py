"""`archflow label`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archflow.cli.common import Overwrite, Seed, SpaceName, check_outputs, handled, open_space, tell


@handled
def run(
    space: SpaceName,
    out: Annotated[Path, typer.Option("--out", help="Table to write, .parquet or .csv.")],
    count: Annotated[int, typer.Option("--count", min=1, help="Architectures to draw and train.")],
    task: Annotated[str, typer.Option("--task", help="What to train on: digits.")] = "digits",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each, one a seed.")] = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes, each on one core.")] = 1,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train randomly drawn architectures for real and write what they reached.

    Every finished training is journalled beside --out at once; the same command goes on after an
    interruption.

    Example: archflow label --space nasbench201 --task digits --count 100 --workers 2 --out digits.parquet
    """
    import numpy as np

    from archflow.networks import get_task, label
    from archflow.progress import progress_bar

    check_outputs(out, overwrite=overwrite)
    the_task = get_task(task)
    the_space = open_space(space)
    architectures = the_space.sample(count, np.random.default_rng(seed))
    with progress_bar(f"training on {task}") as report:
        done = label(
            the_space,
            architectures,
            the_task,
            seeds=range(seeds),
            out=out,
            workers=workers,
            overwrite=overwrite,
            progress=report,
        )
    tell(
        f"{done.out}: {done.architectures} architectures, {done.trainings} trainings"
        + (f", {done.restored} more from an interrupted run" if done.restored else "")
    )
