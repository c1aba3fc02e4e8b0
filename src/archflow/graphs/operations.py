"""What the operations of a search space are called and what they mean."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, unknown_name

INPUT = "input"
OUTPUT = "output"
IDENTITY_NAMES = frozenset({"identity", "skip", "skip_connect"})
ZERO_NAMES = frozenset({"none", "zero"})
_MOST = 2**15


@dataclasses.dataclass(frozen=True)
class Operations:
    """The vocabulary of a search space: operation names in a fixed order, and the meaning of each.

    Attributes:
        names: Every operation, "input" and "output" among them; a name's position is its id.
        identity: Operations that pass their input on unchanged.
        zero: Operations that emit zeros whatever comes in.
        parametric: Operations with trainable weights.
        attributes: Names of the numbers that nodes may carry beside their operation (channels, kernel,
            heads, ...), in a fixed order.

    Raises:
        InvalidArchitectureError: A name is repeated, "input" or "output" is missing, a meaning is given to
            a name that is not in the vocabulary, or a name is both identity and zero.
    """

    names: tuple[str, ...]
    identity: frozenset[str] = frozenset()
    zero: frozenset[str] = frozenset()
    parametric: frozenset[str] = frozenset()
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind, names in (("operation", self.names), ("attribute", self.attributes)):
            repeated = [name for name, count in Counter(names).items() if count > 1]
            if repeated:
                raise InvalidArchitectureError(f"{kind} {repeated[0]!r} is listed twice in the vocabulary")
        if len(self.names) > _MOST:
            raise InvalidArchitectureError(
                f"the vocabulary has {len(self.names)} operations; ids are 16 bits wide, for {_MOST} at most"
            )
        for end in (INPUT, OUTPUT):
            if end not in self.names:
                raise InvalidArchitectureError(f"the vocabulary needs an operation named {end!r}")
        for meaning in ("identity", "zero", "parametric"):
            for name in sorted(getattr(self, meaning)):
                if name not in self._ids or name in (INPUT, OUTPUT):
                    raise InvalidArchitectureError(
                        f"{meaning} operation {name!r} must be in the vocabulary, and no input or output"
                    )
        for name in sorted(self.zero & (self.identity | self.parametric)):
            raise InvalidArchitectureError(
                f"operation {name!r} is zero and so neither identity nor parametric"
            )

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        *,
        identity: Iterable[str] = IDENTITY_NAMES,
        zero: Iterable[str] = ZERO_NAMES,
        attributes: Iterable[str] = (),
    ) -> Operations:
        """Build a vocabulary from whatever names occur, with meaning by name.

        Args:
            names: Operation names in any order, repeats allowed; "input" and "output" are added.
            identity: Names that mean identity where they occur.
            zero: Names that mean zero where they occur.
            attributes: Names of node attributes in any order, repeats allowed.

        Returns:
            The vocabulary: "input", the other names sorted, "output"; every operation that is neither
            identity nor zero is taken to be parametric.
        """
        inner = sorted(set(names) - {INPUT, OUTPUT})
        identities, zeros = frozenset(identity) & set(inner), frozenset(zero) & set(inner)
        return cls(
            names=(INPUT, *inner, OUTPUT),
            identity=identities,
            zero=zeros,
            parametric=frozenset(inner) - identities - zeros,
            attributes=tuple(sorted(set(attributes))),
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def id(self, name: str) -> int:
        """Return the id of an operation.

        Raises:
            UnknownNameError: The name is not in the vocabulary.
        """
        try:
            return self._ids[name]
        except KeyError:
            raise unknown_name("operation", name, self.names) from None

    def mask(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Return a (n_operations,) bool array that is true at the given names."""
        mask = np.zeros(len(self.names), dtype=bool)
        mask[[self.id(name) for name in names]] = True
        return mask

    def to_json(self) -> dict[str, list[str]]:
        """Return the vocabulary as plain lists, for checkpoints and records."""
        vocabulary = {
            "names": list(self.names),
            "identity": sorted(self.identity),
            "zero": sorted(self.zero),
            "parametric": sorted(self.parametric),
        }
        # Left out where there are none, as in files that were written before there could be any.
        return vocabulary | ({"attributes": list(self.attributes)} if self.attributes else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Operations:
        """Rebuild a vocabulary from what `to_json` returned."""
        return cls(
            names=tuple(value["names"]),
            identity=frozenset(value["identity"]),
            zero=frozenset(value["zero"]),
            parametric=frozenset(value["parametric"]),
            attributes=tuple(value.get("attributes", ())),
        )
