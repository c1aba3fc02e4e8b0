"""The one check that every metric makes of its input."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archflow.errors import UsageError

FloatArray = NDArray[np.float64]


def paired(*, minimum: int = 1, **columns: ArrayLike) -> tuple[FloatArray, ...]:
    """Turn named columns that belong together, row by row, into float64 arrays.

    Args:
        minimum: Fewest rows that make sense.
        columns: Numbers, (n,) each; the names are used in messages.

    Returns:
        The columns in the order given, (n,) float64 each.

    Raises:
        UsageError: A column holds something else than finite numbers, has another length than the first
            or fewer than `minimum` rows; the message names the column.
    """
    arrays = {name: _numbers(name, values) for name, values in columns.items()}
    first, *others = arrays
    for name in others:
        if len(arrays[name]) != len(arrays[first]):
            raise UsageError(
                f"{first} and {name} must have one value a row each; "
                f"they have {len(arrays[first])} and {len(arrays[name])}"
            )
    if len(arrays[first]) < minimum:
        raise UsageError(f"{first} has {len(arrays[first])} rows; at least {minimum} are needed")
    return tuple(arrays.values())


def _numbers(name: str, values: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be numbers ({error})") from error
    if array.ndim != 1:
        raise UsageError(f"{name} must have one axis, (n,); it has shape {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        raise UsageError(f"{name} must be finite; entry {row} is {array[row]}")
    return array
