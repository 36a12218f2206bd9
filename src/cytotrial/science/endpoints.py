"""Per-visit values: study days, visit windows, and which of several draws answers for a visit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from cytotrial.terms import Visit

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
    """One draw that could answer for a visit: its day, and how many of its parameters have a value."""

    specimen: str
    n_values: int
    n_failed: int
    day: int | None
    collected: str = ""


def answering(candidates: Sequence[Candidate], *, target_day: int) -> Candidate:
    """The draw that answers for a visit, for all its parameters, if there are several.

    In this order: most parameters with a value, fewest that failed, nearest to the target day, the
    later one, the last in the order of specimen ids. One draw answers for the whole visit: counts
    of different days are not mixed.
    """

    def rank(candidate: Candidate) -> tuple[int, int, int]:
        distance = abs(candidate.day - target_day) if candidate.day is not None else 10**6
        return -candidate.n_values, candidate.n_failed, distance

    best = min(rank(candidate) for candidate in candidates)
    return max(
        (candidate for candidate in candidates if rank(candidate) == best),
        key=lambda candidate: (candidate.collected, candidate.specimen),
    )


def column_of(test: str) -> str:
    """A clinical test as a column name: upper case, letters, digits and underscores."""
    return re.sub(r"[^A-Z0-9]+", "_", test.upper()).strip("_")
