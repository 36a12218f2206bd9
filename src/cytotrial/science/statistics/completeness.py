"""The numbers of table T3: what there is of every subject at every visit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
    parts: dict[tuple[str, str], list[_Record]] = {}
    columns = (records[name] for name in ("subject", "visit", "parameter", "status", "flags"))
    for subject, visit, *record in zip(*columns, strict=True):
        parts.setdefault((subject, visit), []).append(_Record(*record))
    rows = [
        {"subject": subject, "visit": visit, "expected": expected, **_state(parts.get((subject, visit), ()))}
        for visit in visits
        for subject in subjects
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


class _Record(NamedTuple):
    parameter: str
    status: str
    flags: str

    @property
    def rank(self) -> int:
        return _ORDER.index(self.status) if self.status in _ORDER else _FAILED


def _state(part: Sequence[_Record]) -> dict[str, object]:
    if all(record.flags == NO_ROW for record in part):
        return {"state": NOT_DUE, "available": 0, "reasons": ""}
    best: dict[str, int] = {}
    for record in part:
        best[record.parameter] = min(record.rank, best.get(record.parameter, _MISSING))
    worst = max(best.values())
    if worst == _MISSING and _FAILED in best.values():
        worst = _FAILED
    lost = [record.flags for record in part if record.rank >= _FAILED] if worst >= _FAILED else []
    reasons = dict.fromkeys(flag for flags in lost for flag in str(flags).split(";") if flag)
    return {
        "state": "DWFN"[worst],
        "available": sum(rank < _FAILED for rank in best.values()),
        "reasons": ";".join(reasons),
    }
