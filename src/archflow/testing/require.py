"""The one way a conformance suite says no."""

from __future__ import annotations


def require(condition: bool, message: str) -> None:
    """Fail the check unless the condition holds; unlike `assert`, also under `python -O`.

    Raises:
        AssertionError: The condition is false.
    """
    if not condition:
        raise AssertionError(message)
