"""What folding rules ask about the operators around one: where a value comes from, and who else uses it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from archflow.importers.operators import Constant, Operator, elements

SKIPPED = ""
"""The kind of an operator that a rule has removed."""

_MOST_INPUTS = 3  # a condition and two choices


class Matcher:
    """The operators of one network while they are folded, with arithmetic with one number looked through.

    Args:
        operators: The operators on data in the order in which they run; rules change them.
        outputs: Names of what the network returns.
        constants: The constants, by name.
    """

    def __init__(
        self, operators: Sequence[Operator], outputs: Sequence[str], constants: Mapping[str, Constant]
    ) -> None:
        self.constants = constants
        self._producers = {value: operator for operator in operators for value in operator.outputs}
        self._uses = Counter(value for operator in operators for value in operator.inputs)
        self._uses.update(outputs)
        self._roots: dict[str, tuple[str, float, float]] = {}
        self._shared: set[str] = set()  # values on whose way from their root something else branches off

    def root(self, value: str) -> tuple[str, float, float]:
        """Return the value before arithmetic with one number, and what it is multiplied by and added to."""
        return self._roots.get(value, (value, 1.0, 0.0))

    def base(self, value: str) -> str:
        """Return the value before arithmetic with one number."""
        return self.root(value)[0]

    def maker(self, value: str, *kinds: str) -> Operator | None:
        """Return what gives a value, before arithmetic with one number, if it is of one of the kinds.

        An operator of many inputs is part of no pattern; looking at each of them would take too long.
        """
        operator = self._producers.get(self.base(value))
        if operator is None or operator.kind not in kinds or len(operator.inputs) > _MOST_INPUTS:
            return None
        return operator

    def only_maker(self, value: str) -> Operator | None:
        """Return what gives a value, before arithmetic with one number, if nothing else uses it."""
        if self._uses[value] != 1 or value in self._shared:
            return None
        return self._producers.get(self.base(value))

    def one_number(self, value: str) -> float | None:
        """Return a constant of one number: the number, or NaN where it is not known; None for other values.

        A constant without a known shape is taken for one number.
        """
        constant = self.constants.get(value)
        if constant is None:
            return None
        if constant.number is not None:
            return constant.number
        return math.nan if elements(constant.shape) in (1, None) else None

    def skip(self, operator: Operator, factor: float = 1.0, summand: float = 0.0, place: int = 0) -> bool:
        """Remove an operator that gives factor * input + summand, where the input is at the given place."""
        base, scale, shift = self.root(operator.inputs[place])
        read = operator.inputs[place]
        if self._uses[read] > 1 or read in self._shared:
            self._shared.update(operator.outputs)
        for value in operator.outputs:
            self._roots[value] = (base, scale * factor, shift * factor + summand)
        operator.kind = SKIPPED
        return True
