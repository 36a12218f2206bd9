"""Study days, windows and the choice among draws."""

from __future__ import annotations

from cytotrial.science.endpoints import Candidate, answering, study_day, visit_of_day
from cytotrial.terms import Visit

VISITS = (
    Visit("W00", 0, 1, None, 1, baseline=True),
    Visit("W06", 6, 43, 2, 64),
    Visit("W12", 12, 85, 65, None),
)


def test_the_day_of_the_first_dose_is_day_1_and_there_is_no_day_0():
    assert [study_day(day, "2024-03-01") for day in ("2024-02-29", "2024-03-01", "2024-03-02")] == [-1, 1, 2]


def test_a_draw_without_date_has_no_study_day():
    assert study_day("", "2024-03-01") is None


def test_windows_hold_both_their_ends():
    visits = [visit_of_day(day, VISITS) for day in (-100, 1, 2, 64, 65, 999)]
    assert [visit.visit for visit in visits if visit] == ["W00", "W00", "W06", "W06", "W12", "W12"]


def test_a_draw_that_failed_does_not_answer_though_it_was_nearer():
    near = Candidate("a", n_values=0, n_failed=7, day=43)
    far = Candidate("b", n_values=7, n_failed=0, day=60)
    assert answering([near, far], target_day=43) is far


def test_the_draw_nearest_to_the_target_day_answers():
    early, near = Candidate("a", 7, 0, 20), Candidate("b", 7, 0, 45)
    assert answering([early, near], target_day=43) is near


def test_a_draw_with_more_values_answers_before_a_nearer_one():
    whole, near = Candidate("a", 7, 0, 50), Candidate("b", 5, 2, 43)
    assert answering([whole, near], target_day=43) is whole


def test_of_two_equally_near_draws_the_later_answers():
    before = Candidate("a", 7, 0, 41, "2024-04-10")
    after = Candidate("b", 7, 0, 45, "2024-04-14")
    assert answering([after, before], target_day=43) is after
