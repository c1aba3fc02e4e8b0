"""Numbers that were measured of architectures beside the target, such as zero-cost proxies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archflow.errors import TableError, UsageError, plural
from archflow.graphs import Architecture, ArchitectureTable
from archflow.predictors.methods import Method
from archflow.protocols import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredArchitectures(ArchitectureTable):
    """A architectures and C numbers that were measured of each; chosen rows keep theirs.

    Attributes:
        measured: The numbers, (A, C) float64, finite or NaN where nothing was measured.
    """

    measured: FloatArray

    @classmethod
    def join(cls, table: ArchitectureTable, columns: ArrayLike, names: Sequence[str]) -> Self:
        """Put measured columns beside architectures.

        Args:
            table: A architectures.
            columns: What was measured of them, (A, C), NaN where nothing was.
            names: The names of the C columns.

        Raises:
            TableError: These are no numbers, one is infinite, or there are not as many rows.
            UsageError: There are not C columns.
        """
        array = _column_array(columns)
        if array.shape[1] != len(names):
            raise UsageError(
                f"fitted with {plural(len(names), 'measured column')} ({', '.join(names)}), but "
                f"{array.shape[1]} given; give the same in the same order"
            )
        if len(array) != len(table):
            raise TableError(
                f"{len(table)} architectures need as many rows of measured columns, not {len(array)}"
            )
        if np.isinf(array).any():
            row, column = np.argwhere(np.isinf(array))[0].tolist()
            raise TableError(
                f"measured column {names[column]}: row {row + 1} of {len(array)} is {array[row, column]}; "
                "it must be finite, or NaN where nothing was measured"
            )
        return cls(table.columns, table.operations, array)

    @overload
    def __getitem__(self, rows: int | np.integer[Any]) -> Architecture: ...
    @overload
    def __getitem__(self, rows: slice | NDArray[Any] | Sequence[int]) -> Self: ...
    def __getitem__(
        self, rows: int | np.integer[Any] | slice | NDArray[Any] | Sequence[int]
    ) -> Architecture | Self:
        chosen = super().__getitem__(rows)
        if isinstance(chosen, Architecture):
            return chosen
        return dataclasses.replace(chosen, measured=self.measured[np.arange(len(self))[rows]])

    @classmethod
    def concatenate(cls, tables: Sequence[ArchitectureTable]) -> Self:
        """Return the rows of all tables, one table after the other.

        Raises:
            TableError: The tables have different vocabularies or columns, or there is none.
        """
        plain = ArchitectureTable.concatenate(tables)
        measured = [table.measured for table in tables if isinstance(table, MeasuredArchitectures)]
        if len(measured) < len(tables) or len({array.shape[1] for array in measured}) > 1:
            raise TableError("only tables with the same measured columns can be joined")
        return cls(plain.columns, plain.operations, np.concatenate(measured))


def wished_columns(method: Method, names: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names that measured columns are said to have, or None where nothing is said.

    Raises:
        UsageError: The method takes no columns, a name is empty or no text, or two are equal.
    """
    if names is None:
        return None
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if not isinstance(name, str) or not name:
            raise UsageError(f"a measured column's name must be some text, not {name!r}")
        if names.count(name) > 1:
            raise UsageError(f"measured column {name!r} is named twice; leave one out")
    if names:
        _require_blend(method)
    return names


def fitted_columns(
    method: Method, names: tuple[str, ...] | None, columns: ArrayLike | None
) -> tuple[str, ...]:
    """Return the names of the measured columns that are to be fitted.

    Args:
        method: The method.
        names: What `wished_columns` returned; without, they are "column_1", "column_2", ...
        columns: The columns of the labelled architectures, (N, C), or None.

    Raises:
        UsageError: The method takes no columns, or names and columns are not equally many.
        TableError: The columns are no numbers or have other axes.
    """
    count = 0
    if columns is not None:
        _require_blend(method)
        count = _column_array(columns).shape[1]
    if names is None:
        return tuple(f"column_{number + 1}" for number in range(count))
    if len(names) != count:
        raise UsageError(
            f"the predictor is for {plural(len(names), 'measured column')} ({', '.join(names)}), and fit got "
            f"{count or 'none'}; pass columns= with one for each name"
        )
    return names


def beside(table: ArchitectureTable, columns: ArrayLike | None, names: Sequence[str]) -> ArchitectureTable:
    """Return architectures with the measured columns that a predictor is fitted with, if it is with any.

    Raises:
        UsageError: There are columns where there should be none, or too few or too many.
        TableError: As for `MeasuredArchitectures.join`.
    """
    if columns is None and names:
        raise UsageError(
            f"this predictor was fitted with measured columns ({', '.join(names)}); pass columns= with those "
            "of the candidates"
        )
    if columns is not None and not names:
        raise UsageError("this predictor was fitted without measured columns; leave columns out")
    return table if columns is None else MeasuredArchitectures.join(table, columns, names)


def require_values(table: ArchitectureTable, names: Sequence[str]) -> None:
    """Refuse a measured column that is empty for all labelled architectures.

    Raises:
        TableError: One is.
    """
    if isinstance(table, MeasuredArchitectures):
        for name, column in zip(names, table.measured.T, strict=True):
            if np.isnan(column).all():
                raise TableError(f"measured column {name} is empty for all labels; leave it out")


def _column_array(columns: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(columns, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"measured columns must be numbers ({error})") from error
    if array.ndim != 2 or not array.shape[1]:
        raise TableError(
            "measured columns must have the axes (architectures, columns), with one column or more; "
            f"they have shape {array.shape}"
        )
    return array


def _require_blend(method: Method) -> None:
    if method.views is None:
        raise UsageError(
            f"method {method.name!r} takes no measured columns; choose auto, fgp-auto or one that ends with "
            "-gp, or leave the columns out"
        )
