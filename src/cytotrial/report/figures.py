"""Figures over visits: medians at a glance, and every subject's course (F1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from cytotrial.report.drawing import BLUE, GREY, ORANGE, log_axis, new_figure, svg_uri
from cytotrial.report.tables import UNSCHEDULED, rows_of
from cytotrial.report.text import parameter_label, whole
from cytotrial.terms import Status

_REACH = 6.0
"""An LLOQ further below the lowest value than by this factor is not drawn."""

HEADLINE = ("TREGABS", "TH17ABS", "TH17TREG")


def draw_headline(cell_counts: pd.DataFrame, visits: pd.DataFrame) -> str:
    """Median and quartiles of Treg, Th17 and their ratio per visit, as a data URI (SVG)."""
    shown = [code for code in HEADLINE if (cell_counts["parameter"] == code).any()]
    figure = new_figure(3.1 * max(len(shown), 1), 2.3)
    for place, code in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), place)
        part = _with_days(cell_counts[cell_counts["parameter"] == code], visits)
        _draw_medians(axes, part)
        axes.set_title(parameter_label(code, part["unit"].iloc[0]), fontsize=8.5)
        axes.set_ylim(bottom=0)
        _label_visits(axes, part)
    return svg_uri(figure)


def draw_course(
    code: str, counts: pd.DataFrame, cell_counts: pd.DataFrame, visits: pd.DataFrame, *, lloq_events: int
) -> str:
    """Figure F1 of one parameter: every subject over study days, as a data URI (SVG).

    Thin grey lines are subjects and break where a visit has no value; open symbols carry a
    warning, diamonds are unscheduled; 0 stands on the lower edge. Blue: median and quartiles.
    """
    part = counts[counts["parameter"] == code]
    summary = _with_days(cell_counts[cell_counts["parameter"] == code], visits)
    figure = new_figure(5.6, 3.5)
    axes = figure.add_subplot()
    log_axis(axes)
    floor, top = _log_limits(part, summary)
    _draw_subjects(axes, part, visits, floor)
    _draw_lloq(axes, summary, floor, lloq_events)
    _draw_medians(axes, summary)
    axes.set_ylim(floor, top)
    axes.set_title(parameter_label(code, part["unit"].iloc[0]), fontsize=8.5)
    axes.set_xlabel("study day; visits at their target day")
    _label_visits(axes, summary)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handlelength=1.4, borderaxespad=0.2, fontsize=6.8
    )
    return svg_uri(figure)


def _with_days(summary: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    days = visits.drop_duplicates("visit").set_index("visit")["target_day"]
    return summary.assign(day=summary["visit"].map(days).astype(float)).sort_values("day", kind="stable")


def _draw_medians(axes: Any, summary: pd.DataFrame) -> None:
    known = summary[summary["n"] > 0]
    spread = np.stack([known["median"] - known["q1"], known["q3"] - known["median"]]) if len(known) else None
    style = {"color": BLUE, "elinewidth": 2.2, "linewidth": 1.6, "markersize": 5, "capsize": 3, "zorder": 5}
    axes.errorbar(known["day"], known["median"], yerr=spread, fmt="o-", label="median, quartiles", **style)


def _label_visits(axes: Any, summary: pd.DataFrame) -> None:
    """Visit, day and n under the axis; upright on one line where visits stand close together."""
    days = summary["day"].tolist()
    nearest = min((b - a for a, b in pairwise(days)), default=np.inf)
    crowded = nearest < 0.16 * (days[-1] - days[0] if days else 0)
    between = ", " if crowded else "\n"
    labels = [
        between.join([str(row.visit), f"day {whole(row.day)}", f"n = {whole(row.n)}"])
        for row in rows_of(summary)
    ]
    axes.set_xticks(days, labels, fontsize=7, rotation=90 if crowded else 0)


def _log_limits(part: pd.DataFrame, summary: pd.DataFrame) -> tuple[float, float]:
    """The axis holds every value, and the LLOQ where that is within reach of the lowest value."""
    known = part["value"][part["value"] > 0]
    if len(known) == 0:
        return 0.1, 10.0
    low = float(known.min())
    near = summary["lloq_value"][summary["lloq_value"] > low / _REACH]
    return min([low, *near]) / 1.6, float(known.max()) * 1.4


def subject_course(one: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """One subject's records by study day; a record without a day stands at its visit's target."""
    days = visits.drop_duplicates("visit").set_index("visit")["target_day"]
    day = one["study_day"].fillna(one["visit"].map(days))
    value = one["value"].where(one["status"].isin([Status.OK.value, Status.WARN.value]))
    return one.assign(day=day, value=value).dropna(subset=["day"]).sort_values("day", kind="stable")


def _draw_subjects(axes: Any, part: pd.DataFrame, visits: pd.DataFrame, floor: float) -> None:
    """A line for every subject, in the order of their names, and four kinds of symbols."""
    from matplotlib.collections import LineCollection  # noqa: PLC0415 (only the report pays)
    from matplotlib.lines import Line2D  # noqa: PLC0415

    course = subject_course(part, visits)
    subject, day = course["subject"].to_numpy(), course["day"].to_numpy(np.float64)
    height = course["value"].clip(lower=floor).to_numpy(np.float64)
    warned = (course["status"] == Status.WARN.value).to_numpy()
    unscheduled = (course["visit"] == UNSCHEDULED).to_numpy()
    kinds = (
        (~warned & ~unscheduled, "o", GREY),
        (warned & ~unscheduled, "o", "white"),
        (~warned & unscheduled, "D", GREY),
        (warned & unscheduled, "D", "white"),
    )
    symbols: dict[str, Any] = {"markeredgecolor": GREY, "markeredgewidth": 0.8, "markersize": 3.2}
    each = [subject == name for name in sorted(part["subject"].unique())]
    lines = [np.column_stack([day[own], height[own]]) for own in each]
    axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.7, alpha=0.6, zorder=2))
    for chosen, marker, face in kinds:
        style: dict[str, Any] = {"marker": marker, "markerfacecolor": face, "linestyle": "none", "zorder": 3}
        axes.add_line(Line2D(day[chosen], height[chosen], **symbols, **style))
    axes.autoscale_view()


def _draw_lloq(axes: Any, summary: pd.DataFrame, floor: float, lloq_events: int) -> None:
    known = summary[summary["lloq_value"] > floor]
    if len(known) == 0 or known["parameter"].iloc[0] == "TH17TREG":
        return
    days, level = _steps(known["day"].tolist(), known["lloq_value"].tolist())
    label = f"below LLOQ ({lloq_events} events)"
    axes.fill_between(days, floor, level, color=ORANGE, alpha=0.22, linewidth=0, zorder=1, label=label)


def _steps(days: Sequence[float], level: Sequence[float]) -> tuple[list[float], list[float]]:
    """Each level from halfway to the visit before until halfway to the visit after."""
    edges = [days[0] - 7, *((a + b) / 2 for a, b in pairwise(days)), days[-1] + 7]
    left_right = [edge for pair in pairwise(edges) for edge in pair]
    return left_right, [value for value in level for _ in range(2)]
