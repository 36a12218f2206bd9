"""Every value that rests on a gate placed by hand is marked, and told as it would be without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cytotrial.steps.count import UNITS
from cytotrial.steps.draws import Draw, Value
from cytotrial.steps.values import values_of
from cytotrial.steps.values_by_hand import Overrides, changes_of, marked, rests_on_hand
from tests.steps.test_values import SETTINGS, draw, populations

APPLIED = {"override_id": "R1", "sample_id": "r", "population": "Treg", "outcome": "applied"}
AUTOMATIC = {"r": populations(**{"CD4+": 20_000, "Treg": 507})}
REST_ON_TREG = {"TREGPCD4", "TREGABS", "TH17TREG"}


def by_hand(events: int | None, *, flag: str = "OVERRIDE:Treg", reason: str = "") -> Draw:
    """The worked example of test_values; a person moved the Treg gate, or took the population out."""
    rows = populations(**{"CD4+": 20_000, "Treg": events})
    treg = rows["Treg"] | {"flags": flag, "reason": reason}
    return draw(r={**rows, "Treg": treg})


def values_and_changes(gated: Draw) -> tuple[dict[str, Value], list[dict[str, object]]]:
    overrides = Overrides(AUTOMATIC, [APPLIED])
    without = overrides.without(gated, SETTINGS)
    values = {code: marked(value, without.get(code)) for code, value in values_of(gated, SETTINGS).items()}
    return values, [dict(row) for row in changes_of(gated, values, without, overrides.applied, UNITS)]


def test_every_value_that_rests_on_a_moved_gate_is_marked_and_no_other():
    values, _ = values_and_changes(by_hand(400))
    assert {code for code, value in values.items() if rests_on_hand(value)} == REST_ON_TREG


def test_a_value_before_is_that_of_the_automatic_gates():
    _, changes = values_and_changes(by_hand(400))
    (percent,) = [row for row in changes if row["parameter"] == "TREGPCD4"]
    # 507 and 400 of 20,000 CD4+.
    assert percent["value_before"] == pytest.approx(2.535)
    assert percent["value_after"] == pytest.approx(2.0)
    assert (percent["events_before"], percent["events_after"]) == (507, 400)
    assert {row["parameter"] for row in changes} == REST_ON_TREG


def test_a_population_that_was_taken_out_holds_its_values_back_and_marks_them():
    reason = "excluded by hand: STAINING, no FOXP3 in this tube (R1)"
    values, changes = values_and_changes(by_hand(None, flag="GATE_MISSING", reason=reason))
    assert {code for code, value in values.items() if rests_on_hand(value)} == REST_ON_TREG
    assert all(values[code].count is None for code in REST_ON_TREG)
    (percent,) = [row for row in changes if row["parameter"] == "TREGPCD4"]
    assert (percent["value_before"], percent["value_after"]) == (pytest.approx(2.535), None)


def test_a_value_held_back_for_another_reason_is_marked_too():
    values, changes = values_and_changes(by_hand(None, flag="", reason="held back: FEW_PARENTS:CD25+"))
    assert values["TREGPCD4"].flags[-1] == "OVERRIDE"
    assert {row["parameter"] for row in changes} == REST_ON_TREG


def test_an_override_that_is_not_applied_marks_nothing():
    stale = by_hand(507, flag="STALE_OVERRIDE:Treg")
    values = values_of(stale, SETTINGS)
    assert not any(rests_on_hand(value) for value in values.values())


def test_a_gate_by_hand_in_the_unstimulated_tube_marks_what_is_net_of_it():
    whole = draw()
    rows = whole.populations["u"]
    gated = replace(
        whole,
        populations={
            **whole.populations,
            "u": {**rows, "Th17": {**rows["Th17"], "flags": "OVERRIDE:Th17"}},
        },
    )
    marked_ones = {code for code, value in values_of(gated, SETTINGS).items() if rests_on_hand(value)}
    assert marked_ones == {"TH17PCD4", "TH17ABS", "TH17TREG"}
