"""A look at decoded values: what no keyword tells, such as an interrupted copy or a clock that jumps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.files.fcs.decode import DecodedEvents
from cytotrial.files.fcs.findings import COPY_AGAIN, Notes, some
from cytotrial.files.fcs.model import FcsHeader
from cytotrial.terms import Finding

Values = npt.NDArray[np.floating[Any]]

MIN_EVENTS = 20
"""Fewer events than this carry no percentage (20 events are the limit of detection of a population)."""

PILE_UP = 0.5
"""A channel with more than this fraction of its events at its upper end is reported as saturated."""

ABOVE_RANGE = 0.01
"""Tolerated fraction of events above twice $PnR (floating point may exceed its nominal range)."""

ABSURD_FACTOR = 1000.0
ABSURD_FRACTION = 0.2
"""More than this fraction of all values beyond this many times $PnR: these cannot be measurements."""

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def check_events(decoded: DecodedEvents, header: FcsHeader) -> tuple[Finding, ...]:
    """Findings about the values of one tube; the events are not changed.

    Parameters
    ----------
    decoded : DecodedEvents
        From `read_events`.
    header : FcsHeader
        Of the same file.

    Returns
    -------
    tuple of Finding
        Empty where nothing is odd. A rejection says that the values cannot be measurements.
    """
    notes = Notes()
    values = decoded.events.values
    n_events = decoded.events.n_events
    if 0 < n_events < MIN_EVENTS:
        notes.warn(
            "FEW_EVENTS",
            "$TOT",
            f"$TOT: {n_events} events are too few for any percentage",
            seen=str(n_events),
        )
    if n_events > 1:
        with np.errstate(over="ignore"):  # a range beyond single precision is compared as infinite
            _check_ranges(values, header, notes)
        _check_time(values, header, notes)
        _check_constancy(values, header, notes)
    return tuple(notes.findings)


def _check_ranges(values: Values, header: FcsHeader, notes: Notes) -> None:
    found: dict[str, list[str]] = {"above": [], "saturated": [], "denormal": []}
    n_absurd = 0
    for i, (row, column) in enumerate(zip(values, header.columns, strict=True)):
        keyword = f"$P{i + 1}R"
        if column.datatype != "I" and _is_denormal(row):
            found["denormal"].append(keyword)
        if column.range is None or column.range < 2 or i == header.time_index:
            continue
        top = _top(column.range, column.decades, column.log_zero, column.gain)
        if row.max() < 0.99 * top and row.min() > -ABSURD_FACTOR * top:
            continue
        absurd = int(np.count_nonzero(np.abs(row) > ABSURD_FACTOR * top))
        n_absurd += absurd
        if absurd or np.mean(row > 2 * top) > ABOVE_RANGE:
            found["above"].append(keyword)
        elif np.mean(row >= 0.999 * top) > PILE_UP:
            found["saturated"].append(keyword)
    _report_ranges(found, n_absurd > ABSURD_FRACTION * values.size, notes)


def _top(range_: float, decades: float, log_zero: float, gain: float) -> float:
    """Upper end of a channel in decoded units."""
    return log_zero * 10.0**decades if decades else range_ / gain


def _is_denormal(row: Values) -> bool:
    """Whether a channel holds but numbers below the smallest normal one, as a wrong data type makes them."""
    largest = np.abs(row).max()
    return bool(0 < largest < SMALLEST_NORMAL)


def _report_ranges(found: dict[str, list[str]], absurd: bool, notes: Notes) -> None:
    if absurd:
        notes.reject(
            "VALUES_ABSURD",
            "DATA",
            f"more than {ABSURD_FRACTION:.0%} of DATA is beyond {ABSURD_FACTOR:g} times the range "
            f"({some(found['above'])}): no measurements; data type, byte order or place of DATA is wrong",
        )
    elif found["above"]:
        notes.warn(
            "VALUES_ABOVE_RANGE",
            found["above"][0],
            f"values far above the range ($PnR) in {some(found['above'])}",
        )
    if found["saturated"]:
        notes.warn(
            "SATURATED",
            found["saturated"][0],
            f"more than {PILE_UP:.0%} of events at the upper end of the range in {some(found['saturated'])}",
            remedy="Check the detector voltage",
        )
    if found["denormal"]:
        names = [keyword[:-1] + "N" for keyword in found["denormal"]]
        notes.warn(
            "VALUES_DENORMAL",
            "DATA",
            f"DATA holds only numbers below 1e-37 in {some(names)}, as of a wrong data type or byte order",
        )


def _check_time(values: Values, header: FcsHeader, notes: Notes) -> None:
    if header.time_index is None:
        return
    time = values[header.time_index]
    n_back = int(np.count_nonzero(time[1:] < time[:-1]))
    if n_back:
        notes.warn(
            "TIME_NOT_ASCENDING",
            header.names[header.time_index],
            f"Time goes back at {n_back} of {len(time)} events: checks over time are unreliable",
            seen=str(n_back),
            expected="0",
        )
    elif time[0] == time[-1]:
        notes.warn("TIME_CONSTANT", header.names[header.time_index], "Time is the same for all events")


def _check_constancy(values: Values, header: FcsHeader, notes: Notes) -> None:
    if (values == values[:, :1]).all():
        notes.warn("EVENTS_EQUAL", "DATA", f"DATA: all {values.shape[1]} events are equal")
        return
    zero = np.array(
        [column.log_zero if column.decades else 0.0 for column in header.columns], dtype=np.float32
    )
    n_zero = _number_at_end(values, zero)
    if n_zero > 1:
        notes.warn(
            "ZEROS_AT_END",
            "DATA",
            f"DATA: the last {n_zero} of {values.shape[1]} events are all zero, as after an interrupted copy",
            seen=str(n_zero),
            remedy=COPY_AGAIN,
        )


def _number_at_end(values: Values, event: Values) -> int:
    """Number of events at the end that equal `event`, shape (n_channels,)."""
    if (values[:, -1] != event).any():
        return 0
    others = np.flatnonzero((values != event[:, None]).any(axis=0))
    return int(values.shape[1] - 1 - others[-1]) if len(others) else int(values.shape[1])
