"""Long tables as subjects × planned visits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cytotrial.science.statistics.descriptive import NAN, Values


def in_order(visits: pd.DataFrame) -> pd.DataFrame:
    """The planned visits by their number."""
    number = pd.to_numeric(visits["visit_num"], errors="coerce")
    return visits.assign(visit_num=number).sort_values("visit_num", kind="stable").reset_index(drop=True)


def baseline_column(planned: pd.DataFrame) -> int | None:
    """Place of the baseline visit among the planned ones, or None."""
    marked = np.flatnonzero(planned["baseline"].isin(["Y", True]).to_numpy())
    return int(marked[0]) if marked.size else None


def matrix_of(
    subject: pd.Series, visit: pd.Series, value: pd.Series, planned: pd.DataFrame
) -> tuple[Values, pd.Index]:
    """Values as subjects × planned visits, NaN where there is none, and the subjects of its rows."""
    column = visit.map({name: place for place, name in enumerate(planned["visit"])})
    rows, subjects = pd.factorize(subject, sort=True)
    matrix = np.full((len(subjects), len(planned)), NAN)
    known = column.notna().to_numpy()
    numbers = pd.to_numeric(value, errors="coerce").to_numpy(np.float64)
    matrix[rows[known], column.to_numpy(np.float64)[known].astype(int)] = numbers[known]
    return matrix, pd.Index(subjects)
