"""Cuts read off a control tube: FMO, isotype or unstimulated."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import CONTROL_TOO_SMALL, Found, View, bounded, registered, threshold

_BEYOND = 5
"""Control events beyond a quantile that make it one: the 99.5th needs a thousand."""
_FEWEST = 20
"""Control events from which a median and a robust SD can be read."""


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
        Without a control, or with fewer than 20 control events.

    Notes
    -----
    An FMO shows the spread of the other dyes, not the antibody's own background: for markers
    that rise continuously, such as CD25 and FOXP3, this cut calls too many events positive.

    References
    ----------
    Roederer M. Cytometry 2001;45:194 (FMO controls). Maecker HT, Trotter J. Cytometry A 2006;69A:1037.
    """
    if view.control is None or view.control[0].size < _FEWEST:
        raise GateError(f"no control tube with at least {_FEWEST} events in the parent population.")
    values = view.control[0]
    flags: tuple[str, ...] = ()
    if values.size * (1 - quantile) >= _BEYOND:
        cut = float(np.quantile(values, quantile))
    else:
        centre = float(np.median(values))
        cut = centre + k * 1.4826 * float(np.median(np.abs(values - centre)))
        flags = (CONTROL_TOO_SMALL,)
    cut, at_bound = bounded(cut + offset, bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags + at_bound, position=(cut,))
