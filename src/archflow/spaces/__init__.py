"""Search spaces, one file each, and their one registry."""

from __future__ import annotations

from archflow.errors import unknown_name
from archflow.protocols import Space
from archflow.spaces.free import Free
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201

SPACES: dict[str, type[NASBench101] | type[NASBench201] | type[Free]] = {
    space.name: space for space in (NASBench201, NASBench101, Free)
}
"""Every search space by name."""


def get(name: str) -> Space:
    """Return a search space.

    Raises:
        UnknownNameError: There is none of that name; lists the choices and suggests the nearest.
    """
    try:
        return SPACES[name]()
    except KeyError:
        raise unknown_name("space", name, SPACES) from None


__all__ = ["SPACES", "Free", "NASBench101", "NASBench201", "get"]
