"""Acquisition quality: which events were taken while the instrument ran steadily.

What is found here is a mask that is applied before gating and reported per tube;
nothing is removed in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cytotrial.terms import BoolArray, Events, FloatArray

MIN_EVENTS_PER_BIN = 500
MIN_BINS, MAX_BINS = 20, 100
FEWEST_EVENTS = 2 * MIN_BINS * 10
"""Below this a bin's median says nothing: ten events in a bin are the least for a robust spread."""


@dataclass(frozen=True, eq=False)
class StableTime:
    """The events of steady acquisition.

    keep : ndarray of bool, shape (n_events,)
    removed_percent : float
    channels : channels whose median left its range, with `rate` for the event rate; sorted
    flags : `NO_TIME` if the order of events stood in for the time, `TOO_FEW_FOR_TIME_CHECK`
    """

    keep: BoolArray
    removed_percent: float
    channels: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def stable_time(events: Events, *, time_channel: str = "Time", k: float = 7.0) -> StableTime:
    """Mask stretches of time whose event rate or signal is off.

    Events are cut into 20 to 100 bins of equal width in time (at least 500 events each, if
    there are enough); a bin is bad if its rate or the median of any channel leaves the median
    over bins ± k robust SD (for the rate not less than Poisson's √n, for a median not less than
    the sampling error of a median); bad bins go together with one neighbour on each side.

    Parameters
    ----------
    events : Events
        All events of a tube, in detector units.
    time_channel : str
        $PnN of the time; without it the order of events is used, and flagged.
    k : float
        Width of the band, in robust SD (7 touches about one clean tube in twenty).

    Returns
    -------
    StableTime
    """
    n_events = events.n_events
    if n_events < FEWEST_EVENTS:
        return StableTime(np.ones(n_events, bool), 0.0, flags=("TOO_FEW_FOR_TIME_CHECK",))
    has_time = time_channel in events.channels and bool(np.ptp(events.row(time_channel)) > 0)
    time = events.row(time_channel) if has_time else np.arange(n_events, dtype=np.float32)
    n_bins = int(np.clip(n_events // MIN_EVENTS_PER_BIN, MIN_BINS, MAX_BINS))
    bins = _bin_of(time, n_bins)
    order = np.argsort(bins, kind="stable")
    edges = np.searchsorted(bins[order], np.arange(n_bins + 1))
    sizes = np.diff(edges)
    bad = {"rate": _off(sizes, k=k, floor=np.sqrt(max(1.0, float(np.median(sizes)))))} if has_time else {}
    for channel in events.channels:
        if channel != time_channel:
            bad[channel] = _off_medians(events.row(channel)[order], edges, k=k)
    any_bad = np.logical_or.reduce(list(bad.values()))
    keep = ~_with_neighbours(any_bad)[bins]
    removed = 100.0 * float(np.count_nonzero(~keep)) / n_events
    causes = tuple(sorted(name for name, off in bad.items() if off.any()))
    return StableTime(keep, removed, causes, () if has_time else ("NO_TIME",))


def _bin_of(time: FloatArray, n_bins: int) -> np.ndarray:
    low, high = float(time.min()), float(time.max())
    position = (time - low) * (n_bins / (high - low))
    return np.minimum(position.astype(np.intp), n_bins - 1)


def _off(values: FloatArray, *, k: float, floor: float | FloatArray) -> BoolArray:
    """Whether each bin's value leaves median ± k robust SD, the SD not below `floor`."""
    centre = np.median(values)
    robust_sd = 1.4826 * np.median(np.abs(values - centre))
    return np.asarray(np.abs(values - centre) > k * np.maximum(robust_sd, floor))


def _off_medians(values: FloatArray, edges: np.ndarray, *, k: float) -> BoolArray:
    """Bins whose median is off.

    A median m of n events errs by 1/(2 f(m) √n), f the density; f(m) is read off the central part
    of all events (a tenth of them, more where bins are so small that their median may lie further
    out). Where the median lies between two populations, as in a tube that is half beads, f is small
    and a bin's median may jump without anything being wrong.
    """
    sizes = np.diff(edges)
    medians = np.array(
        [np.median(values[start:stop]) if stop > start else np.nan for start, stop in pairwise(edges)]
    )
    filled = np.where(np.isnan(medians), np.nanmedian(medians), medians)
    root_n = np.sqrt(np.maximum(sizes, 1))
    half = float(min(0.45, max(0.05, 1 / np.median(root_n))))
    low, high = np.quantile(values[:: max(1, values.size // 10_000)], [0.5 - half, 0.5 + half])
    sampling_error = (high - low) / (2 * half) / (2 * root_n)
    return _off(filled, k=k, floor=sampling_error)


def _with_neighbours(bad: BoolArray) -> BoolArray:
    wide = bad.copy()
    wide[1:] |= bad[:-1]
    wide[:-1] |= bad[1:]
    return wide
