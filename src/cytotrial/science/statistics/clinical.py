"""The numbers of table T2: every clinical test at every planned visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from cytotrial.science.statistics.descriptive import proportion
from cytotrial.science.statistics.grid import baseline_column, in_order, matrix_of
from cytotrial.science.statistics.visits import VisitSummary, summarise_visits

_COLUMNS = [
    *("test", "unit", "visit", "kind", "n_planned"),
    *VisitSummary.__dataclass_fields__,
    *("n_not_numeric", "x", "percent", "percent_low", "percent_high"),
]
_YES = {"positive", "pos", "yes", "y", "true"}
_NO = {"negative", "neg", "no", "n", "false"}


def clinical_by_visit(
    visit_wide: pd.DataFrame, visits: pd.DataFrame, *, units: Mapping[str, str], n_planned: int
) -> pd.DataFrame:
    """The numbers of table T2: every clinical test at every planned visit.

    Parameters
    ----------
    visit_wide : DataFrame
        Columns subject, visit and one column per test. A test whose known values are all of
        yes/no kind (positive, negative, yes, no, true, false) is counted, any other is measured.
    visits : DataFrame
        Columns visit, visit_num, baseline.
    units : mapping of str to str
        Test (a column of `visit_wide`) → unit, in the order of the table.
    n_planned : int
        Subjects for whom the visits are planned.

    Returns
    -------
    DataFrame
        One row per test and visit: test, unit, visit, kind ("measured" or "counted"), n_planned,
        the fields of `VisitSummary`, n_not_numeric (values that are text), x (number positive),
        percent, percent_low, percent_high (of n).
    """
    planned = in_order(visits)
    rows = [
        {"test": test, "unit": unit, "n_planned": n_planned, **row}
        for test, unit in units.items()
        for row in _test_rows(visit_wide[["subject", "visit", test]], test, planned)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _test_rows(wide: pd.DataFrame, test: str, planned: pd.DataFrame) -> list[dict[str, Any]]:
    text = wide[test].fillna("").astype(str).str.strip().str.lower()
    if (text != "").any() and set(text) <= _YES | _NO | {""}:
        return [_counted_row(text[wide["visit"] == visit], visit) for visit in planned["visit"]]
    matrix, _ = matrix_of(wide["subject"], wide["visit"], wide[test], planned)
    summaries = summarise_visits(matrix, baseline=baseline_column(planned))
    is_text = (text != "") & pd.to_numeric(text, errors="coerce").isna()
    return [
        {
            "visit": visit,
            "kind": "measured",
            **asdict(summary),
            "n_not_numeric": int((is_text & (wide["visit"] == visit)).sum()),
        }
        for visit, summary in zip(planned["visit"], summaries, strict=True)
    ]


def _counted_row(text: pd.Series, visit: str) -> dict[str, Any]:
    x, n = int(text.isin(_YES).sum()), int((text != "").sum())
    percent, low, high = proportion(x, n)
    limits = {"percent": percent, "percent_low": low, "percent_high": high}
    return {"visit": visit, "kind": "counted", "n": n, "n_not_numeric": 0, "x": x, **limits}
