"""The sheets about subjects and visits, and the values that come from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cytotrial.files.sheets import cells
from cytotrial.files.sheets.grid import Columns, read_grid
from cytotrial.files.sheets.problems import SheetProblem, SheetResult, in_order
from cytotrial.files.sheets.rows import Names, RowReader
from cytotrial.terms import Subject, Visit

UNSCHEDULED = "UNSCHEDULED"
"""The visit of a draw that was not planned; never a row of the visit sheet."""

SUBJECTS = Columns(required=("subject",), optional=("first_dose", "sex", "age", "site", "arm"))
VISITS = Columns(required=("visit", "visit_num", "target_day", "first_day", "last_day", "baseline"))
BLOOD_COUNTS = Columns(
    required=("specimen",),
    optional=("lymphocytes_10e9_per_l", "wbc_10e9_per_l", "lymphocyte_percent", "collected"),
)
CLINICAL = Columns(required=("subject", "test", "collected", "value", "unit"))
EXPOSURE = Columns(required=("subject", "drug", "start", "end", "dose", "unit"))

SEX = ("F", "M", "U", "INTERSEX")
"""CDISC controlled terminology, codelist C66731."""

_PER_LITRE = cells.between(0, 1000, why="the unit is 10^9 per litre, not cells per µL")
_PERCENT = cells.between(0, 100, why="it is a percentage")
_YEARS = cells.between(0, 130, why="the unit is years")

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class BloodCount:
    """The haematology analyser's counts of one specimen; None where the cell is empty."""

    specimen: str
    lymphocytes_10e9_per_l: float | None = None
    wbc_10e9_per_l: float | None = None
    lymphocyte_percent: float | None = None
    collected: str = ""


@dataclass(frozen=True, slots=True)
class ClinicalValue:
    """One clinical result: a number, or text such as `<10` or `NEGATIVE`."""

    subject: str
    test: str
    collected: str
    value: float | str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Dose:
    """A drug given at one dose from `start` to `end` (ISO 8601); an empty end is ongoing."""

    subject: str
    drug: str
    start: str
    end: str = ""
    dose: float | None = None
    unit: str = ""


def read_subjects(path: Path) -> SheetResult[Subject]:
    """The subjects, each once."""
    names = Names()

    def subject(reader: RowReader) -> Subject:
        name = reader.read("subject", cells.identifier, empty="", needed="every row is one subject")
        names.keep_unique(reader, "subject", name)
        return Subject(
            subject=name,
            first_dose=reader.read("first_dose", cells.iso_date, empty=""),
            sex=reader.read("sex", cells.one_of(SEX), empty=""),
            age=reader.read("age", _age, empty=""),
            site=reader.read("site", cells.text, empty=""),
            arm=reader.read("arm", cells.text, empty=""),
        )

    return _read(path, SUBJECTS, subject)


def _age(cell: str) -> str:
    _YEARS(cell)
    return cell


def read_visits(path: Path) -> SheetResult[Visit]:
    """The planned visits: windows that follow each other without gap or overlap, one baseline."""
    names = Names()
    numbers: dict[float, int] = {}

    def visit(reader: RowReader) -> Visit:
        made = _visit(reader)
        names.keep_unique(reader, "visit", made.visit)
        if reader.has("visit_num") and numbers.setdefault(made.visit_num, reader.line) != reader.line:
            reader.report(
                "visit_num", f"is that of line {numbers[made.visit_num]} too; every visit has its own"
            )
        return made

    result = _read(path, VISITS, visit)
    if result.problems:
        return result
    found = tuple(
        SheetProblem(path.name, line, column, "", message)
        for line, column, message in [*_baseline_problems(result), *_window_problems(result)]
    )
    return SheetResult(path.name, result.rows, result.lines, found)


def _visit(reader: RowReader) -> Visit:
    name = reader.read("visit", cells.visit_name, empty="", needed="every row is one visit")
    if name.casefold() == UNSCHEDULED.casefold():
        reader.report("visit", "is kept for draws that were not planned; remove the row")
    target = reader.read("target_day", cells.study_day, empty=1, needed="give the planned study day")
    first = reader.read("first_day", _optional_day, empty=None)
    last = reader.read("last_day", _optional_day, empty=None)
    if first is not None and last is not None and first > last:
        reader.report("first_day", f"is after last_day {last}; correct the window")
    elif (first is not None and target < first) or (last is not None and target > last):
        reader.report("target_day", "lies outside the visit's own window; correct one of them")
    return Visit(
        visit=name,
        visit_num=reader.read("visit_num", cells.number, empty=0.0, needed="give the visit's number"),
        target_day=target,
        first_day=first,
        last_day=last,
        baseline=reader.read("baseline", cells.one_of(("Y", "N")), empty="N") == "Y",
    )


def _optional_day(cell: str) -> int | None:
    return cells.study_day(cell)


def _baseline_problems(result: SheetResult[Visit]) -> list[tuple[int, str, str]]:
    lines = [line for visit, line in zip(result.rows, result.lines, strict=True) if visit.baseline]
    if len(lines) == 1:
        return []
    if not lines:
        return [(0, "baseline", "no visit is the baseline; write Y on exactly one row")]
    return [(line, "baseline", f"is Y on {len(lines)} rows; write Y on exactly one") for line in lines]


def _window_problems(result: SheetResult[Visit]) -> list[tuple[int, str, str]]:
    """Gaps, overlaps and open ends between windows that should follow each other."""
    ordered = sorted(
        zip(result.rows, result.lines, strict=True),
        key=lambda item: (item[0].target_day, item[0].visit_num),
    )
    problems = []
    for (before, line_before), (after, line) in pairwise(ordered):
        if before.last_day is None:
            problems.append(
                (line_before, "last_day", "is empty; only the last visit's window may be open at its end")
            )
        if after.first_day is None:
            problems.append(
                (line, "first_day", "is empty; only the first visit's window may be open at its start")
            )
        if before.last_day is None or after.first_day is None:
            continue
        expected = _day_after(before.last_day)
        if after.first_day != expected:
            word = "leaves a gap after" if after.first_day > expected else "overlaps"
            message = f"{after.first_day} {word} the window of line {line_before}; expected {expected}"
            problems.append(
                (line, "first_day", f"{message} (windows follow each other, and there is no day 0)")
            )
    return problems


def _day_after(day: int) -> int:
    """The next study day; there is no day 0."""
    return 1 if day == -1 else day + 1


def read_cbc(path: Path) -> SheetResult[BloodCount]:
    """The blood counts, one row per specimen: lymphocytes, or leukocytes and the share of lymphocytes."""
    names = Names()

    def count(reader: RowReader) -> BloodCount:
        specimen = reader.read("specimen", cells.identifier, empty="", needed="name the draw")
        names.keep_unique(reader, "specimen", specimen)
        by_share = reader.has("wbc_10e9_per_l") and reader.has("lymphocyte_percent")
        needed = "" if by_share else "give it, or both wbc_10e9_per_l and lymphocyte_percent"
        return BloodCount(
            specimen=specimen,
            lymphocytes_10e9_per_l=_number(reader, "lymphocytes_10e9_per_l", _PER_LITRE, needed),
            wbc_10e9_per_l=_number(reader, "wbc_10e9_per_l", _PER_LITRE),
            lymphocyte_percent=_number(reader, "lymphocyte_percent", _PERCENT),
            collected=reader.read("collected", cells.iso_date, empty=""),
        )

    return _read(path, BLOOD_COUNTS, count)


def _number(reader: RowReader, column: str, rule: Callable[[str], float], needed: str = "") -> float | None:
    missing = float("nan")
    value = reader.read(column, rule, empty=missing, needed=needed)
    return None if value is missing else value


def read_clinical(path: Path) -> SheetResult[ClinicalValue]:
    """The clinical values, long form: one row per subject, test and time."""

    nothing: float | str = ""

    def value(reader: RowReader) -> ClinicalValue:
        return ClinicalValue(
            subject=reader.read("subject", cells.identifier, empty="", needed="name the subject"),
            test=reader.read("test", cells.text, empty="", needed="name the test"),
            collected=reader.read("collected", cells.iso_date, empty="", needed="give the date of the value"),
            value=reader.read(
                "value", cells.measurement, empty=nothing, needed="remove the row if there is none"
            ),
            unit=reader.read("unit", cells.text, empty=""),
        )

    return _read(path, CLINICAL, value)


def read_exposure(path: Path) -> SheetResult[Dose]:
    """The doses given: one row per subject, drug and stretch of time at one dose."""

    def dose(reader: RowReader) -> Dose:
        start = reader.read("start", cells.iso_date, empty="", needed="give the first day of the dose")
        end = reader.read("end", cells.iso_date, empty="")
        if start and end and end[:10] < start[:10]:
            reader.report("end", "is before the start; correct one of them")
        return Dose(
            subject=reader.read("subject", cells.identifier, empty="", needed="name the subject"),
            drug=reader.read("drug", cells.text, empty="", needed="name the drug"),
            start=start,
            end=end,
            dose=_number(reader, "dose", _dose),
            unit=reader.read("unit", cells.text, empty=""),
        )

    return _read(path, EXPOSURE, dose)


def _dose(cell: str) -> float:
    value = cells.number(cell)
    if value < 0:
        raise ValueError("is below 0; correct it")
    return value


def _read(path: Path, columns: Columns, make: Callable[[RowReader], Row]) -> SheetResult[Row]:
    grid = read_grid(path, columns)
    problems = list(grid.problems)
    rows = tuple(make(RowReader(path.name, line, problems)) for line in grid.lines)
    lines = tuple(line.number for line in grid.lines)
    return SheetResult(path.name, rows, lines, in_order(problems))
