"""The six sheets of the simulated trial, as a lab would hand them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cytotrial.demo.chance import generator
from cytotrial.demo.cohort import QC_DONOR, VISITS, DemoSubject, Draw, true_values
from cytotrial.demo.tubes import BEADS_PER_TUBE, BLOOD_UL, TubePlan
from cytotrial.files.atomic import replace_file
from cytotrial.files.tables import cell

Row = Mapping[str, Any]
DATE_TIME = "%Y-%m-%dT%H:%M"
DATE = "%Y-%m-%d"
CBC_CV = 0.03
DRUG = "INTERLEUKIN-2"
ARM = "LOW-DOSE IL-2"


def write_sheets(
    folder: Path, people: Sequence[DemoSubject], plans: Sequence[TubePlan], *, seed: int
) -> None:
    """The six sheets of the trial, as a lab would hand them in."""
    draws = [draw for subject in people for draw in subject.draws if not draw.missed]
    _write_tsv(folder / "samples.tsv", [_sample_row(plan) for plan in plans])
    donor = dict.fromkeys(_subject_row(people[0]), "") | {"subject": QC_DONOR}
    _write_tsv(folder / "subjects.tsv", [*(_subject_row(subject) for subject in people), donor])
    _write_tsv(folder / "visits.tsv", _visit_rows())
    _write_tsv(folder / "cbc.tsv", [_blood_count(draw, seed=seed) for draw in draws])
    _write_tsv(folder / "clinical.tsv", [row for draw in draws for row in _clinical_rows(draw)])
    _write_tsv(folder / "exposure.tsv", [row for subject in people for row in _exposure_rows(subject)])


def _write_tsv(path: Path, rows: Sequence[Row]) -> None:
    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    replace_file(path, "".join("\t".join(line) + "\n" for line in lines).encode())


def _sample_row(plan: TubePlan) -> Row:
    draw = plan.draw
    return {
        "sample_id": plan.sample_id,
        "fcs": plan.fcs,
        "panel": plan.panel,
        "role": str(plan.role),
        "subject": draw.subject if draw else "",
        "visit": draw.visit if draw else "",
        "specimen": draw.specimen if draw else "",
        "collected": draw.collected.strftime(DATE_TIME) if draw and not plan.missed else "",
        "batch": plan.batch,
        "control_for": plan.control_for,
        "beads_per_tube": BEADS_PER_TUBE if plan.counted else "",
        "blood_ul": BLOOD_UL if plan.counted else "",
        "status": "NOT_DONE" if plan.missed else "DONE",
        "reason_not_done": plan.missed,
    }


def _subject_row(subject: DemoSubject) -> Row:
    return {
        "subject": subject.subject,
        "first_dose": subject.first_dose.strftime(DATE),
        "sex": subject.sex,
        "age": subject.age,
        "site": subject.site,
        "arm": ARM,
    }


def _visit_rows() -> list[Row]:
    return [
        {
            "visit": planned.visit,
            "visit_num": planned.number,
            "target_day": planned.day,
            "first_day": planned.first_day,
            "last_day": planned.last_day,
            "baseline": "Y" if planned.number == 1 else "",
        }
        for planned in VISITS
    ]


def _blood_count(draw: Draw, *, seed: int) -> Row:
    """The haematology analyser's counts: the truth with an error of 3 % CV."""
    rng = generator(seed, "cbc", draw.specimen)
    lymphocytes = true_values(draw.blood)["LYMABS"] / 1_000.0
    white = sum(draw.blood.cells_per_ul.values()) / 1_000.0
    seen_lymphocytes, seen_white = (
        value * (1.0 + CBC_CV * float(rng.standard_normal())) for value in (lymphocytes, white)
    )
    return {
        "specimen": draw.specimen,
        "lymphocytes_10e9_per_l": round(seen_lymphocytes, 3),
        "wbc_10e9_per_l": round(seen_white, 3),
        "lymphocyte_percent": round(100.0 * seen_lymphocytes / seen_white, 2),
        "collected": draw.collected.strftime(DATE_TIME),
    }


def _clinical_rows(draw: Draw) -> Iterator[Row]:
    for test, (value, unit) in draw.clinical.items():
        yield {
            "subject": draw.subject,
            "test": test,
            "collected": draw.collected.strftime(DATE),
            "value": value,
            "unit": unit,
        }


def _exposure_rows(subject: DemoSubject) -> Iterator[Row]:
    for first, last, dose in subject.cycles:
        yield {
            "subject": subject.subject,
            "drug": DRUG,
            "start": (subject.first_dose + timedelta(days=first - 1)).strftime(DATE),
            "end": (subject.first_dose + timedelta(days=last - 1)).strftime(DATE),
            "dose": dose,
            "unit": "10^6 IU/d",
        }
