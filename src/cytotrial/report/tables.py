"""What a report is made from: the tables of a run, plain and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from cytotrial.errors import DatasetError, all_problems
from cytotrial.report.acquisition import TracePicture
from cytotrial.report.compensation import PairPicture
from cytotrial.report.pictures import GatePicture

NO_TEXT: Mapping[str, str] = MappingProxyType({})
NO_MATRIX: Mapping[str, pd.DataFrame] = MappingProxyType({})
NO_LIMITS: Mapping[str, tuple[int, int]] = MappingProxyType({})

UNSCHEDULED = "UNSCHEDULED"

PRIVATE = ("sex", "age", "site", "arm")
"""Columns that are never printed beside a subject id: a small trial is not anonymous."""


@dataclass(frozen=True, eq=False)
class ReportTables:
    """The tables of one run, as their CSV files hold them; nothing is computed from them but layout.

    Parameters
    ----------
    study, title : str
        STUDYID and the title of the page.
    inventory, populations, gates, counts, candidates, visit_wide : DataFrame
        The result files of the same names. `counts` also has the columns `analysis`, "Y" on the
        records that the tables by visit use, and `quantifiable`, what the record's events allow to be
        said. `inventory` may have panel, role, subject, visit and batch joined to it.
    visits, subjects : DataFrame
        The sheets.
    cell_counts : DataFrame
        The numbers of table T1, one row per parameter and visit.
    completeness : DataFrame
        Table T3, one row per subject and visit: state, available, expected, reasons.
    clinical_by_visit : DataFrame, optional
        The numbers of table T2, one row per test and visit.
    clinical, exposure : DataFrame, optional
        The sheets, for the individual profiles.
    pictures : tuple of GatePicture
        In the order in which they are shown.
    spillover : mapping of str to DataFrame
        "panel, batch" → spillover matrix, rows fluorochromes (index), columns detectors.
    compensation_quality : DataFrame, optional
        Any columns; printed as they are.
    checks : DataFrame, optional
        dataset/checks.csv: every check of the trial dataset and what it found.
    compared_matrices : DataFrame, optional
        Pairs flagged between batches or in samples; any columns, printed as they are.
    pairs : tuple of PairPicture
        Channel pairs before and after compensation, in the order in which they are shown.
    acquisition : DataFrame, optional
        quality.csv, with the panel of each tube.
    traces : tuple of TracePicture
        Tubes whose acquisition is pictured, in the order in which they are shown.
    methods, versions : mapping of str to str
        Heading → sentence or formula; software → version. Printed in the order given.
    limits : mapping of str to (int, int)
        Parameter → limits of detection and of quantitation, in events of its population.
    profiles : tuple of str
        Subjects shown one by one; empty: the subject with the most draws.
    qc_donor : DataFrame, optional
        The result file of the same name: the quality-control donor, batch by batch.
    overrides : DataFrame, optional
        Listing L2: for each override its gate and the values that rest on it, before and after.
    """

    study: str
    title: str
    inventory: pd.DataFrame
    populations: pd.DataFrame
    gates: pd.DataFrame
    counts: pd.DataFrame
    candidates: pd.DataFrame
    visit_wide: pd.DataFrame
    visits: pd.DataFrame
    subjects: pd.DataFrame
    cell_counts: pd.DataFrame
    completeness: pd.DataFrame
    clinical_by_visit: pd.DataFrame | None = None
    clinical: pd.DataFrame | None = None
    exposure: pd.DataFrame | None = None
    pictures: tuple[GatePicture, ...] = ()
    spillover: Mapping[str, pd.DataFrame] = field(default_factory=lambda: NO_MATRIX)
    compensation_quality: pd.DataFrame | None = None
    checks: pd.DataFrame | None = None
    compared_matrices: pd.DataFrame | None = None
    pairs: tuple[PairPicture, ...] = ()
    acquisition: pd.DataFrame | None = None
    traces: tuple[TracePicture, ...] = ()
    methods: Mapping[str, str] = field(default_factory=lambda: NO_TEXT)
    versions: Mapping[str, str] = field(default_factory=lambda: NO_TEXT)
    limits: Mapping[str, tuple[int, int]] = field(default_factory=lambda: NO_LIMITS)
    profiles: tuple[str, ...] = ()
    qc_donor: pd.DataFrame | None = None
    overrides: pd.DataFrame | None = None


_TEXT = {
    "inventory": ("sample_id", "status", "code", "message"),
    "populations": ("sample_id", "population", "parent", "status", "flags"),
    "gates": ("sample_id", "population", "origin"),
    "counts": (
        *("subject", "visit", "specimen", "collected", "parameter", "unit", "method"),
        *("status", "flags", "gating_version", "sample_ids", "analysis", "quantifiable"),
    ),
    "candidates": (
        *("subject", "visit", "specimen", "collected", "analysis_visit", "answers", "reason_not_chosen"),
    ),
    "visit_wide": ("subject", "visit"),
    "visits": ("visit", "baseline"),
    "subjects": ("subject", "first_dose"),
    "cell_counts": ("parameter", "unit", "visit", "hl_method", "p_method"),
    "completeness": ("subject", "visit", "state", "reasons"),
    "clinical_by_visit": ("test", "unit", "visit", "kind", "hl_method", "p_method"),
    "clinical": ("subject", "test", "collected", "value", "unit"),
    "exposure": ("subject", "drug", "start", "end", "unit"),
    "overrides": (
        *("override_id", "outcome", "why", "utc", "made_by", "reviewed_by", "reviewed_utc", "sample_id"),
        *("subject", "visit", "specimen", "panel", "population", "parent", "action", "reason_code"),
        *("reason_text", "measure", "unit"),
    ),
}
_SUMMARY = (
    *("n_planned", "n", "median", "q1", "q3", "n_paired", "change_median", "change_q1", "change_q3"),
    *("hl", "hl_low", "hl_high", "ratio_median", "p", "p_holm", "n_zero"),
)
_NUMBERS = {
    "populations": ("events", "parent_events", "percent_of_parent"),
    "counts": ("study_day", "value", "ci_low", "ci_high", "events", "parent_events", "cv_percent"),
    "candidates": ("study_day", "target_day", "days_from_target"),
    "visits": ("visit_num", "target_day", "first_day", "last_day"),
    "cell_counts": (*_SUMMARY, "n_below_lloq", "n_not_done", "n_failed", "lloq_value"),
    "completeness": ("available", "expected"),
    "clinical_by_visit": (*_SUMMARY, "n_not_numeric", "x", "percent", "percent_low", "percent_high"),
    "exposure": ("dose",),
    "overrides": (
        *("before", "after", "events_before", "parent_events_before"),
        *("events_after", "parent_events_after"),
    ),
}


def prepare(tables: ReportTables) -> ReportTables:
    """The same tables with text as text, numbers as numbers, and visits in order.

    Raises
    ------
    DatasetError
        If a table lacks a column; every missing column is listed.
    """
    frames = {name: frame for name in _TEXT if isinstance(frame := getattr(tables, name), pd.DataFrame)}
    problems = [
        f"table {name}: column '{column}' is missing; it has {', '.join(map(str, frame.columns)) or 'none'}"
        for name, frame in frames.items()
        for column in (*_TEXT[name], *_NUMBERS.get(name, ()))
        if column not in frame.columns
    ]
    if problems:
        raise DatasetError(
            all_problems("report", problems, outcome="no page was made"),
            hint="Run the steps before the report again; a table was made by another version.",
        )
    typed = {name: _typed(frame, name) for name, frame in frames.items()}
    typed["visit_wide"] = measured(typed["visit_wide"], keep=_TEXT["visit_wide"])
    typed["visits"] = typed["visits"].sort_values("visit_num", kind="stable").reset_index(drop=True)
    return replace(tables, **typed)  # type: ignore[arg-type]


def _typed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    numbers = _NUMBERS.get(name, ())
    return pd.DataFrame(
        {
            str(column): pd.to_numeric(frame[column], errors="coerce")
            if column in numbers
            else _as_text(frame[column], always=column in _TEXT[name])
            for column in frame.columns
            if str(column).lower() not in PRIVATE
        }
    ).reset_index(drop=True)


def _as_text(column: pd.Series, *, always: bool) -> pd.Series:
    if always or not pd.api.types.is_numeric_dtype(column):
        return column.astype(object).where(column.notna(), "").astype(str)
    return column


def measured(frame: pd.DataFrame, *, keep: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table with those columns as numbers whose every known cell is one, but for those to `keep`."""
    numbers = {
        column: pd.to_numeric(frame[column], errors="coerce") for column in frame if column not in keep
    }
    return frame.assign(
        **{
            str(column): values
            for column, values in numbers.items()
            if (values.isna() == frame[column].isin(["", None]) | frame[column].isna()).all()
        }
    )


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, each with its columns as attributes."""
    yield from frame.itertuples(index=False)
