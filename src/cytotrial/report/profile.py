"""Figure F2: the course of one subject, cells and disease over the cycles of treatment."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cytotrial.report.drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, log_axis, new_figure, svg_uri
from cytotrial.report.tables import ReportTables, rows_of
from cytotrial.report.text import parameter_label
from cytotrial.terms import Status

CELLS = ("TREGABS", "TREGPCD4", "TH17TREG")
_POSITIVE = {"positive", "pos", "yes", "y", "true"}
_SHADES = (BLUE, GREEN, ORANGE, VERMILION)

Panel = tuple[str, Callable[[Any], None]]


def choose_subjects(tables: ReportTables) -> tuple[str, ...]:
    """The configured subjects, else the one with the most draws that gave a value (first by name)."""
    if tables.profiles:
        return tables.profiles
    known = tables.counts[tables.counts["value"].notna()]
    draws = known.groupby("subject", sort=True)["specimen"].nunique()
    return (str(draws.idxmax()),) if len(draws) else ()


def study_day(collected: str, first_dose: str) -> float:
    """Day of the study: the day of the first dose is 1, the day before it −1; NaN without both dates.

    Examples
    --------
    >>> study_day("2024-03-01", "2024-03-01T09:30"), study_day("2024-02-29", "2024-03-01")
    (1.0, -1.0)
    """
    try:
        first = datetime.date.fromisoformat(first_dose[:10])
        days = (datetime.date.fromisoformat(collected[:10]) - first).days
    except ValueError:
        return float("nan")
    return float(days + 1 if days >= 0 else days)


def draw_profile(subject: str, tables: ReportTables) -> str:
    """One subject's cells, scores, antibodies and doses over study days, as a data URI (SVG).

    Dosing is shaded. Bars are 95 % counting intervals. A value that is missing is a gap, with a
    cross on the lower edge; nothing is interpolated across it.
    """
    first_dose = _first_dose(subject, tables.subjects)
    clinical = _dated(tables.clinical, subject, first_dose)
    exposure = _dosing(tables.exposure, subject, first_dose)
    panels = [*_cell_panels(subject, tables), *_clinical_panels(clinical), *_dose_panels(exposure)]
    height = 0.85 + 1.3 * max(len(panels), 1)
    figure = new_figure(9.6, height, layout=None)
    edges = {"left": 0.06, "right": 0.83, "top": 1 - 0.3 / height, "bottom": 0.55 / height, "hspace": 0.5}
    rows = max(len(panels), 1)
    all_axes = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw=edges)[:, 0]
    for axes, (title, draw) in zip(all_axes, panels, strict=False):
        _shade(axes, exposure)
        draw(axes)
        axes.set_title(title, fontsize=8.5)
    _finish(all_axes, tables.visits)
    return svg_uri(figure)


def _first_dose(subject: str, subjects: pd.DataFrame) -> str:
    found = subjects.loc[subjects["subject"] == subject, "first_dose"]
    return str(found.iloc[0]) if len(found) else ""


def _dated(clinical: pd.DataFrame | None, subject: str, first_dose: str) -> pd.DataFrame:
    if clinical is None:
        return pd.DataFrame(columns=["test", "day", "value", "unit"])
    mine = clinical[clinical["subject"] == subject]
    day = [study_day(text, first_dose) for text in mine["collected"]]
    return mine.assign(day=day).dropna(subset=["day"]).sort_values("day", kind="stable")


def _dosing(exposure: pd.DataFrame | None, subject: str, first_dose: str) -> pd.DataFrame:
    if exposure is None:
        return pd.DataFrame(columns=["drug", "from_day", "to_day", "dose", "unit"])
    mine = exposure[exposure["subject"] == subject]
    begin = [study_day(text, first_dose) for text in mine["start"]]
    last = mine["end"].where(mine["end"] != "", mine["start"])
    end = [study_day(text, first_dose) for text in last]
    dated = mine.assign(from_day=begin, to_day=end).dropna(subset=["from_day", "to_day"])
    return dated.sort_values(["from_day", "drug"], kind="stable")


def _cell_panels(subject: str, tables: ReportTables) -> list[Panel]:
    days = tables.visits.drop_duplicates("visit").set_index("visit")["target_day"]
    mine = tables.counts[tables.counts["subject"] == subject]
    mine = mine.assign(day=mine["study_day"].fillna(mine["visit"].map(days))).dropna(subset=["day"])
    parts = [(code, mine[mine["parameter"] == code].sort_values("day", kind="stable")) for code in CELLS]
    return [
        (parameter_label(code, part["unit"].iloc[0]), partial(_draw_cells, part=part))
        for code, part in parts
        if len(part)
    ]


def _draw_cells(axes: Any, part: pd.DataFrame) -> None:
    used = part["status"].isin([Status.OK.value, Status.WARN.value])
    day, value = part["day"].to_numpy(np.float64), part["value"].where(used).to_numpy(np.float64)
    bars = np.stack([value - part["ci_low"].to_numpy(), part["ci_high"].to_numpy() - value])
    bars = np.nan_to_num(np.maximum(bars, 0))
    style = {"fmt": "o-", "color": BLUE, "markersize": 4, "linewidth": 1.3, "capsize": 2.5}
    axes.errorbar(day, value, yerr=bars, **style)
    _mark_missing(axes, day[~np.isfinite(value)])
    axes.set_ylim(bottom=0)


def _clinical_panels(clinical: pd.DataFrame) -> list[Panel]:
    drawn = {
        str(test): part.assign(number=pd.to_numeric(part["value"], errors="coerce"))
        for test, part in clinical.groupby("test", sort=True)
    }
    crithidia = clinical[clinical["test"].str.upper().str.contains("CRITHIDIA").astype(bool)]
    measured = [test for test, part in drawn.items() if part["number"].notna().any()]
    return [
        (
            f"{test}, {drawn[test]['unit'].iloc[0]}".removesuffix(", "),
            partial(_draw_test, test=test, part=drawn[test], crithidia=crithidia),
        )
        for test in sorted(measured, key=_place)
    ]


def _place(test: str) -> tuple[int, str]:
    """Score, antibodies, steroid first; then the others by name."""
    order = [_is_score(test), _is_antibody(test), _is_steroid(test), True]
    return order.index(True), test


def _is_score(test: str) -> bool:
    return "SLEDAI" in test.upper()


def _is_antibody(test: str) -> bool:
    return "DSDNA" in test.upper().replace("-", "").replace(" ", "")


def _is_steroid(name: str) -> bool:
    return name.upper().startswith("PRED")


def _draw_test(axes: Any, test: str, part: pd.DataFrame, crithidia: pd.DataFrame) -> None:
    day, value = part["day"].to_numpy(np.float64), part["number"].to_numpy(np.float64)
    colour = VERMILION if _is_score(test) else GREEN
    if _is_score(test) or _is_steroid(test):
        axes.step(day, value, where="post", color=colour, linewidth=1.3)
        axes.plot(day, value, "o", color=colour, markersize=3.5)
        axes.set_ylim(bottom=0)
    else:
        axes.plot(day, value, "o-", color=colour, markersize=3.5, linewidth=1.3)
    if _is_antibody(test):
        if np.nanmin(value) > 0:
            log_axis(axes)
            axes.set_ylim(np.nanmin(value) / 1.6, np.nanmax(value) * 2.5)
        _draw_crithidia(axes, crithidia)
    _mark_missing(axes, day[~np.isfinite(value)])


def _draw_crithidia(axes: Any, crithidia: pd.DataFrame) -> None:
    positive = crithidia["value"].str.strip().str.lower().isin(_POSITIVE)
    for chosen, face, label in ((positive, "black", "positive"), (~positive, "white", "negative")):
        days = crithidia.loc[chosen, "day"]
        style = {"linestyle": "none", "markersize": 5, "markeredgecolor": "black", "markerfacecolor": face}
        if len(days):
            height = axes.get_xaxis_transform()
            axes.plot(days, [0.93] * len(days), "s", transform=height, label=f"Crithidia {label}", **style)


def _dose_panels(exposure: pd.DataFrame) -> list[Panel]:
    steroid = exposure[exposure["drug"].map(_is_steroid).astype(bool)]
    return [
        (f"{drug}, {part['unit'].iloc[0]}".removesuffix(", "), partial(_draw_doses, part=part))
        for drug, part in steroid.groupby("drug", sort=True)
    ]


def _draw_doses(axes: Any, part: pd.DataFrame) -> None:
    """The dose of each period as a step; a period without a dose is a gap."""
    style = {"color": GREEN, "alpha": 0.45, "linewidth": 0}
    for row in rows_of(part):
        axes.fill_between([row.from_day, row.to_day + 1], 0, [row.dose, row.dose], **style)
    axes.set_ylim(bottom=0)


def _shade(axes: Any, exposure: pd.DataFrame) -> None:
    shaded = exposure[~exposure["drug"].map(_is_steroid).astype(bool)]
    for colour, (drug, part) in zip(_SHADES * len(shaded), shaded.groupby("drug", sort=True), strict=False):
        style = {"color": colour, "alpha": 0.16, "linewidth": 0}
        for place, row in enumerate(rows_of(part)):
            label = drug if place == 0 else None
            axes.axvspan(row.from_day - 0.5, row.to_day + 0.5, label=label, **style)


def _mark_missing(axes: Any, days: Any) -> None:
    height = axes.get_xaxis_transform()
    axes.plot(days, [0.06] * len(days), "x", color=GREY, markersize=4, transform=height, clip_on=False)


def _finish(all_axes: Any, visits: pd.DataFrame) -> None:
    handles = {
        label: handle
        for axes in all_axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        all_axes[0].legend(handles.values(), handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for axes in all_axes:
        for day in visits["target_day"].dropna():
            axes.axvline(day, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    all_axes[-1].set_xlabel("study day (dotted: target days of the visits)")
