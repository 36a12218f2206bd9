"""Which events of a tube were taken on scale and while the instrument ran steadily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.errors import GateError
from cytotrial.science.quality.bins import Bins, bin_densities, make_bins
from cytotrial.science.quality.margins import is_doublet, off_scale
from cytotrial.science.quality.medians import nan_median
from cytotrial.science.quality.model import HARDLY, JUDGED, NOT_JUDGED, AcquisitionQuality, Interval
from cytotrial.science.quality.peaks import Trajectories, follow_peaks
from cytotrial.science.quality.rate import Clock, off_rate, read_clock
from cytotrial.science.quality.rules import (
    MANY_BINS,
    channels_of,
    drifting,
    isolated,
    least_shift,
    off_by_mad,
    running_median,
    runs,
    short_runs,
)
from cytotrial.science.quality.trace import trace_of
from cytotrial.terms import BoolArray, Events, FloatArray

REASONS = ("margin", "rate", "signal", "isolation", "short_run")
RATE = "rate"


@dataclass(frozen=True, eq=False)
class _Unsteady:
    """Which half bins are off for which reason, what caused it, and what else was seen."""

    halves: Mapping[str, BoolArray]
    channels: tuple[str, ...]
    drift: tuple[str, ...]
    flags: tuple[str, ...]
    time_check: str
    shown: tuple[str, ...] = ()


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
    """Find events off scale and stretches of unsteady signal or flow, in the manner of PeacoQC.

    Events are cut, in the order of acquisition, into at most 500 bins of at least 150 events that
    overlap by half. The density of each channel on the scale arcsinh(value / 150) gives each bin's
    peaks, which are followed from bin to bin and smoothed by a running median. Bins are off if isolation
    sets them apart, if a peak leaves its median by `k_mad` robust SD, or if the event rate does; good
    stretches between them that are too short go too, as does every event that shares a bin with an off
    one. A tube of fewer than 1,575 events is checked for events off scale only; one of fewer than 7,575 (100
    bins) loses what is strong or lasts, and weaker shifts are not seen. Both are flagged.

    Parameters
    ----------
    events : Events
        All events of a tube in detector units, finite; compensated or not is the caller's choice.
    time_channel : str or None
        $PnN of the time. Without it, or if it stands still, the order of events is used, the rate is
        not judged, and the tube is flagged `NO_TIME`.
    signal_channels : sequence of str
        $PnN of the channels whose peaks are followed and whose scale is watched: scatter and
        fluorescence areas; never the time.
    ranges : mapping of str to float, optional
        Highest value each channel can hold, in the unit of `events` (for linear channels ($PnR − 1) / $PnG);
        a channel that is missing has no upper end.
    margin_channels : sequence of str, optional
        Channels whose off-scale events are masked; by default all signal channels. An event off scale in
        fluorescence may be a bright cell or a bead: where events are counted, mask scatter only.
    doublet_channels : (str, str)
        Area and height by which doublets are counted; they are not masked.
    k_mad : float
        Robust SD about a peak's median, above 0; PeacoQC's default.
    isolation_gain : float
        Share of the SD that a split must take away, 0 to 1; PeacoQC's default.
    min_shift : float
        A peak that moves less than this on the arcsinh scale (0.05: 5 % of a bright signal) is steady.
    k_rate, min_rate_factor : float
        The rate of a bin is off beyond this many robust SD, and this factor, from the median rate.
    shortest_run : int
        Good stretches of fewer bins are removed with their neighbours; PeacoQC's default.
    max_margin_percent : float
        A channel with more events off scale is flagged; PeacoQC's warning.
    k_doublet : float
        Robust SD of area / height above its median from which an event is a doublet; PeacoQC's default.

    Returns
    -------
    AcquisitionQuality

    Raises
    ------
    GateError
        If a signal or margin channel is not in the tube.

    Notes
    -----
    Where it departs from PeacoQC: a running median in place of a smoothing spline; a shift must exceed
    `k_mad` sampling errors of the peak, estimated from bins that follow each other, as well as the
    spread of the whole trajectory; isolation looks at smoothed places and at tubes of 20 bins or more;
    the rate is judged; drift is told by Kendall's tau.

    References
    ----------
    Emmaneel A, Quintelier K, Sichien D, et al. PeacoQC: peak-based selection of high quality
    cytometry data. Cytometry A 2022;101:325-338.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> signal = rng.lognormal(7, 0.5, 20_000)
    >>> signal[5_000:7_000] *= 2
    >>> tube = Events(signal[None].astype(np.float32), ("PE-A",))
    >>> found = assess_acquisition(tube, time_channel=None, signal_channels=["PE-A"])
    >>> found.channels, found.flags, bool(found.keep[5_000:7_000].any())
    (('PE-A',), ('NO_TIME',), False)
    """
    _require(events, (*signal_channels, *(margin_channels or ())))
    watched = tuple(dict.fromkeys((*signal_channels, *(margin_channels or ()))))
    ends = off_scale(events, watched, ranges or {})
    margin = _any_of(ends, signal_channels if margin_channels is None else margin_channels, events.n_events)
    clock = read_clock(events, time_channel)
    bins = make_bins(events.n_events)
    if bins is None:
        found = _Unsteady({}, (), (), (f"TIME_NOT_JUDGED:{events.n_events}",), NOT_JUDGED)
    else:
        trajectories = follow_peaks(
            bin_densities(_in_order(events, signal_channels, clock), signal_channels, bins)
        )
        rate, rate_flags = off_rate(clock, bins, k=k_rate, min_factor=min_rate_factor)
        few = bins.n_bins < MANY_BINS
        found = _unsteady(
            trajectories,
            rate,
            k_mad=k_mad,
            isolation_gain=isolation_gain,
            min_shift=min_shift,
            shortest_run=shortest_run,
            flags=(*rate_flags, *((f"TIME_HARDLY_JUDGED:{events.n_events}",) if few else ())),
            time_check=HARDLY if few else JUDGED,
        )
    percent, unsteady = _shares(margin, found, bins, clock)
    intervals = _intervals(found, bins, clock)
    flags = (*clock.flags, *found.flags, *_margin_flags(ends, max_margin_percent))
    shown = dict.fromkeys([*found.shown, *found.drift, *ends, *signal_channels])
    return AcquisitionQuality(
        keep=~(margin | unsteady),
        steady=~unsteady,
        removed_percent=sum(percent.values()),
        percent=percent,
        channels=found.channels,
        intervals=intervals,
        drift=found.drift,
        margin_events={channel: int(np.count_nonzero(off)) for channel, off in ends.items()},
        doublets=_count_doublets(events, doublet_channels, k=k_doublet),
        time_check=found.time_check,
        flags=flags,
        trace=trace_of(events, clock, list(shown)) if flags or intervals else None,
    )


def _require(events: Events, channels: Sequence[str]) -> None:
    missing = [channel for channel in dict.fromkeys(channels) if channel not in events.channels]
    if missing:
        raise GateError(
            f"acquisition quality: channel {', '.join(missing)} is not in the tube; "
            f"it has {', '.join(events.channels)}.",
            hint="Name channels by their $PnN.",
        )


def _any_of(ends: Mapping[str, BoolArray], channels: Sequence[str], n_events: int) -> BoolArray:
    found = np.zeros(n_events, bool)
    for channel in channels:
        if channel in ends:
            found |= ends[channel]
    return found


def _in_order(events: Events, channels: Sequence[str], clock: Clock) -> list[npt.NDArray[np.float32]]:
    rows = [events.row(channel) for channel in channels]
    return rows if clock.order is None else [row[clock.order] for row in rows]


def _unsteady(
    trajectories: Trajectories,
    rate: BoolArray,
    *,
    k_mad: float,
    isolation_gain: float,
    min_shift: float,
    shortest_run: int,
    flags: tuple[str, ...],
    time_check: str,
) -> _Unsteady:
    """Judge every bin by the flow rate and by the places of the peaks."""
    curves = running_median(trajectories.place)
    least = least_shift(trajectories, k=k_mad, min_shift=min_shift)
    outside, split = isolated(curves, gain=isolation_gain, least=least)
    moved = off_by_mad(curves, trajectories, ~outside, k=k_mad, least=least)
    signal: BoolArray = np.asarray(moved.any(axis=1))
    off = rate | signal | outside
    short = short_runs(off, shortest=shortest_run)
    drift = drifting(trajectories, ~(off | short), min_shift=min_shift)
    causes: BoolArray = np.asarray(moved.any(axis=0))
    causes[split] = True
    by_reason = {"rate": rate, "signal": signal, "isolation": outside, "short_run": short}
    return _Unsteady(
        {reason: _halves_of(bad) for reason, bad in by_reason.items()},
        (*([RATE] if rate.any() else []), *channels_of(trajectories, causes)),
        drift,
        (*flags, *((f"DRIFT:{','.join(drift)}",) if drift else ())),
        time_check,
        _most_moved(curves, trajectories, off, least),
    )


def _most_moved(
    curves: FloatArray, trajectories: Trajectories, off: BoolArray, least: FloatArray
) -> tuple[str, ...]:
    """Channels by how far a peak of theirs lies from its median in the bins that are off, the farthest first;
    nothing if no bin is."""
    if not off.any() or not least.size:
        return ()
    away = np.abs(nan_median(curves[off]) - nan_median(curves)) / least
    order = np.argsort(-np.nan_to_num(away), kind="stable")
    return tuple(dict.fromkeys(trajectories.channels[i] for i in order))


def _halves_of(bad: BoolArray) -> BoolArray:
    """Half bins that belong to a bad bin: i and i + 1 belong to bin i."""
    halves = np.zeros(bad.size + 1, bool)
    halves[:-1] |= bad
    halves[1:] |= bad
    return halves


def _shares(
    margin: BoolArray, found: _Unsteady, bins: Bins | None, clock: Clock
) -> tuple[dict[str, float], BoolArray]:
    """Per cent of the events removed under each reason, the first that holds, and the unsteady events."""
    percent = dict.fromkeys(REASONS, 0.0)
    n_events = max(margin.size, 1)
    percent["margin"] = 100 * int(np.count_nonzero(margin)) / n_events
    unsteady = np.zeros(margin.size, bool)
    for reason, halves in found.halves.items():
        if bins is None or not halves.any():
            continue
        there = _events_of(halves, bins, clock)
        percent[reason] = 100 * int(np.count_nonzero(there & ~unsteady & ~margin)) / n_events
        unsteady |= there
    return percent, unsteady


def _events_of(halves: BoolArray, bins: Bins, clock: Clock) -> BoolArray:
    """The events of half bins, in the order of the file."""
    chosen = np.repeat(halves, np.diff(bins.edges))
    if clock.order is None:
        return chosen
    in_file = np.empty_like(chosen)
    in_file[clock.order] = chosen
    return in_file


def _intervals(found: _Unsteady, bins: Bins | None, clock: Clock) -> tuple[Interval, ...]:
    if bins is None:
        return ()
    off = np.logical_or.reduce(list(found.halves.values()))
    intervals = []
    for start, stop in runs(off):
        first, end = int(bins.edges[start]), int(bins.edges[stop])
        reasons = tuple(reason for reason, halves in found.halves.items() if halves[start:stop].any())
        intervals.append(Interval(first, end, float(clock.time[first]), float(clock.time[end - 1]), reasons))
    return tuple(intervals)


def _margin_flags(ends: Mapping[str, BoolArray], most: float) -> Iterator[str]:
    for channel, off in ends.items():
        percent = 100 * np.count_nonzero(off) / off.size
        if percent > most:
            yield f"MARGIN_EVENTS:{channel}:{percent:.1f}%"


def _count_doublets(events: Events, channels: tuple[str, str], *, k: float) -> int | None:
    if any(channel not in events.channels for channel in channels):
        return None
    area, height = (events.row(channel) for channel in channels)
    return int(np.count_nonzero(is_doublet(area, height, k=k)))
