"""The page's percentages while a gate is dragged, against the engine's on the same events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cytotrial.demo import write_demo
from cytotrial.files.fcs import FcsHeader, inspect_fcs, read_events
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.gating import GatedTube, StainedTube
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    Transform,
)
from review_counting import errors, moves_of, page_counts
from tests.review_page.node import node

LOGICLE = Transform("logicle", (("a", 0.0), ("m", 4.5), ("t", 262144.0), ("w", 0.5)))
CHANNELS = {
    "Viability": "APC-Cy7-A",
    "CD3": "PerCP-Cy5-5-A",
    "CD4": "FITC-A",
    "CD25": "PE-A",
    "FOXP3": "APC-A",
}


def above(marker: str, low: float) -> RectangleGate:
    return RectangleGate((Dimension(CHANNELS[marker], LOGICLE),), (low,), (None,))


def below(marker: str, high: float) -> RectangleGate:
    return RectangleGate((Dimension(CHANNELS[marker], LOGICLE),), (None,), (high,))


def area(x: str, y: str, *vertices: tuple[float, float]) -> PolygonGate:
    return PolygonGate((Dimension(x), Dimension(y)), vertices)


PLACED = (
    PlacedGate(
        "singlets",
        "root",
        area("FSC-A", "FSC-H", (1, 1), (252_000, 173_000), (252_000, 231_000), (1, 2)),
    ),
    PlacedGate(
        "lymphocytes",
        "singlets",
        area("FSC-A", "SSC-A", (35_000, 4_000), (125_000, 4_000), (125_000, 36_000), (35_000, 36_000)),
    ),
    PlacedGate("live", "lymphocytes", below("Viability", 0.55)),
    PlacedGate("T cells", "live", above("CD3", 0.44)),
    PlacedGate("CD4+", "T cells", above("CD4", 0.5)),
    PlacedGate("CD25+", "CD4+", above("CD25", 0.45)),
    PlacedGate("FOXP3+", "CD4+", above("FOXP3", 0.45)),
    PlacedGate("Treg", "CD4+", BooleanGate("and", (("CD25+", False), ("FOXP3+", False)))),
)


@pytest.fixture(scope="module")
def tubes(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> list[GatedTube]:
    """Four Treg tubes of 20,000 simulated events, gated by fixed gates."""
    folder = tmp_path_factory.mktemp("accuracy")
    write_demo(folder, subjects=1, events=20_000, seed=11)
    files = sorted((folder / "fcs").rglob("*_treg.fcs"))
    headers = {path: inspect_fcs(path, root=folder / "fcs").header for path in files}
    sound = [path for path in files if headers[path] is not None][:4]  # the simulator spoils some
    return [gated(path, headers[path]) for path in sound]


def gated(path: Path, header: FcsHeader | None) -> GatedTube:
    assert header is not None
    events = TubeEvents(read_events(path, header).events)
    keep = np.ones(events.n_events, dtype=bool)
    masks = apply_strategy(PLACED, events, root=keep)
    return GatedTube(StainedTube(path.stem, events, CHANNELS, keep), PLACED, masks)


def test_a_dragged_gates_percentage_is_within_what_the_page_promises(tubes: list[GatedTube]):
    """0.1 percentage points, 1 % of the value or the margin that is told; margins are of 95 %."""
    moves = [list(moves_of(tube, seed=seed, each=4)) for seed, tube in enumerate(tubes)]
    told = page_counts(node(), tubes, moves)
    found = [
        error
        for tube, own, counts in zip(tubes, moves, told, strict=True)
        for error in errors(tube, own, counts)
    ]
    over = [error for error in found if error[-1] > 1]
    assert len(found) > 800
    assert len(over) <= 0.01 * len(found), over
    assert max(error[-1] for error in found) < 3


def test_a_moved_threshold_itself_is_exact(tubes: list[GatedTube]):
    moves = [list(moves_of(tube, seed=seed, each=4)) for seed, tube in enumerate(tubes)]
    told = page_counts(node(), tubes, moves)
    own = [
        error
        for tube, mine, counts in zip(tubes, moves, told, strict=True)
        for error in errors(tube, mine, counts)
        if error[0] == error[1] and error[0] not in {"singlets", "lymphocytes"}
    ]
    # Only an event that lies on the threshold to the sixth decimal could be told apart otherwise.
    assert max(abs(page - right) for _, _, right, page, _ in own) < 0.01


def test_with_no_gate_moved_the_page_tells_the_engines_counts(tubes: list[GatedTube]):
    told = page_counts(node(), tubes, [[{}]] * len(tubes))
    for tube, (counts,) in zip(tubes, told, strict=True):
        assert counts["events"] == {
            name: tube.events_of(name) for name in ("root", *(g.population for g in PLACED))
        }
