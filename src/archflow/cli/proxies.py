"""`archflow proxies`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archflow.cli.common import (
    Overwrite,
    Seed,
    SkipBad,
    SpaceName,
    candidates_of,
    check_outputs,
    handled,
    open_space,
    tell,
)
from archflow.errors import UsageError

if TYPE_CHECKING:
    pass


@handled
def run(
    space: SpaceName,
    out: Annotated[Path, typer.Option("--out", help="Table to write, .parquet or .csv.")],
    proxies: Annotated[
        str,
        typer.Option(
            "--proxies",
            help="Any of params, flops, synflow, naswot, jacov, snip, grad_norm, fisher, grasp and zen, "
            "with commas between.",
        ),
    ] = "synflow,naswot",
    table: Annotated[Path | None, typer.Option("--table", help="Table with an arch column.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Measure the whole space.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Measure so many, drawn.")] = None,
    skeleton: Annotated[
        str, typer.Option("--skeleton", help="full, the published network, or reduced.")
    ] = "reduced",
    images: Annotated[str, typer.Option("--images", help="What they see: noise or digits.")] = "noise",
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images that each sees.")] = 32,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes, each on one core.")] = 1,
    seed: Seed = 0,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure zero-cost proxies: build each network with random weights and look at a batch of images.

    Writes the arch column and one column a proxy. Architectures that compute the same function share one
    network; params and flops count each as written. Every finished network is journalled beside --out at
    once; the same command goes on after an interruption.

    Example: archflow proxies --space nasbench201 --table cells.csv --proxies synflow,naswot,params
    --out proxies.parquet
    """
    from archflow.errors import plural
    from archflow.networks import ProxyConfig, measure_proxies
    from archflow.progress import progress_bar

    if sum((table is not None, all_, sample is not None)) != 1:
        raise UsageError("say what to measure with one of --table, --all and --sample")
    check_outputs(out, overwrite=overwrite)
    the_space = open_space(space)
    names = tuple(name.strip() for name in proxies.split(",") if name.strip())
    config = ProxyConfig(names, skeleton=skeleton, images=images, batch_size=batch_size, seed=seed)
    config.check(the_space)
    architectures, texts = candidates_of(the_space, table, sample, seed, skip_bad)
    with progress_bar("measuring proxies") as report:
        done = measure_proxies(
            the_space,
            architectures,
            config,
            out=out,
            texts=texts,
            workers=workers,
            overwrite=overwrite,
            report=report,
        )
    tell(
        f"{done.out}: {plural(done.architectures, 'architecture')}, {plural(done.networks, 'network')}"
        + (f", {done.restored} more from an interrupted run" if done.restored else "")
    )
    for name, count in done.undefined.items():
        tell(f"{name} is undefined for {plural(count, 'architecture')}, a gap in the table")
