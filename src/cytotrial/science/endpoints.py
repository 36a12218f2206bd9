"""Per-visit values: study days, visit windows, and which of several draws answers for a visit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from cytotrial.terms import Status, Visit

UNSCHEDULED = "UNSCHEDULED"


def study_day(collected: str, first_dose: str) -> int | None:
    """Day of the study: the first dose is on day 1, the day before it is day −1; there is no day 0.

    Parameters
    ----------
    collected, first_dose : str
        ISO 8601 dates or date-times; empty gives None.

    Examples
    --------
    >>> study_day("2024-01-08", "2024-01-01"), study_day("2023-12-31T09:00", "2024-01-01")
    (8, -1)
    """
    if not collected or not first_dose:
        return None
    days = (date.fromisoformat(collected[:10]) - date.fromisoformat(first_dose[:10])).days
    return days + 1 if days >= 0 else days


def visit_of_day(day: int | None, visits: Iterable[Visit]) -> Visit | None:
    """The visit in whose window a study day lies; windows are disjoint."""
    if day is None:
        return None
    for visit in visits:
        after_start = visit.first_day is None or day >= visit.first_day
        before_end = visit.last_day is None or day <= visit.last_day
        if after_start and before_end:
            return visit
    return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One draw that could answer for a visit."""

    specimen: str
    status: Status
    day: int | None
    collected: str = ""


def answering(candidates: Sequence[Candidate], *, target_day: int) -> Candidate:
    """The draw that answers for a visit, if there are several.

    In this order: a value there rather than none, quality not failed, nearest to the target
    day, the later one, the last in the order of specimen ids.
    """

    def rank(candidate: Candidate) -> tuple[int, int, str, str]:
        worth = {Status.OK: 0, Status.WARN: 0, Status.FAIL: 1, Status.NOT_DONE: 2}[candidate.status]
        distance = abs(candidate.day - target_day) if candidate.day is not None else 10**6
        return worth, distance, candidate.collected, candidate.specimen

    best = min(rank(candidate)[:2] for candidate in candidates)
    return max((c for c in candidates if rank(c)[:2] == best), key=lambda c: rank(c)[2:])
