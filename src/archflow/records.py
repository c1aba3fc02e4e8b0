"""What a run leaves behind: enough to repeat it, and what came out."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Self

from archflow.errors import CheckpointError

PACKAGES = ("archflow", "torch", "numpy")


def versions(*others: str) -> dict[str, str]:
    """Return the versions of archflow, torch, numpy, Python and other packages; none is imported for it.

    A package that runs without being installed is "not installed".
    """
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *others):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def utc_now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run; every field holds what JSON can: dicts with text keys, lists, text, numbers, None.

    Attributes:
        config: Every choice that was made, by name.
        seeds: Every seed that was used, by what it seeded.
        data_digest: SHA-256 of the table that was read, None for a run without one.
        scores: What came out, by metric; may be nested.
        cost: What it took: seconds, peak bytes, number of trained networks; the unit ends the name.
        versions: Versions of Python and of the packages that decide the numbers.
        created: When the run ended, UTC in ISO 8601.
    """

    config: dict[str, Any]
    seeds: dict[str, int]
    data_digest: str | None
    scores: dict[str, Any]
    cost: dict[str, float]
    versions: dict[str, str] = dataclasses.field(default_factory=versions)
    created: str = dataclasses.field(default_factory=utc_now)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a dict that `from_json` takes back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a record from what `to_json` returned.

        Raises:
            CheckpointError: A key is missing, unknown or holds something of the wrong kind; the message
                names it.
        """
        if not isinstance(value, Mapping):
            raise CheckpointError(f"a run record must be a JSON object, not {type(value).__name__}")
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in value]
        unknown = [str(name) for name in value if name not in names]
        if missing or unknown:
            raise CheckpointError(
                f"not a whole run record; missing keys: {', '.join(missing) or 'none'}; "
                f"unknown keys: {', '.join(unknown) or 'none'}"
            )
        for name in ("config", "seeds", "scores", "cost", "versions"):
            if not isinstance(value[name], Mapping):
                raise CheckpointError(f"run record: {name} must be an object, not {value[name]!r}")
        if not isinstance(value["data_digest"], str | None):
            raise CheckpointError(
                f"run record: data_digest must be text or null, not {value['data_digest']!r}"
            )
        try:
            datetime.fromisoformat(value["created"])
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"run record: created must be an ISO time, not {value['created']!r}"
            ) from error
        return cls(**value)
