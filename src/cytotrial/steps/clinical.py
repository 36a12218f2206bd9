"""Which clinical value stands beside the counts of a visit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cytotrial.files.sheets import ClinicalValue
from cytotrial.science.endpoints import Record, answering, column_of, is_after, study_day, visit_of_day
from cytotrial.terms import Status, Subject, Visit


def clinical_by_visit(
    clinical: Iterable[ClinicalValue],
    visits: Sequence[Visit],
    subjects: Iterable[Subject],
    *,
    same_day_is_before: bool,
) -> dict[tuple[str, str, str], float | str]:
    """(subject, visit, column) → the value that answers, by the rule of the counts.

    The value whose day lies in the visit's window nearest to its target day, then the later one; at
    the baseline visit the last one at or before the first dose. A value without a study day or outside
    every window belongs to no visit.
    """
    first_dose = {subject.subject: subject.first_dose for subject in subjects}
    groups: dict[tuple[str, str, str], dict[str, tuple[Record, float | str]]] = {}
    for place, value in enumerate(clinical):
        dosed = first_dose.get(value.subject, "")
        day = study_day(value.collected, dosed)
        visit = visit_of_day(day, visits)
        if visit is None:
            continue
        after = is_after(value.collected, dosed, same_day_is_before=same_day_is_before)
        record = Record(str(place), visit, value.collected, day, True, Status.OK, after)
        group = groups.setdefault((value.subject, visit.visit, column_of(value.test)), {})
        group[record.specimen] = (record, value.value)
    chosen = {key: answering([record for record, _ in group.values()]) for key, group in groups.items()}
    return {key: groups[key][record.specimen][1] for key, record in chosen.items() if record}
