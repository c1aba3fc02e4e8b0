"""TFRecord files, record by record, with their checksums; TensorFlow is not needed.

A record is its length (8 bytes, little endian), the masked CRC-32C of those (4 bytes), the data, and the
masked CRC-32C of the data (4 bytes). Source: the comments of TensorFlow's `record_writer.h` and RFC 3720,
appendix B.4.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archflow.progress import Report, silent

MOST_BYTES = 2**16
"""Longest record that is read; one of NAS-Bench-101 has a few hundred bytes."""

_BLOCK = 2**22  # bytes read at a time
_HEAD, _TAIL = 12, 4  # bytes before and after the data
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_MASK_DELTA = 0xA282EAD8


@dataclasses.dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        number: Its 1-based place in the file.
        data: Its bytes; none where it is damaged.
        damage: What is wrong with it, or None.
    """

    number: int
    data: bytes
    damage: str | None = None


def read_records(path: Path, progress: Report = silent) -> Iterator[Record]:
    """Yield the records of a file; memory does not grow with the file.

    A record with damaged data is yielded as such, and the next one follows. Where the file ends inside a
    record, or a length is damaged so that the next record cannot be found, a damaged record comes last.

    Args:
        path: The file.
        progress: Told the MiB read, of all, and the number of records.

    Raises:
        OSError: The file cannot be read.
    """
    size, place, count = path.stat().st_size, 0, 0
    rest = b""
    with path.open("rb") as file:
        while True:
            more = file.read(_BLOCK)
            block = rest + more
            starts, lengths, end, damage = _frames(block)
            for data in _checked(block, starts, lengths):
                count += 1
                damaged = "its data does not match its checksum" if data is None else None
                yield Record(count, data or b"", damaged)
            place += len(more)
            progress(place >> 20, size >> 20, f"{count} records")
            rest = block[end:]
            if damage is None and not more and rest:
                damage = f"the file ends inside it, {len(rest)} bytes after its beginning"
            if damage is not None:
                yield Record(count + 1, b"", damage)
            if damage is not None or not more:
                return


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes."""
    whole = np.array([0]), np.array([len(data)])
    return int(_crc32c_of_parts(np.frombuffer(data, dtype=np.uint8), *whole)[0])


def masked(checksum: int) -> int:
    """Return a checksum as TFRecord files hold it."""
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _frames(block: bytes) -> tuple[list[int], list[int], int, str | None]:
    """Find the whole records of a block: where data begin, lengths, the end, what is wrong."""
    starts: list[int] = []
    lengths: list[int] = []
    place = 0
    while place + _HEAD <= len(block):
        length = _length(block[place : place + _HEAD])
        if length is None:
            hint = "; the file is damaged or no TFRecord file"
            return starts, lengths, place, f"its length does not match its checksum{hint}"
        if length > MOST_BYTES:
            return starts, lengths, place, f"it has {length} bytes; at most {MOST_BYTES} are read"
        if place + _HEAD + length + _TAIL > len(block):
            break
        starts.append(place + _HEAD)
        lengths.append(length)
        place += _HEAD + length + _TAIL
    return starts, lengths, place, None


@functools.lru_cache(maxsize=4096)  # lengths repeat
def _length(head: bytes) -> int | None:
    """Return the length that the head of a record holds, or None where its checksum is wrong."""
    if int.from_bytes(head[8:], "little") != masked(crc32c(head[:8])):
        return None
    return int.from_bytes(head[:8], "little")


def _checked(block: bytes, starts: list[int], lengths: list[int]) -> Iterator[bytes | None]:
    """Yield the data of each record, or None where it does not match its checksum."""
    if not starts:
        return
    octets = np.frombuffer(block, dtype=np.uint8)
    first, length = np.array(starts), np.array(lengths)
    checksums = _crc32c_of_parts(octets, first, length)
    turned = checksums >> np.uint32(15) | checksums << np.uint32(17)
    expected = turned + np.uint32(_MASK_DELTA)
    tails = octets[(first + length)[:, None] + np.arange(_TAIL)]  # (R, 4)
    good = (np.ascontiguousarray(tails).view("<u4")[:, 0] == expected).tolist()
    for start, count, fine in zip(starts, lengths, good, strict=True):
        yield block[start : start + count] if fine else None


def _crc32c_of_parts(
    octets: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return the CRC-32C of each part, (R,), byte by byte over all parts at once."""
    order = np.argsort(-lengths, kind="stable")
    first = starts[order]
    checksums = np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)
    longer = np.searchsorted(-lengths[order], -np.arange(lengths.max(initial=0)), side="left")
    for position, active in enumerate(longer.tolist()):  # parts longer than `position`
        some = checksums[:active]
        index = some.astype(np.uint8) ^ octets[first[:active] + position]
        checksums[:active] = _table()[index] ^ (some >> np.uint32(8))
    result = np.empty_like(checksums)
    result[order] = ~checksums
    return result


@functools.cache
def _table() -> NDArray[np.uint32]:
    """Return the checksum of each single byte before the final inversion, (256,)."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> np.uint32(1) ^ np.uint32(_POLYNOMIAL), values >> np.uint32(1))
    return values
