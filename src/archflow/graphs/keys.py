"""Numbers that are equal for isomorphic architectures and differ for others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archflow.graphs.columns import Columns, IntArray
from archflow.graphs.generations import generations
from archflow.graphs.operations import Operations

UintArray = NDArray[np.uint64]

# Alternating sweeps: one forward and one backward pass tell apart what a node is built from and what it
# feeds; each further one follows paths that turn round once more. Message passing turns round at most once a
# layer, so that two graphs with one key have one embedding in encoders of up to seven layers.
_SWEEPS = 8

_BLOCK = 2**14  # numbers mixed at once: they stay in a core's cache


def isomorphism_keys(columns: Columns, operations: Operations) -> UintArray:
    """Hash every architecture so that renumbering its nodes changes nothing.

    Each node's hash, of its operation and its attributes, is refined along the generations, forward and
    backward in turn, by the sum of its neighbours' mixed hashes (a Weisfeiler-Lehman colouring that follows
    the data flow). The keys depend on the names of operations and attributes, not on their ids, so that they
    carry over between vocabularies. Distinct graphs collide with a probability of about 1 in 2^64 a pair,
    except for graphs that colour refinement of eight sweeps cannot tell apart; there are none among the
    423,624 NAS-Bench-101 cells.

    Args:
        columns: The graphs of A architectures.
        operations: The names of the operation ids and of the attributes.

    Returns:
        (A,) uint64.
    """
    hashes: UintArray = _hashed(operations.names)[columns.operation_ids]
    for name_hash, numbers in zip(_hashed(operations.attributes), columns.attributes.T, strict=True):
        bits = np.ascontiguousarray(numbers).view(np.uint32).astype(np.uint64)
        hashes = hashes + np.where(bits == 0, np.uint64(0), mix(bits ^ name_hash, name_hash))
    sources, targets = columns.global_edges()
    plans = (generations(sources, targets, len(hashes)), generations(targets, sources, len(hashes)))
    for sweep in range(_SWEEPS):
        salt = np.uint64(sweep + 1)
        hashes = mix(hashes, salt)
        for step in plans[sweep % 2]:
            received = np.add.reduceat(mix(hashes[step.senders], salt), step.starts[:-1])
            hashes[step.nodes] = mix(hashes[step.nodes] ^ mix(received, salt), salt)
    return mix(_row_sums(mix(hashes, np.uint64(_SWEEPS + 1)), columns.node_offsets), np.uint64(0))


def _hashed(names: Sequence[str]) -> UintArray:
    digests = (hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest() for name in names)
    return np.fromiter((int.from_bytes(digest) for digest in digests), dtype=np.uint64)


def _row_sums(values: UintArray, offsets: IntArray) -> UintArray:
    if not len(offsets) - 1:
        return np.zeros(0, dtype=np.uint64)
    sums: UintArray = np.add.reduceat(values, offsets[:-1])
    return sums


def mix(values: UintArray, salt: np.uint64) -> UintArray:
    """Scramble 64-bit integers, (n,) (the finaliser of SplitMix64; Steele, Lea, Flood, OOPSLA 2014)."""
    mixed, shift = np.empty_like(values), np.uint64((int(salt) + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for begin in range(0, len(values), _BLOCK):
        block = mixed[begin : begin + _BLOCK]
        np.add(values[begin : begin + _BLOCK], shift, out=block)
        block ^= block >> np.uint64(30)
        block *= np.uint64(0xBF58476D1CE4E5B9)
        block ^= block >> np.uint64(27)
        block *= np.uint64(0x94D049BB133111EB)
        block ^= block >> np.uint64(31)
    return mixed


def first_equal(keys: UintArray) -> IntArray:
    """Return where each key occurs first, (n,) int64, for keys (n,) in any order."""
    bits = len(keys).bit_length() + 1
    firsts, left = np.arange(len(keys)), np.arange(len(keys))
    table = np.empty(1 << bits, dtype=np.int64)
    multiplier = odd = 0x9E3779B97F4A7C15
    while len(left):  # the first key of each slot finds all that equal it; the others try other slots
        slots = (keys[left] * np.uint64(multiplier) >> np.uint64(64 - bits)).astype(np.int64)
        table[slots[::-1]] = left[::-1]  # of those that share a slot the first one stays
        firsts[left] = found = table[slots]
        left = left[keys[found] != keys[left]]
        multiplier = multiplier * odd % 2**64
    return firsts


def distinct_rows(keys: UintArray) -> tuple[IntArray, IntArray]:
    """Return the first row of each distinct key, rising, and the place of each row's key in these, (A,)."""
    firsts = first_equal(keys)
    new = firsts == np.arange(len(keys))
    return np.flatnonzero(new), (np.cumsum(new) - 1)[firsts]


def stable_order(numbers: IntArray) -> IntArray:
    """Return the positions, (n,), of non-negative numbers in rising order; ties keep theirs."""
    # NumPy sorts numbers of 16 bits by their digits, in a tenth of the time.
    return np.argsort(numbers.astype(np.min_scalar_type(numbers.max(initial=0))), kind="stable")
