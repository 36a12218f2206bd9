"""The trial dataset: one row per subject, visit and parameter, and one row per subject and visit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cytotrial.files.sheets import ClinicalValue
from cytotrial.files.tables import Row, read_table, write_parquet, write_table
from cytotrial.science.endpoints import (
    UNSCHEDULED,
    Candidate,
    answering,
    column_of,
    study_day,
    visit_of_day,
)
from cytotrial.steps.count import UNITS
from cytotrial.steps.layout import COUNTS
from cytotrial.steps.plan import Plan
from cytotrial.terms import Status, Subject, Visit

Draw = Mapping[str, Mapping[str, str]]
"""Parameter → its row, for one specimen."""

Draws = Mapping[tuple[str, str], Mapping[str, Draw]]
"""(subject, visit) → specimen → its rows."""

NO_ROWS: Draw = MappingProxyType({})


def write_dataset(plan: Plan) -> None:
    """Write dataset/counts.csv and .parquet, and dataset/visit_wide.csv."""
    trial = plan.trial
    draws = _by_visit(read_table(plan.layout.specimens))
    parameters = sorted(trial.settings.parameters)
    subjects = sorted(trial.subjects, key=lambda subject: subject.subject)
    visits = sorted(trial.visits, key=lambda visit: visit.visit_num)
    chosen = [entry for subject in subjects for entry in _chosen_draws(subject, visits, draws)]
    rows = [row for entry in chosen for row in _rows(entry, parameters, study=trial.settings.study)]
    write_table(plan.layout.counts, list(COUNTS), rows)
    write_parquet(plan.layout.counts_parquet, COUNTS, rows)
    tests = sorted({column_of(value.test) for value in trial.clinical})
    clinical = _clinical_by_visit(trial.clinical, visits, subjects)
    wide = [_wide_row(entry, parameters, tests, clinical, study=trial.settings.study) for entry in chosen]
    write_table(plan.layout.visit_wide, [*_WIDE_KEYS, *parameters, *tests], wide)


def _by_visit(specimens: Iterable[Mapping[str, str]]) -> Draws:
    draws: dict[tuple[str, str], dict[str, dict[str, Mapping[str, str]]]] = {}
    for row in specimens:
        visit = draws.setdefault((row["subject"], row["visit"]), {})
        visit.setdefault(row["specimen"], {})[row["parameter"]] = row
    return draws


@dataclass(frozen=True)
class ChosenDraw:
    """What answers for one subject at one visit: the rows of one draw, or none."""

    subject: Subject
    visit: str
    planned: Visit | None
    rows: Draw
    n_draws: int

    @property
    def _any(self) -> Mapping[str, str]:
        return next(iter(self.rows.values()), MappingProxyType({"specimen": "", "collected": ""}))

    @property
    def specimen(self) -> str:
        return self._any["specimen"]

    @property
    def collected(self) -> str:
        return self._any["collected"]

    @property
    def day(self) -> int | None:
        return study_day(self.collected, self.subject.first_dose)

    @property
    def flags(self) -> tuple[str, ...]:
        """What concerns every value of the visit."""
        outside = self.planned is not None and self.day is not None
        if outside and visit_of_day(self.day, [self.planned]) is None:  # type: ignore[list-item]
            return (*self._several, f"OUT_OF_WINDOW:day {self.day}")
        return self._several

    @property
    def _several(self) -> tuple[str, ...]:
        return (f"DRAWS:{self.n_draws}",) if self.n_draws > 1 else ()


def _chosen_draws(subject: Subject, visits: Sequence[Visit], draws: Draws) -> Iterator[ChosenDraw]:
    """Every planned visit of a subject, then each unscheduled draw in the order of time."""
    for visit in visits:
        candidates = draws.get((subject.subject, visit.visit), {})
        rows = candidates[_answer(candidates, subject, visit)] if candidates else NO_ROWS
        yield ChosenDraw(subject, visit.visit, visit, rows, len(candidates))
    unscheduled = draws.get((subject.subject, UNSCHEDULED), {})
    single = [ChosenDraw(subject, UNSCHEDULED, None, rows, 1) for rows in unscheduled.values()]
    yield from sorted(single, key=lambda entry: (entry.collected, entry.specimen))


def _answer(candidates: Mapping[str, Draw], subject: Subject, visit: Visit) -> str:
    """The specimen that answers for a visit."""
    offers = []
    for specimen, rows in candidates.items():
        collected = next(iter(rows.values()))["collected"]
        n_values = sum(row["value"] != "" for row in rows.values())
        n_failed = sum(row["status"] == Status.FAIL.value for row in rows.values())
        day = study_day(collected, subject.first_dose)
        offers.append(Candidate(specimen, n_values, n_failed, day, collected))
    return answering(offers, target_day=visit.target_day).specimen


def _rows(entry: ChosenDraw, parameters: Sequence[str], *, study: str) -> list[Row]:
    """The rows of counts.csv of one subject and visit; without any tube in the sheet they say so."""
    absent = dict.fromkeys(COUNTS, "") | {"status": Status.NOT_DONE.value, "flags": "NO_TUBE_IN_SHEET"}
    rows: list[Row] = []
    for code in parameters:
        row: Mapping[str, object] = {**absent, **entry.rows.get(code, {})}
        flags = [flag for flag in str(row["flags"]).split(";") if flag] + list(entry.flags)
        doubtful = row["status"] == Status.OK.value and entry.flags
        rows.append(
            {
                **row,
                "study": study,
                "subject": entry.subject.subject,
                "visit": entry.visit,
                "specimen": entry.specimen,
                "collected": entry.collected,
                "parameter": code,
                "unit": UNITS[code],
                "study_day": entry.day,
                "status": Status.WARN.value if doubtful else row["status"],
                "flags": ";".join(flags),
            }
        )
    return rows


_WIDE_KEYS = ("study", "subject", "visit", "visit_num", "specimen", "collected", "study_day")


def _wide_row(
    entry: ChosenDraw,
    parameters: Sequence[str],
    tests: Sequence[str],
    clinical: Mapping[tuple[str, str, str], float | str],
    *,
    study: str,
) -> Row:
    """One subject and visit: a column for each parameter and each clinical test."""
    values = {code: entry.rows[code]["value"] if code in entry.rows else "" for code in parameters}
    return {
        "study": study,
        "subject": entry.subject.subject,
        "visit": entry.visit,
        "visit_num": entry.planned.visit_num if entry.planned else None,
        "specimen": entry.specimen,
        "collected": entry.collected,
        "study_day": entry.day,
        **{code: float(value) if value else None for code, value in values.items()},
        **{test: clinical.get((entry.subject.subject, entry.visit, test)) for test in tests},
    }


def _clinical_by_visit(
    clinical: Iterable[ClinicalValue], visits: Sequence[Visit], subjects: Iterable[Subject]
) -> dict[tuple[str, str, str], float | str]:
    """(subject, visit, column) → the value nearest to the visit's target day, within its window."""
    first_dose = {subject.subject: subject.first_dose for subject in subjects}
    best: dict[tuple[str, str, str], tuple[int, str, float | str]] = {}
    for value in clinical:
        day = study_day(value.collected, first_dose.get(value.subject, ""))
        visit = visit_of_day(day, visits)
        if visit is None or day is None:
            continue
        key = (value.subject, visit.visit, column_of(value.test))
        offer = (abs(day - visit.target_day), value.collected, value.value)
        if key not in best or offer[:2] < best[key][:2]:
            best[key] = offer
    return {key: offer[2] for key, offer in best.items()}
