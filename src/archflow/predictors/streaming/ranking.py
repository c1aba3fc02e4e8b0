"""Ranking a folder of Parquet files that need not fit into memory: the best of each part, then of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from archflow.datasets import write_table
from archflow.datasets.sources import table_suffix
from archflow.encoders.embedding import Precision
from archflow.errors import InvalidArchitectureError, TableError, UsageError
from archflow.files import require_absent
from archflow.graphs import ArchitectureTable
from archflow.predictors.precision import in_precision
from archflow.predictors.predictor import Predictor
from archflow.predictors.ranking import Ranking
from archflow.predictors.streaming.best import Best, Wish
from archflow.predictors.streaming.engine import (
    Engine,
    do_parts,
    engine_of,
    in_this_process,
    saying_what_is_bad,
)
from archflow.predictors.streaming.parts import Part, files_in
from archflow.predictors.streaming.reading import DEFAULT_CHUNK, Batch, read_part
from archflow.predictors.streaming.state import State, model_digest, survey, unfinished
from archflow.predictors.targets import Condition, Order
from archflow.progress import Report, silent
from archflow.protocols import Space

DEFAULT_TOP = 1000

_PREDICTOR = "predictor"  # its folder in the state folder


@dataclasses.dataclass(frozen=True, eq=False)
class FolderRanking:
    """What `rank_folder` wrote, and what it left out.

    Attributes:
        ranking: The K best; `rows` count from 1 within each file.
        files: Name of the file of each, K of them.
        texts: The `arch` cells, or what the space writes for a graph, K of them.
        n_candidates: How many rows were ranked.
        skipped: How many bad rows were left out.
        first_skipped: The message for the first of them, or None.
        damaged: What is wrong with the files that were left out, by name.
    """

    ranking: Ranking
    files: list[str]
    texts: list[str]
    n_candidates: int
    skipped: int
    first_skipped: str | None
    damaged: Mapping[str, str]

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the columns of the written table.

        Args:
            names: Of the T targets; with one the columns are `mean` and `std`.
        """
        mean, std = (x.reshape(len(self.texts), -1).T for x in (self.ranking.mean, self.ranking.std))
        suffixes = [""] if len(names) == 1 else [f"_{name}" for name in names]
        predictions: dict[str, Any] = {}
        for suffix, one_mean, one_std in zip(suffixes, mean, std, strict=True):
            predictions |= {f"mean{suffix}": one_mean.tolist(), f"std{suffix}": one_std.tolist()}
        numbers = list(range(1, len(self.texts) + 1))
        rows = self.ranking.rows.tolist()
        return {"rank": numbers, "arch": self.texts, **predictions, "file": self.files, "row": rows}


@dataclasses.dataclass(eq=False)
class Workplace:
    """What ranking a part needs; it can be sent to another process.

    Attributes:
        folder: The folder of candidates.
        state: Where results go.
        space: The search space.
        source: The fitted predictor, or where it is saved.
        device: Where to predict.
        precision: What an encoder computes in.
        wish: What is kept.
        chunk: Most rows in memory at once.
        skip_bad: Whether bad rows are left out.
    """

    folder: Path
    state: State
    space: Space
    source: Predictor | Path
    device: str
    precision: Precision
    wish: Wish
    chunk: int
    skip_bad: bool

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor; where it is saved, it is loaded once a process."""
        if isinstance(self.source, Predictor):
            return self.source
        return in_precision(Predictor.load(self.source, self.space, device=self.device), self.precision)


@saying_what_is_bad
def rank_part(place: Workplace, part: Part, report: Report) -> None:
    """Rank a part and write down its best.

    Args:
        place: What is needed for it.
        part: Some row groups of a file.
        report: Told how many rows are done.

    Raises:
        TableError: The file is bad.
        OSError: The result cannot be written.
    """
    best, count = Best.none(len(place.wish.labels)), 0
    skipped: list[str] = []
    path = place.folder / part.file
    for batch in read_part(path, part, place.space, chunk=place.chunk, skip_bad=place.skip_bad):
        if len(batch.rows):
            means = place.predictor.predict(batch.architectures, warn=False)
            predicted = np.asarray(means).reshape(len(batch.rows), -1)
            text = partial(_text, path, place.space, batch)
            best = best.joined(place.wish, 0, batch.rows, predicted, text)
        count += len(batch.rows)
        skipped += batch.skipped
        report(batch.stop - part.first_row, part.rows)
    result = {"candidates": count, "skipped": len(skipped), "first": skipped[:1], **best.to_json()}
    place.state.finish(part, result)


def rank_folder(
    predictor: Predictor,
    folder: Path | str,
    out: Path | str,
    top: int = DEFAULT_TOP,
    *,
    weights: Mapping[str, float] | None = None,
    where: str | Condition | Sequence[str | Condition] = (),
    chunk: int = DEFAULT_CHUNK,
    workers: int = 1,
    skip_bad: bool = False,
    overwrite: bool = False,
    engine: Engine | None = None,
    report: Report = silent,
    tell: Callable[[str], None] = lambda message: None,
) -> FolderRanking:
    """Rank the architectures of all Parquet files in a folder, and write the best of them.

    A file has an `arch` column of texts, or holds the lists of `ArchitectureTable.save`. The answer is that
    of `Predictor.rank` on all files, one after the other by name; of equal predictions the earlier row comes
    first. In memory are at most `chunk` rows a process and the `top` best.

    What is finished is kept in a folder beside the output, which has its name and `.parts`; after an
    interruption, a kill or a full disk the same call goes on from there. Once the output is written, the
    folder is gone. Parts of files that changed meanwhile are done again. Several processes are spawned, so a
    script keeps this call under `if __name__ == "__main__":`.

    Args:
        predictor: Fitted.
        folder: Folders in it are left alone.
        out: Table to write, .csv or .parquet: rank, arch, predictions, file and 1-based row of each.
        top: K, how many are kept.
        weights: As for `Predictor.rank`.
        where: As for `Predictor.rank`.
        chunk: Most rows that a process holds at once.
        workers: Processes; one is this one.
        skip_bad: Leave out rows that are no architectures and files that are damaged, each of these whole.
        overwrite: Replace an output that exists.
        engine: Does the parts, in place of processes of this machine.
        report: Told how many rows are ranked, of those that were left to do.
        tell: Told what was found of an earlier call.

    Returns:
        The ranking, and what was left out.

    Raises:
        TableError: There is no such folder, no row can be used, or a file or row is bad.
        UsageError: There is no Parquet file, a number is below 1, weights or conditions make no sense, no
            candidate meets the conditions, the predictor was fitted with measured columns, or the parts
            beside the output are of another run.
        OutputExistsError: The output exists.
        JobError: A part failed for another reason, such as a full disk.
        OSError: The output cannot be written.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.

    Warns:
        UnlikeWarning: Some of those returned are unlike the labelled ones; says how many and why.
    """
    folder, out = Path(folder), Path(out)
    for name, value in (("top", top), ("chunk", chunk)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    engine = engine or engine_of(workers)
    order = Order.of(predictor.targets, weights, where)
    table_suffix(out)
    require_absent(out, overwrite=overwrite)
    if predictor.config.columns:
        raise UsageError("the files of a folder hold no measured columns; fit without columns to rank it")
    paths = files_in(folder)
    if out.resolve().parent == folder.resolve():
        raise UsageError(f"{out}: lies among the candidates; choose another place")
    with State.opened(out.with_name(f"{out.name}.parts")) as state:
        predictor.save(state.path / _PREDICTOR, overwrite=True)
        digest = model_digest(state.path / _PREDICTOR)
        conditions = [str(condition) for condition in order.conditions]
        state.require_run(
            {
                "predictor": digest,
                "precision": predictor.precision,
                "top": top,
                "weights": weights and dict(weights),
                "conditions": conditions,
            }
        )
        labels = zip(predictor.targets.signs, predictor._labels, strict=True)
        place = Workplace(
            folder,
            state,
            predictor.space,
            predictor if engine is in_this_process else state.path / _PREDICTOR,
            predictor._device,
            predictor.precision,
            Wish(order, tuple(sign * own.values for sign, own in labels), top),
            chunk,
            skip_bad,
        )
        files, bad = survey(paths, skip_bad=skip_bad)
        parts = [part for file in files for part in file.parts()]
        left = unfinished(state, parts, skip_bad=skip_bad, tell=tell)
        kept = f"what is finished is in {state.path}, the same command goes on"
        bad |= do_parts(left, rank_part, place, engine, skip_bad=skip_bad, report=report, kept=kept)
        result = _merged(predictor, place, parts, bad)
        write_table(out, result.columns(predictor.targets.names))
        state.remove()
    unlike = predictor._known().find_unlike(result.ranking.architectures, "ranked")
    return dataclasses.replace(result, ranking=dataclasses.replace(result.ranking, unlike=unlike))


def _merged(
    predictor: Predictor, place: Workplace, parts: Sequence[Part], bad: Mapping[str, str]
) -> FolderRanking:
    """Join the best of the parts of good files, and predict the deviations of the best of all."""
    good = [part for part in parts if part.file not in bad]
    names = list(dict.fromkeys(part.file for part in good))
    best = Best.none(len(place.wish.labels))
    count, skipped, first = 0, 0, None
    for part in good:
        result = place.state.require_result(part)
        best = best.joined_json(place.wish, names.index(part.file), result)
        count, skipped = count + result["candidates"], skipped + result["skipped"]
        first = first or next(iter(result["first"]), None)
    if not count:
        reason = first or next(iter(bad.values()), "the files have no rows")
        raise TableError(f"{place.folder}: there is nothing to rank; {reason}")
    if not len(best):
        place.state.remove()
        wanted = " and ".join(map(str, place.wish.order.conditions))
        raise UsageError(f"{place.folder}: no candidate of {count} is predicted to have {wanted}")
    table = ArchitectureTable.of([place.space.parse(text) for text in best.texts], place.space.operations)
    mean = best.predicted[:, 0] if best.predicted.shape[1] == 1 else best.predicted
    spread = predictor.predict(table, return_std=True, warn=False)[1]
    return FolderRanking(
        Ranking(best.rows, mean, spread, table),
        [names[number] for number in best.files.tolist()],
        best.texts,
        count,
        skipped,
        first,
        bad,
    )


def _text(path: Path, space: Space, batch: Batch, position: int) -> str:
    """Return the text of an architecture of a batch."""
    if batch.texts is not None:
        return batch.texts[position]
    try:
        return space.format(batch.architectures[position])
    except InvalidArchitectureError as error:
        row = int(batch.rows[position])
        raise TableError(f"{path}: row {row} is no architecture of {space.name}: {error}") from error
