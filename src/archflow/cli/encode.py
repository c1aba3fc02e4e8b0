"""`archflow encode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archflow.cli.common import (
    EncoderFolder,
    Folder,
    Identity,
    Overwrite,
    Seed,
    SkipBad,
    SpaceName,
    Zero,
    check_outputs,
    handled,
    load_encoder,
    open_space,
    tell,
    tell_skipped,
)
from archflow.cli.folders import (
    Chunk,
    EngineName,
    RayAddress,
    Workers,
    encode_tables,
    engine_for,
    is_folder,
    refuse_for_tables,
)
from archflow.cli.precision import PrecisionName
from archflow.errors import UsageError


@handled
def run(
    space: SpaceName,
    table: Annotated[
        Path, typer.Option("--table", help="Table with an arch column, or a folder of Parquet tables.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Vectors to write, .csv or .parquet; of a folder a folder.")
    ],
    encoder: EncoderFolder = None,
    precision: PrecisionName = "float32",
    seed: Seed = 0,
    skip_bad: SkipBad = False,
    identity: Identity = None,
    zero: Zero = None,
    folder: Folder = None,
    workers: Workers = None,
    chunk: Chunk = None,
    engine: EngineName = "processes",
    ray_address: RayAddress = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn architectures into vectors: a pre-trained encoder's embeddings, or the flow surrogate.

    Writes the arch column and one column a dimension: e0, e1, ... with --pretrained, else s0, s1, ... Of a
    folder each Parquet file is encoded to a file of that name, in memory that --chunk bounds; the same
    command goes on after an interruption.

    Example: archflow encode --space nasbench201 --table cells.csv --pretrained encoders/gin
    --out vectors.parquet
    """
    from archflow.datasets import read_table, write_table
    from archflow.datasets.sources import table_suffix
    from archflow.flow import PUBLISHED, FlowSurrogate, SurrogateConfig
    from archflow.progress import progress_bar

    if encoder is None and precision != "float32":
        raise UsageError(f"--precision {precision} is for encoders; pass --pretrained")
    if is_folder(space, table):
        if folder or identity or zero:
            raise UsageError("--folder, --identity and --zero do not go with a folder of Parquet tables")
        encode_tables(
            space, table, out,
            encoder=encoder, seed=seed, engine=engine_for(engine, workers, ray_address, device="cpu"),
            precision=precision, chunk=chunk, skip_bad=skip_bad, overwrite=overwrite,
        )  # fmt: skip
        return
    refuse_for_tables(workers, chunk, engine, ray_address)
    table_suffix(out)
    check_outputs(out, overwrite=overwrite)
    the_space = open_space(space, [table], identity, zero, encoder, folder=folder)
    pretrained = load_encoder(encoder, the_space)
    read = read_table(table, the_space, skip_bad=skip_bad)
    tell_skipped(read)
    with progress_bar(f"encoding {len(read)} architectures") as report:
        if pretrained is not None:
            letter = "e"
            vectors = pretrained.embed(read.architectures, precision=precision, report=report)
        else:
            letter = "s"
            surrogate = FlowSurrogate.draw(
                the_space.operations, PUBLISHED.get(space, SurrogateConfig()), seed
            )
            vectors = surrogate(read.architectures, progress=report)
    columns = {f"{letter}{number}": column for number, column in enumerate(vectors.T)}
    write_table(out, {"arch": read.texts, **columns})
    tell(f"{out}: {len(vectors)} architectures, {vectors.shape[1]} dimensions each")
