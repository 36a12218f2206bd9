"""Flow rate: the order in which events were taken, and the bins in which they came too fast or too slowly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.bins import Bins
from cytotrial.science.quality.medians import robust_sd
from cytotrial.science.quality.rules import SMOOTHED_SD, running_median, smoothing_width
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

    Events out of order are sorted by time. If time falls back by more than half of its span whenever it
    does, the clock has started anew, and time goes on from where it was. Either is flagged.
    """
    if (
        time_channel is None
        or time_channel not in events.channels
        or events.n_events < 2
        or not np.ptp(events.row(time_channel)) > 0
    ):
        return Clock(np.arange(events.n_events, dtype=np.float64), None, False, ("NO_TIME",))
    time = events.row(time_channel).astype(np.float64)
    steps = np.diff(time)
    if steps.min() >= 0:
        return Clock(time, None, True, ())
    back = -steps[steps < 0]
    if back.min() > 0.5 * np.ptp(time):
        time[1:] += np.cumsum(np.where(steps < 0, -steps, 0.0))
        return Clock(time, None, True, ("TIME_NOT_SORTED",))
    order = np.argsort(time, kind="stable")
    return Clock(time[order], order, True, ("TIME_NOT_SORTED",))


def off_rate(clock: Clock, bins: Bins, *, k: float, min_factor: float) -> tuple[BoolArray, tuple[str, ...]]:
    """Bins whose event rate, or its running median, is off, and flags.

    Off is a rate that leaves the median rate by more than k robust SD and by `min_factor`; the SD is
    never taken below that of a Poisson stream on a clock of finite steps.
    """
    if not clock.measured:
        return np.zeros(bins.n_bins, bool), ()
    last = clock.time.size - 1
    lasted = clock.time[np.minimum(bins.edges[2:], last)] - clock.time[bins.edges[:-2]]
    tick = _tick(clock.time[: COARSE_TICKS * int(bins.events_per_bin[0])])
    if not np.median(lasted) > COARSE_TICKS * tick:
        return np.zeros(bins.n_bins, bool), ("TIME_TOO_COARSE",)
    log_rate = np.log(bins.events_per_bin / np.maximum(lasted, tick))
    by_chance = np.sqrt(1 / float(bins.events_per_bin[0]) + (tick / float(np.median(lasted))) ** 2 / 6)
    smooth = running_median(log_rate[:, None])[:, 0]
    share = SMOOTHED_SD[smoothing_width(bins.n_bins)]
    least = float(np.log(min_factor))
    off = _off(log_rate, by_chance, k=k, least=least) | _off(smooth, share * by_chance, k=k, least=least)
    return off, ()


def _tick(time: FloatArray) -> float:
    """The shortest step of the clock; infinite if it does not move."""
    steps = np.diff(time)
    return float(steps[steps > 0].min(initial=np.inf))


def _off(log_rate: FloatArray, by_chance: float, *, k: float, least: float) -> BoolArray:
    spread = max(float(robust_sd(log_rate)), by_chance)
    return np.asarray(np.abs(log_rate - np.median(log_rate)) > max(k * spread, least))
