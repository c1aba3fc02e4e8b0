"""Fetching published tables: download, check, convert; the folder of the fetched ones is the cache."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pooch

from archflow.datasets.download import ResumingDownloader
from archflow.datasets.published import PublishedTable, published
from archflow.datasets.tables import write_table
from archflow.errors import TableError, UsageError
from archflow.files import sha256_of
from archflow.progress import Report, silent

CACHE, MIRROR = "ARCHFLOW_CACHE", "ARCHFLOW_MIRROR"
"""Environment variables: the folder that tables are fetched into, and the address to fetch them from."""


def cache_folder() -> Path:
    """Return the folder that tables are fetched into: `$ARCHFLOW_CACHE`, or one in the user's cache."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("archflow")).expanduser()


def fetched_path(table: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Return where a table is once it is fetched.

    Raises:
        UnknownNameError: There is no such table.
    """
    return (cache_folder() if folder is None else Path(folder)) / f"{published(table).name}.parquet"


def fetch(
    table: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    source: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    report: Report = silent,
) -> Path:
    """Fetch a published table, once, and return its path, a Parquet file that `read_table` reads.

    The published file must have the SHA-256 of the registry, wherever it comes from. A download that is cut
    off goes on where it stopped, at once or when the table is next fetched.

    Args:
        table: A name in `PUBLISHED`.
        folder: Where to write; by default `cache_folder()`. A table that is there is left alone.
        overwrite: Fetch and replace a table that is there.
        source: The published file, or a folder that holds it under its own name, instead of a download.
        mirror: Address under which the published file is looked up by its own name; by default
            `$ARCHFLOW_MIRROR`, and without one the file comes from where it is published.
        report: Told the KiB received.

    Raises:
        TableError: The file cannot be had, is not the published one, or cannot be written; one line that
            says what to do.
        UnknownNameError: There is no such table.
        UsageError: `mirror` is no address, or is given together with `source`.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    entry = published(table)
    if source is not None and mirror is not None:
        raise UsageError("a source and a mirror exclude each other; leave one out")
    url = _address(entry, mirror)
    path = fetched_path(table, folder)
    if path.exists() and not overwrite:
        return path
    try:
        if source is not None:
            write_table(path, entry.columns(_given(entry, Path(source))))
            return path
        arriving = path.with_suffix(".download")
        arriving.mkdir(parents=True, exist_ok=True)
        try:
            file = _download(entry, url, arriving, report)
            try:
                columns = entry.columns(file)
            except TableError:
                file.unlink()
                raise
            write_table(path, columns)
            shutil.rmtree(arriving)  # not before: after a full disk, the next try needs no download
        finally:
            with contextlib.suppress(OSError):  # it stays where it keeps something for the next try
                arriving.rmdir()
    except OSError as error:
        raise TableError(f"{path.parent}: cannot be written ({error.strerror or error})") from error
    return path


def _download(entry: PublishedTable, url: str, folder: Path, report: Report) -> Path:
    """Return the published file, which has the right SHA-256; every name is made of the registry's."""
    what = "it" if url == entry.url else entry.url
    way_out = f"download {what} by hand and pass it with --source FILE_OR_FOLDER (source=)"
    part = folder / f"{entry.file}.part"
    downloader = ResumingDownloader(part, entry.size, entry.sha256, way_out, report)
    try:
        with _quiet(pooch.get_logger()):
            file = pooch.retrieve(
                url,
                known_hash=f"sha256:{entry.sha256}",
                fname=entry.file,
                path=folder,
                downloader=downloader,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; what arrived of {entry.name} is kept, and the same command goes on from there"
        ) from None
    return Path(file)


def _given(entry: PublishedTable, source: Path) -> Path:
    """Return the published file at, or in, a source, which has the right SHA-256."""
    file = source / entry.file if source.is_dir() else source
    if not file.is_file():
        raise TableError(f"{file}: there is no such file; it should hold what {entry.url} does")
    size = file.stat().st_size
    if size != entry.size:
        raise TableError(
            f"{file}: not the published file of {entry.name}: it has {size} bytes instead of the expected "
            f"{entry.size}; it is published at {entry.url}"
        )
    try:
        digest = sha256_of(file)
    except OSError as error:
        raise TableError(f"{file}: cannot be read ({error.strerror or error})") from error
    if digest != entry.sha256:
        raise TableError(
            f"{file}: not the published file of {entry.name}: its SHA-256 is {digest}, where {entry.sha256} "
            f"was expected; it is published at {entry.url}"
        )
    return file


def _address(entry: PublishedTable, mirror: str | None) -> str:
    base = os.environ.get(MIRROR) if mirror is None else mirror
    if base is None or (mirror is None and not base):
        return entry.url
    try:
        parts = urlsplit(base)
        usable = (
            parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        )
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"mirror {base[:80]!r} is no address; the form is https://HOST/FOLDER")
    return f"{base.rstrip('/')}/{entry.file}"


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from writing to stderr, where our progress bar is."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
