"""Per-visit values: study days, analysis windows, which of several records answers, and baseline.

A record is one parameter of one draw. It belongs to the visit in whose window its study day lies,
whatever visit it was planned for; every record is kept, and one of them answers.

References
----------
CDISC ADaM Implementation Guide 1.3: analysis windows, ANL01FL, ABLFL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from cytotrial.terms import Status, Visit

UNSCHEDULED = "UNSCHEDULED"

OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
NO_VALUE = "NO_VALUE"
QC_FAILED = "QC_FAILED"
AFTER_FIRST_DOSE = "AFTER_FIRST_DOSE"
FARTHER_FROM_TARGET = "FARTHER_FROM_TARGET"
EARLIER = "EARLIER"
LOWER_REPEAT = "LOWER_REPEAT"


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


def days_between(day: int, target: int) -> int:
    """Days from the target day to a study day; there is no day 0 in between.

    Examples
    --------
    >>> days_between(45, 43), days_between(-1, 1), days_between(1, -2)
    (2, -1, 2)
    """
    return _on_a_line(day) - _on_a_line(target)


def _on_a_line(day: int) -> int:
    return day - 1 if day > 0 else day


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


def hours_between(one: str, other: str) -> float | None:
    """Hours from one ISO 8601 date-time to another, without sign; None if either has no time of day.

    Zones are compared if both have one, else both are taken as the same.

    Examples
    --------
    >>> hours_between("2024-01-08T09:50", "2024-01-08T08:20"), hours_between("2024-01-08", "2024-01-08T08:20")
    (1.5, None)
    """
    if "T" not in one or "T" not in other:
        return None
    first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
    if first.tzinfo is None or second.tzinfo is None:
        first, second = first.replace(tzinfo=None), second.replace(tzinfo=None)
    return abs((second - first).total_seconds()) / 3600


def is_after(collected: str, first_dose: str, *, same_day_is_before: bool) -> bool:
    """Whether a draw was taken after the first dose.

    Parameters
    ----------
    collected, first_dose : str
        ISO 8601 dates or date-times; an empty one gives False.
    same_day_is_before : bool
        What to take a draw on the day of the first dose for, if either has no time of day.

    Examples
    --------
    >>> is_after("2024-01-08T09:50", "2024-01-08T08:00", same_day_is_before=True)
    True
    >>> is_after("2024-01-08", "2024-01-08T08:00", same_day_is_before=True)
    False
    """
    if not collected or not first_dose:
        return False
    if collected[:10] != first_dose[:10]:
        return collected[:10] > first_dose[:10]
    if hours_between(collected, first_dose) is None:
        return not same_day_is_before
    first, second = datetime.fromisoformat(first_dose), datetime.fromisoformat(collected)
    if first.tzinfo is None or second.tzinfo is None:
        first, second = first.replace(tzinfo=None), second.replace(tzinfo=None)
    return second > first


@dataclass(frozen=True, slots=True)
class Record:
    """One parameter of one draw, as a candidate for a visit.

    specimen : id of the draw
    visit : the visit in whose window it lies, or None
    collected : ISO 8601, empty if unknown
    day : study day, or None
    has_value, status : whether there is a value, and what it is worth
    after_first_dose : whether the draw was taken after the first dose
    """

    specimen: str
    visit: Visit | None
    collected: str
    day: int | None
    has_value: bool
    status: Status
    after_first_dose: bool = False

    @property
    def usable(self) -> bool:
        """Whether it may answer for its visit."""
        return self.obstacle == ""

    @property
    def obstacle(self) -> str:
        """Why it cannot answer, however few others there are; empty if it can."""
        if self.visit is None:
            return OUTSIDE_WINDOW
        if not self.has_value:
            return NO_VALUE
        if self.status is Status.FAIL:
            return QC_FAILED
        return AFTER_FIRST_DOSE if self.visit.baseline and self.after_first_dose else ""

    @property
    def distance(self) -> int:
        """Days from the target day, without sign; at baseline the last draw counts, not the nearest."""
        if self.visit is None or self.visit.baseline or self.day is None:
            return 0
        return abs(days_between(self.day, self.visit.target_day))

    @property
    def order(self) -> tuple[int, str, tuple[tuple[int, str], ...]]:
        """The greater answers: nearer to the target day, then later, then the higher repeat."""
        return -self.distance, self.collected, natural_order(self.specimen)


def natural_order(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts the numbers in an id as numbers.

    Examples
    --------
    >>> sorted(["R10", "R2"], key=natural_order)
    ['R2', 'R10']
    """
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", text) if part
    )


def answering(records: Sequence[Record]) -> Record | None:
    """The record that answers for a visit, or None if none can.

    Parameters
    ----------
    records : sequence of Record
        Of one subject, one parameter and one visit's window.

    Returns
    -------
    Record or None
        Of those with a value whose quality did not fail: the one nearest to the target day, then the
        later, then the higher repeat (the last specimen id, its numbers read as numbers). At the
        baseline visit the last one at or before the first dose.
    """
    return max((record for record in records if record.usable), key=lambda record: record.order, default=None)


def reason_not_chosen(record: Record, chosen: Record | None) -> str:
    """Why a record does not answer; empty if it does."""
    if record.obstacle or chosen is None or record is chosen:
        return record.obstacle
    if record.distance != chosen.distance:
        return FARTHER_FROM_TARGET
    return EARLIER if record.collected != chosen.collected else LOWER_REPEAT


def baseline(records: Iterable[Record]) -> Record | None:
    """The record that changes are counted from: the last at or before the first dose.

    Parameters
    ----------
    records : iterable of Record
        Those that answer for a visit, of one subject and one parameter.

    Returns
    -------
    Record or None
        The one of the baseline visit; without it the last one of a visit before.
    """
    before = [record for record in records if not record.after_first_dose and record.visit is not None]
    at_baseline = [record for record in before if record.visit is not None and record.visit.baseline]
    known = [record for record in before if record.day is not None]
    return next(iter(at_baseline), None) or max(known, key=lambda record: record.order[1:], default=None)


def column_of(test: str) -> str:
    """A clinical test as a column name: upper case, letters, digits and underscores."""
    return re.sub(r"[^A-Z0-9]+", "_", test.upper()).strip("_")
