"""What acquisition quality hands on: masks, shares by reason, removed stretches, a small picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cytotrial.terms import BoolArray

JUDGED, HARDLY, NOT_JUDGED, OFF = "judged", "hardly judged", "not judged", "off"


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
class Trace:
    """A tube's acquisition, binned small enough to hand on: what a picture is drawn from.

    begin, end : time of the first and of the last event; their numbers where the tube has no time
    has_time : whether these are times
    rate : ndarray, shape (n_slots,): events in each of so many equal stretches of time
    channels : names of the channels shown, those that caused removal or are flagged first
    ends : lowest and highest value of each channel, on the scale arcsinh(value / 150)
    counts : ndarray, shape (n_channels, n_slots, n_levels), uint16: events by time and signal
    """

    begin: float
    end: float
    has_time: bool
    rate: npt.NDArray[np.uint32]
    channels: tuple[str, ...]
    ends: tuple[tuple[float, float], ...]
    counts: npt.NDArray[np.uint16]


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
    time_check : str
        `judged`; `hardly judged`: so few events that only what is strong or lasts is seen; `not judged`: too
        few events; `off`: not asked for.
    flags : tuple of str
        `NO_TIME`, `TIME_NOT_SORTED`, `TIME_TOO_COARSE`, `TIME_NOT_JUDGED:<events>`,
        `TIME_HARDLY_JUDGED:<events>`, `DRIFT:<channels>`, `MARGIN_EVENTS:<channel>:<percent>%`.
    trace : Trace or None
        What there is to see, of a tube with a flag or with stretches removed.
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
    time_check: str = OFF
    flags: tuple[str, ...] = ()
    trace: Trace | None = None
