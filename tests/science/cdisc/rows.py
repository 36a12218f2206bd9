"""Rows of candidates.csv by hand, typed as the datasets take them."""

from __future__ import annotations

from typing import Any

from cytotrial.files.cdisc.specification import read_specification
from cytotrial.science.cdisc.model import CellTest, StudyTerms, TubeTrace
from cytotrial.science.cdisc.timing import DrawTime, VisitTerms, visits_of_draws
from cytotrial.terms import Subject, Visit

SPECIFICATION = read_specification()
SPECS = SPECIFICATION.datasets

VISITS = (
    Visit("W00", 1, 1, None, 1, baseline=True),
    Visit("W06", 2, 43, 2, 64),
    Visit("W12", 3, 85, 65, None),
)
STUDY = StudyTerms("T-1", (Subject("S1", "2024-01-08", "F", "44", "02", "LOW-DOSE IL-2"),), VISITS)

TREG = CellTest(
    "TLYHR", "TLym Help Reg", "10^6/L", "NUMBER CONCENTRATION", "Regulatory T cells", 1, "treg", "Treg",
    "CD3+CD4+CD25+FOXP3+", method="FLOW CYTOMETRY",
)  # fmt: skip
TH17 = CellTest(
    "TH17TH", "TLym Help 17/TLym Help", "%", "NUMBER FRACTION", "Th17 cells", 4, "th17", "Th17",
    "CD3+CD4+IL17A+/CD3+CD4+", stimulated=True, agents="PMA; IONOMYCIN", method="FLOW CYTOMETRY",
)  # fmt: skip

TUBES = {
    "T1": TubeTrace("treg", False, "a" * 16, "b" * 16, {"live": "root", "CD4+": "live", "Treg": "CD4+"}),
    "T2": TubeTrace("th17", False, "c" * 16, "d" * 16, {"live": "root", "Th17": "live"}),
    "T3": TubeTrace("th17", True, "e" * 16, "f" * 16, {"live": "root", "Th17": "live"}),
}

EMPTY = (
    "ci_low", "ci_high", "cv_percent", "systematic_cv_percent", "bead_events", "beads_per_tube", "blood_ul",
    "dilution", "volume_nl", "lymphocyte_events", "cbc_lymphocytes_10e9_per_l", "cbc_cv_percent",
    "parent_value", "background_events", "background_parent_events", "background_percent", "raw_percent",
)  # fmt: skip


def result(value: float | None = 13.0, **changes: Any) -> dict[str, Any]:
    """Treg per µL of one draw: 507 of 20,000 CD4+ cells, of which there are 512 per µL."""
    return {
        **dict.fromkeys(EMPTY),
        "subject": "S1",
        "visit": "W00",
        "specimen": "S1.W00",
        "collected": "2024-01-08T09:50",
        "parameter": "TREGABS",
        "value": value,
        "unit": "10^6/L",
        "events": 507,
        "parent_events": 20000,
        "parent_value": 512.0,
        "method": "XTUBE(FRACTION,BEAD)",
        "status": "OK" if value is not None else "NOT_DONE",
        "flags": (),
        "gating_version": "treg:1.0.0",
        "sample_ids": ("T1",),
        "lod_events": 20,
        "lloq_events": 50,
        "quantifiable": "QUANTIFIABLE",
        "override": "",
        "analysis_visit": "W00",
        "analysis_visit_num": 1.0,
        "answers": "Y",
        "answers_qc_passed": "Y",
        "baseline": "",
        **changes,
    }


def visits_of(*results: dict[str, Any]) -> dict[str, VisitTerms]:
    draws = [DrawTime(row["subject"], row["specimen"], row["visit"], row["collected"]) for row in results]
    return visits_of_draws(draws, VISITS)
