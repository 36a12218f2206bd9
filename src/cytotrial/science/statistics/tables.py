"""The numbers of table T1: every parameter at every planned visit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cytotrial.science.counting import QUANTIFIABLE
from cytotrial.science.statistics.descriptive import quartiles
from cytotrial.science.statistics.grid import baseline_column, in_order, matrix_of
from cytotrial.science.statistics.visits import VisitSummary, summarise_visits
from cytotrial.terms import Status

SUMMARY_COLUMNS = tuple(VisitSummary.__dataclass_fields__)
_COLUMNS = [
    *("parameter", "unit", "visit", "n_planned"),
    *SUMMARY_COLUMNS,
    *("n_below_lloq", "n_not_done", "n_failed", "lloq_value"),
]

NO_ROW = "NO_TUBE_IN_SHEET"
"""Flag of a visit of which the sample sheet has no row: not due, or not entered."""


def cell_counts_by_visit(
    records: pd.DataFrame, visits: pd.DataFrame, *, n_planned: int, baselines: pd.Series | None = None
) -> pd.DataFrame:
    """The numbers of table T1: every parameter at every planned visit.

    Parameters
    ----------
    records : DataFrame
        The trial dataset as `analysis_records` gives it.
    visits : DataFrame
        Columns visit, visit_num, baseline ("Y" on one row).
    n_planned : int
        Subjects for whom the visits are planned.
    baselines : Series, optional
        The value that changes are counted from, by (subject, parameter), as `baseline_values` gives
        it; by default the value of the baseline visit.

    Returns
    -------
    DataFrame
        One row per parameter and visit, in the order of the dataset and of visit_num: parameter,
        unit, visit, n_planned, the fields of `VisitSummary`, n_below_lloq, n_not_done, n_failed
        (subjects without a value, by the status of their record; a visit of which the sheet has no row
        is neither) and lloq_value: the median over tubes of the value at the limit of quantitation.
    """
    planned = in_order(visits)
    rows = [
        {"parameter": parameter, "unit": _first_text(part["unit"]), "n_planned": n_planned, **row}
        for parameter, part in records.groupby("parameter", sort=False)
        for row in _parameter_rows(part, planned, _of_parameter(baselines, str(parameter)))
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _of_parameter(baselines: pd.Series | None, parameter: str) -> pd.Series | None:
    if baselines is None:
        return None
    return baselines[baselines.index.get_level_values(1) == parameter].droplevel(1)


def _parameter_rows(
    part: pd.DataFrame, planned: pd.DataFrame, baselines: pd.Series | None
) -> list[dict[str, Any]]:
    used = part[part["analysis"] == "Y"]
    matrix, subjects = matrix_of(used["subject"], used["visit"], used["value"], planned)
    before = None if baselines is None else baselines.reindex(subjects).to_numpy(np.float64)
    summaries = summarise_visits(matrix, baseline=baseline_column(planned), before=before)
    return [
        {"visit": visit, **asdict(summary), **_limits_and_losses(part[part["visit"] == visit])}
        for visit, summary in zip(planned["visit"], summaries, strict=True)
    ]


def _limits_and_losses(here: pd.DataFrame) -> dict[str, Any]:
    used = here[here["analysis"] == "Y"]
    lost = here[~here["subject"].isin(used["subject"]) & here["flags"].ne(NO_ROW)]
    failed = set(lost.loc[lost["status"] == Status.FAIL.value, "subject"])
    not_done = set(lost.loc[lost["status"] == Status.NOT_DONE.value, "subject"]) - failed
    return {
        "n_below_lloq": int((~used["quantifiable"].isin([QUANTIFIABLE, ""])).sum()),
        "n_not_done": len(not_done),
        "n_failed": len(failed),
        "lloq_value": quartiles(used["lloq_value"]).median,
    }


def _first_text(column: pd.Series) -> str:
    known = column.dropna().astype(str)
    known = known[known != ""]
    return str(known.iloc[0]) if len(known) else ""
