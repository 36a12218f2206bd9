"""Cuts at a distance from a tube's own negative peak."""

from __future__ import annotations

from cytotrial.errors import GateError
from cytotrial.science.densities import density
from cytotrial.science.finders.registry import Found, View, bounded, registered, threshold


@registered("negative_offset")
def find_negative_offset(
    view: View,
    *,
    offset: float,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    adjust: float = 1.0,
) -> Found:
    """The tube's own negative peak plus an offset that was learnt from reference tubes.

    Parameters
    ----------
    view : View
        One dimension, in a parent most of whose events are negative.
    offset : float
        Distance of the cut from the mode of the parent, on the gate's scale.
    """
    if view.n_events < 50:
        raise GateError(f"{view.n_events} events in the parent; the negative peak needs 50.")
    cut, flags = bounded(density(view.values[0], adjust=adjust).mode + offset, bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags)
