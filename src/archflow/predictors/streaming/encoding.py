"""Encoding a folder of Parquet files that need not fit into memory: a file of vectors for each."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from archflow.datasets.sources import ARCH
from archflow.encoders.embedding import Precision, require_precision
from archflow.errors import UsageError
from archflow.files import atomic_path
from archflow.flow import FlowSurrogate
from archflow.graphs import ArchitectureTable
from archflow.predictors.streaming.engine import (
    Engine,
    do_parts,
    engine_of,
    in_this_process,
    saying_what_is_bad,
)
from archflow.predictors.streaming.parts import Part, digest_of, files_in, inspect
from archflow.predictors.streaming.reading import DEFAULT_CHUNK, read_part
from archflow.predictors.streaming.state import State, model_digest, survey, unfinished
from archflow.pretrain import PretrainedEncoder
from archflow.pretrain.encoder import require_vocabulary
from archflow.progress import Report, silent
from archflow.protocols import Encoder, Space

_STATE = ".archflow"  # in the output folder; hidden, so that readers of Parquet folders pass it by
_ENCODER = "encoder"


@dataclasses.dataclass(frozen=True)
class EncodedFolder:
    """What `encode_folder` left in the output folder, and what it left out.

    Attributes:
        files: How many files hold vectors now.
        written: How many of them this call wrote.
        rows: How many vectors the files hold.
        width: Numbers of a vector.
        skipped: How many bad rows were left out.
        first_skipped: The message for the first of them, or None.
        damaged: What is wrong with the files that were left out, by name.
    """

    files: int
    written: int
    rows: int
    width: int
    skipped: int
    first_skipped: str | None
    damaged: Mapping[str, str]


@dataclasses.dataclass(eq=False)
class Workplace:
    """What encoding a part needs; it can be sent to another process.

    Attributes:
        folder: The folder of architectures.
        out: The folder of vectors.
        state: Where it is written down what is finished.
        space: The search space.
        source: What encodes, or where a pre-trained encoder is saved.
        precision: What a pre-trained encoder computes in.
        chunk: Most rows in memory at once.
        skip_bad: Whether bad rows are left out.
    """

    folder: Path
    out: Path
    state: State
    space: Space
    source: PretrainedEncoder | FlowSurrogate | Path
    precision: Precision
    chunk: int
    skip_bad: bool

    @cached_property
    def encoder(self) -> PretrainedEncoder | FlowSurrogate:
        """What encodes; where it is saved, it is loaded once a process."""
        if isinstance(self.source, Path):
            return PretrainedEncoder.load(self.source, self.space.operations)
        return self.source

    def vectors(self, table: ArchitectureTable) -> NDArray[np.float32]:
        """Encode A architectures, (A, D)."""
        if isinstance(self.encoder, PretrainedEncoder):
            return self.encoder.embed(table, precision=self.precision)
        return self.encoder(table, chunk=self.chunk).astype(np.float32, copy=False)

    def schema(self, *, texts: bool) -> pa.Schema:
        """Return the columns of a file of vectors."""
        first = [(ARCH, pa.string())] if texts else []
        letter = "s" if isinstance(self.encoder, FlowSurrogate) else "e"
        names = [f"{letter}{number}" for number in range(width_of(self.encoder))]
        return pa.schema([*first, ("row", pa.int64()), *((name, pa.float32()) for name in names)])


def width_of(encoder: PretrainedEncoder | FlowSurrogate) -> int:
    """Return D, the numbers of a vector."""
    if isinstance(encoder, FlowSurrogate):
        return encoder.width
    return cast("Encoder", encoder.module).width


@saying_what_is_bad
def encode_part(place: Workplace, part: Part, report: Report) -> None:
    """Encode a whole file, and write it down as finished.

    Args:
        place: What is needed for it.
        part: The file.
        report: Told how many rows are done.

    Raises:
        TableError: The file is bad.
        OSError: The vectors cannot be written.
    """
    path, count = place.folder / part.file, 0
    skipped: list[str] = []
    texts = inspect(path).texts
    schema = place.schema(texts=texts)
    with (
        atomic_path(place.out / part.file) as temporary,
        pq.ParquetWriter(temporary, schema, write_page_checksum=True) as writer,
    ):
        for batch in read_part(path, part, place.space, chunk=place.chunk, skip_bad=place.skip_bad):
            if len(batch.rows):
                first = [] if batch.texts is None else [batch.texts]
                columns = [*first, batch.rows, *place.vectors(batch.architectures).T]
                writer.write_table(pa.Table.from_arrays([pa.array(one) for one in columns], schema=schema))
            count += len(batch.rows)
            skipped += batch.skipped
            report(batch.stop - part.first_row, part.rows)
    size = (place.out / part.file).stat().st_size
    place.state.finish(part, {"rows": count, "skipped": len(skipped), "first": skipped[:1], "bytes": size})


def encode_folder(
    encoder: PretrainedEncoder | FlowSurrogate,
    space: Space,
    folder: Path | str,
    out: Path | str,
    *,
    precision: Precision = "float32",
    chunk: int = DEFAULT_CHUNK,
    workers: int = 1,
    skip_bad: bool = False,
    overwrite: bool = False,
    engine: Engine | None = None,
    report: Report = silent,
    tell: Callable[[str], None] = lambda message: None,
) -> EncodedFolder:
    """Turn the architectures of all Parquet files in a folder into vectors, a file of the same name for each.

    A file of vectors has the columns `arch` (where the file of architectures has it), `row`, its 1-based row
    number there, and float32 columns `e0`, `e1`, ... of a pre-trained encoder or `s0`, `s1`, ... of the
    surrogate. It appears whole or not at all. Files that are finished are skipped by the next call, unless
    they or the architectures have changed since; the hidden folder `.archflow` in the output says which are.
    In memory are at most `chunk` rows a process. Several processes are spawned, so a script keeps this call
    under `if __name__ == "__main__":`.

    Args:
        encoder: What encodes.
        space: The search space.
        folder: Folders in it are left alone.
        out: Folder of vectors; of this encoder, or new.
        precision: What a pre-trained encoder computes in; the surrogate has its own.
        chunk: Most rows that a process holds at once.
        workers: Processes; one is this one.
        skip_bad: Leave out rows that are no architectures and files that are damaged, each of these whole.
        overwrite: Write all files again.
        engine: Does the files, in place of processes of this machine.
        report: Told how many rows are encoded, of those that were left to do.
        tell: Told what was found of an earlier call.

    Returns:
        What is in the output folder, and what was left out.

    Raises:
        TableError: There is no such folder, or a file or row is bad.
        UsageError: There is no Parquet file, a number is below 1, or the output holds something else.
        CheckpointError: The encoder is for another vocabulary.
        UnknownNameError: There is no such precision.
        JobError: A file failed for another reason, such as a full disk.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    folder, out = Path(folder), Path(out)
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}")
    engine = engine or engine_of(workers)
    require_precision(precision)
    require_vocabulary(encoder.operations, space.operations, "this encoder")
    paths = files_in(folder)
    if out.resolve() == folder.resolve():
        raise UsageError(f"{out}: is the folder of architectures; choose another --out")
    if out.exists() and not (out / _STATE).is_dir() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: holds something else than vectors of archflow's; choose another --out")
    with State.opened(out / _STATE) as state:
        for path in paths:
            for torn in out.glob(f".{glob.escape(path.name)}.*.partial"):
                torn.unlink(missing_ok=True)
        if overwrite:
            state.forget_run()
        source, digest = _shipped(encoder, state)
        state.require_run({"encoder": digest, "precision": precision, "space": space.name})
        own = encoder if engine is in_this_process else source
        place = Workplace(folder, out, state, space, own, precision, chunk, skip_bad)
        files, bad = survey(paths, skip_bad=skip_bad)
        parts = [file.whole() for file in files]
        left = unfinished(state, parts, skip_bad=skip_bad, tell=tell, whole=partial(_whole, out))
        kept = f"finished files are in {out}, the same command goes on"
        bad |= do_parts(left, encode_part, place, engine, skip_bad=skip_bad, report=report, kept=kept)
        good = [part for part in parts if part.file not in bad]
        results = [state.require_result(part) for part in good]
    return EncodedFolder(
        len(good),
        len(set(left) & set(good)),
        sum(result["rows"] for result in results),
        width_of(encoder),
        sum(result["skipped"] for result in results),
        next((message for result in results for message in result["first"]), None),
        bad,
    )


def _whole(out: Path, part: Part, result: Mapping[str, Any]) -> bool:
    """Whether the vectors of a part are still there."""
    file = out / part.file
    return file.is_file() and file.stat().st_size == result["bytes"]


def _shipped(
    encoder: PretrainedEncoder | FlowSurrogate, state: State
) -> tuple[PretrainedEncoder | FlowSurrogate | Path, str]:
    """Return what to send to other processes, and the digest of what it encodes with."""
    if isinstance(encoder, PretrainedEncoder):
        encoder.save(state.path / _ENCODER)
        return state.path / _ENCODER, model_digest(state.path / _ENCODER)
    arrays = (
        encoder.start, encoder.operation_map, encoder.state_map, encoder.scale.centre, encoder.scale.spread,
    )  # fmt: skip
    hashes = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return encoder, digest_of([encoder.operations.to_json(), encoder.alpha, encoder.direction, hashes])
