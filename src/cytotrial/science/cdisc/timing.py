"""Days, visits and the first dose: when a draw was, in the terms of the datasets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cytotrial.science.endpoints import UNSCHEDULED, is_after
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


def is_before_dose(collected: str, first_dose: str, *, same_day_is_before: bool) -> bool:
    """Whether both are known and a draw was not after the first dose (see `is_after`)."""
    known = collected != "" and first_dose != ""
    return known and not is_after(collected, first_dose, same_day_is_before=same_day_is_before)


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


@dataclass(frozen=True, slots=True)
class DrawTime:
    """When and at which visit a specimen was drawn, by the sample sheet."""

    subject: str
    specimen: str
    visit: str
    collected: str


def visits_of_draws(draws: Iterable[DrawTime], visits: Sequence[Visit]) -> dict[str, VisitTerms]:
    """Specimen → its visit; unscheduled draws are numbered after the visit before them.

    Of a subject's planned draws the last one before an unscheduled one gives its whole number: two
    unscheduled draws after visit 2 are 2.1 and 2.2. Before any planned draw it is the number below
    that of the first visit.
    """
    in_time = sorted(draws, key=lambda draw: (draw.collected, draw.specimen))
    planned = {visit.visit: VisitTerms(visit.visit_num, visit.visit, visit.target_day) for visit in visits}
    terms = {draw.specimen: planned[draw.visit] for draw in in_time if draw.visit in planned}
    numbers = sorted(visit.visit_num for visit in visits)
    reached: dict[str, float] = {}
    after: dict[tuple[str, float], list[str]] = {}
    for draw in in_time:
        before = reached.get(draw.subject, numbers[0] - 1)
        if draw.visit in planned and draw.collected:
            reached[draw.subject] = max(before, planned[draw.visit].number)
        elif draw.visit == UNSCHEDULED:
            after.setdefault((draw.subject, before), []).append(draw.specimen)
    for (_, number), specimens in after.items():
        terms |= _numbered(specimens, number, numbers)
    return terms


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
