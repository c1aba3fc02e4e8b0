"""A table of architectures: columns instead of objects, so that millions of them fit and move fast."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from archflow.errors import TableError
from archflow.files import atomic_path
from archflow.graphs.architecture import Architecture
from archflow.graphs.arrow import from_arrow, to_arrow
from archflow.graphs.columns import Columns
from archflow.graphs.forms import Form, in_form
from archflow.graphs.keys import isomorphism_keys
from archflow.graphs.operations import Operations


@dataclasses.dataclass(frozen=True, eq=False)
class ArchitectureTable:
    """A architectures over one vocabulary; slicing and shuffling build no object an architecture.

    Indexing with an integer gives an `Architecture`; with a slice, an integer array or a bool array, a
    table.

    Attributes:
        columns: The graphs as ragged columns.
        operations: The vocabulary that the operation ids count in.
    """

    columns: Columns
    operations: Operations

    @classmethod
    def of(cls, architectures: Sequence[Architecture], operations: Operations | None = None) -> Self:
        """Build a table from architectures.

        Args:
            architectures: Any number of them.
            operations: The vocabulary; by default every name that occurs, with meaning by name.

        Raises:
            UnknownNameError: An operation or attribute is not in the vocabulary.
        """
        if operations is None:
            operations = Operations.of(
                {name for a in architectures for name in a.operations},
                attributes={name for a in architectures for name, _ in a.attributes},
            )
        ids = [[operations.id(name) for name in a.operations] for a in architectures]
        numbers = [
            a.attribute_rows(operations) for a in architectures if a.attributes or operations.attributes
        ]
        attributes = np.concatenate(numbers) if numbers else None
        return cls(Columns.of(ids, [a.edges for a in architectures], attributes), operations)

    @classmethod
    def concatenate(cls, tables: Sequence[ArchitectureTable]) -> Self:
        """Return the rows of all tables, one table after the other.

        Raises:
            TableError: The tables have different vocabularies, or there is none.
        """
        if not tables or any(table.operations != tables[0].operations for table in tables):
            raise TableError("only tables over one vocabulary can be joined, and at least one is needed")
        return cls(Columns.concatenate([table.columns for table in tables]), tables[0].operations)

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Architecture]:
        return (Architecture.from_columns(self.columns, self.operations, row) for row in range(len(self)))

    @overload
    def __getitem__(self, rows: int | np.integer[Any]) -> Architecture: ...
    @overload
    def __getitem__(self, rows: slice | NDArray[Any] | Sequence[int]) -> Self: ...
    def __getitem__(
        self, rows: int | np.integer[Any] | slice | NDArray[Any] | Sequence[int]
    ) -> Architecture | Self:
        if isinstance(rows, int | np.integer):
            row = range(len(self))[rows]  # negative rows count from the end; others raise IndexError
            return Architecture.from_columns(self.columns, self.operations, int(row))
        chosen = np.arange(len(self))[rows]
        if chosen.ndim != 1:
            raise IndexError(f"rows must be one list of numbers or truth values, not of shape {chosen.shape}")
        return dataclasses.replace(self, columns=self.columns.take(chosen))

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        return isomorphism_keys(self.columns, self.operations)

    def keys(self) -> NDArray[np.uint64]:
        """Return (A,) uint64 that are equal for isomorphic architectures (`isomorphism_keys`)."""
        return self._keys

    def digest(self) -> str:
        """Return a SHA-256 of the graphs and the vocabulary, as 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self.operations.to_json()).encode())
        for field in dataclasses.fields(self.columns):
            array = getattr(self.columns, field.name)  # attributes that are not there add nothing
            digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def in_form(self, form: Form) -> Self:
        """Return the table in a named form: "as-written", "pruned" or "collapsed".

        Raises:
            UnknownNameError: There is no such form.
        """
        return dataclasses.replace(self, columns=in_form(self.columns, self.operations, form))

    def pruned(self) -> Self:
        """Return the table without zero operations and nodes on no input-output path."""
        return self.in_form("pruned")

    def collapsed(self) -> Self:
        """Return the pruned table with identity nodes removed and their neighbours joined."""
        return self.in_form("collapsed")

    def save(self, path: Path) -> None:
        """Write the table as an Arrow file that `load` maps into memory."""
        table = to_arrow(self.columns, self.operations)
        with atomic_path(path) as temporary, pa.ipc.new_file(temporary, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a saved table into memory without copying it.

        Raises:
            TableError: The file is damaged or holds something else.
        """
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
            columns, operations = from_arrow(table)
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise TableError(f"{path}: not a whole archflow table ({reason})") from error
        return cls(columns, operations)
