"""Days, visits and the first dose."""

from __future__ import annotations

from datetime import datetime

import pytest

from cytotrial.science.cdisc.timing import (
    DrawTime,
    as_datetime,
    is_before_dose,
    last_of_each,
    visits_of_draws,
)
from tests.science.cdisc.rows import VISITS


def numbers(*draws: DrawTime) -> dict[str, tuple[float, str]]:
    return {name: (visit.number, visit.name) for name, visit in visits_of_draws(draws, VISITS).items()}


def test_an_unscheduled_draw_is_numbered_after_the_visit_before_it():
    found = numbers(
        DrawTime("S1", "a", "W00", "2024-01-08"),
        DrawTime("S1", "b", "W06", "2024-02-19"),
        DrawTime("S1", "c", "UNSCHEDULED", "2024-02-25"),
        DrawTime("S1", "d", "UNSCHEDULED", "2024-03-01"),
        DrawTime("S1", "e", "W12", "2024-04-01"),
    )
    assert found == {
        "a": (1, "W00"),
        "b": (2, "W06"),
        "c": (2.1, "UNSCHEDULED 2.1"),
        "d": (2.2, "UNSCHEDULED 2.2"),
        "e": (3, "W12"),
    }


def test_an_unscheduled_draw_before_any_visit_comes_before_the_first_visit():
    found = numbers(
        DrawTime("S1", "a", "UNSCHEDULED", "2023-12-01"), DrawTime("S1", "b", "W00", "2024-01-08")
    )
    assert found["a"] == (0.1, "UNSCHEDULED 0.1")


def test_another_subjects_visits_do_not_count():
    found = numbers(
        DrawTime("S1", "a", "W12", "2024-01-01"), DrawTime("S2", "b", "UNSCHEDULED", "2024-02-01")
    )
    assert found["b"][0] == 0.1


def test_twelve_unscheduled_draws_stay_below_the_next_visit():
    draws = [DrawTime("S1", f"u{n:02}", "UNSCHEDULED", f"2024-01-{n + 10}") for n in range(12)]
    found = numbers(DrawTime("S1", "a", "W00", "2024-01-08"), *draws)
    values = [found[draw.specimen][0] for draw in draws]
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (1.01, 1.12)


@pytest.mark.parametrize(
    ("collected", "first_dose", "same_day", "before"),
    [
        ("2024-01-07", "2024-01-08", False, True),
        ("2024-01-08T09:50", "2024-01-08T09:00", True, False),
        ("2024-01-08T09:00", "2024-01-08T09:00", False, True),
        ("2024-01-08T09:50", "2024-01-08", True, True),
        ("2024-01-08T09:50", "2024-01-08", False, False),
        ("", "2024-01-08", True, False),
        ("2024-01-08", "", True, False),
    ],
)
def test_before_the_first_dose(collected: str, first_dose: str, same_day: bool, before: bool):
    assert is_before_dose(collected, first_dose, same_day_is_before=same_day) is before


def test_a_date_without_a_time_gets_none():
    assert as_datetime("2024-01-08") is None
    assert as_datetime("2024-01-08T09:50+08:00") == datetime(2024, 1, 8, 9, 50)


def test_of_two_rows_at_the_same_time_the_later_one_in_order_is_the_last():
    rows = [{"k": "a", "t": 1}, {"k": "a", "t": 2}, {"k": "a", "t": 2}, {"k": "b", "t": 9}]
    chosen = last_of_each(rows, group=lambda r: r["k"], order=lambda r: r["t"], among=lambda r: r["t"] < 9)
    assert chosen == {2}
