"""Architectures written as JSON: decoding that accepts plain values alone, and says what is wrong."""

from __future__ import annotations

import json
from typing import Any

from archflow.errors import InvalidArchitectureError, short


def decode(text: str, most: int) -> Any:
    """Decode a JSON text.

    Args:
        text: The text; spaces around it do not matter.
        most: Longest text that is read, in characters.

    Returns:
        Dictionaries, lists, strings, numbers, truth values and None.

    Raises:
        InvalidArchitectureError: The text is longer, no JSON, nested too deep, or repeats a key of an object.
    """
    if len(text) > most:
        raise InvalidArchitectureError(f"text of {len(text)} characters; this space reads at most {most}")
    try:
        return _DECODER.decode(text)
    except InvalidArchitectureError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidArchitectureError(f"not JSON: {error}") from error


def encode(value: Any) -> str:
    """Write a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for position, name in enumerate(names) if name in names[:position])
        raise InvalidArchitectureError(f"key {short(repeated)} appears twice in one object")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
