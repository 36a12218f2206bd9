"""Which record answers for a visit, and the rows that are there though no value is."""

from __future__ import annotations

from cytotrial.files.sheets import ClinicalValue
from cytotrial.steps.candidates import Candidate, candidate_row, candidates_of
from cytotrial.steps.clinical import clinical_by_visit
from cytotrial.steps.dataset import contacts_of, count_rows, wide_row
from cytotrial.steps.layout import CANDIDATES, SPECIMENS
from cytotrial.terms import Subject, Visit

VISITS = (Visit("W00", 1, 1, None, 1, baseline=True), Visit("W06", 2, 43, 2, 64))
SUBJECT = Subject("S1", first_dose="2024-01-01")


def specimen(
    name: str, visit: str, collected: str, value: str, status: str = "OK", *, parameter: str = "TREGABS"
) -> dict[str, str]:
    return dict.fromkeys(SPECIMENS, "") | {
        "subject": "S1", "visit": visit, "specimen": name, "collected": collected, "parameter": parameter,
        "value": value, "unit": "10^6/L", "status": status,
    }  # fmt: skip


def candidates(*specimens: dict[str, str], subject: Subject = SUBJECT) -> list[Candidate]:
    return candidates_of(specimens, VISITS, [subject], same_day_is_before=True)


def rows(
    *specimens: dict[str, str], parameters: tuple[str, ...] = ("TREGABS",), subject: Subject = SUBJECT
) -> list[dict[str, object]]:
    contacts = contacts_of(subject, VISITS, candidates(*specimens, subject=subject))
    return [dict(row) for entry in contacts for row in count_rows(entry, parameters, study="T")]


def reasons(*specimens: dict[str, str]) -> dict[str, str]:
    return {entry.row["specimen"]: entry.reason for entry in candidates(*specimens)}


def test_a_planned_visit_without_any_row_in_the_sheet_keeps_its_row_and_says_so():
    result = rows(specimen("a", "W00", "2024-01-01", "13"))
    assert [(row["visit"], row["value"], row["status"]) for row in result] == [
        ("W00", "13", "OK"),
        ("W06", "", "NOT_DONE"),
    ]
    assert result[1]["flags"] == "NO_TUBE_IN_SHEET"


def test_of_two_draws_of_a_visit_one_answers_and_the_number_is_told():
    # Day 43 is the target: 12 February is day 43, 20 January day 20.
    early = specimen("a", "W06", "2024-01-20", "10")
    near = specimen("b", "W06", "2024-02-12", "12")
    answer = rows(early, near)[1]
    assert (answer["specimen"], answer["study_day"], answer["flags"]) == ("b", 43, "DRAWS:2")
    assert reasons(early, near) == {"a": "FARTHER_FROM_TARGET", "b": ""}


def test_a_failed_draw_does_not_answer_if_there_is_another():
    early = specimen("a", "W06", "2024-01-20", "10")
    near = specimen("b", "W06", "2024-02-12", "", "FAIL")
    assert rows(early, near)[1]["specimen"] == "a"
    assert reasons(early, near) == {"a": "", "b": "NO_VALUE"}


def test_each_parameter_is_answered_by_its_own_nearest_record_that_has_a_value():
    whole = [
        specimen("a", "W06", "2024-01-20", value, parameter=code)
        for code, value in (("CD4ABS", "400"), ("TREGABS", "10"))
    ]
    part = [
        specimen("b", "W06", "2024-02-12", value, status, parameter=code)
        for code, value, status in (("CD4ABS", "500", "OK"), ("TREGABS", "", "NOT_DONE"))
    ]
    answer = rows(*whole, *part, parameters=("CD4ABS", "TREGABS"))[2:]
    assert [(row["parameter"], row["value"], row["specimen"]) for row in answer] == [
        ("CD4ABS", "500", "b"),
        ("TREGABS", "10", "a"),
    ]


def test_the_wide_row_names_every_draw_that_its_values_come_from():
    drawn = [
        specimen("a", "W06", "2024-01-20", "10", parameter="TREGABS"),
        specimen("b", "W06", "2024-02-12", "500", parameter="CD4ABS"),
    ]
    contact = list(contacts_of(SUBJECT, VISITS, candidates(*drawn)))[1]
    row = wide_row(contact, ("CD4ABS", "TREGABS"), (), {}, study="T")
    assert (row["CD4ABS"], row["TREGABS"]) == (500.0, 10.0)
    assert (row["specimen"], row["study_day"]) == ("b;a", "43;20")


def test_an_unscheduled_draw_answers_for_the_visit_whose_window_it_falls_in():
    rejected = specimen("a", "W06", "2024-02-12", "", "NOT_DONE")
    extra = specimen("b", "UNSCHEDULED", "2024-02-20", "11")
    result = rows(rejected, extra)
    assert [(row["visit"], row["specimen"], row["value"], row["flags"]) for row in result[1:]] == [
        ("W06", "b", "11", "DRAWS:2;NOMINAL_VISIT:UNSCHEDULED"),
        ("UNSCHEDULED", "b", "11", ""),
    ]


def test_a_draw_on_the_day_after_the_first_dose_is_no_baseline_though_the_sheet_calls_it_so():
    # 2 January is day 2: in the window of W06, whatever the sheet says.
    result = rows(specimen("a", "W00", "2024-01-02", "13"))
    assert [(row["visit"], row["value"], row["flags"]) for row in result] == [
        ("W00", "", "OUTSIDE_WINDOW:a on study day 2"),
        ("W06", "13", "NOMINAL_VISIT:W00"),
    ]


def test_a_draw_outside_every_window_is_kept_among_the_candidates_and_answers_for_nothing():
    # 13 March 2024 is day 73; the last window ends on day 64.
    late = specimen("a", "W06", "2024-03-13", "13")
    (row,) = [candidate_row(entry, study="T") for entry in candidates(late)]
    assert set(CANDIDATES) <= set(row)
    assert (row["analysis_visit"], row["answers"], row["reason_not_chosen"], row["value"]) == (
        "", "", "OUTSIDE_WINDOW", "13",
    )  # fmt: skip
    answer = rows(late)[1]
    assert (answer["value"], answer["status"], answer["flags"]) == (
        "", "NOT_DONE", "OUTSIDE_WINDOW:a on study day 73",
    )  # fmt: skip


def test_a_draw_after_the_first_dose_of_day_1_is_told_and_not_used_as_baseline():
    subject = Subject("S1", first_dose="2024-01-01T09:00")
    result = rows(specimen("a", "W00", "2024-01-01T10:00", "13"), subject=subject)
    assert (result[0]["value"], result[0]["flags"]) == ("", "AFTER_FIRST_DOSE:a on study day 1")


def test_without_a_first_dose_the_visit_of_the_sheet_stands():
    result = rows(specimen("a", "W06", "2024-02-12", "13"), subject=Subject("S1"))
    assert (result[1]["visit"], result[1]["value"], result[1]["study_day"]) == ("W06", "13", None)


def test_the_record_that_is_best_and_the_best_without_any_warning_may_differ():
    warned = specimen("a", "W06", "2024-02-12", "12", "WARN")
    clean = specimen("b", "W06", "2024-01-20", "10")
    found = {entry.row["specimen"]: entry for entry in candidates(warned, clean)}
    assert (found["a"].answers, found["a"].answers_qc_passed) == (True, False)
    assert (found["b"].answers, found["b"].answers_qc_passed) == (False, True)


def test_the_record_that_changes_are_counted_from_is_marked():
    before = specimen("a", "W00", "2024-01-01", "12")
    after = specimen("b", "W06", "2024-02-12", "20")
    assert {entry.row["specimen"]: entry.baseline for entry in candidates(before, after)} == {
        "a": True,
        "b": False,
    }


def test_a_value_whose_quality_failed_answers_for_nothing_and_is_kept_among_the_candidates():
    failed = specimen("a", "W06", "2024-02-12", "12", "FAIL")
    answer = rows(failed)[1]
    assert (answer["value"], answer["status"], answer["flags"]) == (
        "", "FAIL", "QC_FAILED:a on study day 43",
    )  # fmt: skip
    assert [(entry.reason, entry.row["value"]) for entry in candidates(failed)] == [("QC_FAILED", "12")]


def test_every_unscheduled_draw_has_its_own_row_after_the_visits():
    result = rows(
        specimen("c", "UNSCHEDULED", "2024-03-11", "9"), specimen("b", "UNSCHEDULED", "2024-03-10", "8")
    )
    assert [(row["visit"], row["specimen"]) for row in result[2:]] == [
        ("UNSCHEDULED", "b"),
        ("UNSCHEDULED", "c"),
    ]


def test_a_clinical_value_goes_to_the_visit_whose_window_holds_it_nearest_to_the_target():
    values = [
        ClinicalValue("S1", "SLEDAI", "2024-01-10", 12.0, "points"),
        ClinicalValue("S1", "SLEDAI", "2024-02-11", 8.0, "points"),
        ClinicalValue("S1", "SLEDAI", "2024-01-01", 14.0, "points"),
    ]
    by_visit = clinical_by_visit(values, VISITS, [SUBJECT], same_day_is_before=True)
    assert by_visit == {("S1", "W00", "SLEDAI"): 14.0, ("S1", "W06", "SLEDAI"): 8.0}


def test_of_two_clinical_values_equally_near_to_the_target_the_later_stands():
    # Days 42 and 44 about the target day 43.
    values = [
        ClinicalValue("S1", "SLEDAI", "2024-02-11", 8.0, "points"),
        ClinicalValue("S1", "SLEDAI", "2024-02-13", 6.0, "points"),
    ]
    by_visit = clinical_by_visit(values, VISITS, [SUBJECT], same_day_is_before=True)
    assert by_visit == {("S1", "W06", "SLEDAI"): 6.0}


def test_spellings_of_one_test_share_a_column_and_lose_no_value():
    values = [
        ClinicalValue("S1", "anti-dsDNA", "2024-01-01", 310.0, "IU/mL"),
        ClinicalValue("S1", "ANTI DSDNA", "2024-02-12", 220.0, "IU/mL"),
    ]
    by_visit = clinical_by_visit(values, VISITS, [SUBJECT], same_day_is_before=True)
    assert by_visit == {("S1", "W00", "ANTI_DSDNA"): 310.0, ("S1", "W06", "ANTI_DSDNA"): 220.0}


def test_one_row_for_each_subject_and_visit_though_no_parameter_is_configured():
    clinical = {("S1", "W00", "SLEDAI"): 14.0}
    wide = [
        wide_row(entry, (), ("SLEDAI",), clinical, study="T") for entry in contacts_of(SUBJECT, VISITS, [])
    ]
    assert [(row["visit"], row["SLEDAI"]) for row in wide] == [("W00", 14.0), ("W06", None)]


def test_the_wide_row_holds_the_values_of_the_draw_that_answers():
    entry = next(iter(contacts_of(SUBJECT, VISITS, candidates(specimen("a", "W00", "2024-01-01", "13")))))
    row = wide_row(entry, ("TREGABS", "CD4ABS"), (), {}, study="T")
    assert (row["TREGABS"], row["CD4ABS"], row["specimen"], row["study_day"]) == (13.0, None, "a", "1")
