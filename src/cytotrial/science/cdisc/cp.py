"""CP, Cell Phenotype Findings: every count and percentage of every draw, and what was not done.

References
----------
CDISC, SDTMIG 3.4, domain CP; controlled terminology of 2025-03-25.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.science.cdisc.model import (
    CellTest,
    Result,
    Row,
    StudyTerms,
    TubeTrace,
    as_row,
    without_failed,
)
from cytotrial.science.cdisc.recompute import value_of_events
from cytotrial.science.cdisc.text import LONGEST, ascii_text, number_text
from cytotrial.science.cdisc.timing import VisitTerms, is_before_dose, last_of_each
from cytotrial.science.endpoints import study_day
from cytotrial.terms import Status

NOT_DETECTED = "NOT DETECTED"
WITH_AGENT, WITHOUT_AGENT = "WITH STIMULATING AGENT", "WITHOUT STIMULATING AGENT"
NO_TUBE = "NO_TUBE_IN_SHEET"

_REASONS = {
    "NOT_DONE": "{}",
    "TUBE_REJECTED": "tube rejected: {}",
    "NO_COUNT": "no result: {}",
    "NO_TUBE": "no {} tube",
    NO_TUBE: "nothing was drawn: no tube in the sample sheet",
}
"""Flag → what CPREASND says; the text after the flag's colon is filled in."""


@dataclass(frozen=True)
class CpRecord:
    """A record of CP, the result it states, and whether it is that of the unstimulated tube.

    reason : CPREASND in full, which may be longer than the variable
    gate_path : CPGATDEF in full
    """

    row: Row
    result: Result
    background: bool = False
    reason: str = ""
    gate_path: str = ""


def cp_records(
    results: Sequence[Result],
    *,
    tests: Mapping[str, CellTest],
    study: StudyTerms,
    visits: Mapping[str, VisitTerms],
    tubes: Mapping[str, TubeTrace],
    spec: DatasetSpec,
) -> list[CpRecord]:
    """The records of CP in their order, numbered within each subject.

    Parameters
    ----------
    results : sequence of mapping
        Rows of candidates.csv: every parameter of every specimen.
    tests : mapping
        Parameter → how it is described; a parameter that is not there (the ratio) has no record.
    visits : mapping
        Specimen → its visit.
    tubes : mapping
        Sample id → where its numbers come from.
    """
    drawn = [row for row in without_failed(results) if row["parameter"] in tests]
    context = _Context(study, visits, tubes, spec)
    records = [
        record
        for result in (*drawn, *_absent(drawn, tests, study))
        for record in _of_result(result, tests[result["parameter"]], context)
    ]
    records.sort(key=_order)
    return _flagged(_numbered(records), study)


def _absent(results: Iterable[Result], tests: Mapping[str, CellTest], study: StudyTerms) -> Iterator[Result]:
    """A result that was not done for every planned subject, visit and test that no draw accounts for."""
    known = {(row["subject"], row["visit"], row["parameter"]) for row in results}
    for subject in study.subjects:
        for visit in study.visits:
            for parameter in tests:
                if (subject.subject, visit.visit, parameter) not in known:
                    yield {
                        "subject": subject.subject,
                        "visit": visit.visit,
                        "specimen": "",
                        "parameter": parameter,
                        "collected": "",
                        "value": None,
                        "status": Status.NOT_DONE.value,
                        "flags": (NO_TUBE,),
                        "sample_ids": (),
                        "gating_version": "",
                    }


@dataclass(frozen=True)
class _Context:
    """What every record of the study needs."""

    study: StudyTerms
    visits: Mapping[str, VisitTerms]
    tubes: Mapping[str, TubeTrace]
    spec: DatasetSpec

    def visit_of(self, result: Result) -> VisitTerms:
        """The visit of the draw; where nothing was drawn, the one that was planned."""
        if result["specimen"]:
            return self.visits[result["specimen"]]
        visit = next(visit for visit in self.study.visits if visit.visit == result["visit"])
        return VisitTerms(visit.visit_num, visit.visit, visit.target_day)


def _of_result(result: Result, test: CellTest, context: _Context) -> Iterator[CpRecord]:
    """The record of a result, and that of its unstimulated tube if it has one."""
    study, spec = context.study, context.spec
    visit = context.visit_of(result)
    shared = {**_who_and_when(result, visit, study), **_which_test(test, study)}
    if result["value"] is None:
        reason = reason_of(result)
        not_done = {"CPSTAT": "NOT DONE", "CPREASND": reason[:LONGEST]}
        yield CpRecord(as_row(spec, {**shared, **not_done}), result, reason=reason)
        return
    path = _gate_path(result, test, context.tubes)
    gate = {"CPGATE": test.population, "CPGATDEF": path[:LONGEST]}
    values = {**shared, **gate, **_value(result, test, study)}
    yield CpRecord(as_row(spec, values), result, gate_path=path)
    if result["background_percent"] is not None and not result["method"].startswith("XTUBE"):
        beside = {**values, **_background(result, test, study), "CPSPID": f"{values['CPSPID']}.BACKGROUND"}
        yield CpRecord(as_row(spec, beside), result, background=True, gate_path=path)


def _who_and_when(result: Result, visit: VisitTerms, study: StudyTerms) -> Row:
    specimen = result["specimen"]
    about = specimen or f"{result['subject']}.{result['visit']}"
    return {
        "STUDYID": study.study,
        "DOMAIN": "CP",
        "USUBJID": study.usubjid(result["subject"]),
        "CPGRPID": specimen,
        "CPREFID": specimen,
        "CPSPID": f"{about}.{result['parameter']}",
        "CPLNKID": specimen if result.get("cbc_lymphocytes_10e9_per_l") is not None else "",
        "VISITNUM": visit.number,
        "VISIT": visit.name,
        "VISITDY": visit.day,
        "CPDTC": result["collected"],
        "CPDY": study_day(result["collected"], study.first_dose.get(result["subject"], "")),
    }


def _which_test(test: CellTest, study: StudyTerms) -> Row:
    return {
        "CPTESTCD": test.code,
        "CPTEST": test.name,
        "CPSBMRKS": test.sublineage,
        "CPCELSTA": test.cell_state,
        "CPCSMRKS": test.state_markers,
        "CPTSTCND": WITH_AGENT if test.stimulated else "",
        "CPCNDAGT": test.agents if test.stimulated else "",
        "CPMRKSTR": test.markers,
        "CPSPTSTD": test.description,
        "CPCAT": "IMMUNOPHENOTYPING",
        "CPTSTPNL": test.panel,
        "CPNAM": study.laboratory,
        "CPSPEC": test.specimen,
        "CPSPCCND": study.specimen_condition,
        "CPMETHOD": test.method,
    }


def _value(result: Result, test: CellTest, study: StudyTerms) -> Row:
    """A result; below the limit of detection `<x`, unless values are handed on as measured."""
    limit = value_of_events(result["method"], result, result["lod_events"] or 0)
    beyond = result.get("quantifiable") == NOT_DETECTED and study.blq != "measured" and limit is not None
    text = f"<{limit:.4g}" if beyond else number_text(result["value"])
    return {
        "CPORRES": text,
        "CPORRESU": test.unit,
        "CPRESSCL": "QUANTITATIVE",
        "CPRESTYP": test.result_type,
        "CPSTRESC": text,
        "CPSTRESN": None if beyond else result["value"],
        "CPSTRESU": test.unit,
        "CPANMETH": result["method"],
        "CPDRVFL": "Y" if study.by_sponsor else "",
    }


def _background(result: Result, test: CellTest, study: StudyTerms) -> Row:
    """What the unstimulated tube of the draw showed in the same gate."""
    unstimulated = {**result, "value": result["background_percent"], "method": "FRACTION", "quantifiable": ""}
    return {
        **_value(unstimulated, test, study),
        "CPTSTCND": WITHOUT_AGENT,
        "CPCNDAGT": "",
    }


def reason_of(result: Result) -> str:
    """Why there is no result, in words: from the flags that say so, else all of them."""
    said = [flag.partition(":") for flag in result["flags"]]
    known = [_REASONS[name].format(text) for name, _, text in said if name in _REASONS]
    words = known or ["".join(parts) for parts in said] or ["no result"]
    failed = not known and result["status"] == Status.FAIL.value
    return ascii_text(("quality control failed: " if failed else "") + "; ".join(dict.fromkeys(words)))


def _gate_path(result: Result, test: CellTest, tubes: Mapping[str, TubeTrace]) -> str:
    """The populations from the first gate to the counted one, as the result's own tube has them."""
    own = [tubes[tube] for tube in result["sample_ids"] if tube in tubes and tubes[tube].panel == test.panel]
    if not own or test.population not in own[0].parents:
        return ""
    path, population = [test.population], test.population
    while (parent := own[0].parents.get(population, "")) in own[0].parents and parent not in path:
        path.append(parent)
        population = parent
    return ascii_text("|".join(name for name in reversed(path) if name != "root"))


def _order(record: CpRecord) -> tuple[Any, ...]:
    row, specimen = record.row, record.result["specimen"]
    return row["USUBJID"], row["VISITNUM"], row["CPDTC"], specimen, row["CPTESTCD"], record.background


def _numbered(records: Sequence[CpRecord]) -> list[CpRecord]:
    """CPSEQ from 1 within each subject."""
    seen: dict[str, int] = {}
    numbered = []
    for record in records:
        subject = record.row["USUBJID"]
        seen[subject] = seen.get(subject, 0) + 1
        numbered.append(replace(record, row={**record.row, "CPSEQ": seen[subject]}))
    return numbered


def _flagged(records: Sequence[CpRecord], study: StudyTerms) -> list[CpRecord]:
    """CPLOBXFL: the last result of each test before the first dose."""
    dosed = {study.usubjid(subject): dose for subject, dose in study.first_dose.items()}
    rows = [record.row for record in records]
    last = last_of_each(
        rows,
        group=lambda row: (row["USUBJID"], row["CPTESTCD"], row["CPTSTCND"]),
        order=lambda row: row["CPDTC"],
        among=lambda row: (
            row["CPSTRESC"] != ""
            and is_before_dose(row["CPDTC"], dosed[row["USUBJID"]], same_day_is_before=study.day1_before_dose)
        ),
    )
    return [
        replace(record, row={**record.row, "CPLOBXFL": "Y"}) if place in last else record
        for place, record in enumerate(records)
    ]
