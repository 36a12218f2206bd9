"""What was masked is handed on as runs of events, and comes back event for event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytotrial.errors import CytotrialError
from cytotrial.steps.steadiness import (
    Steadiness,
    kept_events,
    masked_runs,
    read_steadiness,
    write_steadiness,
)


@given(st.lists(st.booleans(), max_size=50))
@settings(max_examples=200, deadline=None)
def test_the_mask_comes_back_from_its_runs(kept: list[bool]):
    keep = np.array(kept, dtype=bool)
    assert kept_events(keep.size, masked_runs(keep)).tolist() == kept


def test_a_tube_comes_back_with_its_row_and_its_flags(tmp_path: Path):
    tube = Steadiness(np.array([True, False, True]), {"sample_id": "T1", "doublets": ""}, ("FEW_EVENTS:3",))
    write_steadiness(tmp_path / "a.json", {"T1": tube})
    back = read_steadiness(tmp_path / "a.json")["T1"]
    assert (back.keep.tolist(), back.row, back.flags) == (tube.keep.tolist(), tube.row, tube.flags)


def test_an_edited_file_is_refused(tmp_path: Path):
    (tmp_path / "a.json").write_text(
        '{"form":"cytotrial.steadiness/1","entries":{"T1":{}}}', encoding="utf-8"
    )
    with pytest.raises(CytotrialError, match="cut or edited"):
        read_steadiness(tmp_path / "a.json")
