"""A tube's event rate and signals over time, in a few kilobytes: made while the events are at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.bins import COFACTOR
from cytotrial.science.quality.model import Trace
from cytotrial.science.quality.rate import Clock
from cytotrial.terms import Events, FloatArray

N_SLOTS, N_LEVELS = 160, 48
MOST_CHANNELS = 3
OUTSIDE = (0.005, 0.995)
"""Quantiles of a channel at the ends of its picture, before a margin."""


def trace_of(events: Events, clock: Clock, channels: Sequence[str]) -> Trace | None:
    """Events by time and by signal, for the first three of some channels; None without events.

    Parameters
    ----------
    events : Events
        All events of a tube.
    clock : Clock
        Their times.
    channels : sequence of str
        Those to be shown first stand first.
    """
    if not events.n_events:
        return None
    begin, end = float(clock.time[0]), float(clock.time[-1])
    slot = _cells(clock.time, begin, end, N_SLOTS)
    names = tuple(channels[:MOST_CHANNELS])
    scaled = [_in_order(events, clock, name) for name in names]
    ends = [_ends(values) for values in scaled]
    counts = [
        np.bincount(slot * N_LEVELS + _cells(values, *limits, N_LEVELS), minlength=N_SLOTS * N_LEVELS)
        for values, limits in zip(scaled, ends, strict=True)
    ]
    return Trace(
        begin=begin,
        end=end,
        has_time=clock.measured,
        rate=np.bincount(slot, minlength=N_SLOTS).astype(np.uint32),
        channels=names,
        ends=tuple(ends),
        counts=np.minimum(np.array(counts), 65_535).astype(np.uint16).reshape(-1, N_SLOTS, N_LEVELS),
    )


def _in_order(events: Events, clock: Clock, channel: str) -> FloatArray:
    row = events.row(channel)
    return np.asarray(np.arcsinh((row if clock.order is None else row[clock.order]) / COFACTOR))


def _ends(values: FloatArray) -> tuple[float, float]:
    low, high = (float(end) for end in np.quantile(values, OUTSIDE))
    margin = 0.12 * max(high - low, 0.5)
    return round(low - margin, 3), round(high + margin, 3)


def _cells(values: FloatArray, low: float, high: float, number: int) -> npt.NDArray[np.intp]:
    """Which of so many equal cells between two ends holds each value; those beyond go to the outermost."""
    step = (high - low) / number or 1.0
    cells: npt.NDArray[np.intp] = np.clip((values - low) / step, 0, number - 1).astype(np.intp)
    return cells
