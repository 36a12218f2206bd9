"""Figures and table of acquisition quality: rate and signal over time, and what was removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytotrial.report.compensation import decade_ticks
from cytotrial.report.drawing import BLUE, ORANGE, VERMILION, new_figure, png_uri
from cytotrial.report.layout import Group, Row, Table, spaced
from cytotrial.report.text import DASH, number, whole

COFACTOR = 150.0

COLOURS = {"rate": ORANGE, "signal": VERMILION, "isolation": VERMILION, "short_run": "#B8B8B8"}
"""Colour of a removed stretch, by the first of its reasons."""

WORTH_A_ROW = 0.1
"""Per cent of a steady tube's events, removed at the ends of a scale, from which it has a row."""

_COLUMNS = (
    *("Tube", "Panel", "Judged over time", "Flags", "Channels", "Removed from – to", "Events", "Removed %"),
    *("off scale %", "rate %", "signal %", "isolation %", "short runs %", "Doublets"),
)
_SHARES = ("margin", "rate", "signal", "isolation", "short_run")


@dataclass(frozen=True, eq=False)
class TracePicture:
    """A tube's acquisition over time, binned.

    Parameters
    ----------
    sample_id, title, caption : str
        Title and caption are printed as they are.
    begin, end : float
        Ends of the acquisition: seconds, or numbers of events where the tube has no time.
    has_time : bool
    rate : ndarray, shape (n_slots,)
        Events in each of so many equal stretches.
    channels : tuple of str
    ends : tuple of (low, high)
        Of each channel, on the scale arcsinh(value / 150).
    counts : ndarray, shape (n_channels, n_slots, n_levels)
    removed : tuple of (begin, end, reasons)
    """

    sample_id: str
    title: str
    caption: str
    begin: float
    end: float
    has_time: bool
    rate: npt.NDArray[np.uint32]
    channels: tuple[str, ...]
    ends: tuple[tuple[float, float], ...]
    counts: npt.NDArray[np.uint16]
    removed: tuple[tuple[float, float, tuple[str, ...]], ...]


def draw_trace(picture: TracePicture) -> str:
    """Event rate and signals over time, what was removed shaded, as a data URI (PNG).

    Call it within `house_style`.
    """
    n = len(picture.channels)
    figure = new_figure(5.2, 1.15 + 0.95 * n)
    axes = figure.subplots(n + 1, 1, sharex=True, gridspec_kw={"height_ratios": [0.85, *([1.0] * n)]})
    panels = list(np.atleast_1d(axes))
    _draw_rate(panels[0], picture)
    for index, axis in enumerate(panels[1:]):
        _draw_signal(axis, picture, index)
    for axis in panels:
        _shade(axis, picture)
        axis.tick_params(labelsize=7)
        axis.set_xlim(picture.begin, max(picture.end, picture.begin + 1e-9))
    along = "time, s" if picture.has_time else "event number (the tube has no time)"
    panels[-1].set_xlabel(along, fontsize=7.5)
    panels[0].set_title(picture.title, fontsize=8.5)
    return png_uri(figure)


def _draw_rate(axes: Any, picture: TracePicture) -> None:
    width = (picture.end - picture.begin) / max(picture.rate.size, 1) or 1.0
    rate = picture.rate / width if picture.has_time else picture.rate.astype(np.float64)
    edges = picture.begin + width * np.arange(picture.rate.size + 1)
    axes.stairs(rate, edges, color=BLUE, linewidth=1.0)
    axes.set_ylim(0, 1.15 * max(float(rate.max(initial=0.0)), 1e-9))
    axes.set_ylabel("events/s" if picture.has_time else "events", fontsize=7.5)


def _draw_signal(axes: Any, picture: TracePicture, index: int) -> None:
    """Events by time and signal, each stretch of time in shades of its own: a slow one is not pale."""
    counts = picture.counts[index].T.astype(np.float64)
    shown = counts / np.maximum(counts.max(axis=0), 1.0)
    extent = (picture.begin, picture.end, *picture.ends[index])
    axes.imshow(
        np.ma.masked_where(counts == 0, shown),
        origin="lower",
        extent=extent,
        aspect="auto",
        cmap="Blues",
        interpolation="nearest",
        vmin=-0.25,
        vmax=1.0,
    )
    axes.set_yticks(*decade_ticks(COFACTOR, picture.ends[index]))
    axes.set_ylabel(picture.channels[index], fontsize=7.5)


def _shade(axes: Any, picture: TracePicture) -> None:
    for begin, end, reasons in picture.removed:
        colour = next((COLOURS[reason] for reason in COLOURS if reason in reasons), VERMILION)
        least = 0.003 * (picture.end - picture.begin)
        axes.axvspan(begin, max(end, begin + least), color=colour, alpha=0.28, linewidth=0)


def removed_table(acquisition: pd.DataFrame) -> Table:
    """What was removed of every tube that lost events over time, lost a share worth a row, or is flagged.

    The most removed stand first.
    """
    removed = pd.to_numeric(acquisition["removed_percent"], errors="coerce").fillna(0.0)
    unsteady = acquisition["intervals"].ne("") | acquisition["flags"].ne("")
    told = acquisition.assign(removed=removed)[(removed >= WORTH_A_ROW) | unsteady]
    told = told.sort_values(["removed", "sample_id"], ascending=[False, True], kind="stable")
    rows = tuple(_removed_row(row) for _, row in told.iterrows())
    quiet = len(acquisition) - len(rows)
    note = (
        f"{quiet} of {len(acquisition)} gated tubes were steady, have no flag and lost less than "
        f"{WORTH_A_ROW:g} % at the ends of a scale. Each removed event is counted once, under the first "
        "reason that holds. All tubes are in quality.csv."
    )
    groups = (Group("", rows),)
    return Table("qc-removed", "Events removed before gating", _COLUMNS, groups, texts=6, notes=(note,))


def _removed_row(row: Any) -> Row:
    texts = ("sample_id", "panel", "time_check", "flags", "channels", "intervals")
    return (
        *(spaced(str(row[name])) for name in texts),
        whole(_value(row["events"])),
        number(_value(row["removed_percent"]), 2),
        *(number(_value(row[f"{name}_percent"]), 2) for name in _SHARES),
        whole(_value(row["doublets"])) if str(row["doublets"]) else DASH,
    )


def _value(cell: Any) -> float:
    return float(cell) if str(cell).strip() else float("nan")
