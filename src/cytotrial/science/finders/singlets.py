"""Singlets: one particle per event, by height against area."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import Found, View, registered
from cytotrial.terms import FloatArray, PolygonGate


@registered("singlets")
def find_singlets(view: View, *, k_low: float = 4.0, k_high: float = 6.0) -> Found:
    """Singlets: a wedge about the robust line of height on area.

    The line height = b · area is fitted by Huber's M-estimator to relative residuals, since the
    scatter of a pulse's height grows with its area; its robust SD is taken from the side **above**
    the line, where doublets (areas add, heights do not) never lie.

    Parameters
    ----------
    view : View
        Two dimensions, area and height of one scatter channel, linear scale.
    k_low, k_high : float
        Width of the band below and above the line in robust SD. k = 4 keeps more than 99.9 % of
        singlets where their ratio is normal; k_high is wide, for nothing but noise lies there.

    Raises
    ------
    GateError
        With fewer than 100 events of positive area.

    References
    ----------
    Huber, Ann Math Stat 1964;35:73 (M-estimator, tuning constant 1.345).
    """
    area, height = view.values
    rows = np.flatnonzero(area > 0)
    ratio = (height.take(rows) / area.take(rows)).astype(np.float64)
    if ratio.size < 100:
        raise GateError(f"{ratio.size} events of positive area; the singlet line needs 100.")
    slope = _huber_location(ratio[:: max(1, ratio.size // 20_000)])
    spread = 1.4826 * (float(np.median(ratio[ratio >= slope])) / slope - 1)
    low, high = slope * max(0.0, 1 - k_low * spread), slope * (1 + k_high * spread)
    first, last = 1.0, float(area.max()) * 1.01 + 1.0
    wedge = ((first, low * first), (last, low * last), (last, high * last), (first, high * first))
    x, y = view.dimensions
    return Found(PolygonGate((x, y), wedge))


def _huber_location(values: FloatArray) -> float:
    """Huber's M-estimate of location, by iteratively reweighted means."""
    centre = float(np.median(values))
    scale = 1.4826 * float(np.median(np.abs(values - centre))) or 1e-9
    for _ in range(30):
        weights = np.minimum(1.0, 1.345 * scale / np.maximum(np.abs(values - centre), 1e-12))
        moved = float(weights @ values / weights.sum())
        if abs(moved - centre) < 1e-6 * scale:
            break
        centre = moved
    return centre
