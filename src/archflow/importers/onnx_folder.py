"""A folder of ONNX files as a search space: an architecture's text is the name of its file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError, short, unknown_name
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.importers.network import ImportedNetwork
from archflow.importers.onnx_files import read_onnx
from archflow.importers.vocabulary import ATTRIBUTES, checked_attributes, vocabulary
from archflow.progress import Report, silent
from archflow.protocols import FloatArray

SUFFIX = ".onnx"
"""How the name of a file of the space ends."""

_PARAMETERS = "parameters"


class OnnxFolder:
    """The networks in the ONNX files of one folder and the folders in it.

    Texts are file names relative to the folder, `resnet18.onnx` or `sub/vit.onnx`. Every file is read once,
    when it is first needed, and its graph is kept. Files that links lead to outside of the folder do not
    belong to it.

    Args:
        folder: The folder.
        names: The files that the space consists of; by default all in the folder.
        operations: A vocabulary to keep to, such as a checkpoint's: it decides the attributes too, and a
            file with another operation is bad. By default the documented vocabulary and whatever else occurs.
        fuse: Whether convolutions and linear maps take in the batch norm and activation behind them.
        attributes: The names out of `ATTRIBUTES` that nodes carry, where no vocabulary is given.
        skip_bad: Whether bad files are left out, and listed in `bad`, where they would raise an error.
        report: Progress while files are read.

    Raises:
        UsageError: There is no such folder or no file in it.
        UnknownNameError: An attribute is not one of `ATTRIBUTES`.
    """

    name = "onnx"

    def __init__(
        self,
        folder: Path | str,
        *,
        names: Iterable[str] | None = None,
        operations: Operations | None = None,
        fuse: bool = False,
        attributes: Iterable[str] = ATTRIBUTES,
        skip_bad: bool = False,
        report: Report = silent,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder")
        self.names = tuple(_files_in(self.folder) if names is None else dict.fromkeys(names))
        if not self.names:
            raise UsageError(f"{folder}: no file in it ends with {SUFFIX}")
        self._known = frozenset(self.names)
        self._imposed, self._fuse, self._skip_bad, self._report = operations, fuse, skip_bad, report
        self._attributes = checked_attributes(attributes if operations is None else operations.attributes)
        self._networks: dict[str, ImportedNetwork] = {}
        self._bad: dict[str, str] = {}
        self._table: ArchitectureTable | None = None
        self._first: dict[Architecture, str] = {}

    @property
    def operations(self) -> Operations:
        """The vocabulary; without one that is given, every file is read to learn it.

        Raises:
            InvalidArchitectureError: A file is bad, and bad files are not skipped.
        """
        return self.all().operations if self._imposed is None else self._imposed

    @property
    def size(self) -> int:
        """Number of files, without bad ones where those are skipped."""
        return len(self.all()) if self._skip_bad else len(self.names)

    @property
    def bad(self) -> Mapping[str, str]:
        """The files that were found to be bad so far, and why."""
        return dict(self._bad)

    def network(self, text: str) -> ImportedNetwork:
        """Return what was read from one file, the report included.

        Raises:
            InvalidArchitectureError: The file is not of this space or bad; names it and the rule.
        """
        return self._network(text.strip())

    def parse(self, text: str) -> Architecture:
        """Read one file.

        Args:
            text: Its name relative to the folder, with `/` between folders.

        Raises:
            InvalidArchitectureError: The text names no file of this space, or the file is bad.
        """
        return self.network(text).architecture

    def format(self, architecture: Architecture) -> str:
        """Return the name of the first file with an architecture.

        Raises:
            InvalidArchitectureError: No file has it, or a file is bad and bad files are not skipped.
        """
        self.all()
        if architecture not in self._first:
            raise InvalidArchitectureError(f"no file in {self.folder} has this architecture")
        return self._first[architecture]

    def all(self) -> ArchitectureTable:
        """Return the architecture of every file, in the order of `names`.

        Raises:
            InvalidArchitectureError: A file is bad, and bad files are not skipped.
        """
        if self._table is None:
            for done, name in enumerate(self.names):
                self._report(done, len(self.names), name)
                try:
                    self._first.setdefault(self._network(name).architecture, name)
                except InvalidArchitectureError:
                    if not self._skip_bad:
                        raise
            self._report(len(self.names), len(self.names))
            good = [self._networks[name] for name in self.names if name in self._networks]
            operations = self._imposed or vocabulary(
                {operation for network in good for operation in network.report.unknown},
                fuse=self._fuse,
                attributes=self._attributes,
            )
            self._table = ArchitectureTable.of([network.architecture for network in good], operations)
        return self._table

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw files with distinct architectures, uniformly.

        Raises:
            UsageError: There are fewer.
            InvalidArchitectureError: A file is bad, and bad files are not skipped.
        """
        table = self.all()
        _, first = np.unique(table.keys(), return_index=True)
        if not 0 <= count <= len(first):
            raise UsageError(
                f"{count} networks asked for; the files in {self.folder} hold {len(first)} different ones"
            )
        return table[rng.choice(np.sort(first), size=count, replace=False)]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> NoReturn:
        """Refuse: a network that was imported cannot be changed.

        Raises:
            UsageError: Always.
        """
        raise UsageError("imported networks cannot be changed; search among the files, or in another space")

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the trainable weights of each architecture, (A,) float64.

        They are the sum of the nodes' attribute, or, where nodes do not carry it, what the first file with
        the same graph has.

        Raises:
            InvalidArchitectureError: Nodes do not carry it, and no file has one of the graphs.
        """
        columns, attributes = table.columns, table.operations.attributes
        if _PARAMETERS in attributes:
            weights = columns.attributes[:, attributes.index(_PARAMETERS)].astype(np.float64)
            counts = np.bincount(columns.node_rows(), weights, minlength=len(columns))
            return counts.astype(np.float64)
        keys, first = np.unique(self.all().keys(), return_index=True)
        if len(missing := np.flatnonzero(~np.isin(table.keys(), keys))):
            raise InvalidArchitectureError(
                f"row {missing[0]}: no file in {self.folder} has this architecture"
            )
        good = [self._networks[name] for name in self.names if name in self._networks]
        counts = np.array([good[row].report.parameters for row in first], dtype=np.float64)
        return np.asarray(counts[np.searchsorted(keys, table.keys())], dtype=np.float64)

    def _network(self, name: str) -> ImportedNetwork:
        if name not in self._networks:
            if name in self._bad:
                raise InvalidArchitectureError(self._bad[name])
            try:
                self._networks[name] = self._read(name)
            except InvalidArchitectureError as error:
                if name in self._known:
                    self._bad[name] = str(error)
                raise
        return self._networks[name]

    def _read(self, name: str) -> ImportedNetwork:
        problem = _problem(self.folder, name)
        if problem is None and name not in self._known:
            problem = "is not among the files that the space consists of"
        if problem is not None:
            raise InvalidArchitectureError(f"{short(name)} {problem}")
        network = read_onnx(self.folder / name, fuse=self._fuse, attributes=self._attributes)
        if self._imposed is not None:
            for node, operation in enumerate(network.architecture.operations):
                if operation not in self._imposed.names:
                    reason = unknown_name("operation", operation, self._imposed.names)
                    raise InvalidArchitectureError(f"{short(name)}, node {node}: {reason}")
        return network


def _files_in(folder: Path) -> list[str]:
    found = [
        (Path(inside) / file).relative_to(folder).as_posix()
        for inside, _, files in os.walk(folder)
        for file in files
        if file.endswith(SUFFIX)
    ]
    return sorted(found)


def _problem(folder: Path, name: str) -> str | None:
    """Return why a name is none of a file in a folder, None where it is one."""
    parts = PurePosixPath(name).parts
    if not name.endswith(SUFFIX) or not name.isprintable() or name != name.strip():
        return f"is no file name; the form is the name of a {SUFFIX} file in {folder}"
    if "\\" in name or Path(name).is_absolute() or ".." in parts or "/".join(parts) != name:
        return f"is no plain name relative to {folder}; leave out '..', '.', a leading '/' and backslashes"
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return f"leads out of {folder} through a link"
        return None if path.is_file() else f"is no file in {folder}, to which names are relative"
    except (OSError, RuntimeError):  # a name that is too long, a loop of links
        return f"is no file in {folder}"
