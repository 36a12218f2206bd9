"""Study days, windows, the choice among draws, and baseline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cytotrial.science.endpoints import (
    Record,
    answering,
    baseline,
    days_between,
    hours_between,
    is_after,
    reason_not_chosen,
    study_day,
    visit_of_day,
)
from cytotrial.terms import Status, Visit

W00, W06, W12 = VISITS = (
    Visit("W00", 0, 1, None, 1, baseline=True),
    Visit("W06", 6, 43, 2, 64),
    Visit("W12", 12, 85, 65, None),
)


def record(specimen: str, day: int | None, *, visit: Visit | None = W06, collected: str = "") -> Record:
    return Record(specimen, visit, collected, day, has_value=True, status=Status.OK)


def test_the_day_of_the_first_dose_is_day_1_and_there_is_no_day_0():
    assert [study_day(day, "2024-03-01") for day in ("2024-02-29", "2024-03-01", "2024-03-02")] == [-1, 1, 2]


def test_a_draw_without_date_has_no_study_day():
    assert study_day("", "2024-03-01") is None


def test_windows_hold_both_their_ends():
    visits = [visit_of_day(day, VISITS) for day in (-100, 1, 2, 64, 65, 999)]
    assert [visit.visit for visit in visits if visit] == ["W00", "W00", "W06", "W06", "W12", "W12"]


def test_the_day_before_the_first_dose_is_one_day_away_from_it():
    # -2, -1, 1, 2: neighbours, as there is no day 0.
    assert [days_between(day, 1) for day in (-2, -1, 1, 2)] == [-2, -1, 0, 1]


def test_the_draw_nearest_to_the_target_day_answers():
    early, near = record("a", 20), record("b", 45)
    assert answering([early, near]) is near
    assert reason_not_chosen(early, near) == "FARTHER_FROM_TARGET"


def test_of_two_equally_near_draws_the_later_answers():
    before = record("b", 41, collected="2024-04-10")
    after = record("a", 45, collected="2024-04-14")
    assert answering([after, before]) is after
    assert reason_not_chosen(before, after) == "EARLIER"


def test_of_two_draws_at_one_time_the_higher_repeat_answers():
    # R10 comes after R2: numbers in an id are numbers.
    second, tenth = record("S1.W06.R2", 43), record("S1.W06.R10", 43)
    assert answering([tenth, second]) is tenth
    assert reason_not_chosen(second, tenth) == "LOWER_REPEAT"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"has_value": False, "status": Status.NOT_DONE}, "NO_VALUE"),
        ({"status": Status.FAIL}, "QC_FAILED"),
        ({"visit": None}, "OUTSIDE_WINDOW"),
    ],
)
def test_what_has_no_value_or_failed_or_lies_in_no_window_never_answers(
    change: dict[str, object], reason: str
):
    near = replace(record("a", 43), **change)
    far = record("b", 60)
    assert answering([near, far]) is far
    assert answering([near]) is None
    assert reason_not_chosen(near, far) == reason


def test_a_warned_value_answers_like_any_other():
    near = replace(record("a", 43), status=Status.WARN)
    assert answering([near, record("b", 60)]) is near


def test_at_baseline_the_last_draw_before_the_first_dose_answers_and_not_the_nearest_to_the_target():
    # Target day -7: the draw on day -7 is on target, that of day -1 is the last before the first dose.
    screening = Visit("BL", 0, -7, None, 1, baseline=True)
    on_target = record("a", -7, visit=screening, collected="2024-01-01")
    last = record("b", -1, visit=screening, collected="2024-01-07")
    assert answering([on_target, last]) is last
    assert reason_not_chosen(on_target, last) == "EARLIER"


def test_a_draw_after_the_first_dose_is_no_baseline_though_it_is_on_the_same_day():
    after = replace(record("a", 1, visit=W00), after_first_dose=True)
    assert answering([after]) is None
    assert reason_not_chosen(after, None) == "AFTER_FIRST_DOSE"


def test_changes_are_counted_from_the_last_visit_before_the_first_dose_if_the_baseline_visit_is_missing():
    screening = Visit("SCR", 0, -14, -28, -8)
    early = record("a", -14, visit=screening, collected="2024-01-01")
    treated = replace(record("c", 43, collected="2024-02-27"), after_first_dose=True)
    assert baseline([early, treated]) is early
    at_visit = record("b", 1, visit=W00, collected="2024-01-15")
    assert baseline([early, at_visit, treated]) is at_visit
    assert baseline([treated]) is None


def test_time_of_day_decides_on_the_day_of_the_first_dose():
    assert is_after("2024-01-08T10:00", "2024-01-08T09:00", same_day_is_before=True)
    assert not is_after("2024-01-08T08:00", "2024-01-08T09:00", same_day_is_before=False)
    assert not is_after("2024-01-08", "2024-01-08T09:00", same_day_is_before=True)
    assert is_after("2024-01-08", "2024-01-08T09:00", same_day_is_before=False)


def test_hours_are_told_across_midnight_and_zones_and_not_guessed_from_dates():
    assert hours_between("2024-01-08T23:00", "2024-01-09T01:30") == 2.5
    assert hours_between("2024-01-08T10:00+02:00", "2024-01-08T08:00Z") == 0.0
    assert hours_between("2024-01-08", "2024-01-09T01:30") is None
