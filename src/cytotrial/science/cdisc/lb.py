"""LB, Laboratory Test Results: the blood counts of the trial's draws."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.science.cdisc.model import Row, StudyTerms, as_row
from cytotrial.science.cdisc.text import number_text
from cytotrial.science.cdisc.timing import VisitTerms, is_before_dose, last_of_each
from cytotrial.science.endpoints import study_day

TESTS = {
    "LYM": ("Lymphocytes", "10^9/L"),
    "LYMLE": ("Lymphocytes/Leukocytes", "%"),
    "WBC": ("Leukocytes", "10^9/L"),
}
"""LBTESTCD → LBTEST and unit."""


@dataclass(frozen=True, slots=True)
class BloodDraw:
    """The blood count of one draw: LBTESTCD → value, None where the sheet has none."""

    subject: str
    specimen: str
    collected: str
    values: Mapping[str, float | None]


def lb_rows(
    draws: Iterable[BloodDraw],
    *,
    used: Collection[str],
    study: StudyTerms,
    visits: Mapping[str, VisitTerms],
    spec: DatasetSpec,
) -> list[Row]:
    """One record per value of a blood count.

    Parameters
    ----------
    used : collection of str
        Specimens whose blood count an absolute count was computed with: these have LBLNKID.
    visits : mapping
        Specimen → its visit.
    """
    rows = [
        as_row(spec, _of_value(draw, code, value, study, visits[draw.specimen], linked=draw.specimen in used))
        for draw in draws
        for code, value in sorted(draw.values.items())
        if value is not None
    ]
    rows.sort(key=lambda row: (row["USUBJID"], row["LBDTC"], row["LBREFID"], row["LBTESTCD"]))
    seen: dict[str, int] = {}
    last = _last_before_dose(rows, study)
    for place, row in enumerate(rows):
        row["LBSEQ"] = seen[row["USUBJID"]] = seen.get(row["USUBJID"], 0) + 1
        row["LBLOBXFL"] = "Y" if place in last else ""
    return rows


def _of_value(
    draw: BloodDraw, code: str, value: float, study: StudyTerms, visit: VisitTerms, *, linked: bool
) -> Row:
    name, unit = TESTS[code]
    return {
        "STUDYID": study.study,
        "DOMAIN": "LB",
        "USUBJID": study.usubjid(draw.subject),
        "LBGRPID": draw.specimen,
        "LBREFID": draw.specimen,
        "LBLNKID": draw.specimen if linked else "",
        "LBTESTCD": code,
        "LBTEST": name,
        "LBCAT": "HEMATOLOGY",
        "LBORRES": number_text(value),
        "LBORRESU": unit,
        "LBSTRESC": number_text(value),
        "LBSTRESN": value,
        "LBSTRESU": unit,
        "LBSPEC": "BLOOD",
        "VISITNUM": visit.number,
        "VISIT": visit.name,
        "VISITDY": visit.day,
        "LBDTC": draw.collected,
        "LBDY": study_day(draw.collected, study.first_dose.get(draw.subject, "")),
    }


def _last_before_dose(rows: list[Row], study: StudyTerms) -> set[int]:
    dosed = {study.usubjid(subject): dose for subject, dose in study.first_dose.items()}

    def before(row: Mapping[str, Any]) -> bool:
        return is_before_dose(row["LBDTC"], dosed[row["USUBJID"]], same_day_is_before=study.day1_before_dose)

    return last_of_each(
        rows,
        group=lambda row: (row["USUBJID"], row["LBTESTCD"]),
        order=lambda row: row["LBDTC"],
        among=before,
    )
