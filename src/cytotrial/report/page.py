"""The report: one HTML page that needs nothing but itself.

The page is made by a template that escapes every value, forbids scripts and anything remote
by its content security policy, and holds its figures as data URIs. Same tables, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from cytotrial.report import listings, sections
from cytotrial.report.acquisition import draw_trace, removed_table
from cytotrial.report.compensation import draw_matrix, draw_pair, pair_caption
from cytotrial.report.drawing import house_style
from cytotrial.report.figures import draw_course, draw_headline
from cytotrial.report.layout import Table
from cytotrial.report.levey_jennings import draw_charts
from cytotrial.report.pictures import GatePicture, draw_gate
from cytotrial.report.profile import choose_subjects, draw_profile
from cytotrial.report.tables import ReportTables, prepare, rows_of
from cytotrial.report.text import PARAMETERS, limits_in_words, parameter_label, whole

TEMPLATES = Path(__file__).resolve().parents[3] / "resources" / "report"
"""Folder of the page templates: resources/report of the checkout."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An image of the page: data URI, what it shows in words, and the line under it."""

    uri: str
    alt: str
    caption: str


def render_report(tables: ReportTables) -> str:
    """The report of one run as HTML text.

    Parameters
    ----------
    tables : ReportTables
        All that the page shows; a table may be empty, an optional one may be None.

    Returns
    -------
    str
        A self-contained page, the same for the same tables: no clock, no remote address.

    Raises
    ------
    DatasetError
        If a table lacks a column.
    """
    return page_and_listings(tables)[0]


def page_and_listings(tables: ReportTables) -> tuple[str, list[Table]]:
    """The page that `render_report` gives, and listings L1 to L4 as they are on it."""
    ready = prepare(tables)
    shown = _tables_of_the_page(ready)
    with house_style():
        figures = {
            "overview": _overview(ready),
            "courses": _courses(ready),
            "profiles": _profiles(ready),
            "gates": _gates(ready),
            "donor": _donor(ready),
            "heat_maps": _heat_maps(ready),
            "pairs": _pairs(ready),
            "traces": _traces(ready),
        }
    page = _template().render(**shown, **figures, tables=ready, limits=limits_in_words(ready.limits))
    return str(page), shown["listings"]


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _tables_of_the_page(tables: ReportTables) -> dict[str, Any]:
    visits, states, totals = sections.completeness(tables)
    return {
        "numbers": sections.summary_numbers(tables),
        "headline": sections.headline(tables),
        "tubes": sections.tube_accounting(tables.inventory),
        "t1": sections.cell_count_table(tables),
        "t2": sections.clinical_table(tables),
        "t3": {"visits": visits, "states": states, "totals": totals},
        "listings": _listings(tables),
        "origins": listings.gate_origins(tables.gates),
        "quality": _optional(
            "quality", "Flagged channel pairs, on the controls", tables.compensation_quality
        ),
        "compared": _optional(
            "compared", "Flagged channel pairs, in samples and between batches", tables.compared_matrices
        ),
        "removed": None if tables.acquisition is None else removed_table(tables.acquisition),
        "checks": None if tables.checks is None else listings.dataset_checks(tables.checks),
    }


def _listings(tables: ReportTables) -> list[Table]:
    return [
        listings.rejected_tubes(tables.inventory),
        listings.flagged_values(tables),
        listings.flagged_populations(tables.populations),
        listings.overrides(tables.overrides),
        listings.visit_mapping(tables),
        listings.values_by_visit(tables),
    ]


def _optional(name: str, caption: str, frame: pd.DataFrame | None) -> Table | None:
    return None if frame is None else listings.plain_table(name, caption, frame)


def _overview(tables: ReportTables) -> Figure | None:
    if not (tables.cell_counts["n"] > 0).any():
        return None
    alt = "Median and quartiles of Treg, Th17 and their ratio at each visit"
    return Figure(
        draw_headline(tables.cell_counts, tables.visits), alt, "Median and quartiles at each visit."
    )


def _courses(tables: ReportTables) -> list[Figure]:
    known = tables.counts[tables.counts["value"].notna()]
    codes = [
        code for code in dict.fromkeys(tables.cell_counts["parameter"]) if (known["parameter"] == code).any()
    ]
    return [_course(code, tables) for code in sorted(codes, key=_order_of_parameters)]


def _course(code: str, tables: ReportTables) -> Figure:
    units = tables.counts.loc[tables.counts["parameter"] == code, "unit"]
    label = parameter_label(code, units.iloc[0])
    _, lloq = tables.limits.get(code, (0, 0))
    uri = draw_course(code, tables.counts, tables.cell_counts, tables.visits, lloq_events=lloq)
    return Figure(uri, f"Course of every subject: {label}", "")


def _order_of_parameters(code: str) -> tuple[int, str]:
    known = ["TREGABS", "TREGPCD4", "TH17ABS", "TH17PCD4", "TH17TREG", *PARAMETERS]
    return (known.index(code) if code in known else len(known)), code


def _profiles(tables: ReportTables) -> list[Figure]:
    return [
        Figure(draw_profile(subject, tables), f"Course of subject {subject}", f"Subject {subject}")
        for subject in choose_subjects(tables)
    ]


def _donor(tables: ReportTables) -> list[Figure]:
    """Levey–Jennings charts of the quality-control donor, one figure per reported population."""
    if tables.qc_donor is None or tables.qc_donor.empty:
        return []
    return [
        Figure(uri, f"Levey–Jennings charts of the quality-control donor: {name}", f"{name}. {words}")
        for name, uri, words in draw_charts(tables.qc_donor)
    ]


def _gates(tables: ReportTables) -> list[tuple[str, list[Figure]]]:
    """Tube by tube, in the order given: heading and pictures."""
    facts = {
        row.sample_id: " · ".join(str(getattr(row, key)) for key in ("subject", "visit", "panel", "role"))
        for row in rows_of(tables.populations)
        if all(hasattr(row, key) for key in ("subject", "visit", "panel", "role"))
    }
    origins = {(row.sample_id, row.population): row.origin for row in rows_of(tables.gates)}
    return [
        (
            " · ".join(part for part in (sample_id, facts.get(sample_id, "")) if part),
            [_gate(picture, origins.get((sample_id, picture.population), "")) for picture in pictures],
        )
        for sample_id, pictures in groupby(tables.pictures, key=lambda picture: picture.sample_id)
    ]


def _heat_maps(tables: ReportTables) -> list[Figure]:
    return [
        Figure(draw_matrix(name, matrix), f"Spillover matrix of {name}, per cent", "")
        for name, matrix in tables.spillover.items()
    ]


def _pairs(tables: ReportTables) -> list[Figure]:
    alt = "{}: {} into {}, before and after compensation"
    return [
        Figure(draw_pair(one), alt.format(one.title, one.detector, one.into), pair_caption(one))
        for one in tables.pairs
    ]


def _traces(tables: ReportTables) -> list[Figure]:
    return [
        Figure(draw_trace(one), f"Rate and signal of {one.sample_id} over time", one.caption)
        for one in tables.traces
    ]


def _gate(picture: GatePicture, origin: str) -> Figure:
    events = f"{whole(picture.events)} of {whole(picture.parent_events)} events"
    caption = "; ".join(part for part in (events, origin, *picture.flags) if part)
    percent = "" if picture.percent_of_parent is None else f", {picture.percent_of_parent:.3g} %"
    alt = f"{picture.population} in {picture.parent} of {picture.sample_id}{percent}"
    return Figure(draw_gate(picture), alt, caption)
