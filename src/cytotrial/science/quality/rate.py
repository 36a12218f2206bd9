"""Flow rate: the order in which events were taken, and the bins in which they came too fast or too slowly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.bins import Bins
from cytotrial.science.quality.rules import MAD_TO_SD
from cytotrial.terms import BoolArray, Events, FloatArray

COARSE_TICKS = 5
"""A bin that lasts fewer steps of the clock has no rate to speak of."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Time of every event in acquisition order.

    time : ndarray, shape (n_events,), float64, rising; the event's number where there is no time
    order : ndarray of int, or None if the file is in acquisition order
    measured : whether `time` is time
    flags : `NO_TIME`, `TIME_NOT_SORTED`
    """

    time: FloatArray
    order: npt.NDArray[np.intp] | None
    measured: bool
    flags: tuple[str, ...]


def read_clock(events: Events, time_channel: str | None) -> Clock:
    """Acquisition order and time.

    A time that falls back by more than half of its span has started anew, and goes on from where it
    was; smaller steps back are sorted out. Either is flagged.
    """
    if (
        time_channel is None
        or time_channel not in events.channels
        or not np.ptp(events.row(time_channel)) > 0
    ):
        return Clock(np.arange(events.n_events, dtype=np.float64), None, False, ("NO_TIME",))
    time = events.row(time_channel).astype(np.float64)
    steps = np.diff(time)
    if steps.min() >= 0:
        return Clock(time, None, True, ())
    restarts = np.where(steps < -0.5 * np.ptp(time), -steps, 0.0)
    time[1:] += np.cumsum(restarts)
    order = np.argsort(time, kind="stable")
    return Clock(time[order], order, True, ("TIME_NOT_SORTED",))


def off_rate(clock: Clock, bins: Bins, *, k: float, min_factor: float) -> tuple[BoolArray, tuple[str, ...]]:
    """Bins whose event rate leaves the median rate by more than k robust SD and by `min_factor`, and flags.

    The spread is never taken below that of a Poisson stream on a clock of finite steps.
    """
    begin, end = clock.time[bins.edges[:-2]], clock.time[np.minimum(bins.edges[2:], clock.time.size - 1)]
    lasted = end - begin
    steps = np.diff(clock.time[: 4 * int(bins.events_per_bin[0])])
    tick = float(steps[steps > 0].min(initial=np.inf))
    if not clock.measured or not np.median(lasted) > COARSE_TICKS * tick:
        return np.zeros(bins.n_bins, bool), ("TIME_TOO_COARSE",) if clock.measured else ()
    log_rate = np.log(bins.events_per_bin / np.maximum(lasted, tick))
    centre = np.median(log_rate)
    spread = MAD_TO_SD * np.median(np.abs(log_rate - centre))
    by_chance = np.sqrt(1 / bins.events_per_bin + (tick / np.median(lasted)) ** 2 / 6)
    least = np.maximum(k * np.maximum(spread, by_chance), np.log(min_factor))
    return np.asarray(np.abs(log_rate - centre) > least), ()
