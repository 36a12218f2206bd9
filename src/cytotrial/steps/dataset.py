"""The trial dataset: one row per subject, visit and parameter, and one row per subject and visit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from cytotrial.files.sheets import ClinicalValue
from cytotrial.files.tables import Row, read_table, write_parquet, write_table
from cytotrial.science.endpoints import UNSCHEDULED, Candidate, answering, study_day, visit_of_day
from cytotrial.steps.count import UNITS
from cytotrial.steps.layout import COUNTS
from cytotrial.steps.plan import Plan
from cytotrial.terms import Status, Subject, Visit

Draws = Mapping[tuple[str, str, str], Sequence[Mapping[str, str]]]
"""(subject, visit, parameter) → the rows of its specimens."""


def write_dataset(plan: Plan) -> None:
    """Write dataset/counts.csv and .parquet, and dataset/visit_wide.csv."""
    trial = plan.trial
    draws = _by_visit(read_table(plan.layout.specimens))
    parameters = sorted(trial.settings.parameters)
    rows = [
        row
        for subject in sorted(trial.subjects, key=lambda subject: subject.subject)
        for row in _rows_of(subject, trial.visits, parameters, draws, study=trial.settings.study)
    ]
    write_table(plan.layout.counts, list(COUNTS), rows)
    write_parquet(plan.layout.counts_parquet, COUNTS, rows)
    wide = _wide(rows, trial.visits, trial.subjects, parameters, trial.clinical)
    write_table(plan.layout.visit_wide, list(wide[0]) if wide else _WIDE_KEYS, wide)


def _by_visit(specimens: Iterable[Mapping[str, str]]) -> Draws:
    draws: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for row in specimens:
        draws.setdefault((row["subject"], row["visit"], row["parameter"]), []).append(row)
    return draws


def _rows_of(
    subject: Subject, visits: Sequence[Visit], parameters: Sequence[str], draws: Draws, *, study: str
) -> list[Row]:
    """Every planned visit × parameter of a subject, then each unscheduled draw."""
    rows: list[Row] = []
    for visit in sorted(visits, key=lambda visit: visit.visit_num):
        for code in parameters:
            candidates = draws.get((subject.subject, visit.visit, code), ())
            chosen = _chosen(candidates, subject, visit)
            rows.append(_row(chosen, subject, visit.visit, code, study=study, candidates=len(candidates)))
    unscheduled = [row for code in parameters for row in draws.get((subject.subject, UNSCHEDULED, code), ())]
    unscheduled.sort(key=lambda row: (row["collected"], row["specimen"], row["parameter"]))
    rows += [
        _row(row, subject, UNSCHEDULED, row["parameter"], study=study, candidates=1) for row in unscheduled
    ]
    return rows


def _chosen(
    candidates: Sequence[Mapping[str, str]], subject: Subject, visit: Visit
) -> Mapping[str, str] | None:
    if not candidates:
        return None
    by_specimen = {row["specimen"]: row for row in candidates}
    draws = [
        Candidate(
            name, Status(row["status"]), study_day(row["collected"], subject.first_dose), row["collected"]
        )
        for name, row in by_specimen.items()
    ]
    return by_specimen[answering(draws, target_day=visit.target_day).specimen]


def _row(
    chosen: Mapping[str, str] | None, subject: Subject, visit: str, code: str, *, study: str, candidates: int
) -> Row:
    """One row of counts.csv; a visit without any row in the sample sheet keeps its row and says so."""
    empty = dict.fromkeys(COUNTS, "") | {"status": Status.NOT_DONE.value, "flags": "NO_TUBE_IN_SHEET"}
    row: dict[str, object] = {**empty, **(chosen or {})}
    flags = [flag for flag in str(row["flags"]).split(";") if flag]
    if candidates > 1:
        flags.append(f"DRAWS:{candidates}")
    return {
        **row,
        "study": study,
        "subject": subject.subject,
        "visit": visit,
        "parameter": code,
        "unit": UNITS[code],
        "study_day": study_day(str(row["collected"]), subject.first_dose),
        "flags": ";".join(flags),
    }


_WIDE_KEYS = ("study", "subject", "visit", "visit_num", "specimen", "collected", "study_day")


def _wide(
    rows: Sequence[Row],
    visits: Sequence[Visit],
    subjects: Sequence[Subject],
    parameters: Sequence[str],
    clinical: Sequence[ClinicalValue],
) -> list[Row]:
    """One row per subject × visit (each unscheduled draw its own), a column per parameter and test."""
    first_dose = {subject.subject: subject.first_dose for subject in subjects}
    numbers = {visit.visit: visit.visit_num for visit in visits}
    nearest = _clinical_by_visit(clinical, visits, first_dose)
    tests = sorted({value.test for value in clinical})
    wide: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        specimen = row["specimen"] if row["visit"] == UNSCHEDULED else ""
        line = wide.setdefault(
            (row["subject"], row["visit"], specimen),
            dict.fromkeys([*_WIDE_KEYS, *parameters, *map(column_of, tests)])
            | {"study": row["study"], "subject": row["subject"], "visit": row["visit"]},
        )
        line["visit_num"] = numbers.get(str(row["visit"]))
        if row["specimen"] and not line["specimen"]:
            line |= {key: row[key] for key in ("specimen", "collected", "study_day")}
        line[str(row["parameter"])] = float(str(row["value"])) if row["value"] not in {"", None} else None
        for test in tests:
            line[column_of(test)] = nearest.get((str(row["subject"]), str(row["visit"]), test))
    return list(wide.values())


def column_of(test: str) -> str:
    """A clinical test as a column name: upper case, letters, digits and underscores."""
    return re.sub(r"[^A-Z0-9]+", "_", test.upper()).strip("_")


def _clinical_by_visit(
    clinical: Iterable[ClinicalValue], visits: Sequence[Visit], first_dose: Mapping[str, str]
) -> dict[tuple[str, str, str], float | str]:
    """(subject, visit, test) → the value nearest to the visit's target day, within its window."""
    best: dict[tuple[str, str, str], tuple[int, str, float | str]] = {}
    for value in clinical:
        day = study_day(value.collected, first_dose.get(value.subject, ""))
        visit = visit_of_day(day, visits)
        if visit is None or day is None:
            continue
        key = (value.subject, visit.visit, value.test)
        offer = (abs(day - visit.target_day), value.collected, value.value)
        if key not in best or offer[:2] < best[key][:2]:
            best[key] = offer
    return {key: offer[2] for key, offer in best.items()}
