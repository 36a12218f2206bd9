"""The sheets of a study (TSV, CSV or XLSX), read strictly: every problem of a sheet at once.

All cells are text until a column's own rule reads them, so `007` stays `007`.
"""

from cytotrial.files.sheets.problems import SheetProblem, SheetResult
from cytotrial.files.sheets.samples import SAMPLES, read_samples
from cytotrial.files.sheets.study import (
    BLOOD_COUNTS,
    CLINICAL,
    EXPOSURE,
    SUBJECTS,
    UNSCHEDULED,
    VISITS,
    BloodCount,
    ClinicalValue,
    Dose,
    read_cbc,
    read_clinical,
    read_exposure,
    read_subjects,
    read_visits,
)

__all__ = [
    "BLOOD_COUNTS",
    "CLINICAL",
    "EXPOSURE",
    "SAMPLES",
    "SUBJECTS",
    "UNSCHEDULED",
    "VISITS",
    "BloodCount",
    "ClinicalValue",
    "Dose",
    "SheetProblem",
    "SheetResult",
    "read_cbc",
    "read_clinical",
    "read_exposure",
    "read_samples",
    "read_subjects",
    "read_visits",
]
