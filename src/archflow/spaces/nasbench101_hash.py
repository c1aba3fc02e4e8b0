"""The published graph hash of NAS-Bench-101, by which its tables name cells.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019, appendix on
isomorphism. Equal for isomorphic cells, and different for the others of the published space.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence


def published_hash(labels: Sequence[int], edges: Sequence[tuple[int, int]]) -> str:
    """Hash a cell after dropping the vertices on no path from the first to the last.

    Args:
        labels: The published number of each vertex's operation, (n,); input -1, output -2.
        edges: (source, target) pairs with source < target, sorted by target or by source.

    Returns:
        32 hexadecimal digits.
    """
    live = live_vertices(len(labels), edges)
    place = {vertex: position for position, vertex in enumerate(live)}
    feeds: list[list[int]] = [[] for _ in live]
    fed_by: list[list[int]] = [[] for _ in live]
    for source, target in edges:
        if source in place and target in place:
            feeds[place[source]].append(place[target])
            fed_by[place[target]].append(place[source])

    hashes = [
        _first_hash(len(targets), len(sources), labels[vertex])
        for vertex, targets, sources in zip(live, feeds, fed_by, strict=True)
    ]
    for _ in live:
        hashes = [
            _md5(f"{_joined(hashes, sources)}|{_joined(hashes, targets)}|{own}")
            for own, sources, targets in zip(hashes, fed_by, feeds, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def live_vertices(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return the vertices on a path from the first to the last, ascending; none where there is no path.

    Args:
        count: Number of vertices.
        edges: (source, target) pairs with source < target, sorted by target or by source.
    """
    from_first, to_last = {0}, {count - 1}
    for source, target in edges:
        if source in from_first:
            from_first.add(target)
    for source, target in reversed(edges):
        if target in to_last:
            to_last.add(source)
    return sorted(from_first & to_last)


@functools.cache
def _first_hash(n_out: int, n_in: int, label: int) -> str:
    return _md5(str((n_out, n_in, label)))


def _joined(hashes: list[str], places: list[int]) -> str:
    return "".join(sorted([hashes[place] for place in places]))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
