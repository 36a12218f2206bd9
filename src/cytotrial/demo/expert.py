"""The simulated expert: gates drawn by one who knows where the batch lies, with an unsteady hand.

He cuts markers with a valley half way between negatives and positives, and CD25, FOXP3, CD127 and
IL-17A where his own lab's usual tube has the best cut, moved with the batch's true gain and staining. He sees
neither how far the single tube departs from its batch nor the background; and his hand shakes by 0.02 of the
display scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from cytotrial.demo.biology import LAB, Biology, Lab
from cytotrial.demo.cells import CD4, STICKY, Kind
from cytotrial.demo.chance import generator
from cytotrial.demo.light import HEIGHT_CV, HEIGHT_PER_AREA, Conditions, Optics, Stain, acquire
from cytotrial.demo.panels import DETECTORS, PANELS, SCATTER, DemoPanel, base_spillover
from cytotrial.demo.tubes import Batch, TubePlan, batch_of_panel
from cytotrial.science.transforms import forward_exact, inverse, logicle
from cytotrial.terms import (
    ROOT,
    TUBE_MATRIX,
    BooleanGate,
    Dimension,
    FloatArray,
    Gate,
    PlacedGate,
    PolygonGate,
    RectangleGate,
)

HAND_SD = 0.02
"""Of a cut on the display scale, 0 to 1: a twelfth of a decade."""
SCALE = logicle()
LYMPHOCYTES = ((35_000, 4_000), (125_000, 4_000), (125_000, 36_000), (35_000, 36_000))
CD45_LYMPHOCYTES = ((0.6, 4_000), (1.0, 4_000), (1.0, 38_000), (0.6, 38_000))
USUAL_SHARES = MappingProxyType(
    {
        Kind.CD4_NAIVE: 0.468,
        Kind.CD4_MEMORY: 0.424,
        Kind.CD4_ACTIVATED: 0.050,
        Kind.TREG: 0.043,
        Kind.TH17: 0.015,
    }
)
"""CD4 T cells of average blood, as `draw_blood` has it."""
_USUAL_EVENTS = 150_000
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Cut:
    """A population of the expert's: above or below one marker's threshold."""

    population: str
    parent: str
    marker: str
    keep: str = "above"


CUTS = MappingProxyType(
    {
        "count": (
            Cut("T cells", "lymphocytes", "CD3"),
            Cut("CD8-", "T cells", "CD8", "below"),
            Cut("CD4+", "CD8-", "CD4"),
        ),
        "treg": (
            Cut("live", "lymphocytes", "Viability", "below"),
            Cut("T cells", "live", "CD3"),
            Cut("CD4+", "T cells", "CD4"),
            Cut("CD25+", "CD4+", "CD25"),
            Cut("FOXP3+", "CD4+", "FOXP3"),
            Cut("CD127lo", "CD4+", "CD127", "below"),
        ),
        "th17": (
            Cut("live", "lymphocytes", "Viability", "below"),
            Cut("T cells", "live", "CD3"),
            Cut("CD8-", "T cells", "CD8", "below"),
            Cut("CD4+", "CD8-", "CD4"),
            Cut("Th17", "CD4+", "IL-17A"),
        ),
    }
)
POSITIVE = MappingProxyType(
    {"CD3": Kind.CD4_NAIVE, "CD4": Kind.CD4_NAIVE, "CD8": Kind.CD8_T, "Viability": Kind.DEAD}
)
"""The population whose peak ends the valley; the negatives have the non-specific level."""


def expert_gates(plan: TubePlan, *, seed: int, lab: Lab = LAB) -> tuple[PlacedGate, ...]:
    """The gates that the expert draws on one sample tube, parents before children.

    Populations are named as in the shipped templates; channels are $PnN, fluorescence on the default
    logicle after compensation with the tube's matrix.
    """
    panel = PANELS[plan.panel]
    batch = batch_of_panel(panel, plan.batch, seed=seed, shift=lab.shift)
    hand = generator(seed, "expert", plan.sample_id)
    gates = [*_physical(panel, batch)]
    for cut in CUTS[plan.panel]:
        place = _place(cut.marker, plan, batch, lab) + HAND_SD * float(hand.standard_normal())
        gates.append(PlacedGate(cut.population, cut.parent, _threshold(panel, cut, place)))
    return (*gates, *_joined(plan.panel))


def _physical(panel: DemoPanel, batch: Batch) -> Iterator[PlacedGate]:
    """Singlets and lymphocytes by scatter; in the count tube, without the beads and by CD45."""
    forward, height, side = (Dimension(name) for name in SCATTER)
    gain_x, gain_y = batch.optics.scatter_gain
    low, high = (HEIGHT_PER_AREA * (1 + k * HEIGHT_CV) for k in (-4.5, 6.0))
    wedge = ((1.0, low), (262_144.0, 262_144.0 * low), (262_144.0, 262_144.0 * high), (1.0, high))
    if panel.key != "count":
        yield PlacedGate("singlets", ROOT, PolygonGate((forward, height), wedge))
        corners = tuple((x * gain_x, y * gain_y) for x, y in LYMPHOCYTES)
        yield PlacedGate("lymphocytes", "singlets", PolygonGate((forward, side), corners))
        return
    beads = tuple(_axis(panel, marker) for marker in ("Beads", "CD8"))
    yield PlacedGate("bead events", ROOT, RectangleGate(beads, (0.7, 0.7), (None, None)))
    yield PlacedGate("beads", "bead events", PolygonGate((forward, height), wedge))
    yield PlacedGate("cells", ROOT, BooleanGate("not", (("bead events", False),)))
    yield PlacedGate("singlets", "cells", PolygonGate((forward, height), wedge))
    yield PlacedGate("leukocytes", "singlets", RectangleGate((_axis(panel, "CD45"),), (0.5,), (None,)))
    corners = tuple((x, y * gain_y) for x, y in CD45_LYMPHOCYTES)
    yield PlacedGate("lymphocytes", "leukocytes", PolygonGate((_axis(panel, "CD45"), side), corners))


def _axis(panel: DemoPanel, marker: str) -> Dimension:
    names = {dye.marker: dye.detector for dye in panel.dyes} | {label: name for name, label in panel.empty}
    matrix = TUBE_MATRIX if names[marker] in panel.dye_detectors else ""
    return Dimension(names[marker], SCALE, matrix)


def _threshold(panel: DemoPanel, cut: Cut, place: float) -> Gate:
    limits = ((place,), (None,)) if cut.keep == "above" else ((None,), (place,))
    return RectangleGate((_axis(panel, cut.marker),), *limits)


def _joined(panel: str) -> Iterator[PlacedGate]:
    if panel == "treg":
        both = BooleanGate("and", (("CD25+", False), ("FOXP3+", False)))
        yield PlacedGate("CD25+FOXP3+", "CD4+", both)
        yield PlacedGate(
            "Treg", "CD25+FOXP3+", BooleanGate("and", (("CD25+FOXP3+", False), ("CD127lo", False)))
        )


def _place(marker: str, plan: TubePlan, batch: Batch, lab: Lab) -> float:
    """Where the cut of a marker belongs on a tube of this batch, on the display scale."""
    panel = PANELS[plan.panel]
    detector = next(dye.detector for dye in panel.dyes if dye.marker == marker)
    gain = float(batch.optics.gain[panel.detectors.index(detector)])
    stain = gain * batch.staining[marker]
    if marker in POSITIVE:
        glow = gain * batch.optics.background * DETECTORS[detector].autofluorescence
        sticks = lab.biology.nonspecific[marker].median * stain
        stays = 10.0 ** -_fall(marker, plan)
        bright = lab.biology.specific[marker].get(POSITIVE[marker], STICKY).median * stain * stays
        return float(np.mean(_display(np.array([glow + sticks, glow + bright]))))
    usual = usual_cuts(plan.panel, lab.biology)[marker]
    return float(_display(inverse(SCALE, np.array([usual])) * stain)[0])


def _fall(marker: str, plan: TubePlan) -> float:
    """How far stimulation takes a marker off the surface, log10."""
    falls = {"CD4": plan.blood.cd4_down, "CD3": plan.blood.cd3_down}
    return falls.get(marker, 0.0) if plan.stimulated else 0.0


def _display(values: FloatArray) -> FloatArray:
    return forward_exact(SCALE, values)


@lru_cache(maxsize=64)
def usual_cuts(panel: str, biology: Biology) -> Mapping[str, float]:
    """The best cuts of one lab's usual tube: no bias in the number, and the highest F1 among those.

    Returns
    -------
    mapping
        CD25, FOXP3 and CD127, or IL-17A, to a place on the display scale.
    """
    values, kinds = _usual_tube(PANELS[panel], biology)
    if panel == "treg":
        return _best_corner(values, kinds == Kind.TREG)
    return {"IL-17A": _unbiased(values["IL-17A"], kinds == Kind.TH17)}


def _usual_tube(panel: DemoPanel, biology: Biology) -> tuple[dict[str, FloatArray], np.ndarray]:
    """CD4 T cells of average blood at unit gain, compensated, on the display scale."""
    rng = generator(1, "usual tube", panel.key)
    shares = np.array([USUAL_SHARES.get(kind, 0.0) for kind in CD4])
    numbers = np.round(_USUAL_EVENTS * shares / shares.sum()).astype(int)
    spillover, n = base_spillover(panel), len(panel.dyes)
    optics = Optics(spillover, np.ones(n), (1.0, 1.0), 1.0)
    kinds = np.repeat(np.array(CD4, dtype=np.uint8), numbers)
    stain = Stain(panel.markers, {}, biology=biology)
    acquired = acquire(kinds, panel, stain, optics, Conditions(0.0, 1_000.0), rng=rng)
    first = len(SCATTER)
    compensated = acquired.values[:, first : first + n].astype(np.float64) @ np.linalg.inv(spillover)
    columns = {dye.marker: _display(compensated[:, i]) for i, dye in enumerate(panel.dyes)}
    return columns, acquired.kinds


def _unbiased(values: FloatArray, true: np.ndarray) -> float:
    """The cut above which there are as many events as true ones, from above."""
    return float(np.sort(values)[-int(np.count_nonzero(true))])


def _best_corner(values: Mapping[str, FloatArray], true: np.ndarray) -> dict[str, float]:
    """Cuts on CD25 and FOXP3 (above) and CD127 (below): highest F1 where the number is within 1 %."""
    n_true, best, chosen = int(np.count_nonzero(true)), -1.0, (math.nan,) * 3
    grids = [_candidates(values[marker], true) for marker in ("CD25", "FOXP3", "CD127")]
    for cd127 in grids[2]:
        low = values["CD127"] < cd127
        edges = [np.append(grid, np.inf) for grid in grids[:2]]
        sums = [
            _from_above(values["CD25"][chosen_events], values["FOXP3"][chosen_events], edges)
            for chosen_events in (low, low & true)
        ]
        f1 = np.where(np.abs(sums[0] / n_true - 1) <= 0.01, 2 * sums[1] / (sums[0] + n_true), -1.0)
        i, j = np.unravel_index(int(np.argmax(f1)), f1.shape)
        if f1[i, j] > best:
            best, chosen = float(f1[i, j]), (float(grids[0][i]), float(grids[1][j]), float(cd127))
    return dict(zip(("CD25", "FOXP3", "CD127"), chosen, strict=True))


def _candidates(values: FloatArray, true: np.ndarray) -> FloatArray:
    low, high = np.quantile(values[true], [0.005, 0.995])
    return np.arange(low, high, _STEP)


def _from_above(x: FloatArray, y: FloatArray, edges: list[FloatArray]) -> FloatArray:
    """Events above each pair of candidates, shape (n_x, n_y)."""
    counts = np.histogram2d(x, y, bins=edges)[0]
    return np.asarray(counts[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1])
