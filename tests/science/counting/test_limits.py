"""What so many events allow to be said, and which values deserve a look."""

from __future__ import annotations

import pytest

from cytotrial.science.counting import (
    TYPICAL,
    detection,
    events_above_background,
    frequency,
    is_implausible,
    subtract_background,
)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (0, "NOT DETECTED"),
        (19, "NOT DETECTED"),
        (20, "DETECTED, NOT QUANTIFIABLE"),
        (49, "DETECTED, NOT QUANTIFIABLE"),
        (50, "QUANTIFIABLE"),
    ],
)
def test_twenty_events_are_a_population_and_fifty_are_a_number(events: int, said: str):
    assert detection(events, lod_events=20, lloq_events=50) == said


def test_background_is_taken_off_in_events_of_the_stimulated_tube():
    # 17 of 10,000 unstimulated are 34 of 20,000: 240 − 34 = 206.
    net = subtract_background(frequency(240, 20_000), frequency(17, 10_000))
    assert events_above_background(net) == pytest.approx(206.0)
    assert events_above_background(frequency(240, 20_000)) == 240


def test_what_patients_with_lupus_had_is_plausible_and_a_tenth_of_the_healthy_is_not():
    # Published medians: Treg 12.98 → 22.1 per µL, Th17/Treg 0.44 → 0.29.
    for code, values in {"TREGABS": (12.98, 22.1), "TH17TREG": (0.44, 0.29)}.items():
        assert not any(is_implausible(value, typical=TYPICAL[code]) for value in values)
    assert is_implausible(1.2, typical=TYPICAL["TREGABS"])
    assert is_implausible(0.0, typical=TYPICAL["CD4ABS"])
