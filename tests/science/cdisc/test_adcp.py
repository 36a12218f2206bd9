"""ADCP: baseline, change, windows, flags, and values below the limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from cytotrial.science.cdisc.adcp import adcp_rows, cut_reasons, range_in_words
from cytotrial.science.cdisc.adsl import adsl_rows
from cytotrial.science.cdisc.cp import cp_records
from cytotrial.science.cdisc.dm import dm_rows
from cytotrial.terms import Visit
from tests.science.cdisc.rows import SPECIFICATION, SPECS, STUDY, TREG, TUBES, result, visits_of

BEFORE = result(12.0, baseline="Y")
AFTER = result(
    18.0, visit="W06", specimen="S1.W06", collected="2024-02-16", analysis_visit="W06", status="WARN",
    answers_qc_passed="", flags=("FEW_BEADS",),
)  # fmt: skip


def analysed(*results: dict[str, Any], study: Any = STUDY) -> list[dict[str, Any]]:
    visits = visits_of(*results)
    cp = cp_records(
        results, tests={"TREGABS": TREG}, study=study, visits=visits, tubes=TUBES, spec=SPECS["CP"]
    )
    dm = dm_rows(study, last_dose={}, spec=SPECS["DM"])
    return adcp_rows(
        results,
        adsl=adsl_rows(dm, measured={"T-1-S1"}, spec=SPECS["ADSL"]),
        cp=[record.row for record in cp],
        parameters=SPECIFICATION.parameters,
        study=study,
        visits=visits,
        spec=SPECS["ADCP"],
    )


def test_a_value_after_baseline_has_its_change_its_per_cent_and_its_ratio():
    first, second = analysed(AFTER, BEFORE)
    assert (first["AVAL"], first["BASE"], first["ABLFL"], first["CHG"]) == (12.0, 12.0, "Y", None)
    assert (second["BASE"], second["CHG"], second["PCHG"], second["R2BASE"]) == (12.0, 6.0, 50.0, 1.5)
    assert [row["ASEQ"] for row in (first, second)] == [1, 2]


def test_a_value_before_baseline_has_the_baseline_and_no_change():
    early = result(9.0, specimen="S1.a", collected="2023-12-20", answers="", answers_qc_passed="")
    row = analysed(early, BEFORE)[0]
    assert (row["SPECID"], row["BASE"], row["CHG"], row["ABLFL"]) == ("S1.a", 12.0, None, "")


def test_without_a_baseline_there_is_no_change():
    row = analysed(AFTER)[0]
    assert (row["BASE"], row["CHG"], row["PCHG"], row["ABLFL"]) == (None, None, None, "")


def test_from_a_baseline_of_zero_there_is_a_change_and_no_per_cent():
    row = analysed(result(0.0, baseline="Y"), AFTER)[1]
    assert (row["CHG"], row["PCHG"], row["R2BASE"]) == (18.0, None, None)


def test_the_window_of_a_value_and_its_distance_from_the_target():
    # 16 February is day 40 from 8 January; the target is day 43.
    row = analysed(BEFORE, AFTER)[1]
    assert (row["ADY"], row["AVISIT"], row["AVISITN"]) == (40, "W06", 2.0)
    assert (row["AWTARGET"], row["AWTDIFF"], row["AWLO"], row["AWHI"]) == (43, -3, 2, 64)
    assert (row["AWU"], row["AWRANGE"]) == ("DAYS", "2 to 64")


def test_outside_every_window_a_value_stays_without_visit_and_flags():
    far = result(
        9.0, specimen="S1.x", visit="UNSCHEDULED", analysis_visit="", answers="", answers_qc_passed=""
    )
    row = analysed(far)[0]
    assert (row["AVAL"], row["AVISIT"], row["AWTARGET"], row["ANL01FL"]) == (9.0, "", None, "")
    assert row["VISIT"] == "UNSCHEDULED 0.1"


@pytest.mark.parametrize(
    ("window", "words"),
    [(Visit("a", 1, 1, None, 1), "up to 1"), (Visit("a", 1, 1, 2, 64), "2 to 64"),
     (Visit("a", 1, 1, 128, None), "from 128"), (Visit("a", 1, 1, None, None), "any day")],
)  # fmt: skip
def test_a_window_in_words(window: Visit, words: str):
    assert range_in_words(window) == words


def test_a_date_without_time_has_no_datetime():
    first, second = analysed(BEFORE, AFTER)
    assert (first["ADT"], first["ADTM"]) == (date(2024, 1, 8), datetime(2024, 1, 8, 9, 50))
    assert (second["ADT"], second["ADTM"]) == (date(2024, 2, 16), None)


def test_a_missing_value_has_no_record_here():
    assert [row["SPECID"] for row in analysed(BEFORE, result(None, specimen="S1.W06", visit="W06"))] == [
        "S1.W00"
    ]


def test_a_value_whose_quality_failed_has_no_record_here_either():
    failed = result(30.0, specimen="S1.W06", visit="W06", status="FAIL", collected="2024-02-16")
    assert [row["SPECID"] for row in analysed(BEFORE, failed)] == ["S1.W00"]


def test_a_value_names_the_record_it_comes_from_and_a_ratio_none():
    ratio = result(0.4, parameter="TH17TREG", method="RATIO", sample_ids=("T1", "T2"))
    first, second = analysed(BEFORE, ratio)
    assert (first["PARAMCD"], first["SRCDOM"], first["SRCVAR"], first["SRCSEQ"]) == (
        "TREGABS", "CP", "CPSTRESN", 1,
    )  # fmt: skip
    assert (second["PARAMCD"], second["SRCDOM"], second["SRCSEQ"], second["SPECID"]) == (
        "TH17TREG", "", None, "S1.W00",
    )  # fmt: skip


def few(**changes: Any) -> dict[str, Any]:
    """40 of 20,000 of 512 per µL; the limit of 50 events is 1.28 per µL."""
    return result(1.024, events=40, quantifiable="DETECTED, NOT QUANTIFIABLE", **changes)


def test_below_the_limit_of_quantitation_the_measured_value_is_kept_and_marked():
    row = analysed(few())[0]
    assert (row["AVAL"], row["DTYPE"], row["AVALCAT1"]) == (1.024, "", "DETECTED, NOT QUANTIFIABLE")
    assert (row["CRIT1"], row["CRIT1FL"]) == ("AVAL < LLOQ", "Y")
    assert analysed(result())[0]["CRIT1FL"] == "N"


def test_below_the_limit_of_quantitation_half_the_limit_if_the_study_says_so():
    row = analysed(few(), study=replace(STUDY, blq="halflloq"))[0]
    assert (row["AVAL"], row["DTYPE"]) == (pytest.approx(0.64), "HALFLLOQ")


def test_below_the_limit_of_quantitation_missing_if_the_study_says_so():
    row = analysed(few(baseline="Y"), study=replace(STUDY, blq="missing"))[0]
    assert (row["AVAL"], row["DTYPE"], row["ABLFL"], row["BASE"]) == (None, "", "", None)


def test_reasons_that_do_not_fit_are_cut_at_a_whole_reason():
    flags = tuple(f"REASON{number:03}" for number in range(40))
    text = cut_reasons(flags)
    assert len(text) <= 200
    assert text.endswith(";...")
    assert set(text.split(";")[:-1]) <= set(flags)
    assert cut_reasons(("A", "B")) == "A;B"
