"""Several targets: their names and directions, conditions on them, and how they order candidates."""

from __future__ import annotations

import dataclasses
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.errors import UsageError, plural, short, unknown_name
from archflow.metrics import pareto_fronts
from archflow.protocols import FloatArray

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CONDITION = re.compile(r"(?P<target>[^<>=]+)(?P<comparison><=|>=|<|>)(?P<value>[^<>=]+)")


@dataclasses.dataclass(frozen=True)
class Targets:
    """What is predicted.

    Attributes:
        names: Name of each of the T targets.
        minimize: Whether a lower value is better, for each target.
    """

    names: tuple[str, ...]
    minimize: tuple[bool, ...]

    @classmethod
    def of(
        cls, names: str | Sequence[str] | None, minimize: bool | Sequence[bool], count: int | None = None
    ) -> Targets:
        """Bring names and directions together.

        Args:
            names: The names; by default "target", or "target_1", "target_2", ... where there are several.
            minimize: Whether lower is better, one answer for all targets or one for each.
            count: T; by default as many as there are names, else directions, else one.

        Raises:
            UsageError: Names and directions are not as many as there are targets, a name is empty or no
                text, or two are equal.
        """
        several = minimize if isinstance(minimize, tuple | list | np.ndarray) else None
        if isinstance(names, str):
            names = (names,)
        if count is None:
            count = len(names) if names is not None else 1 if several is None else len(several)
        if names is None:
            names = ("target",) if count == 1 else tuple(f"target_{n + 1}" for n in range(count))
        names = tuple(names)
        for name in names:
            if not isinstance(name, str) or not name:
                raise UsageError(f"a target's name must be some text, not {name!r}")
            if names.count(name) > 1:
                raise UsageError(f"target {name!r} is named twice; each target needs a name of its own")
        if len(names) != count:
            raise UsageError(
                f"targets has {plural(len(names), 'name')} ({', '.join(names)}) for "
                f"{plural(count, 'target')}; give one for each"
            )
        if several is not None and len(several) != count:
            raise UsageError(
                f"minimize gives {plural(len(several), 'direction')} for {plural(count, 'target')}; "
                "give one for all, or one for each"
            )
        return cls(names, tuple(map(bool, several)) if several is not None else (bool(minimize),) * count)

    @property
    def signs(self) -> FloatArray:
        """What values are multiplied by so that higher is better: 1, or -1 where lower is, (T,)."""
        return np.where(self.minimize, -1.0, 1.0)

    def place(self, name: str) -> int:
        """Return the number of the target of that name.

        Raises:
            UnknownNameError: There is none; lists the names.
        """
        if name not in self.names:
            raise unknown_name("target", name, self.names)
        return self.names.index(name)


@dataclasses.dataclass(frozen=True)
class Condition:
    """A bound on the prediction of a target.

    Attributes:
        target: Name of the target.
        comparison: One of <, <=, > and >=.
        value: The bound, in the units of the target.

    Raises:
        UsageError: There is no name, the comparison is another one, or the bound is no finite number.
    """

    target: str
    comparison: str
    value: float

    def __post_init__(self) -> None:
        if not self.target:
            raise UsageError("a condition needs the name of a target")
        if self.comparison not in _COMPARISONS:
            raise UsageError(
                f"a condition compares with one of {' '.join(_COMPARISONS)}, not {self.comparison!r}"
            )
        if not _is_finite(self.value):
            raise UsageError(f"the bound of a condition must be a finite number, not {self.value!r}")

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition such as "latency_ms<5".

        Args:
            text: The name of a target (anything but <, > and =), a comparison and a number.

        Raises:
            UsageError: It is none.
        """
        try:
            found = _CONDITION.fullmatch(text)
            return cls(found["target"].strip(), found["comparison"], float(found["value"]))  # type: ignore[index]
        except (TypeError, ValueError):
            raise UsageError(
                f"cannot read the condition {short(str(text))}; write a target, one of "
                f"{' '.join(_COMPARISONS)} and a number, such as 'latency_ms<5'"
            ) from None

    def holds(self, predicted: FloatArray) -> NDArray[np.bool_]:
        """Whether each prediction of the target, (A,), meets the bound, (A,)."""
        return np.asarray(_COMPARISONS[self.comparison](predicted, self.value))

    def __str__(self) -> str:
        return f"{self.target}{self.comparison}{self.value:.10g}"


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """How predictions of T targets order candidates.

    Attributes:
        targets: The targets.
        conditions: What candidates must meet to be ranked at all.
        weights: How much each standardised target counts, (T,); None without a weighted sum.
        pareto: Whether candidates go by Pareto fronts. Without this and weights, the first target decides.
    """

    targets: Targets
    conditions: tuple[Condition, ...] = ()
    weights: FloatArray | None = None
    pareto: bool = False

    @classmethod
    def of(
        cls,
        targets: Targets,
        weights: Mapping[str, float] | None = None,
        where: str | Condition | Sequence[str | Condition] = (),
        pareto: bool = False,
    ) -> Order:
        """Check a wish.

        Args:
            targets: The targets.
            weights: Weights by name of the target; a target without one does not count.
            where: Conditions, or texts that `Condition.parse` reads; all must be met.
            pareto: Whether candidates go by Pareto fronts.

        Raises:
            UnknownNameError: A weight or a condition is for no target.
            UsageError: There are both weights and `pareto`, or one target and `pareto`; a weight is negative
                or no finite number, or none is above 0; a condition cannot be read.
        """
        if pareto and weights is not None:
            raise UsageError("weights and the Pareto front are two orders; choose one of them")
        if pareto and len(targets.names) == 1:
            raise UsageError("the Pareto front needs two targets or more; with one, leave it out")
        conditions = tuple(
            c if isinstance(c, Condition) else Condition.parse(c)
            for c in ((where,) if isinstance(where, str | Condition) else where)
        )
        for condition in conditions:
            targets.place(condition.target)
        return cls(targets, conditions, None if weights is None else _weights(targets, weights), pareto)

    def choose(
        self, predicted: FloatArray, measured: Sequence[FloatArray], top: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Order the candidates that meet the conditions, best first; equals stay in their order.

        A prediction is standardised by the mean and the deviation of the labels, and negated where lower is
        better. Weights multiply it and the sum decides; within a Pareto front too, all weights being 1.

        Args:
            predicted: Predictions in the targets' units, (A, T).
            measured: The labels of each target in the same units, T arrays.
            top: How many to return; by default all.

        Returns:
            The rows of the K best, (K,), and with `pareto` their fronts, (K,), else None.

        Raises:
            UsageError: No candidate meets the conditions; the closest prediction is named.
        """
        rows = self._allowed(predicted)
        scores = self.targets.signs * predicted[rows]
        if self.weights is None and not self.pareto:
            return rows[np.argsort(-scores[:, 0], kind="stable")[:top]], None
        weights = np.ones(len(measured)) if self.weights is None else self.weights
        centre = self.targets.signs * [labels.mean() for labels in measured]
        # The square of a tiny deviation may be 0.
        spread = np.array([labels.std() or np.ptp(labels) for labels in measured])
        merit = ((scores - centre) / spread) @ weights
        if not self.pareto:
            return rows[np.argsort(-merit, kind="stable")[:top]], None
        fronts = pareto_fronts(scores, top)
        numbered = np.flatnonzero(fronts >= 0)
        order = numbered[np.lexsort((-merit[numbered], fronts[numbered]))[:top]]
        return rows[order], fronts[order]

    def _allowed(self, predicted: FloatArray) -> NDArray[np.int64]:
        rows, met = np.arange(len(predicted)), ""
        for condition in self.conditions:
            values = predicted[rows, self.targets.place(condition.target)]
            kept = rows[condition.holds(values)]
            if len(rows) and not len(kept):
                closest = float(values[np.argmin(np.abs(values - condition.value))])
                raise UsageError(
                    f"no candidate{met} is predicted to have {condition}; the closest has "
                    f"{condition.target} {closest:.10g}"
                )
            rows, met = kept, f"{met} {'and' if met else 'with'} {condition}"
        return rows


def squeezed(columns: FloatArray) -> FloatArray:
    """Return (A, T) as it is, or (A,) where T is 1."""
    return columns[:, 0] if columns.shape[1] == 1 else columns


def _weights(targets: Targets, weights: Mapping[str, float]) -> FloatArray:
    values = np.zeros(len(targets.names))
    for name, weight in weights.items():
        place = targets.place(name)
        if not _is_finite(weight) or weight < 0:
            raise UsageError(
                f"the weight of {name} must be a finite number of at least 0, not {weight!r}; "
                "whether lower is better is said with minimize"
            )
        values[place] = weight
    if not values.any():
        raise UsageError(f"no target has a weight above 0; give one to some of {', '.join(targets.names)}")
    return values


def _is_finite(value: object) -> bool:
    most = sys.float_info.max
    return isinstance(value, int | float | np.integer | np.floating) and bool(-most <= value <= most)
