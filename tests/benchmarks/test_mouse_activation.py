"""Real mouse tubes, each gated by what the author's gates on the other three taught."""

from __future__ import annotations

import importlib
from pathlib import Path
from statistics import median
from typing import Any

import pytest


@pytest.fixture(scope="module")
def compared(repository: Path, shared: Path) -> dict[str, list[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "benchmarks")
        study = importlib.import_module("mouse_activation")
    samples = shared / "data" / "cytoexplorer_mouse_activation" / "samples"
    mice = [study.read_mouse(path) for path in sorted(samples.glob("*.fcs"))]
    return dict(study.leave_one_out(mice))


@pytest.mark.parametrize("population", ["Cells", "Single Cells", "CD4 T Cells", "CD8 T Cells"])
def test_lineages_hold_the_events_that_the_author_kept(compared, population: str):
    rows = compared[population]
    assert len(rows) == 4
    assert median(row.alone for row in rows) >= 0.98
    assert median(row.chain for row in rows) >= 0.98


def test_a_gate_within_the_authors_own_parent_errs_less_than_after_gates_of_our_own(compared):
    for population in ("Dead Cells", "T Cells", "CD4 T Cells", "CD8 T Cells"):
        assert median(row.alone for row in compared[population]) > median(
            row.chain for row in compared[population]
        )


def test_activated_cells_where_there_are_hundreds_are_found(compared):
    # CD69 is a continuum on a few hundred events: 12 % of them may fall on the other side.
    for label in ("CD69+ CD4 T Cells: negative_offset", "CD69+ CD8 T Cells: negative_offset"):
        assert median(row.alone for row in compared[label] if row.events > 100) > 0.88
