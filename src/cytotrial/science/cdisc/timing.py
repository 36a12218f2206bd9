"""Days, visits and the first dose: when a draw was, in the terms of the datasets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cytotrial.science.cdisc.model import UNSCHEDULED, Result
from cytotrial.terms import Visit


@dataclass(frozen=True, slots=True)
class VisitTerms:
    """VISITNUM, VISIT and VISITDY of a draw."""

    number: float
    name: str
    day: int | None


def as_date(iso: str) -> date | None:
    """The date of an ISO 8601 date or date-time."""
    return date.fromisoformat(iso[:10]) if iso else None


def as_datetime(iso: str) -> datetime | None:
    """The date-time, by the clock of the place; None where there is no time: it is never imputed."""
    return datetime.fromisoformat(iso).replace(tzinfo=None) if len(iso) > 10 else None


def days_between(target: int, day: int) -> int:
    """Days from one study day to another; there is no day 0.

    Examples
    --------
    >>> days_between(1, -1), days_between(43, 40)
    (-1, -3)
    """
    return (day if day < 0 else day - 1) - (target if target < 0 else target - 1)


def is_before_dose(collected: str, first_dose: str, *, day1_before_dose: bool) -> bool:
    """Whether a draw was before the first dose, or at its very minute.

    On the day of the dose both times decide; where one is missing, `day1_before_dose` does.

    Examples
    --------
    >>> is_before_dose("2024-01-08T09:50", "2024-01-08T09:00", day1_before_dose=True)
    False
    """
    if not collected or not first_dose:
        return False
    drawn, dosed = as_datetime(collected), as_datetime(first_dose)
    if collected[:10] != first_dose[:10]:
        return collected[:10] < first_dose[:10]
    return day1_before_dose if drawn is None or dosed is None else drawn <= dosed


def last_of_each(
    rows: Sequence[Mapping[str, Any]],
    *,
    group: Callable[[Mapping[str, Any]], Hashable],
    order: Callable[[Mapping[str, Any]], Any],
    among: Callable[[Mapping[str, Any]], bool],
) -> set[int]:
    """Places of the last row of each group, among those that qualify."""
    last: dict[Hashable, int] = {}
    for place, row in enumerate(rows):
        if among(row) and (group(row) not in last or order(row) >= order(rows[last[group(row)]])):
            last[group(row)] = place
    return set(last.values())


def visits_of_draws(results: Iterable[Result], visits: Sequence[Visit]) -> dict[str, VisitTerms]:
    """Specimen → its visit; unscheduled draws are numbered after the visit before them.

    Of a subject's planned draws the last one before an unscheduled one gives its whole number: two
    unscheduled draws after visit 2 are 2.1 and 2.2. Before any planned draw the number is that of
    the visit before the first one.
    """
    draws = {(row["subject"], row["specimen"]): (row["visit"], row["collected"]) for row in results}
    planned = {visit.visit: VisitTerms(visit.visit_num, visit.visit, visit.target_day) for visit in visits}
    terms = {
        specimen: planned[visit] for (_, specimen), (visit, _) in sorted(draws.items()) if visit in planned
    }
    numbers = sorted(visit.visit_num for visit in visits)
    after: dict[tuple[str, float], list[str]] = {}
    for (subject, specimen), (visit, collected) in sorted(draws.items(), key=_by_time):
        if visit == UNSCHEDULED:
            earlier = [
                planned[other].number
                for (of, _), (other, when) in draws.items()
                if of == subject and other in planned and when and (not collected or when <= collected)
            ]
            after.setdefault((subject, max(earlier, default=numbers[0] - 1)), []).append(specimen)
    for (_, number), specimens in after.items():
        terms |= _numbered(specimens, number, numbers)
    return terms


def _by_time(item: tuple[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    (_, specimen), (_, collected) = item
    return collected, specimen


def _numbered(specimens: Sequence[str], number: float, planned: Sequence[float]) -> dict[str, VisitTerms]:
    """Decimals after a visit's number, fine enough to stay below the next visit's."""
    following = min((other for other in planned if other > number), default=number + 1)
    parts = 10
    while number + len(specimens) / parts >= following:
        parts *= 10
    numbers = [round(number + place / parts, 9) for place in range(1, len(specimens) + 1)]
    return {
        specimen: VisitTerms(value, f"{UNSCHEDULED} {value:g}", None)
        for specimen, value in zip(specimens, numbers, strict=True)
    }
