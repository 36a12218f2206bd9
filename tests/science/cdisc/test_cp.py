"""CP: what is measured, what is not done and why, and the unstimulated tube beside the stimulated one."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cytotrial.science.cdisc.cp import CpRecord, cp_records, reason_of
from cytotrial.terms import Subject
from tests.science.cdisc.rows import SPECIFICATION, SPECS, STUDY, TH17, TREG, TUBES, result, visits_of


def records(*results: dict[str, Any], study: Any = STUDY, tests: Any = None) -> list[CpRecord]:
    return cp_records(
        results,
        tests=tests or {"TREGABS": TREG},
        study=study,
        visits=visits_of(*results),
        tubes=TUBES,
        spec=SPECS["CP"],
    )


def stimulated(**changes: Any) -> dict[str, Any]:
    return result(
        1.115, parameter="TH17PCD4", unit="%", method="FRACTION-BACKGROUND", events=240, parent_value=None,
        background_events=17, background_parent_events=20000, background_percent=0.085, raw_percent=1.2,
        sample_ids=("T2", "T3"), **changes,
    )  # fmt: skip


def test_a_result_states_its_test_its_value_and_its_gate():
    row = records(result())[0].row
    assert list(row) == list(SPECS["CP"].names)
    assert (row["CPTESTCD"], row["CPTEST"], row["CPORRES"], row["CPSTRESN"]) == (
        "TLYHR", "TLym Help Reg", "13", 13.0,
    )  # fmt: skip
    assert (row["CPORRESU"], row["CPSTRESU"], row["CPRESTYP"]) == ("10^6/L", "10^6/L", "NUMBER CONCENTRATION")
    assert (row["CPGATE"], row["CPGATDEF"]) == ("Treg", "live|CD4+|Treg")
    assert (row["USUBJID"], row["CPREFID"], row["CPDY"], row["CPSTAT"]) == ("T-1-S1", "S1.W00", 1, "")


def test_every_planned_visit_without_a_draw_has_a_record_not_done_with_its_reason():
    rows = [record.row for record in records(result())]
    assert [(row["VISIT"], row["CPSTAT"], row["CPORRES"], row["CPRESSCL"]) for row in rows] == [
        ("W00", "", "13", "QUANTITATIVE"),
        ("W06", "NOT DONE", "", ""),
        ("W12", "NOT DONE", "", ""),
    ]
    assert rows[1]["CPREASND"] == "nothing was drawn: no tube in the sample sheet"
    assert (rows[1]["CPDTC"], rows[1]["CPDY"], rows[1]["CPREFID"]) == ("", None, "")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("NOT_DONE:specimen clotted",), "specimen clotted"),
        (("GATE_FALLBACK:CD4+", "TUBE_REJECTED:TRUNCATED"), "tube rejected: TRUNCATED"),
        (("NO_COUNT:no event in the bead gate",), "no result: no event in the bead gate"),
        (("NO_TUBE:treg", "NO_TUBE:count"), "no treg tube; no count tube"),
        (("SOMETHING_NEW", "ODD:1"), "SOMETHING_NEW; ODD:1"),
        ((), "no result"),
    ],
)
def test_the_reason_is_what_the_flags_say(flags: tuple[str, ...], reason: str):
    assert reason_of(result(None, flags=flags)) == reason


def test_a_draw_that_was_rejected_keeps_its_specimen_and_its_day():
    row = records(result(None, status="NOT_DONE", flags=("TUBE_REJECTED:TRUNCATED",)))[0].row
    assert (row["CPSTAT"], row["CPREFID"], row["CPDY"]) == ("NOT DONE", "S1.W00", 1)
    assert (row["CPORRESU"], row["CPSTRESN"], row["CPGATE"]) == ("", None, "")


def test_a_value_whose_quality_failed_is_not_done_and_says_why():
    failed = result(13.0, status="FAIL", flags=("UNSTABLE_TIME:60",))
    row = records(failed)[0].row
    assert (row["CPSTAT"], row["CPORRES"], row["CPSTRESN"]) == ("NOT DONE", "", None)
    assert row["CPREASND"] == "quality control failed: UNSTABLE_TIME:60"


def test_the_unstimulated_tube_is_a_record_of_its_own():
    with_agent, without = records(stimulated(), tests={"TH17PCD4": TH17})[:2]
    assert (with_agent.row["CPTSTCND"], with_agent.row["CPCNDAGT"], with_agent.row["CPSTRESN"]) == (
        "WITH STIMULATING AGENT", "PMA; IONOMYCIN", 1.115,
    )  # fmt: skip
    assert (without.row["CPTSTCND"], without.row["CPCNDAGT"], without.row["CPSTRESN"]) == (
        "WITHOUT STIMULATING AGENT", "", 0.085,
    )  # fmt: skip
    assert (without.background, without.row["CPANMETH"]) == (True, "FRACTION")


def test_the_ratio_has_no_record():
    assert [
        record.row for record in records(result(0.4, parameter="TH17TREG")) if record.row["CPORRES"]
    ] == []


def test_records_are_numbered_within_a_subject_in_the_order_of_visits():
    study = replace(STUDY, subjects=(*STUDY.subjects, Subject("S2", "2024-02-01")))
    late = result(20.0, visit="W12", specimen="S1.W12", collected="2024-04-01")
    other = result(9.0, subject="S2", specimen="S2.W00", collected="2024-02-01")
    rows = [record.row for record in records(late, result(), other, study=study)]
    assert [(row["USUBJID"], row["CPSEQ"], row["VISIT"]) for row in rows] == [
        ("T-1-S1", 1, "W00"), ("T-1-S1", 2, "W06"), ("T-1-S1", 3, "W12"),
        ("T-1-S2", 1, "W00"), ("T-1-S2", 2, "W06"), ("T-1-S2", 3, "W12"),
    ]  # fmt: skip


def test_the_last_result_before_the_first_dose_is_flagged():
    early = result(10.0, specimen="S1.W00a", collected="2024-01-02")
    after = result(20.0, visit="W06", specimen="S1.W06", collected="2024-02-19")
    flags = {record.row["CPREFID"]: record.row["CPLOBXFL"] for record in records(early, result(), after)}
    assert flags == {"S1.W00a": "", "S1.W00": "Y", "S1.W06": "", "": ""}


def test_results_of_the_sponsor_are_derived_and_those_of_the_laboratory_are_not():
    sponsor = replace(STUDY, by_sponsor=True)
    assert [record.row["CPDRVFL"] for record in records(result(), study=sponsor)] == ["Y", "", ""]
    assert [record.row["CPDRVFL"] for record in records(result())] == ["", "", ""]


def test_below_the_limit_of_detection_the_measured_value_stands_unless_the_study_says_otherwise():
    # 12 events; 20 of 20,000 of 512 per µL are 0.512 per µL.
    few = result(0.307, events=12, quantifiable="NOT DETECTED")
    assert records(few)[0].row["CPSTRESN"] == 0.307
    row = records(few, study=replace(STUDY, blq="halflloq"))[0].row
    assert (row["CPORRES"], row["CPSTRESC"], row["CPSTRESN"]) == ("<0.512", "<0.512", None)


def test_a_reason_longer_than_the_variable_is_kept_whole_beside_it():
    record = records(result(None, flags=("NOT_DONE:" + "x" * 250,)))[0]
    assert (len(record.row["CPREASND"]), len(record.reason)) == (200, 250)


def test_a_count_by_a_blood_count_is_linked_to_it():
    row = records(result(512.0, method="DUAL", cbc_lymphocytes_10e9_per_l=1.2, lymphocyte_events=12000))[
        0
    ].row
    assert row["CPLNKID"] == "S1.W00"


def test_reasons_in_other_letters_become_ascii_and_lose_nothing():
    assert reason_of(result(None, flags=("NOT_DONE:Röhrchen 采",))) == "Rohrchen \\u91c7"


def test_the_variables_are_those_of_the_published_table(shared: Path):
    with (shared / "reference" / "cp_spec.csv").open(encoding="utf-8", newline="") as stream:
        published = {row["name"]: row for row in csv.DictReader(stream)}
    ours = SPECIFICATION.datasets["CP"].variables
    order = [int(published[variable.name]["order"]) for variable in ours]
    assert order == sorted(order)
    for variable in ours:
        row = published[variable.name]
        assert (variable.label, variable.role, variable.core) == (row["label"], row["role"], row["core"])
        assert ("Char" if variable.is_text else "Num") == row["type"]
        assert variable.codelist in {row["codelist"], ""}
    needed = {name for name, row in published.items() if row["core"] in {"Req", "Exp"}}
    assert needed <= {variable.name for variable in ours}
