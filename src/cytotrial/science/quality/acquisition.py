"""Which events of a tube were taken on scale and while the instrument ran steadily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.quality.bins import Bins, bin_densities, make_bins
from cytotrial.science.quality.margins import is_doublet, off_scale
from cytotrial.science.quality.peaks import Trajectories, follow_peaks
from cytotrial.science.quality.rate import Clock, off_rate, read_clock
from cytotrial.science.quality.rules import drifting, isolated, least_shift, off_by_mad, runs, short_runs, smoothed
from cytotrial.terms import BoolArray, Events

REASONS = ("margin", "rate", "signal", "isolation", "short_run")
RATE = "rate"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of the acquisition that was removed.

    first, stop : first event and one past the last, counted in acquisition order
    begin, end : time of the first and of the last event; their numbers where the tube has no time
    reasons : `rate`, `signal`, `isolation`, `short_run`
    """

    first: int
    stop: int
    begin: float
    end: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AcquisitionQuality:
    """What was found, and which events are to be kept.

    keep : ndarray of bool, shape (n_events,), in the order of the file
        Neither off scale nor in an unsteady stretch.
    steady : ndarray of bool, shape (n_events,)
        Not in an unsteady stretch, on or off scale.
    removed_percent : float
        Of all events.
    percent : mapping of reason to float
        `margin`, `rate`, `signal`, `isolation`, `short_run`: each removed event is counted once, under
        the first of these that holds, so that they sum to `removed_percent`.
    channels : tuple of str
        Channels that caused removal of a stretch, in the order given; `rate` for the flow rate.
    intervals : tuple of Interval
        The stretches that were removed.
    drift : tuple of str
        Channels that climb or fall steadily through the tube; nothing is removed for that.
    margin_events : mapping of channel to int
        Events at the end of a channel's scale; channels without any are left out.
    doublets : int or None
        Events with too large an area for their height, not removed; None if a channel for it is absent.
    flags : tuple of str
        `NO_TIME`, `TIME_NOT_SORTED`, `TIME_TOO_COARSE`, `TOO_FEW_FOR_TIME_CHECK`, `DRIFT:<channels>`,
        `MARGIN_EVENTS:<channel>:<percent>%`.
    """

    keep: BoolArray
    steady: BoolArray
    removed_percent: float
    percent: Mapping[str, float]
    channels: tuple[str, ...] = ()
    intervals: tuple[Interval, ...] = ()
    drift: tuple[str, ...] = ()
    margin_events: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    doublets: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Unsteady:
    """Bins by the reason for which they are off, what caused it, and channels that drift."""

    bins: Mapping[str, BoolArray]
    channels: tuple[str, ...]
    drift: tuple[str, ...]
    flags: tuple[str, ...]


def assess_acquisition(
    events: Events,
    *,
    time_channel: str | None,
    signal_channels: Sequence[str],
    ranges: Mapping[str, float] | None = None,
    margin_channels: Sequence[str] | None = None,
    doublet_channels: tuple[str, str] = ("FSC-A", "FSC-H"),
    k_mad: float = 6.0,
    isolation_gain: float = 0.6,
    min_shift: float = 0.05,
    k_rate: float = 6.0,
    min_rate_factor: float = 1.5,
    shortest_run: int = 5,
    max_margin_percent: float = 10.0,
    k_doublet: float = 4.0,
) -> AcquisitionQuality:
    """Prototype."""
    off = off_scale(events, signal_channels, ranges or {})
    masked = signal_channels if margin_channels is None else margin_channels
    margin = np.zeros(events.n_events, bool)
    for channel in masked:
        if channel in off:
            margin |= off[channel]
    clock = read_clock(events, time_channel)
    bins = make_bins(events.n_events)
    if bins is None:
        found = None
    else:
        rate, rate_flags = off_rate(clock, bins, k=k_rate, min_factor=min_rate_factor)
        rows = [events.row(channel) if clock.order is None else events.row(channel)[clock.order] for channel in signal_channels]
        t = follow_peaks(bin_densities(rows, signal_channels, bins))
        s = smoothed(t)
        least = least_shift(t, k=k_mad, min_shift=min_shift)
        outside, split = isolated(s, gain=isolation_gain, least=least)
        signal = off_by_mad(s, t, ~outside, k=k_mad, least=least)
        bad = rate | outside | signal.any(1)
        short = short_runs(bad, shortest=shortest_run)
        allbad = bad | short
        h = np.zeros(bins.n_halves, bool); h[:-1] |= allbad; h[1:] |= allbad
        good = ~allbad
        found = dict(rate=rate, signal=signal, outside=outside, short=short, drift=drifting(t, good, min_shift=min_shift), h=h, t=t, s=s,split=split)
    return found, margin, bins
