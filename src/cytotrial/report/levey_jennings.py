"""Levey–Jennings charts: the quality-control donor from batch to batch, within its limits."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import pandas as pd

from cytotrial.report.drawing import BLUE, GREY, ORANGE, VERMILION, new_figure, svg_uri

COLUMNS = 4
NUMBERS = ("value", "low3", "low2", "high2", "high3")


def draw_charts(donor: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """A figure of every reported population: its name, the figure as a data URI (SVG), and the line under it.

    Parameters
    ----------
    donor : DataFrame
        The rows of qc_donor.csv as text, batches in the order of acquisition.
    """
    numbers = {name: pd.to_numeric(donor[name], errors="coerce") for name in NUMBERS}
    ready = donor.assign(**numbers)
    for (panel, population), part in ready.groupby(["panel", "population"], sort=True):
        yield f"{panel} · {population}", _charts(part), _in_words(part)


def _charts(part: pd.DataFrame) -> str:
    measures = list(dict.fromkeys(part["measure"]))
    columns = min(COLUMNS, len(measures))
    rows = ceil(len(measures) / columns)
    figure = new_figure(2.7 * columns, 1.9 * rows)
    for place, measure in enumerate(measures, start=1):
        axes = figure.add_subplot(rows, columns, place)
        _draw(axes, part[part["measure"] == measure])
        axes.set_title(measure, fontsize=8)
    return svg_uri(figure)


def _draw(axes: Any, series: pd.DataFrame) -> None:
    """One measure: bands of each batch's own limits, the values, and those out of control."""
    places = list(range(len(series)))
    for low, high, colour in (("low3", "high3", GREY), ("low2", "high2", BLUE)):
        axes.fill_between(
            places, series[low], series[high], step="mid", color=colour, alpha=0.16, linewidth=0
        )
    axes.plot(places, series["value"], color=BLUE, linewidth=0.9, zorder=3)
    out = (series["rule"] != "").to_numpy()
    axes.plot(places, series["value"], "o", color=BLUE, markersize=3.6, zorder=4)
    flagged = [place for place, is_out in zip(places, out, strict=True) if is_out]
    axes.plot(flagged, series["value"][out], "D", color=VERMILION, markersize=5, zorder=5)
    axes.set_ylim(*_limits(series))
    axes.set_xticks(places, series["batch"], fontsize=6.5, rotation=90 if len(places) > 8 else 0)
    axes.tick_params(axis="y", labelsize=6.5)
    axes.margins(x=0.04)
    if series["low2"].isna().all():
        place = {"transform": axes.transAxes, "ha": "center", "fontsize": 6.5, "color": ORANGE}
        axes.text(0.5, 0.05, "too few batches for limits", **place)


def _limits(series: pd.DataFrame) -> tuple[float, float]:
    """The axis holds every value and the inner band; an outer band of few batches may reach beyond it."""
    inner = pd.concat([series["value"], series["low2"], series["high2"]]).dropna()
    low, high = float(inner.min()), float(inner.max())
    margin = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _in_words(part: pd.DataFrame) -> str:
    out = part[part["rule"] != ""]
    if out.empty:
        return "No batch is out of control."
    named = [f"{row.batch} ({row.measure}, {row.rule})" for row in out.itertuples()]
    return f"Out of control: {', '.join(named)}."
