"""The numbers of table T3: what there is of every subject at every visit."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cytotrial.science.statistics.tables import NO_ROW
from cytotrial.terms import Status

_COLUMNS = ["subject", "visit", "state", "available", "expected", "reasons"]
_ORDER = (Status.OK.value, Status.WARN.value, Status.FAIL.value, Status.NOT_DONE.value)
_FAILED, _MISSING = 2, 3
NOT_DUE = "."


def completeness(records: pd.DataFrame, *, subjects: Iterable[str], visits: Iterable[str]) -> pd.DataFrame:
    """What there is of every subject at every visit.

    Parameters
    ----------
    records : DataFrame
        Columns subject, visit, parameter, status, flags, as dataset/counts.csv has them.
    subjects, visits : iterable of str
        In the order of the table; a visit may be UNSCHEDULED.

    Returns
    -------
    DataFrame
        One row per subject and visit: subject, visit; state: D done, W with a warning, F failed, N not done,
        "." where the sample sheet has no row (not due, or not entered); parameters available and expected;
        reasons: the flags of what is missing. The worst parameter decides, each by its best record; where
        some are missing and others failed, failed.
    """
    expected = records["parameter"].nunique()
    parts = dict(list(records.groupby(["subject", "visit"], sort=True)))
    rows = [
        {"subject": subject, "visit": visit, "expected": expected, **_state(parts.get((subject, visit)))}
        for visit in visits
        for subject in subjects
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _state(part: pd.DataFrame | None) -> dict[str, object]:
    if part is None or len(part) == 0 or part["flags"].eq(NO_ROW).all():
        return {"state": NOT_DUE, "available": 0, "reasons": ""}
    ranks = part["status"].map({status: rank for rank, status in enumerate(_ORDER)}).fillna(_FAILED)
    best = ranks.groupby(part["parameter"]).min()
    worst = int(best.max())
    if worst == _MISSING and (best == _FAILED).any():
        worst = _FAILED
    lost = part.loc[ranks >= _FAILED, "flags"] if worst >= _FAILED else pd.Series(dtype=str)
    reasons = dict.fromkeys(flag for flags in lost for flag in str(flags).split(";") if flag)
    return {
        "state": "DWFN"[worst],
        "available": int((best < _FAILED).sum()),
        "reasons": ";".join(reasons),
    }
