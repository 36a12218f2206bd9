"""Configuration and sheets against each other: what cannot be right, and what deserves a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cytotrial.files.bucket import is_bucket
from cytotrial.files.sheets import UNSCHEDULED, BloodCount, ClinicalValue, Dose, SheetProblem, SheetResult
from cytotrial.files.sheets.problems import shown, suggestion
from cytotrial.science.endpoints import column_of, study_day
from cytotrial.settings import Absolute, CrossTube, ParameterCode, Percent, Settings
from cytotrial.steps.cdisc_tests import unknown_terms
from cytotrial.terms import Role, Subject, Tube, Visit

COMPENSATION_WORDS = ("controls", "embedded", "none")
EMBEDDED_DEMO = "resources/demo/fcs"


@dataclass(frozen=True, eq=False)
class SheetsRead:
    """Every sheet that is configured, as it was read."""

    samples: SheetResult[Tube]
    subjects: SheetResult[Subject]
    visits: SheetResult[Visit]
    cbc: SheetResult[BloodCount]
    clinical: SheetResult[ClinicalValue]
    exposure: SheetResult[Dose]


def unknown_in_samples(read: SheetsRead, settings: Settings | None) -> Iterator[SheetProblem]:
    """Panels, markers, subjects and visits that the configuration or the other sheets do not have.

    A sheet that has problems of its own is not compared with: what it lacks may be in a bad row.
    """
    subjects = None if read.subjects.problems else [row.subject for row in read.subjects.rows]
    visits = None if read.visits.problems else [*(row.visit for row in read.visits.rows), UNSCHEDULED]
    for tube in read.samples.rows:
        panel = settings.panels.get(tube.panel) if settings else None
        known: dict[str, tuple[Sequence[str] | None, str]] = {
            "panel": (
                list(settings.panels) if settings else None,
                "is not one of the configuration's panels",
            ),
            "subject": (subjects, "is not in the subject sheet"),
            "visit": (visits, "is not in the visit sheet"),
            "control_for": (list(panel.markers) if panel else None, f"is not a marker of panel {tube.panel}"),
        }
        for column, (names, message) in known.items():
            value = getattr(tube, column)
            if value and names is not None and value not in names:
                found = f"{message}{suggestion(value, names)}"
                yield SheetProblem(read.samples.file, tube.line, column, shown(value), found)


def unknown_subjects(sheet: SheetResult[Any], subjects: SheetResult[Subject]) -> Iterator[SheetProblem]:
    if subjects.problems:
        return
    names = {row.subject: None for row in subjects.rows}
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        if row.subject and row.subject not in names:
            message = f"is not in the subject sheet{suggestion(row.subject, names)}"
            yield SheetProblem(sheet.file, line, "subject", shown(row.subject), message)


def unusable_settings(settings: Settings, read: SheetsRead) -> Iterator[str]:
    """What the configuration names and does not find, and folders that raw files and results would share."""
    yield from _missing_paths(settings)
    yield from _not_pinned(settings, read)
    yield from _folders(settings)
    yield from _unknown_subjects(settings, read)
    yield from _unknown_batches(settings, read)
    yield from _names_taken(read)
    yield from unknown_terms(settings)


def missing_references(settings: Settings) -> Iterator[str]:
    """Reference files that gating would read and that are not there."""
    for name, panel in settings.panels.items():
        if panel.reference is not None and not Path(panel.reference.file).is_file():
            yield (
                f"panels.{name}.reference.file: '{panel.reference.file}' does not exist; make it with "
                f"`cytotrial learn-reference --panel {name}`, or remove the section"
            )


def _missing_paths(settings: Settings) -> Iterator[str]:
    """Files and folders that the configuration names and that are not there (sheets say so themselves)."""
    if not is_bucket(settings.fcs_dir) and not Path(settings.fcs_dir).is_dir():
        demo = settings.fcs_dir == EMBEDDED_DEMO
        remedy = "run `make demo`, which writes it" if demo else "create it, or correct the name"
        yield f"fcs_dir: '{settings.fcs_dir}' is not a folder; {remedy}"
    for name, panel in settings.panels.items():
        if not Path(panel.gating).is_file():
            yield f"panels.{name}.gating: '{panel.gating}' does not exist; correct the name"
        if panel.compensation not in COMPENSATION_WORDS and not Path(panel.compensation).is_file():
            near = suggestion(panel.compensation, COMPENSATION_WORDS)
            yield (
                f"panels.{name}.compensation: '{panel.compensation}' is neither controls, embedded or none "
                f"nor a file that exists{near if 'did you mean' in near else ''}"
            )
        for batch, path in panel.matrix_files.items():
            if not Path(path).is_file():
                yield f"panels.{name}.matrix_files.{batch}: '{path}' does not exist; correct the name"
    if settings.overrides is not None and not Path(settings.overrides).is_file():
        yield f"overrides: '{settings.overrides}' does not exist; copy the file there, or remove the key"

    if settings.locked is not None and not Path(settings.locked).is_file():
        yield f"locked: '{settings.locked}' does not exist; make it with `cytotrial lock`, or remove the key"


def _folders(settings: Settings) -> Iterator[str]:
    """Results are written to a folder of their own, neither among the raw files nor around them."""
    results, raw, here = (Path(name).resolve() for name in (settings.results, settings.fcs_dir, "."))
    if results == raw:
        yield f"results: '{settings.results}' is the folder of the raw files; name another"
    elif results.is_relative_to(raw):
        yield f"results: '{settings.results}' lies inside fcs_dir; raw files would be mixed with results"
    elif raw.is_relative_to(results):
        yield f"results: '{settings.results}' holds fcs_dir; name a folder of its own"
    if here.is_relative_to(results):
        yield f"results: '{settings.results}' is or holds the current folder; name a folder of its own"


def _not_pinned(settings: Settings, read: SheetsRead) -> Iterator[str]:
    """Files in object storage are not read before a job needs them: the sheet must say what they hold."""
    lacking = [row for row in read.samples.rows if row.status == "DONE" and not row.sha256]
    if is_bucket(settings.fcs_dir) and lacking:
        lines = ", ".join(str(row.line) for row in lacking[:10]) + (" ..." if len(lacking) > 10 else "")
        yield (
            f"fcs_dir: files in object storage need their sha256 in {settings.sheets.samples}; "
            f"{len(lacking)} rows have none (lines {lines})"
        )


def _unknown_subjects(settings: Settings, read: SheetsRead) -> Iterator[str]:
    if read.subjects.problems:
        return
    names = [row.subject for row in read.subjects.rows]
    named = {"report.profiles": settings.report.profiles, "qc_donor.subjects": settings.qc_donor.subjects}
    for key, subjects in named.items():
        for subject in subjects:
            if subject not in names:
                yield f"{key}: '{subject}' is not in the subject sheet{suggestion(subject, names)}"


def _unknown_batches(settings: Settings, read: SheetsRead) -> Iterator[str]:
    """Batches with a matrix file of their own that the panel has no tube of."""
    if read.samples.problems:
        return
    for name, panel in settings.panels.items():
        known = {tube.batch: None for tube in read.samples.rows if tube.panel == name}
        for batch in panel.matrix_files:
            if batch not in known:
                near = suggestion(batch, known)
                yield f"panels.{name}.matrix_files: the panel has no tube of batch '{batch}'{near}"


def doubts(settings: Settings, read: SheetsRead) -> Iterator[str]:
    """What may be meant so, but deserves a look; one sentence each."""
    yield from _draws_that_lack_tubes(settings, read.samples.rows)
    yield from _count_tubes_that_lack_numbers(settings, read)
    yield from _batches_that_lack_controls(settings, read.samples.rows)
    yield from _draws_outside_their_window(read)
    yield from _subjects_without_first_dose(read, settings)
    yield from _blood_counts_of_no_draw(read)


def _tubes_needed(settings: Settings) -> dict[tuple[str, Role], list[str]]:
    """(panel, role) → the parameters that need such a tube in every draw."""
    needed: dict[tuple[str, Role], list[str]] = {}
    for code, parameter in sorted(settings.parameters.items()):
        if isinstance(parameter, Absolute | Percent):
            needed.setdefault((parameter.panel, Role.SAMPLE), []).append(code)
        if isinstance(parameter, Percent) and parameter.background:
            needed.setdefault((parameter.panel, Role.UNSTIMULATED), []).append(code)
        if isinstance(parameter, CrossTube):
            for name in (parameter.percent, parameter.count):
                part = settings.parameters[name]
                if isinstance(part, Absolute | Percent):
                    needed.setdefault((part.panel, Role.SAMPLE), []).append(code)
    return needed


def _draws_that_lack_tubes(settings: Settings, tubes: Iterable[Tube]) -> Iterator[str]:
    """A row with status NOT_DONE accounts for its tube; a tube without a row is worth a warning."""
    needed = _tubes_needed(settings)
    draws: dict[str, set[tuple[str, Role]]] = {}
    for tube in tubes:
        if tube.specimen:
            draws.setdefault(tube.specimen, set()).add((tube.panel, tube.role))
    for specimen in sorted(draws):
        for (panel, role), codes in needed.items():
            if (panel, role) not in draws[specimen]:
                yield f"specimen {specimen}: no row for a {panel} {role} tube, needed by {', '.join(codes)}"


def _count_tubes_that_lack_numbers(settings: Settings, read: SheetsRead) -> Iterator[str]:
    """Count tubes without what the method needs of the sheets."""
    samples, method = read.samples, settings.counts.method
    columns = {"beads": ("beads_per_tube", "blood_ul"), "volumetric": ("dilution",)}.get(method, ())
    counted = {row.specimen for row in read.cbc.rows} if method == "dual_platform" else None
    panels = {entry.panel for entry in settings.parameters.values() if isinstance(entry, Absolute)}
    for tube in samples.rows:
        if tube.panel not in panels or tube.role is not Role.SAMPLE or tube.status != "DONE":
            continue
        where = f"{samples.file}, line {tube.line}"
        if missing := [column for column in columns if getattr(tube, column) is None]:
            yield f"{where}: {' and '.join(missing)} empty, so nothing is counted per µL"
        if counted is not None and tube.specimen not in counted:
            yield f"{where}: specimen {tube.specimen} has no blood count, so nothing is counted per µL"


def _batches_that_lack_controls(settings: Settings, tubes: Sequence[Tube]) -> Iterator[str]:
    """Panels compensated from controls: a batch without single stains, or with too few."""
    stained: dict[tuple[str, str], set[str]] = {}
    samples: set[tuple[str, str]] = set()
    for tube in tubes:
        if tube.status == "DONE" and tube.role is Role.SINGLE_STAIN:
            stained.setdefault((tube.panel, tube.batch), set()).add(tube.control_for)
        elif tube.status == "DONE" and tube.role is Role.SAMPLE:
            samples.add((tube.panel, tube.batch))
    for panel, batch in sorted(samples):
        entry = settings.panels[panel]
        if entry.compensation != "controls" or batch in entry.matrix_files:
            continue
        missing = [
            marker
            for marker in entry.markers
            if marker not in entry.without_fluorochrome and marker not in stained.get((panel, batch), ())
        ]
        if (panel, batch) not in stained:
            yield f"panel {panel}, batch {batch}: no single-stain control to compensate with"
        elif missing:
            yield f"panel {panel}, batch {batch}: no single-stain control of {', '.join(missing)}"


def _draws_outside_their_window(read: SheetsRead) -> Iterator[str]:
    first_dose = {row.subject: row.first_dose for row in read.subjects.rows}
    windows = {visit.visit: visit for visit in read.visits.rows}
    told: set[str] = set()
    for tube in read.samples.rows:
        visit = windows.get(tube.visit)
        day = study_day(tube.collected, first_dose.get(tube.subject, ""))
        if visit is None or day is None or tube.specimen in told or _in_window(day, visit):
            continue
        told.add(tube.specimen)
        window = f"{_day(visit.first_day, 'open')} to {_day(visit.last_day, 'open')}"
        yield f"specimen {tube.specimen}: drawn on study day {day}, the window of {visit.visit} is {window}"


def _in_window(day: int, visit: Visit) -> bool:
    return (visit.first_day is None or day >= visit.first_day) and (
        visit.last_day is None or day <= visit.last_day
    )


def _day(day: int | None, otherwise: str) -> str:
    return otherwise if day is None else str(day)


def _subjects_without_first_dose(read: SheetsRead, settings: Settings) -> Iterator[str]:
    donors = settings.qc_donor.subjects
    lacking = [row.subject for row in read.subjects.rows if not row.first_dose and row.subject not in donors]
    if lacking:
        some = ", ".join(lacking[:10]) + (f" and {len(lacking) - 10} more" if len(lacking) > 10 else "")
        yield f"no first_dose, so no study day: {some}"


def _blood_counts_of_no_draw(read: SheetsRead) -> Iterator[str]:
    specimens = {tube.specimen for tube in read.samples.rows}
    for row, line in zip(read.cbc.rows, read.cbc.lines, strict=True):
        if row.specimen not in specimens:
            yield f"{read.cbc.file}, line {line}: no tube has the specimen {row.specimen}"


def _names_taken(read: SheetsRead) -> Iterator[str]:
    """Names of sheets that would be taken for something else in the results."""
    for test in sorted({value.test for value in read.clinical.rows}):
        if column_of(test) in set(get_args(ParameterCode)):
            yield f"sheets.clinical: the test '{test}' has the name of a parameter; call it something else"
    for batch in sorted(
        {tube.batch for tube in read.samples.rows if tube.batch.lower().endswith(".quality")}
    ):
        yield f"sheets.samples: the batch '{batch}' ends in .quality, as figures of a matrix do; rename it"
