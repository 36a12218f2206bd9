"""The trial dataset: one row per subject, visit and parameter, and one row per subject and visit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cytotrial.files.tables import Row, read_table, write_parquet, write_table
from cytotrial.science.endpoints import NO_VALUE, OUTSIDE_WINDOW, QC_FAILED, UNSCHEDULED, column_of
from cytotrial.steps.candidates import Candidate, candidate_row, candidates_of
from cytotrial.steps.clinical import clinical_by_visit
from cytotrial.steps.count import UNITS
from cytotrial.steps.layout import CANDIDATES, COUNTS
from cytotrial.steps.plan import Plan
from cytotrial.terms import Status, Subject, Visit

Clinical = Mapping[tuple[str, str, str], float | str]
"""(subject, visit, column) → value."""


def write_dataset(plan: Plan) -> None:
    """Write dataset/candidates.csv, dataset/counts.csv and .parquet, and dataset/visit_wide.csv."""
    trial = plan.trial
    study, parameters = trial.settings.study, sorted(trial.settings.parameters)
    subjects = sorted(trial.subjects, key=lambda subject: subject.subject)
    visits = sorted(trial.visits, key=lambda visit: visit.visit_num)
    same_day = trial.settings.visits.assume_day1_predose
    found = candidates_of(read_table(plan.layout.specimens), visits, subjects, same_day_is_before=same_day)
    write_table(plan.layout.candidates, CANDIDATES, [candidate_row(entry, study=study) for entry in found])
    of_subject: dict[str, list[Candidate]] = {}
    for entry in found:
        of_subject.setdefault(entry.row["subject"], []).append(entry)
    contacts = [
        contact
        for subject in subjects
        for contact in contacts_of(subject, visits, of_subject.get(subject.subject, ()))
    ]
    rows = [row for entry in contacts for row in count_rows(entry, parameters, study=study)]
    write_table(plan.layout.counts, list(COUNTS), rows)
    write_parquet(plan.layout.counts_parquet, COUNTS, rows)
    tests = sorted({column_of(value.test) for value in trial.clinical})
    clinical = clinical_by_visit(trial.clinical, visits, subjects, same_day_is_before=same_day)
    wide = [wide_row(entry, parameters, tests, clinical, study=study) for entry in contacts]
    write_table(plan.layout.visit_wide, [*_WIDE_KEYS, *parameters, *tests, "by_hand"], wide)


@dataclass(frozen=True, eq=False)
class Contact:
    """One subject at one planned visit, or at one unscheduled draw.

    answers : parameter → the candidate that answers
    others : parameter → candidates of the visit that do not, or that were planned for it
    """

    subject: str
    visit: str
    planned: Visit | None
    answers: Mapping[str, Candidate]
    others: Mapping[str, Sequence[Candidate]]


def contacts_of(
    subject: Subject, visits: Sequence[Visit], candidates: Sequence[Candidate]
) -> Iterator[Contact]:
    """Every planned visit of a subject, then each unscheduled draw in the order of time.

    `candidates` are those of the subject, in the order of time.
    """
    for visit in visits:
        here = [entry for entry in candidates if visit.visit in {entry.visit, entry.row["visit"]}]
        answers = {
            entry.row["parameter"]: entry for entry in here if entry.answers and entry.visit == visit.visit
        }
        yield Contact(subject.subject, visit.visit, visit, answers, _by_parameter(here))
    unscheduled = [entry for entry in candidates if entry.row["visit"] == UNSCHEDULED]
    for _, group in groupby(unscheduled, key=lambda entry: (entry.row["collected"], entry.row["specimen"])):
        draw = {entry.row["parameter"]: entry for entry in group}
        yield Contact(subject.subject, UNSCHEDULED, None, draw, {})


def _by_parameter(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for entry in candidates:
        found.setdefault(entry.row["parameter"], []).append(entry)
    return found


def count_rows(contact: Contact, parameters: Sequence[str], *, study: str) -> list[Row]:
    """The rows of counts.csv of one contact; a value that is missing has its reason in `flags`."""
    rows: list[Row] = []
    for code in parameters:
        answer = contact.answers.get(code)
        row = _answer(answer, contact, code) if answer else _missing(contact, code)
        keys = {"study": study, "subject": contact.subject, "visit": contact.visit, "parameter": code}
        rows.append({**dict.fromkeys(COUNTS, ""), **row, **keys, "unit": UNITS[code]})
    return rows


def _answer(answer: Candidate, contact: Contact, code: str) -> dict[str, object]:
    flags = [answer.row["flags"], *_about_visit(answer, contact, code)]
    return {
        **answer.row,
        "study_day": answer.record.day,
        "flags": ";".join(flag for flag in flags if flag),
    }


def _about_visit(answer: Candidate, contact: Contact, code: str) -> Iterator[str]:
    """What a reader should know about the choice: that there was one, or that the visit was another."""
    if contact.planned is None:
        return
    planned = {
        entry.row["specimen"]
        for entry in contact.others.get(code, ())
        if entry.visit == contact.visit and entry.row["visit"] != UNSCHEDULED
    }
    if len(planned | {answer.row["specimen"]}) > 1:
        yield f"DRAWS:{len(planned | {answer.row['specimen']})}"
    if answer.row["visit"] != contact.visit:
        yield f"NOMINAL_VISIT:{answer.row['visit']}"


def _missing(contact: Contact, code: str) -> dict[str, object]:
    """The row of a parameter that nothing answers for, with the reason of the record nearest to an answer."""
    others = contact.others.get(code, ())
    inside = [entry for entry in others if entry.visit == contact.visit]
    if not others:
        return {"status": Status.NOT_DONE.value, "flags": "NO_TUBE_IN_SHEET"}
    best = max(inside or others, key=lambda entry: (entry.record.status is Status.FAIL, entry.record.order))
    row: dict[str, object] = {**best.row, "study_day": best.record.day}
    reason = best.record.obstacle if inside else OUTSIDE_WINDOW
    if reason == NO_VALUE:
        return row
    told = f"{reason}:{best.row['specimen']} on study day {best.record.day}"
    status = Status.FAIL if reason == QC_FAILED else Status.NOT_DONE
    return {**row, **dict.fromkeys(_OF_A_VALUE, ""), "status": status.value, "flags": told}


_OF_A_VALUE = ("value", "ci_low", "ci_high", "events", "parent_events", "cv_percent", "method", "override")
"""Columns that are empty where nothing answers; what was measured stands in candidates.csv."""


_WIDE_KEYS = ("study", "subject", "visit", "visit_num", "specimen", "collected", "study_day")


def wide_row(
    contact: Contact, parameters: Sequence[str], tests: Sequence[str], clinical: Clinical, *, study: str
) -> Row:
    """One contact: a column for each parameter and each clinical test.

    Where parameters were answered by several draws, specimen, date and day are those of all of them.
    `by_hand` names the parameters that rest on a gate placed, or a population taken out, by hand.
    """
    rows = count_rows(contact, parameters, study=study)
    answered = [row for row in rows if row["value"] != ""] or rows
    about = {
        key: ";".join(dict.fromkeys(str(row[key]) for row in answered if row[key] not in {"", None}))
        for key in ("specimen", "collected", "study_day")
    }
    return {
        "study": study,
        "subject": contact.subject,
        "visit": contact.visit,
        "visit_num": contact.planned.visit_num if contact.planned else None,
        **about,
        **{str(row["parameter"]): float(row["value"]) if row["value"] != "" else None for row in rows},
        **{test: clinical.get((contact.subject, contact.visit, test)) for test in tests},
        "by_hand": tuple(str(row["parameter"]) for row in rows if row.get("override") == "Y"),
    }
