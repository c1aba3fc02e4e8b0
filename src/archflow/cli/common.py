"""What the commands share: options, the way to a space, and how errors and records are printed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar, cast

import typer
from rich.console import Console
from rich.table import Table

from archflow.errors import ArchflowError, OutputExistsError, TableError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from archflow.datasets import MeasuredTable
    from archflow.graphs import ArchitectureTable, Form
    from archflow.importers import OnnxFolder
    from archflow.predictors import Predictor
    from archflow.predictors.targets import Targets
    from archflow.pretrain import PretrainedEncoder
    from archflow.protocols import Space

ONNX = "onnx"
"""The space of imported files; it is in no registry, because it needs a folder."""

P = ParamSpec("P")
T = TypeVar("T")

GOOD, FAILED, BAD_USE = 0, 1, 2

SpaceName = Annotated[
    str,
    typer.Option(
        "--space", help="Search space: a name (`archflow spaces` lists them), a .yaml file, or onnx."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Space onnx: where the files are (default: beside the table)."),
]
MethodName = Annotated[str, typer.Option("--method", help="Method; `archflow methods` lists them.")]
FormName = Annotated[
    str, typer.Option("--form", help="Graphs that encoders see: as-written, pruned or collapsed.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out and count them.")]
Duplicates = Annotated[
    Literal["error", "mean"],
    typer.Option("--duplicates", help="Equal architectures with different values: error or mean."),
]
Identity = Annotated[
    list[str] | None, typer.Option("--identity", help="Space free: an identity operation (repeatable).")
]
Zero = Annotated[list[str] | None, typer.Option("--zero", help="Space free: a zero operation (repeatable).")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the record as JSON; - prints it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
EncoderFolder = Annotated[
    Path | None, typer.Option("--pretrained", help="Folder of a pre-trained encoder (archflow pretrain).")
]
PretrainEpochs = Annotated[
    int | None, typer.Option("--pretrain-epochs", min=1, help="Pre-train afresh for so many epochs.")
]

_debug = False
console = Console(stderr=True)


def debugging(on: bool) -> None:
    """Show tracebacks of errors, or hide them."""
    global _debug
    _debug = on


def handled(command: Callable[P, T]) -> Callable[P, T]:
    """Turn errors into one line on stderr and an exit code: 1 the work failed, 2 bad use."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        logging.getLogger().setLevel(logging.ERROR)
        try:
            return command(*args, **kwargs)
        except ArchflowError as error:
            if _debug:
                raise
            typer.echo(f"archflow: {error}", err=True)
            bad_use = isinstance(error, UnknownNameError | UsageError | OutputExistsError)
            raise typer.Exit(BAD_USE if bad_use else FAILED) from None
        except KeyboardInterrupt as stop:
            typer.echo(f"archflow: {str(stop) or 'stopped'}", err=True)
            raise typer.Exit(FAILED) from None
        except BrokenPipeError:  # whoever read our output has seen enough, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(GOOD) from None
        except OSError as error:  # disk full, no permission and the like
            if _debug:
                raise
            typer.echo(f"archflow: {error}", err=True)
            raise typer.Exit(FAILED) from None

    return wrapped


def open_space(
    name: str,
    tables: Sequence[Path | None] = (),
    identity: list[str] | None = None,
    zero: list[str] | None = None,
    checkpoint: Path | None = None,
    folder: Path | None = None,
) -> Space:
    """Return a space.

    The free one takes a checkpoint's vocabulary, or learns it from the tables read. That of ONNX files lies
    in `folder`, else in the first of the tables that is a folder, else beside the first table.
    """
    from archflow import spaces
    from archflow.datasets import read_texts
    from archflow.graphs.operations import IDENTITY_NAMES, ZERO_NAMES

    if name == ONNX:
        if identity or zero:
            raise UsageError("--identity and --zero are for space free; imported networks know theirs")
        return _open_files([table for table in tables if table is not None], checkpoint, folder)
    if folder is not None:
        raise UsageError(f"--folder is for space {ONNX}, where an architecture is a file")
    if name != spaces.Free.name:
        if identity or zero:
            raise UsageError(f"--identity and --zero are for space free; {name} knows its operations")
        return spaces.get(name)
    if checkpoint is not None:
        from archflow.pretrain.encoder import checkpoint_operations

        if identity or zero:
            raise UsageError(f"--identity and --zero are fixed by {checkpoint}; leave them out")
        return spaces.Free(checkpoint_operations(checkpoint))
    texts = [text for table in tables if table is not None for text in read_texts(table, spaces.Free())]
    return spaces.Free.of_texts(texts, identity=identity or IDENTITY_NAMES, zero=zero or ZERO_NAMES)


def _open_files(tables: Sequence[Path], checkpoint: Path | None, folder: Path | None) -> OnnxFolder:
    """Read the files that tables name, or all of a folder, and say what of them was not understood."""
    from archflow.datasets import read_texts
    from archflow.errors import plural
    from archflow.importers import OnnxFolder
    from archflow.progress import progress_bar

    folders = [path for path in tables if path.is_dir() or path == folder]
    names = None
    if tables and not folders:
        names = [text.strip() for table in tables for text in read_texts(table)]
    where = folder or (folders[0] if folders else tables[0].parent if tables else None)
    if where is None:
        raise UsageError(f"space {ONNX} needs the folder of its files; pass --folder")
    operations = None
    if checkpoint is not None:
        from archflow.pretrain.encoder import checkpoint_operations

        operations = checkpoint_operations(checkpoint)
    with progress_bar("reading ONNX files") as report:
        # Bad files are for the reader of the table to report, by their rows.
        space = OnnxFolder(where, names=names, operations=operations, skip_bad=True, report=report)
        space.all()
    reports = [space.network(name).report for name in space.names if name not in space.bad]
    unknown = sum((Counter(report.unknown) for report in reports), Counter[str]())
    if unknown:
        counts = ", ".join(f"{count} {name}" for name, count in unknown.most_common(5))
        tell(f"operators outside the vocabulary, each an operation of its own: {counts}")
    if kept := sum(report.control_flow > 0 for report in reports):
        tell(f"control flow in {plural(kept, 'file')}; each if, loop and scan is one node")
    if unopened := sum(bool(report.external_data) for report in reports):
        tell(f"weights beside {plural(unopened, 'file')}, in files of their own, were not opened")
    return space


def files_in(space: OnnxFolder, folder: Path | None, skip_bad: bool) -> tuple[ArchitectureTable, list[str]]:
    """Return the networks in a folder, and the names of their files, which are relative to the space's.

    Without a folder it is all of the space's. A bad file raises TableError, or is counted and left out.
    """
    from archflow.errors import plural

    folder = folder or space.folder
    inside, root = folder.resolve(), space.folder.resolve()
    names = [name for name in space.names if (root / name).is_relative_to(inside)]
    if not names:
        raise UsageError(f"{folder}: no file in it ends with .onnx")
    bad = [space.bad[name] for name in names if name in space.bad]
    if bad and not skip_bad:
        raise TableError(
            f"{folder}: {len(bad)} of {plural(len(names), 'file')} are bad; the first: {bad[0]}; "
            "--skip-bad leaves bad files out"
        )
    if bad:
        tell(f"left out {plural(len(bad), 'bad file')}; the first: {bad[0]}")
    good, chosen = [name for name in space.names if name not in space.bad], set(names)
    rows = [row for row, name in enumerate(good) if name in chosen]
    return space.all()[rows], [good[row] for row in rows]


def make_predictor(
    space: Space,
    *,
    method: str,
    form: str,
    targets: Targets,
    seed: int,
    device: str,
    encoder: PretrainedEncoder | None,
    pretrain_epochs: int | None,
    unlabelled: ArchitectureTable | None = None,
    columns: Sequence[str] = (),
) -> Predictor:
    """Build the predictor that the options describe."""
    from archflow.predictors import Predictor
    from archflow.predictors.methods import DEFAULT_ENCODER, method_named
    from archflow.pretrain import PretrainConfig

    chosen, the_form = method_named(method), cast("Form", form)
    settings = None
    if pretrain_epochs is not None:
        if not (chosen.pretrained or chosen.takes_encoder) or encoder is not None:
            raise UsageError("--pretrain-epochs is for auto and the fgp methods, without --pretrained")
        settings = PretrainConfig.for_space(
            space.name,
            chosen.encoder or DEFAULT_ENCODER,
            form=the_form,
            objectives=chosen.objectives,
            seed=seed,
        )
        settings = dataclasses.replace(
            settings, training=dataclasses.replace(settings.training, epochs=pretrain_epochs)
        )
    return Predictor(
        space,
        method,
        form=the_form,
        minimize=targets.minimize,
        targets=targets.names,
        columns=columns or None,
        seed=seed,
        device=device,
        encoder=encoder,
        unlabelled=unlabelled if chosen.pretrained or settings is not None else None,
        pretraining=settings,
    )


def load_encoder(folder: Path | None, space: Space) -> PretrainedEncoder | None:
    """Return the pre-trained encoder in a folder, or None where no folder is given."""
    if folder is None:
        return None
    from archflow.pretrain import PretrainedEncoder

    return PretrainedEncoder.load(folder, space.operations)


def check_outputs(*paths: Path | None, overwrite: bool) -> None:
    """Refuse outputs that exist, before any work is done; None and "-" are no files."""
    from archflow.files import require_absent

    for path in paths:
        if path is not None and str(path) != "-":
            require_absent(path, overwrite=overwrite, way_out="pass --overwrite")


def owns_stdout(json_path: Path | None) -> bool:
    """Whether the record is printed, so that stdout must hold nothing else."""
    return str(json_path) == "-"


def write_record(path: Path | None, record: dict[str, Any]) -> None:
    """Write a record as JSON where one is asked for; "-" prints it."""
    from archflow.files import write_json

    if path is None:
        return
    if owns_stdout(path):
        typer.echo(json.dumps(record, indent=1))
    else:
        write_json(path, record)


def print_rows(headers: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table for people on stdout; plain tab-separated text where stdout is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        typer.echo("\t".join(headers))
        for row in rows:
            typer.echo("\t".join(str(cell) for cell in row))
        return
    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def tell(message: str) -> None:
    """Say something to people on stderr."""
    typer.echo(message, err=True)


def tell_explanation(predictor: Predictor) -> None:
    """Say what a fitted predictor says of itself, where that is more than the description of its method."""
    if predictor.method.views is not None:
        tell(predictor.explain())


@contextlib.contextmanager
def telling_warnings(kind: type[Warning]) -> Iterator[None]:
    """Say warnings of a kind in a line each, once the block is done; others go their way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", kind)
        yield
    for warning in caught:
        if issubclass(warning.category, kind):
            tell(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def read_labels(
    path: Path, space: Space, targets: Targets, *, skip_bad: bool, duplicates: Literal["error", "mean"]
) -> MeasuredTable:
    """Read a table of measured architectures, say what was left out, and check that it can be learnt from."""
    import numpy as np

    from archflow.datasets import read_table, require_labels

    table = read_table(path, space, targets.names, skip_bad=skip_bad, duplicates=duplicates)
    tell_skipped(table)
    for name in targets.names:
        labels = table.columns[name]
        require_labels(labels[~np.isnan(labels)], where=f"{path}, column {name}")
    return table


def candidates_of(
    space: Space, table: Path | None, sample: int | None, seed: int, skip_bad: bool
) -> tuple[ArchitectureTable, list[str] | None]:
    """Return the architectures of a table, a sample or the whole space; and their texts, if they have any.

    Raises:
        TableError: The table is missing or bad.
        UsageError: The space has no end, or fewer architectures than the sample.
    """
    import numpy as np

    from archflow.datasets import read_table

    if space.name == ONNX and (table is None or table.is_dir()):
        files = files_in(cast("OnnxFolder", space), table, skip_bad)
        return files if sample is None else (space.sample(sample, np.random.default_rng(seed)), None)
    if table is not None:
        read = read_table(table, space, skip_bad=skip_bad)
        tell_skipped(read)
        return read.architectures, read.texts
    if sample is not None:
        return space.sample(sample, np.random.default_rng(seed)), None
    return space.all(), None


def tell_skipped(table: MeasuredTable) -> None:
    """Count what reading a table left out."""
    from archflow.errors import plural

    if table.skipped:
        tell(f"left out {plural(len(table.skipped), 'bad row')}; the first: {table.skipped[0]}")
    if table.n_merged:
        tell(f"joined {plural(table.n_merged, 'row')} into earlier rows of the same architecture")
    if table.n_unlabelled:
        names = table.target if isinstance(table.target, str) else " or ".join(table.target or ())
        tell(f"left out {plural(table.n_unlabelled, 'row')} without a value of {names}")
