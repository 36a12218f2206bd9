"""Cuts read off a control tube: FMO, isotype or unstimulated."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import CONTROL_TOO_SMALL, Found, View, bounded, registered, threshold


@registered("control_quantile")
def find_control_quantile(
    view: View,
    *,
    quantile: float = 0.995,
    offset: float = 0.0,
    k: float = 3.0,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
) -> Found:
    """A quantile of a control tube (FMO, unstimulated, isotype) in the same parent population.

    Parameters
    ----------
    view : View
        One dimension; `view.control` holds the control's events.
    quantile : float
        Share of the control's parent below the cut.
    offset : float
        Added on the gate's scale, where expert gates are known to lie beyond the quantile.
    k : float
        With too few control events for the quantile (fewer than 5 beyond it), the cut is
        median + k robust SD of the control, flagged.
    keep, bounds
        As for `density_minimum`; a cut outside the bounds is moved to them and flagged.

    Raises
    ------
    GateError
        Without control events.

    Notes
    -----
    An FMO shows the spread of the other dyes, not the antibody's own background: for markers
    that rise continuously, such as CD25 and FOXP3, this cut calls too many events positive.
    """
    if view.control is None or view.control[0].size < 20:
        raise GateError("no control tube with at least 20 events in the parent population.")
    values = view.control[0]
    flags: tuple[str, ...] = ()
    if values.size * (1 - quantile) >= 5:
        cut = float(np.quantile(values, quantile))
    else:
        centre = float(np.median(values))
        cut = centre + k * 1.4826 * float(np.median(np.abs(values - centre)))
        flags = (CONTROL_TOO_SMALL,)
    cut, at_bound = bounded(cut + offset, bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags + at_bound)
