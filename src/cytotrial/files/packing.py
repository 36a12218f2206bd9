"""Counts in as few bytes as will do: sparse, in numbers of variable length, deflated, as text.

A histogram becomes the gaps between its occupied bins, then their counts, each number in groups of seven
bits, lowest first, a set high bit saying that another group follows (LEB128). Most bins of a plot of events
are empty and most gaps and counts fit one byte. The review page unpacks the same form.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]


def pack_counts(counts: npt.NDArray[np.integer[Any]]) -> bytes:
    """Counts per bin, of any shape, read in C order; `unpack_counts` gives them back, flat."""
    flat = np.ascontiguousarray(counts).reshape(-1)
    occupied = np.flatnonzero(flat)
    gaps = np.diff(occupied, prepend=-1) - 1
    return pack_numbers(np.concatenate([[occupied.size], gaps, flat[occupied]]))


def unpack_counts(packed: bytes, size: int) -> Whole:
    """The counts that `pack_counts` packed, shape (size,).

    Raises
    ------
    ValueError
        If the bytes are cut, or hold more bins than `size`.
    """
    numbers = unpack_numbers(packed)
    n = int(numbers[0]) if numbers.size else -1
    if numbers.size != 2 * n + 1:
        raise ValueError("the packed counts are cut")
    places = np.cumsum(numbers[1 : n + 1] + 1) - 1
    if n and places[-1] >= size:
        raise ValueError(f"the packed counts have a bin {places[-1]}; there are {size}")
    counts = np.zeros(size, dtype=np.int64)
    counts[places] = numbers[n + 1 :]
    return counts


def pack_numbers(values: Iterable[int] | Whole) -> bytes:
    """Whole numbers from 0 as groups of seven bits, lowest group first.

    Examples
    --------
    >>> pack_numbers([5, 127, 128]).hex(" ")
    '05 7f 80 01'
    """
    numbers = np.asarray(values, dtype=np.uint64)
    highest = int(numbers.max(initial=0))
    if highest < 0x80:
        return numbers.astype(np.uint8).tobytes()
    length = np.ones(numbers.size, dtype=np.int64)
    for group in range(1, (highest.bit_length() + 6) // 7):
        length += numbers >= (np.uint64(1) << np.uint64(7 * group))
    ends = np.cumsum(length)
    packed = np.empty(int(ends[-1]) if numbers.size else 0, dtype=np.uint8)
    for group in range(int(length.max(initial=0))):
        there = length > group
        low = (numbers[there] >> np.uint64(7 * group)) & np.uint64(0x7F)
        more = (length[there] > group + 1).astype(np.uint8) << 7
        packed[(ends - length)[there] + group] = low.astype(np.uint8) | more
    return packed.tobytes()


def unpack_numbers(packed: bytes) -> Whole:
    """The numbers that `pack_numbers` packed."""
    groups = np.frombuffer(packed, dtype=np.uint8)
    ends = np.flatnonzero(groups < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    numbers = np.zeros(ends.size, dtype=np.int64)
    for group in range(int((ends - starts).max(initial=-1)) + 1):
        there = starts + group <= ends
        numbers[there] |= (groups[starts[there] + group].astype(np.int64) & 0x7F) << (7 * group)
    return numbers


def deflated(content: bytes) -> str:
    """Bytes deflated (zlib's form, fast rather than small) and written as base64."""
    return base64.b64encode(zlib.compress(content, 1)).decode("ascii")


def inflated(text: str) -> bytes:
    """The bytes that `deflated` wrote as text."""
    return zlib.decompress(base64.b64decode(text, validate=True))
