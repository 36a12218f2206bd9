"""Cuts at a valley of a marker's density, or at the end of a peak's tail."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.densities import deepest_valley, density
from cytotrial.science.finders.registry import Found, View, bounded, registered, threshold


@registered("density_minimum")
def find_density_minimum(
    view: View,
    *,
    bounds: tuple[float, float],
    keep: str = "above",
    adjust: float = 1.5,
    min_depth: float = 0.1,
) -> Found:
    """The valley of a marker's density between bounds.

    Parameters
    ----------
    view : View
        One dimension.
    bounds : (low, high)
        The valley must lie here, on the gate's scale.
    keep : `above` or `below`
    adjust : float
        Smoothing, as a factor on the rule-of-thumb bandwidth.
    min_depth : float
        A valley shallower than this (1 − valley / lower peak) is none.

    Returns
    -------
    Found
        `confidence` is the depth of the valley.

    Raises
    ------
    GateError
        If there is no valley between the bounds: a fallback must answer.

    References
    ----------
    Finak et al., PLoS Comput Biol 2014;10:e1003806 (a density's minimum as a gate, with a range).
    """
    valley = deepest_valley(density(view.values[0], adjust=adjust), low=bounds[0], high=bounds[1])
    if valley is None or valley[1] < min_depth:
        raise GateError(f"no valley deeper than {min_depth:g} between {bounds[0]:g} and {bounds[1]:g}.")
    cut, depth = valley
    return Found(threshold(view.dimensions[0], cut, keep=keep), confidence=depth, position=(cut,))


@registered("tail")
def find_tail(
    view: View,
    *,
    side: str = "right",
    tolerance: float = 0.01,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    adjust: float = 1.5,
) -> Found:
    """Where the tail of the highest peak ends: its density falls no more.

    Beyond the steepest point of the peak's flank, the first place whose slope is less than
    `tolerance` of the steepest slope of all.

    Parameters
    ----------
    view : View
        One dimension, in a parent with one main peak and a rare population in its tail.
    side : `right` or `left`
        On which side of the peak.
    tolerance : float
        Share of the steepest slope.
    adjust : float
        Smoothing, as a factor on the rule-of-thumb bandwidth.

    Raises
    ------
    GateError
        If the density falls to the end of the scale.

    Notes
    -----
    The cut lies where the peak ends, not where the rare cells begin: with a continuum it finds nothing,
    and among similar tubes it may jump. Give it bounds and a fallback.

    References
    ----------
    Finak et al., PLoS Comput Biol 2014;10:e1003806 (tail gate by the first derivative).
    """
    if view.n_events < 50:
        raise GateError(f"{view.n_events} events in the parent; the tail of a peak needs 50.")
    curve = density(view.values[0], adjust=adjust)
    height = curve.height if side == "right" else curve.height[::-1]
    grid = curve.grid if side == "right" else curve.grid[::-1]
    slope = np.gradient(height)
    peak = int(np.argmax(height))
    steepest = peak + int(np.argmin(slope[peak:]))
    flat = np.flatnonzero(np.abs(slope[steepest:]) < tolerance * np.abs(slope).max())
    if not flat.size or steepest + flat[0] >= grid.size - 1:
        raise GateError(f"the density falls to the end of the scale on the {side} of its peak.")
    cut, flags = bounded(float(grid[steepest + flat[0]]), bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags, position=(cut,))
