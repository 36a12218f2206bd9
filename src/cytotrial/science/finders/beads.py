"""Counting beads: a narrow peak, brighter than any cell in two channels."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.densities import density
from cytotrial.science.finders.registry import Found, View, registered
from cytotrial.terms import FloatArray, RectangleGate


@registered("beads")
def find_beads(
    view: View,
    *,
    above: tuple[float, float],
    k: float = 6.0,
    half_width: tuple[float, float] = (0.01, 0.06),
    min_events: int = 50,
) -> Found:
    """A rectangle about the single beads' peak in two channels.

    Among the events brighter than `above` in both channels the peak is the densest place of each
    channel; the rectangle reaches k robust SD to either side of it. Two beads that passed the laser
    together are twice as bright, 0.3 decades away, many SD outside: beads' CV is a few per cent.

    Parameters
    ----------
    view : View
        Two dimensions, the channels in which the beads are brightest.
    above : (x, y)
        On the gate's scale: brighter than every cell, dimmer than the beads.
    k : float
        Half width of the rectangle in robust SD of the peak.
    half_width : (least, most)
        On the gate's scale: a peak that needs more than the most is no peak of single beads.
    min_events : int
        Fewest events above both limits.

    Raises
    ------
    GateError
        With too few events, or where they make no peak: most of them must lie in the rectangle.

    Notes
    -----
    A bead that passed together with a cell is hardly brighter than a bead alone. Beads and cells must
    lose their coincidences alike, so gate `singlets` on height and area below this gate, and take the
    bead gate out of all cell gates with a boolean `not`.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in view.values)
    bright = (x >= above[0]) & (y >= above[1])
    n_bright = int(np.count_nonzero(bright))
    if n_bright < min_events:
        raise GateError(
            f"{n_bright} events brighter than {above[0]:g} and {above[1]:g}; beads need {min_events}."
        )
    limits = [_about_the_peak(values[bright], k=k, half_width=half_width) for values in (x, y)]
    inside = np.logical_and.reduce(
        [(v[bright] >= a) & (v[bright] < b) for v, (a, b) in zip((x, y), limits, strict=True)]
    )
    share = float(np.mean(inside))
    if share < 0.5:
        raise GateError(f"only {100 * share:.0f} % of the bright events make one peak: are these beads?")
    lows, highs = zip(*limits, strict=True)
    return Found(RectangleGate(view.dimensions, lows, highs), confidence=share)


def _about_the_peak(values: FloatArray, *, k: float, half_width: tuple[float, float]) -> tuple[float, float]:
    peak = density(values).mode
    away = np.abs(values - peak)
    half = (
        k * 1.4826 * float(np.median(away[away <= half_width[1]]))
        if np.any(away <= half_width[1])
        else np.inf
    )
    if half > half_width[1]:
        raise GateError(
            f"the bright events' peak at {peak:.3g} is {half:.3g} wide to either side; beads' is at most "
            f"{half_width[1]:g}. Are these beads?"
        )
    return peak - max(half, half_width[0]), peak + max(half, half_width[0])
