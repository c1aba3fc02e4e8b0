"""Labels that a predictor can learn a ranking from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from archflow.errors import TableError
from archflow.protocols import FloatArray

MINIMUM_LABELS = 4


def require_labels(values: ArrayLike, *, minimum: int = MINIMUM_LABELS, where: str = "") -> FloatArray:
    """Check that labels are enough, finite and not all equal.

    Args:
        values: The labels, (n,).
        minimum: Fewest labels that will do.
        where: What the labels are, such as a file and a column; it begins the message.

    Returns:
        The labels, (n,) float64.

    Raises:
        TableError: There are fewer labels, one is not finite, or all are equal; nothing can be ranked then.
    """
    prefix = f"{where}: " if where else ""
    try:
        labels = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"{prefix}labels must be numbers ({error})") from error
    if labels.ndim != 1:
        raise TableError(f"{prefix}labels must have one axis, (n,); they have shape {labels.shape}")
    if len(labels) < minimum:
        raise TableError(f"{prefix}{len(labels)} labels are too few; at least {minimum} are needed")
    finite = np.isfinite(labels)
    if not finite.all():
        entry = int(np.argmin(finite))
        raise TableError(
            f"{prefix}labels must be finite; label {entry + 1} of {len(labels)} is {labels[entry]}"
        )
    if len(labels) and (labels == labels[0]).all():
        raise TableError(f"{prefix}all {len(labels)} labels are {labels[0]}; a constant ranks nothing")
    return labels
