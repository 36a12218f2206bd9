"""Events at the ends of a channel's scale, and events of two cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cytotrial.science.quality.bins import N_SUMMARY
from cytotrial.science.quality.medians import MAD_TO_SD
from cytotrial.terms import BoolArray, Events, FloatArray


def off_scale(events: Events, channels: Sequence[str], highest: Mapping[str, float]) -> dict[str, BoolArray]:
    """Which events lie at either end of each channel's scale; channels without such an event are left out.

    The upper end is `highest`, the largest value the channel can hold; a channel without one has no
    upper end. A channel that never falls below zero ends at zero; any other is open below, for values
    below zero are noise about a restored baseline.
    """
    found = {}
    for channel in channels:
        values = events.row(channel)
        off = values >= float(highest.get(channel, np.inf))
        if values.min(initial=np.inf) >= 0:
            off |= values <= 0
        if off.any():
            found[channel] = off
    return found


def is_doublet(area: FloatArray, height: FloatArray, *, k: float) -> BoolArray:
    """Events whose area is too large for their height.

    The ratio area / height exceeds its median by k robust SD, both read from some 4,000 events spaced
    evenly over the tube. Events without positive area and height are none.
    """
    usable = (area > 0) & (height > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usable, area / height, np.nan)
    some = ratio[:: max(1, ratio.size // N_SUMMARY)]
    some = some[~np.isnan(some)]
    if not some.size:
        return np.zeros(area.size, bool)
    centre = np.median(some)
    return np.asarray(ratio > centre + k * MAD_TO_SD * np.median(np.abs(some - centre)))
