"""Which draw answers for a visit, and the rows that are there though no value is."""

from __future__ import annotations

from cytotrial.files.sheets import ClinicalValue
from cytotrial.steps import dataset
from cytotrial.terms import Subject, Visit

VISITS = (Visit("W00", 1, 1, None, 1, baseline=True), Visit("W06", 2, 43, 2, 64))
SUBJECT = Subject("S1", first_dose="2024-01-01")


def specimen(name: str, visit: str, collected: str, value: str, status: str = "OK") -> dict[str, str]:
    return {
        "subject": "S1", "visit": visit, "specimen": name, "collected": collected, "parameter": "TREGABS",
        "value": value, "unit": "10^6/L", "ci_low": "", "ci_high": "", "events": "", "parent_events": "",
        "cv_percent": "", "method": "", "status": status, "flags": "", "gating_version": "", "sample_ids": "",
    }  # fmt: skip


def chosen(*specimens: dict[str, str]) -> list[dataset.ChosenDraw]:
    return list(dataset._chosen_draws(SUBJECT, VISITS, dataset._by_visit(specimens)))


def rows(*specimens: dict[str, str], parameters: tuple[str, ...] = ("TREGABS",)) -> list[dict[str, object]]:
    return [dict(row) for entry in chosen(*specimens) for row in dataset._rows(entry, parameters, study="T")]


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
    assert answer["status"] == "WARN"


def test_a_failed_draw_does_not_answer_if_there_is_another():
    early = specimen("a", "W06", "2024-01-20", "10")
    near = specimen("b", "W06", "2024-02-12", "", "FAIL")
    assert rows(early, near)[1]["specimen"] == "a"


def test_one_draw_answers_for_all_parameters_of_a_visit_and_days_are_not_mixed():
    whole = [
        {**specimen("a", "W06", "2024-01-20", value), "parameter": code}
        for code, value in (("CD4ABS", "400"), ("TREGABS", "10"))
    ]
    part = [
        {**specimen("b", "W06", "2024-02-12", value, status), "parameter": code}
        for code, value, status in (("CD4ABS", "500", "OK"), ("TREGABS", "", "NOT_DONE"))
    ]
    answer = rows(*whole, *part, parameters=("CD4ABS", "TREGABS"))[2:]
    assert [(row["parameter"], row["value"], row["specimen"]) for row in answer] == [
        ("CD4ABS", "400", "a"),
        ("TREGABS", "10", "a"),
    ]


def test_a_draw_outside_the_window_of_its_visit_is_flagged():
    # 13 March 2024 is day 73; the window of W00 ends on day 1.
    answer = rows(specimen("a", "W00", "2024-03-13", "13"))[0]
    assert (answer["flags"], answer["status"]) == ("OUT_OF_WINDOW:day 73", "WARN")


def test_every_unscheduled_draw_has_its_own_row_after_the_visits():
    result = rows(
        specimen("c", "UNSCHEDULED", "2024-03-01", "9"), specimen("b", "UNSCHEDULED", "2024-02-01", "8")
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
    by_visit = dataset._clinical_by_visit(values, VISITS, [SUBJECT])
    assert by_visit == {("S1", "W00", "SLEDAI"): 14.0, ("S1", "W06", "SLEDAI"): 8.0}


def test_spellings_of_one_test_share_a_column_and_lose_no_value():
    values = [
        ClinicalValue("S1", "anti-dsDNA", "2024-01-01", 310.0, "IU/mL"),
        ClinicalValue("S1", "ANTI DSDNA", "2024-02-12", 220.0, "IU/mL"),
    ]
    by_visit = dataset._clinical_by_visit(values, VISITS, [SUBJECT])
    assert by_visit == {("S1", "W00", "ANTI_DSDNA"): 310.0, ("S1", "W06", "ANTI_DSDNA"): 220.0}


def test_one_row_for_each_subject_and_visit_though_no_parameter_is_configured():
    clinical = {("S1", "W00", "SLEDAI"): 14.0}
    wide = [dataset._wide_row(entry, (), ("SLEDAI",), clinical, study="T") for entry in chosen()]
    assert [(row["visit"], row["SLEDAI"]) for row in wide] == [("W00", 14.0), ("W06", None)]


def test_the_wide_row_holds_the_values_of_the_draw_that_answers():
    entry = chosen(specimen("a", "W00", "2024-01-01", "13"))[0]
    row = dataset._wide_row(entry, ("TREGABS", "CD4ABS"), (), {}, study="T")
    assert (row["TREGABS"], row["CD4ABS"], row["specimen"], row["study_day"]) == (13.0, None, "a", 1)
