"""Cuts at a valley of a marker's density."""

from __future__ import annotations

from cytotrial.errors import GateError
from cytotrial.science.densities import deepest_valley, density
from cytotrial.science.finders.registry import Found, View, registered, threshold


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
    return Found(threshold(view.dimensions[0], cut, keep=keep), confidence=depth)
