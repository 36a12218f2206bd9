"""DM, Demographics: what the subject sheet says, and nothing that it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.science.cdisc.model import Row, StudyTerms, as_row
from cytotrial.terms import Subject


def dm_rows(study: StudyTerms, *, last_dose: Mapping[str, str], spec: DatasetSpec) -> list[Row]:
    """One record per subject.

    Parameters
    ----------
    last_dose : mapping
        Subject → last day of the study treatment, ISO 8601; see `last_doses`.
    """
    return [
        as_row(spec, _of_subject(subject, study, last_dose.get(subject.subject, "")))
        for subject in sorted(study.subjects, key=lambda subject: subject.subject)
    ]


def _of_subject(subject: Subject, study: StudyTerms, last_dose: str) -> Row:
    treated = bool(subject.first_dose)
    return {
        "STUDYID": study.study,
        "DOMAIN": "DM",
        "USUBJID": study.usubjid(subject.subject),
        "SUBJID": subject.subject,
        "RFSTDTC": subject.first_dose,
        "RFXSTDTC": subject.first_dose,
        "RFXENDTC": last_dose if treated else "",
        "SITEID": subject.site,
        "AGE": float(subject.age) if subject.age else None,
        "AGEU": "YEARS" if subject.age else "",
        "SEX": subject.sex or "U",
        "ARMCD": arm_code(subject.arm),
        "ARM": subject.arm,
        "ACTARMCD": arm_code(subject.arm) if treated else "",
        "ACTARM": subject.arm if treated else "",
        "COUNTRY": study.country,
    }


def arm_code(arm: str) -> str:
    """An arm as a code of at most 20 capitals and digits.

    Examples
    --------
    >>> arm_code("Low-dose IL-2")
    'LOWDOSEIL2'
    """
    return re.sub(r"[^A-Z0-9]", "", arm.upper())[:20]


def last_doses(doses: Sequence[tuple[str, str, str]], treatment: str) -> dict[str, str]:
    """Subject → last day of the study treatment.

    Parameters
    ----------
    doses : sequence of (subject, drug, end)
        An empty end is ongoing: that subject has no last day.
    treatment : str
        The study drug; empty takes the only drug of the sheet, and none if it has several.
    """
    drugs = {drug for _, drug, _ in doses}
    chosen = treatment or (next(iter(drugs)) if len(drugs) == 1 else "")
    ends: dict[str, list[str]] = {}
    for subject, drug, end in doses:
        if drug == chosen:
            ends.setdefault(subject, []).append(end)
    return {subject: max(found) for subject, found in ends.items() if all(found)}
