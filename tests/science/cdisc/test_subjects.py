"""DM, ADSL and LB: what the sheets say, and nothing that they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from cytotrial.science.cdisc.adsl import adsl_rows
from cytotrial.science.cdisc.dm import dm_rows, last_doses
from cytotrial.science.cdisc.lb import BloodDraw, lb_rows
from cytotrial.science.cdisc.timing import VisitTerms
from cytotrial.terms import Subject
from tests.science.cdisc.rows import SPECS, STUDY

DOSES = [("S1", "IL-2", "2024-01-21"), ("S1", "IL-2", "2024-06-09"), ("S2", "IL-2", "")]


def demographics(*subjects: Subject, **changes: Any) -> list[dict[str, Any]]:
    study = replace(STUDY, subjects=subjects or STUDY.subjects, **changes)
    return dm_rows(study, last_dose=last_doses(DOSES, ""), spec=SPECS["DM"])


def test_a_subject_of_the_sheet():
    row = demographics(country="CHN")[0]
    assert (row["USUBJID"], row["AGE"], row["AGEU"], row["SEX"], row["SITEID"]) == (
        "T-1-S1", 44.0, "YEARS", "F", "02",
    )  # fmt: skip
    assert (row["RFSTDTC"], row["RFXENDTC"], row["COUNTRY"]) == ("2024-01-08", "2024-06-09", "CHN")
    assert (row["ARMCD"], row["ARM"], row["ACTARM"]) == ("LOWDOSEIL2", "LOW-DOSE IL-2", "LOW-DOSE IL-2")


def test_what_the_sheet_does_not_say_is_empty_and_the_sex_unknown():
    row = demographics(Subject("S9"))[0]
    assert (row["SEX"], row["AGE"], row["AGEU"], row["RFSTDTC"], row["ARM"], row["RACE"]) == (
        "U", None, "", "", "", "",
    )  # fmt: skip


def test_a_subject_without_a_first_dose_had_no_treatment():
    row = demographics(Subject("S9", arm="LOW-DOSE IL-2"))[0]
    assert (row["ARM"], row["ACTARM"], row["ACTARMCD"]) == ("LOW-DOSE IL-2", "", "")


def test_an_ongoing_dose_has_no_last_day():
    assert last_doses(DOSES, "") == {"S1": "2024-06-09"}


def test_with_several_drugs_the_study_says_which_one_is_meant():
    doses = [*DOSES, ("S1", "PREDNISONE", "2025-01-01")]
    assert last_doses(doses, "") == {}
    assert last_doses(doses, "IL-2") == {"S1": "2024-06-09"}


def test_the_analysis_sets_are_the_dosed_and_the_dosed_with_a_value():
    rows = demographics(Subject("S1", "2024-01-08T08:15"), Subject("S2", "2024-02-01"), Subject("S3"))
    found = adsl_rows(rows, measured={"T-1-S1", "T-1-S3"}, spec=SPECS["ADSL"])
    assert [(row["SUBJID"], row["SAFFL"], row["FASFL"]) for row in found] == [
        ("S1", "Y", "Y"), ("S2", "Y", "N"), ("S3", "N", "N"),
    ]  # fmt: skip
    assert (found[0]["TRTSDT"], found[0]["TRTSDTM"]) == (date(2024, 1, 8), datetime(2024, 1, 8, 8, 15))
    assert (found[1]["TRTSDT"], found[1]["TRTSDTM"]) == (date(2024, 2, 1), None)


def blood(**changes: Any) -> list[dict[str, Any]]:
    draws = [
        BloodDraw("S1", "S1.W06", "2024-02-19", {"LYM": 1.1, "WBC": None, "LYMLE": 22.0}),
        BloodDraw("S1", "S1.W00", "2024-01-08", {"LYM": 0.9, "WBC": 3.4, "LYMLE": None}),
    ]
    visits = {"S1.W00": VisitTerms(1, "W00", 1), "S1.W06": VisitTerms(2, "W06", 43)}
    return lb_rows(draws, used={"S1.W06"}, study=STUDY, visits=visits, spec=SPECS["LB"])


def test_a_blood_count_has_a_record_for_each_of_its_values():
    told = ("LBSEQ", "LBTESTCD", "LBORRES", "LBORRESU", "VISIT")
    assert [tuple(row[name] for name in told) for row in blood()] == [
        (1, "LYM", "0.9", "10^9/L", "W00"), (2, "WBC", "3.4", "10^9/L", "W00"),
        (3, "LYM", "1.1", "10^9/L", "W06"), (4, "LYMLE", "22", "%", "W06"),
    ]  # fmt: skip


def test_only_a_blood_count_that_a_count_was_made_with_has_a_link():
    assert [row["LBLNKID"] for row in blood()] == ["", "", "S1.W06", "S1.W06"]


def test_the_last_blood_count_before_the_first_dose_is_flagged():
    assert [row["LBLOBXFL"] for row in blood()] == ["Y", "Y", "", ""]
