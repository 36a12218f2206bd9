"""Figures and table of acquisition quality: rate and signal over time, and what was removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytotrial.report.compensation import decade_ticks
from cytotrial.report.drawing import BLUE, ORANGE, VERMILION
from cytotrial.report.layout import Group, Row, Table, spaced
from cytotrial.report.scene import Frame, Scene, shades
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


WIDTH, LEFT, PLOT, TOP = 560.0, 74.0, 476.0, 22.0
RATE_HEIGHT, SIGNAL_HEIGHT, GAP, FOOT = 66.0, 78.0, 10.0, 40.0
"""Pixels of the picture: its plots stand one under the other."""


def draw_trace(picture: TracePicture) -> str:
    """Event rate and signals over time, what was removed shaded, as a data URI (SVG)."""
    n = len(picture.channels)
    scene = Scene(WIDTH, TOP + RATE_HEIGHT + n * (GAP + SIGNAL_HEIGHT) + FOOT)
    along = (picture.begin, max(picture.end, picture.begin + 1e-9))
    ticks = round_ticks(along)
    scene.text(LEFT, 14, picture.title, size=11, anchor="start", bold=True)
    frame = _draw_rate(scene, picture, along)
    for index in range(n):
        frame.x_ticks(scene, [(place, "") for place, _ in ticks])
        top = TOP + RATE_HEIGHT + GAP + index * (SIGNAL_HEIGHT + GAP)
        frame = _draw_signal(scene, picture, along, index=index, top=top)
    frame.x_ticks(scene, ticks)
    words = "time, s" if picture.has_time else "event number (the tube has no time)"
    frame.x_label(scene, words, below=33)
    return scene.uri()


def round_ticks(ends: tuple[float, float], *, most: int = 8) -> list[tuple[float, str]]:
    """Round numbers between two ends, and their labels.

    Examples
    --------
    >>> round_ticks((0.0, 130.0), most=4)
    [(0.0, '0'), (50.0, '50'), (100.0, '100')]
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 (only the report pays)

    places = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(*ends)
    return [(float(place), f"{place:g}") for place in places if ends[0] <= place <= ends[1]]


def _draw_rate(scene: Scene, picture: TracePicture, along: tuple[float, float]) -> Frame:
    width = (picture.end - picture.begin) / max(picture.rate.size, 1) or 1.0
    rate = picture.rate / width if picture.has_time else picture.rate.astype(np.float64)
    top = 1.15 * max(float(rate.max(initial=0.0)), 1e-9)
    frame = Frame(LEFT, TOP, PLOT, RATE_HEIGHT, along, (0.0, top))
    edges = picture.begin + width * np.arange(picture.rate.size + 1)
    steps = np.column_stack([np.repeat(edges, 2)[1:-1], np.repeat(rate, 2)])
    _shade(scene, frame, picture)
    scene.inside(frame)
    scene.line(frame.points(steps), colour=BLUE, width=1.3)
    scene.outside()
    frame.border(scene)
    frame.y_ticks(scene, round_ticks((0.0, top), most=3))
    frame.y_label(scene, "events/s" if picture.has_time else "events", before=60)
    return frame


def _draw_signal(
    scene: Scene, picture: TracePicture, along: tuple[float, float], *, index: int, top: float
) -> Frame:
    """Events by time and signal, each stretch of time in shades of its own: a slow one is not pale."""
    counts = picture.counts[index].astype(np.float64)
    shown = counts / np.maximum(counts.max(axis=1, keepdims=True), 1.0)
    frame = Frame(LEFT, top, PLOT, SIGNAL_HEIGHT, along, picture.ends[index])
    masked = np.ma.masked_where(counts == 0, shown)
    frame.density(scene, shades(masked, scheme="Blues", lowest=-0.25, highest=1.0))
    _shade(scene, frame, picture)
    frame.border(scene)
    frame.y_ticks(scene, zip(*decade_ticks(COFACTOR, picture.ends[index]), strict=True))
    frame.y_label(scene, picture.channels[index], before=60)
    return frame


def _shade(scene: Scene, frame: Frame, picture: TracePicture) -> None:
    for begin, end, reasons in picture.removed:
        colour = next((COLOURS[reason] for reason in COLOURS if reason in reasons), VERMILION)
        least = 0.003 * (picture.end - picture.begin)
        left, right = frame.x(begin), frame.x(max(end, begin + least))
        scene.box(left, frame.top, right - left, frame.height, colour=colour, opacity=0.28)


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
