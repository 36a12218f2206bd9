"""Which events of a tube were taken steadily and on scale, found once and handed from job to job.

The first job that reads a tube judges its acquisition; what it masked is written as runs of events, so that
the jobs after it take the same events without judging again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.entries import read_entries, write_entries
from cytotrial.files.fcs import FcsHeader
from cytotrial.files.tables import Row, cell
from cytotrial.science.quality import REASONS, AcquisitionQuality, assess_acquisition
from cytotrial.settings import Quality
from cytotrial.steps.layout import UNIT_QUALITY
from cytotrial.steps.traces import packed_trace
from cytotrial.terms import BoolArray, Events

SCATTER = ("FSC", "SSC")
"""Channels whose off-scale events are masked: in fluorescence a bright bead or cell is still one to count."""


@dataclass(frozen=True, eq=False)
class Steadiness:
    """What acquisition quality says of a tube.

    keep : ndarray of bool, shape (n_events,): the events that are gated
    row : its row of quality.csv, as text, and its trace
    flags : what is laid on every value of the tube
    refused : why the tube is not gated at all; empty if it is
    """

    keep: BoolArray
    row: Row
    flags: tuple[str, ...]
    refused: str = ""


class TooUnsteadyError(CytotrialError):
    """A tube of which too large a share was taken unsteadily; it keeps its row of acquisition quality."""

    def __init__(self, steadiness: Steadiness) -> None:
        super().__init__(
            steadiness.refused, hint="See its picture in the report; acquire the tube anew if there is any."
        )
        self.steadiness = steadiness


def judge(sample_id: str, events: Events, header: FcsHeader, settings: Quality) -> Steadiness:
    """Steadiness of rate and signal, and events off the scale of the scatter channels."""
    quality = _quality(events, header, settings)
    flags = tuple(_flags(quality, settings))
    row = _quality_row(sample_id, quality, flags)
    return Steadiness(
        quality.keep,
        {name: cell(row[name]) for name in UNIT_QUALITY},
        flags,
        _too_unsteady(quality, settings),
    )


def _quality(events: Events, header: FcsHeader, settings: Quality) -> AcquisitionQuality:
    if not settings.time_bins:
        everything = np.ones(events.n_events, bool)
        return AcquisitionQuality(everything, everything, 0.0, {})
    time = events.channels[header.time_index] if header.time_index is not None else None
    signals = [name for name in events.channels if name != time]
    return assess_acquisition(
        events,
        time_channel=time,
        signal_channels=signals,
        ranges=_highest_values(header),
        margin_channels=[name for name in signals if name.startswith(SCATTER)],
        k_mad=settings.mad,
        isolation_gain=settings.isolation_gain,
        min_shift=settings.min_shift,
        min_rate_factor=settings.rate_factor,
        max_margin_percent=settings.max_margin_percent,
    )


def _highest_values(header: FcsHeader) -> dict[str, float]:
    """$PnN → the highest value that the channel can hold, in the units of its decoded events."""
    tops: dict[str, float] = {}
    for channel, column in zip(header.channels, header.columns, strict=True):
        if column.range is None or channel.index == header.time_index:
            continue
        top = column.range - 1
        logarithmic = 10 ** (column.decades * top / column.range) * column.log_zero
        tops[channel.name] = logarithmic if column.decades else top / column.gain
    return tops


def _flags(quality: AcquisitionQuality, settings: Quality) -> Iterator[str]:
    yield from quality.flags
    n_events, unsteady = quality.keep.size, _unsteady_percent(quality)
    if unsteady > settings.max_time_removed_percent:
        yield f"UNSTABLE_TIME:{unsteady:.1f}%"
    if n_events < settings.min_events:
        yield f"FEW_EVENTS:{n_events}"


def _unsteady_percent(quality: AcquisitionQuality) -> float:
    return 100 * float(np.mean(~quality.steady)) if quality.keep.size else 0.0


def _too_unsteady(quality: AcquisitionQuality, settings: Quality) -> str:
    """Why a tube that lost so much is not gated; empty if it did not."""
    unsteady, most = _unsteady_percent(quality), settings.fail_time_removed_percent
    if unsteady <= most:
        return ""
    return (
        f"UNSTABLE_TIME: {unsteady:.1f} % of the events were taken unsteadily; "
        f"at most {most:g} % were expected."
    )


def _quality_row(sample_id: str, quality: AcquisitionQuality, flags: tuple[str, ...]) -> Row:
    """What acquisition quality masked in a tube, why and when."""
    intervals = [f"{part.begin:g} to {part.end:g} ({'+'.join(part.reasons)})" for part in quality.intervals]
    return {
        "sample_id": sample_id,
        "events": quality.keep.size,
        "removed_percent": round(quality.removed_percent, 3),
        **{f"{reason}_percent": round(quality.percent.get(reason, 0.0), 3) for reason in REASONS},
        "channels": quality.channels,
        "intervals": intervals,
        "drift": quality.drift,
        "doublets": quality.doublets,
        "time_check": quality.time_check,
        "flags": flags,
        "trace": packed_trace(quality),
    }


# Handed from job to job

FORM = "cytotrial.steadiness/2"


def write_steadiness(path: Path, tubes: Mapping[str, Steadiness]) -> None:
    """Write sample_id → its row of quality.csv, flags, and runs of masked events."""
    write_entries(path, FORM, {name: _to_plain(tube) for name, tube in tubes.items()})


def read_steadiness(path: Path) -> dict[str, Steadiness]:
    """sample_id → what `write_steadiness` wrote. Raises CytotrialError if the file is not of that form."""
    return read_entries(path, FORM, _from_plain)


def _to_plain(tube: Steadiness) -> dict[str, Any]:
    return {
        "events": int(tube.keep.size),
        "masked": masked_runs(tube.keep),
        "row": dict(tube.row),
        "flags": list(tube.flags),
        "refused": tube.refused,
    }


def _from_plain(plain: Mapping[str, Any]) -> Steadiness:
    keep = kept_events(int(plain["events"]), plain["masked"])
    return Steadiness(keep, dict(plain["row"]), tuple(plain["flags"]), plain["refused"])


def masked_runs(keep: BoolArray) -> list[int]:
    """First event and one past the last of every run that is not kept, in the order of the file.

    Examples
    --------
    >>> masked_runs(np.array([True, False, False, True, False]))
    [1, 3, 4, 5]
    """
    off = np.concatenate([[False], ~keep, [False]])
    return [int(place) for place in np.flatnonzero(off[1:] != off[:-1])]


def kept_events(n_events: int, masked: list[int]) -> BoolArray:
    """The mask of which `masked_runs` tells the runs.

    Examples
    --------
    >>> kept_events(5, [1, 3, 4, 5])
    array([ True, False, False,  True, False])
    """
    steps = np.zeros(n_events + 1, np.int8)
    steps[masked[0::2]] += 1
    steps[masked[1::2]] -= 1
    return np.asarray(np.cumsum(steps[:-1]) == 0)
