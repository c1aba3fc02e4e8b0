"""The words of text formats and space files: names, and numbers as short as they can be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np

from archflow.errors import UsageError, short, unknown_name

MAX_NAME = 80
"""Longest name of a declared space, of its operations and of its attributes, in characters."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,50}\.?[0-9]{0,50}|\.[0-9]{1,50})(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_TOO_LARGE = float(2**128 - 2**103)  # the least number that float32 rounds to infinity
_BANNED = frozenset(",;>=()|")
_LISTED = 8
_COMPARED = 1_000


def is_word(text: str, banned: frozenset[str]) -> bool:
    """Whether a text is one or more printable characters, none of them a space or banned."""
    return bool(text) and text.isprintable() and " " not in text and banned.isdisjoint(text)


def listed(names: Sequence[str]) -> str:
    """Return names with commas between, the first few of many."""
    shown = [name[:MAX_NAME] for name in names[:_LISTED]]
    return ", ".join([*shown, "..."] if len(names) > _LISTED else shown)


def is_number(value: object) -> bool:
    """Whether a value is a real number that float32 can hold; truth values are none."""
    value = value.item() if isinstance(value, np.generic) else value
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def write_number(value: float) -> str:
    """Write a float32 as the shortest decimal number that is read as the same; integers as integers."""
    if value.is_integer() and abs(value) < 2**24:
        return str(int(value))
    number = np.float32(value)
    if 1e-4 <= abs(value) < 1e16:
        return np.format_float_positional(number, trim="-")
    return np.format_float_scientific(number, trim="-", exp_digits=1)


def read_number(text: str) -> float | None:
    """Read a decimal number that float32 can hold, or return None where the text is none."""
    value = float(text) if _NUMBER.fullmatch(text) else np.inf
    return value if abs(value) < _TOO_LARGE else None


def unknown(kind: str, name: str, choices: Sequence[str]) -> str:
    """Return what to say of a name that is not among the choices; of many choices a few are listed."""
    name = name[:MAX_NAME]
    if not choices:
        return f"unknown {kind} {name!r}; there are none"
    if len(choices) <= _LISTED:
        return str(unknown_name(kind, name, choices))
    near = difflib.get_close_matches(name, choices[:_COMPARED], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}; choose from {len(choices)}: {listed(choices)}.{hint}"


def require_plain_name(kind: str, name: str) -> str:
    """Return a name that may stand in the texts and files of a declared space.

    Args:
        kind: What is named, such as "operation".
        name: The name.

    Raises:
        UsageError: It is empty, longer than `MAX_NAME`, or has a space, an unprintable character or one of
            `,;>=()|`.
    """
    if len(name) > MAX_NAME or not is_word(name, _BANNED):
        raise UsageError(
            f"{kind} {short(name)} must be 1 to {MAX_NAME} printable characters without spaces and ,;>=()|"
        )
    return name


def require_own_name(name: str) -> str:
    """Return the name of a space of one's own.

    Raises:
        UsageError: It is no plain word, or archflow has a space of that name, whose pre-trained encoders and
            published settings would be taken for the new one's.
    """
    from archflow.spaces import SPACES  # the registry imports the spaces, and so this file

    if not re.fullmatch(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_NAME - 1}}}", name, re.ASCII):
        raise UsageError(
            f"a space's name is a word of letters, digits and _, {MAX_NAME} characters at most, "
            f"not {short(name)}"
        )
    if name.lower() in (*SPACES, "onnx"):  # folders of encoders, too, may not tell capitals apart
        raise UsageError(f"archflow has a space named {name.lower()!r}; give yours another name")
    return name
