"""What the gating job keeps of a tube for the report and the review page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.packing import inflated, unpack_counts, unpack_numbers
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.gating import GatedTube, StainedTube
from cytotrial.steps.pictures import pictures_of, read_pictures, write_pictures
from cytotrial.steps.review_cells import by_tube, cells_of, lines_of
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    Events,
    Gate,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    Transform,
)

ASINH = Transform("asinh", (("a", 0.0), ("m", 4.5), ("t", 262144.0)))
BIEX = Transform("biex", (("neg", 0.0), ("pos", 4.418540), ("top", 262144.000029), ("width", -10.0)))
CHANNELS = ("FSC-A", "SSC-A", "A", "B", "C")


def above(channel: str, low: float, transform: Transform = ASINH) -> RectangleGate:
    return RectangleGate((Dimension(channel, transform),), (low,), (None,))


def both(*names: str) -> BooleanGate:
    return BooleanGate("and", tuple((name, False) for name in names))


def tube(gates: Mapping[str, tuple[str, Gate]], n: int = 500) -> GatedTube:
    """A tube of evenly spread events on five channels, with some gates: population → parent, gate."""
    values = np.random.default_rng(3).uniform(-500, 100_000, (5, n))
    events = TubeEvents(Events(values, CHANNELS))
    placed = tuple(PlacedGate(name, parent, gate) for name, (parent, gate) in gates.items())
    keep = np.ones(n, dtype=bool)
    keep[::10] = False
    masks = apply_strategy(placed, events, root=keep)
    return GatedTube(StainedTube("T1", events, {"CD4": "A", "CD25": "B", "CD127": "C"}, keep), placed, masks)


TREG = {
    "CD4+": ("root", above("A", 0.6)),
    "CD25+": ("CD4+", above("B", 0.6)),
    "CD127lo": ("CD4+", RectangleGate((Dimension("C", ASINH),), (None,), (0.9,))),
    "double": ("CD4+", both("CD25+", "CD127lo")),
    "Treg": ("double", both("double", "CD127lo")),
}


def drawn(gates: Mapping[str, tuple[str, Gate]]) -> dict[str, dict[str, object]]:
    return {
        entry["population"]: entry
        for entry in pictures_of(tube(gates), control=False)
        if "population" in entry
    }


def test_a_picture_and_both_its_axes_hold_every_event_of_the_parent():
    gated = tube(TREG)
    for entry in pictures_of(gated, control=False):
        if "population" in entry:
            whole = gated.events_of(entry["parent"])
            assert unpack_counts(inflated(entry["counts"]), entry["bins"] ** 2).sum() == whole
            assert [unpack_counts(inflated(entry[side]["counts"]), 512).sum() for side in "xy"] == [whole] * 2


def test_the_counts_on_a_thresholds_axis_beyond_it_are_its_events():
    # The axis is shown from -0.1 to 1.05 in 512 steps; the threshold stands where step 312 begins.
    gated = tube({"CD4+": ("root", above("A", -0.1 + 312 / 512 * 1.15))})
    (picture,) = (entry for entry in pictures_of(gated, control=False) if "population" in entry)
    counts = unpack_counts(inflated(picture["x"]["counts"]), 512)
    assert counts[312:].sum() == gated.events_of("CD4+")


def test_an_and_of_two_thresholds_is_a_corner_and_an_and_with_the_parent_a_threshold():
    found = drawn(TREG)
    assert found["double"]["edits"] == ["CD25+", "CD127lo"]
    assert (found["double"]["x"]["label"], found["double"]["y"]["label"]) == ("CD25 (B)", "CD127 (C)")
    assert found["Treg"]["edits"] == ["CD127lo"]
    assert found["Treg"]["x"]["label"] == "CD127 (C)"


@pytest.mark.parametrize(
    "gate",
    [
        BooleanGate("or", (("CD25+", False), ("CD127lo", False))),
        BooleanGate("and", (("CD25+", False), ("CD127lo", True))),
        BooleanGate("not", (("CD25+", False),)),
        both("CD25+", "CD25 again"),
    ],
    ids=["or", "complement", "not", "twice one channel"],
)
def test_a_boolean_gate_that_is_no_corner_has_no_picture(gate: BooleanGate):
    gates = {**TREG, "CD25 again": ("CD4+", above("B", 0.7)), "joined": ("CD4+", gate)}
    assert "joined" not in drawn(gates)


def test_thresholds_are_left_to_the_cell_of_their_corner_and_counted_on_a_line_of_their_own_elsewhere():
    (packed,) = by_tube(pictures_of(tube(TREG), control=False)).values()
    cells = cells_of(packed.pictures)
    assert [cell["population"] for cell in cells] == ["CD4+", "double", "Treg"]
    assert lines_of(packed.pictures, cells) == []
    without = {**TREG, "double": ("CD4+", BooleanGate("or", (("CD25+", False), ("CD127lo", False))))}
    (packed,) = by_tube(pictures_of(tube(without), control=False)).values()
    cells = cells_of(packed.pictures)
    assert [line["population"] for line in lines_of(packed.pictures, cells)] == ["CD127lo"]


def test_a_scale_of_flowjo_is_shown_whole():
    picture = drawn({"CD4+": ("root", above("A", 2000, BIEX))})["CD4+"]
    assert (picture["x"]["low"], picture["x"]["high"]) == pytest.approx((-409.6, 4300.8))


def test_areas_have_the_finest_bins_and_the_report_gets_what_it_draws(tmp_path: Path):
    square = ((0, 0), (50_000, 0), (50_000, 50_000))
    area = PolygonGate((Dimension("FSC-A"), Dimension("SSC-A")), square)
    gated = tube({"cells": ("root", area), "CD4+": ("cells", above("A", 0.6))})
    pictures = pictures_of(gated, control=False)
    assert [entry["bins"] for entry in pictures if "bins" in entry] == [512, 128]
    write_pictures(tmp_path / "p.json", pictures)
    read = read_pictures([tmp_path / "p.json"])
    assert [picture["counts"].shape for picture in read] == [(128, 128), (128, 128)]
    assert [int(picture["counts"].sum()) for picture in read] == [450, gated.events_of("cells")]
    assert read[0]["gate"] == area


def test_only_a_controls_curves_are_kept_for_every_marker_and_population():
    assert not any("curves" in entry for entry in pictures_of(tube(TREG), control=False))
    (curves,) = (entry["curves"] for entry in pictures_of(tube(TREG), control=True) if "curves" in entry)
    gated = tube(TREG)
    assert {(population, channel) for population, channel, _ in curves} == {
        (population, channel) for population in gated.masks for channel in ("A", "B", "C")
    }
    for population, _, text in curves:
        assert unpack_counts(inflated(text), 512).sum() == gated.events_of(population)


def test_a_tubes_sample_tells_its_populations_apart():
    gated = tube(TREG)
    (sample,) = (entry for entry in pictures_of(gated, control=False) if "levels" in entry)
    n_groups, *rest = unpack_numbers(inflated(sample["groups"])).tolist()
    patterns, totals, kept = np.array(rest).reshape(n_groups, 3).T
    assert sample["conditions"] == ["CD4+", "CD25+", "CD127lo"]
    assert totals.sum() == gated.events_of("root") == 450
    assert totals[(patterns & 3) == 3].sum() == gated.events_of("CD25+")
    assert len(inflated(sample["levels"])) == kept.sum() * len(sample["axes"])
    assert json.dumps(sample)
