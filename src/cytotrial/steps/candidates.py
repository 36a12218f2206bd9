"""Every record of every draw, the visit in whose window it lies, and which of them answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytotrial.files.tables import Row
from cytotrial.science.endpoints import (
    Record,
    answering,
    baseline,
    days_between,
    is_after,
    reason_not_chosen,
    study_day,
    visit_of_day,
)
from cytotrial.terms import Status, Subject, Visit

SpecimenRow = Mapping[str, str]
"""A row of counts/specimens.csv."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A record of a draw, and what the rule makes of it."""

    row: SpecimenRow
    record: Record
    answers: bool = False
    answers_qc_passed: bool = False
    baseline: bool = False
    reason: str = ""

    @property
    def visit(self) -> str:
        """The visit in whose window it lies; empty if none."""
        return self.record.visit.visit if self.record.visit else ""


def candidates_of(
    rows: Iterable[SpecimenRow],
    visits: Sequence[Visit],
    subjects: Iterable[Subject],
    *,
    same_day_is_before: bool,
) -> list[Candidate]:
    """Every row of specimens.csv as a candidate, sorted by subject, time, specimen and parameter."""
    first_dose = {subject.subject: subject.first_dose for subject in subjects}
    groups: dict[tuple[str, str], list[tuple[SpecimenRow, Record]]] = {}
    for row in rows:
        record = _record(row, visits, first_dose.get(row["subject"], ""), same_day_is_before)
        groups.setdefault((row["subject"], row["parameter"]), []).append((row, record))
    found = [candidate for group in groups.values() for candidate in _resolved(group)]
    return sorted(found, key=lambda entry: tuple(entry.row[key] for key in _ORDER))


_ORDER = ("subject", "collected", "specimen", "parameter")


def _record(row: SpecimenRow, visits: Sequence[Visit], first_dose: str, same_day_is_before: bool) -> Record:
    """A row as a record; without a study day it belongs to the visit that it was planned for."""
    day = study_day(row["collected"], first_dose)
    planned = next((visit for visit in visits if visit.visit == row["visit"]), None)
    return Record(
        specimen=row["specimen"],
        visit=planned if day is None else visit_of_day(day, visits),
        collected=row["collected"],
        day=day,
        has_value=row["value"] != "",
        status=Status(row["status"]),
        after_first_dose=is_after(row["collected"], first_dose, same_day_is_before=same_day_is_before),
    )


def _resolved(group: Sequence[tuple[SpecimenRow, Record]]) -> list[Candidate]:
    """All records of one subject and parameter: one answers for each visit, one is the baseline."""
    by_visit: dict[str, list[Record]] = {}
    for _, record in group:
        by_visit.setdefault(record.visit.visit if record.visit else "", []).append(record)
    chosen = {visit: answering(records) for visit, records in by_visit.items()}
    passed = {
        visit: answering([record for record in records if record.status is Status.OK])
        for visit, records in by_visit.items()
    }
    start = baseline(record for record in chosen.values() if record)
    return [
        Candidate(
            row,
            record,
            answers=record is chosen[name],
            answers_qc_passed=record is passed[name],
            baseline=record is start,
            reason=reason_not_chosen(record, chosen[name]),
        )
        for row, record in group
        for name in [record.visit.visit if record.visit else ""]
    ]


def candidate_row(candidate: Candidate, *, study: str) -> Row:
    """A row of candidates.csv."""
    visit, day = candidate.record.visit, candidate.record.day
    return {
        **candidate.row,
        "study": study,
        "analysis_visit": candidate.visit,
        "analysis_visit_num": visit.visit_num if visit else None,
        "study_day": day,
        "target_day": visit.target_day if visit else None,
        "days_from_target": days_between(day, visit.target_day) if visit and day is not None else None,
        "answers": _flag(candidate.answers),
        "answers_qc_passed": _flag(candidate.answers_qc_passed),
        "reason_not_chosen": candidate.reason,
        "baseline": _flag(candidate.baseline),
    }


def _flag(value: bool) -> str:
    return "Y" if value else ""
