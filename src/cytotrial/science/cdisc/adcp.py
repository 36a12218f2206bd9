"""ADCP, the analysis dataset: one record per value, with baseline, change, windows and flags.

References
----------
CDISC, ADaMIG 1.3: basic data structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cytotrial.dataset_terms import DatasetSpec, ParameterTerms
from cytotrial.science.cdisc.model import Result, Row, StudyTerms, as_row, without_failed
from cytotrial.science.cdisc.recompute import value_of_events
from cytotrial.science.cdisc.suppcp import quality_flag
from cytotrial.science.cdisc.text import LONGEST, ascii_text
from cytotrial.science.cdisc.timing import (
    VisitTerms,
    as_date,
    as_datetime,
)
from cytotrial.science.endpoints import days_between, study_day
from cytotrial.terms import Visit

RATIO = "RATIO"
BELOW_LLOQ = "AVAL < LLOQ"
QUANTIFIABLE = "QUANTIFIABLE"
COPIED = ("STUDYID", "USUBJID", "SUBJID", "SITEID", "TRTSDT", "FASFL", "SAFFL")


def adcp_rows(
    results: Sequence[Result],
    *,
    adsl: Iterable[Mapping[str, Any]],
    cp: Iterable[Mapping[str, Any]],
    parameters: Mapping[str, ParameterTerms],
    study: StudyTerms,
    visits: Mapping[str, VisitTerms],
    spec: DatasetSpec,
) -> list[Row]:
    """One record per parameter of every draw that has a value.

    Parameters
    ----------
    results : sequence of mapping
        Rows of candidates.csv, whose `analysis_visit`, `answers`, `answers_qc_passed` and `baseline`
        say which window a draw lies in, which record of it answers, and which one is the baseline.
    cp : iterable of mapping
        The records of CP, for traceability.
    """
    subjects = {row["USUBJID"]: row for row in adsl}
    sources = {row["CPSPID"]: row for row in cp if row["CPSTAT"] == ""}
    windows = {visit.visit: visit for visit in study.visits}
    rows = []
    for result in without_failed(results):
        if result["value"] is None:
            continue
        terms = parameters[result["parameter"]]
        subject = subjects[study.usubjid(result["subject"])]
        visit = visits[result["specimen"]]
        value = _analysis_value(result, terms, study)
        rows.append(
            {
                **{name: subject[name] for name in COPIED},
                "TRTP": subject["TRT01P"],
                "TRTA": subject["TRT01A"],
                **_parameter(terms),
                **value,
                **_timing(result, study, windows.get(result["analysis_visit"])),
                "VISIT": visit.name,
                "VISITNUM": visit.number,
                "ABLFL": result["baseline"] if value["AVAL"] is not None else "",
                "ANL01FL": result["answers"],
                "ANL02FL": result["answers_qc_passed"],
                **_source(result, sources),
                **_sponsor(result),
                "collected": result["collected"],
            }
        )
    return _finished(rows, spec)


def _parameter(terms: ParameterTerms) -> Row:
    return {
        "PARAM": terms.label,
        "PARAMCD": terms.parameter,
        "PARAMN": terms.number,
        "PARCAT1": terms.category,
    }


def _analysis_value(result: Result, terms: ParameterTerms, study: StudyTerms) -> Row:
    """AVAL and what it is worth; a value below the limit of quantitation as the study says."""
    category = result.get("quantifiable") or ""
    below = category not in {"", QUANTIFIABLE} and terms.category != RATIO
    value, derivation = result["value"], ""
    if below and study.blq == "missing":
        value = None
    elif below and study.blq == "halflloq":
        whole = value_of_events(result["method"], result, result["lloq_events"])
        value, derivation = (None if whole is None else whole / 2), "HALFLLOQ"
    return {
        "AVAL": value,
        "AVALCAT1": category,
        "DTYPE": derivation,
        "CRIT1": BELOW_LLOQ if category else "",
        "CRIT1FL": ("N" if category == QUANTIFIABLE else "Y") if category else "",
    }


def _timing(result: Result, study: StudyTerms, window: Visit | None) -> Row:
    """Date, day and analysis window of a record; outside every window the window is missing."""
    day = study_day(result["collected"], study.first_dose.get(result["subject"], ""))
    row: Row = {
        "ADT": as_date(result["collected"]),
        "ADTM": as_datetime(result["collected"]),
        "ADY": day,
    }
    if window is None:
        return row
    return row | {
        "AVISIT": window.visit,
        "AVISITN": window.visit_num,
        "AWTARGET": window.target_day,
        "AWTDIFF": None if day is None else days_between(day, window.target_day),
        "AWLO": window.first_day,
        "AWHI": window.last_day,
        "AWU": "DAYS",
        "AWRANGE": range_in_words(window),
    }


def range_in_words(window: Visit) -> str:
    """A window's days, such as `2 to 64`, `up to 1` or `from 128`."""
    if window.first_day is None and window.last_day is None:
        return "any day"
    if window.first_day is None:
        return f"up to {window.last_day}"
    return (
        f"from {window.first_day}" if window.last_day is None else f"{window.first_day} to {window.last_day}"
    )


def _source(result: Result, sources: Mapping[str, Mapping[str, Any]]) -> Row:
    """The record of CP that a value comes from; a ratio has none."""
    source = sources.get(f"{result['specimen']}.{result['parameter']}")
    if source is None:
        return {}
    variable = "CPSTRESC" if source["CPSTRESN"] is None else "CPSTRESN"
    return {"SRCDOM": "CP", "SRCVAR": variable, "SRCSEQ": source["CPSEQ"]}


def _sponsor(result: Result) -> Row:
    return {
        "AVALLCL": result["ci_low"],
        "AVALUCL": result["ci_high"],
        "CVPCT": result["cv_percent"],
        "NEVT": result["events"],
        "NPAR": result["parent_events"],
        "QCFL": quality_flag(result),
        "QCRSN": cut_reasons(result["flags"]),
        "GATEVER": result["gating_version"],
        "SPECID": result["specimen"],
    }


def cut_reasons(flags: Sequence[str]) -> str:
    """The reasons joined by `;`, as many as fit; `...` says that there are more."""
    text = ascii_text(";".join(flags))
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 4].rpartition(";")[0] + ";..."


def _finished(rows: list[Row], spec: DatasetSpec) -> list[Row]:
    """In order, with baseline, change from it, and a number within the subject."""
    rows.sort(key=lambda row: (row["USUBJID"], row["PARAMN"], row["collected"], row["SPECID"]))
    baselines = {
        (row["USUBJID"], row["PARAMCD"]): (place, row["AVAL"])
        for place, row in enumerate(rows)
        if row["ABLFL"] == "Y"
    }
    seen: dict[str, int] = {}
    finished = []
    for place, row in enumerate(rows):
        seen[row["USUBJID"]] = seen.get(row["USUBJID"], 0) + 1
        values = {name: value for name, value in row.items() if name != "collected"}
        values["ASEQ"] = seen[row["USUBJID"]]
        if (row["USUBJID"], row["PARAMCD"]) in baselines:
            base_place, base = baselines[row["USUBJID"], row["PARAMCD"]]
            values["BASE"] = base
            values |= _change(row["AVAL"], base) if place > base_place and row["AVAL"] is not None else {}
        finished.append(as_row(spec, values))
    return finished


def _change(value: float, base: float) -> Row:
    """Change from baseline; relative changes only from a baseline above 0."""
    change = value - base
    if base <= 0:
        return {"CHG": change}
    return {"CHG": change, "PCHG": 100 * change / base, "R2BASE": value / base}
