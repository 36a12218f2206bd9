"""Counts in few bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytotrial.files.packing import (
    deflated,
    inflated,
    pack_counts,
    pack_numbers,
    unpack_counts,
    unpack_numbers,
)


@given(st.lists(st.integers(0, 2**60), max_size=40))
def test_numbers_come_back_as_they_were(values: list[int]):
    assert unpack_numbers(pack_numbers(values)).tolist() == values


@given(st.lists(st.integers(0, 300), min_size=1, max_size=200))
def test_counts_come_back_as_they_were(values: list[int]):
    counts = np.array(values)
    assert unpack_counts(inflated(deflated(pack_counts(counts))), counts.size).tolist() == values


def test_an_empty_plane_takes_one_byte():
    assert pack_counts(np.zeros((256, 256), dtype=int)) == b"\x00"


def test_bytes_that_are_cut_are_refused_and_not_read_as_fewer_events():
    packed = pack_counts(np.array([0, 300, 0, 7]))
    with pytest.raises(ValueError, match="are cut"):
        unpack_counts(packed[:-1], 4)
    with pytest.raises(ValueError, match="have a bin 3"):
        unpack_counts(packed, 3)
