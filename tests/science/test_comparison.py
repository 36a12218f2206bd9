"""Two runs held against each other: pairs, moves, conclusions and the tubes that moved most."""

from __future__ import annotations

import math
from typing import Any

from cytotrial.science.comparison import (
    compare_populations,
    compare_values,
    compare_visits,
    lineage,
    moved_most,
    summarise_moves,
)
from cytotrial.terms import BooleanGate, Dimension, RectangleGate

NAN = float("nan")


def value(
    number: str, *, subject: str = "S1", visit: str = "W0", specimen: str = "D1", status: str = "OK"
) -> dict[str, str]:
    return {
        "parameter": "TREGPCD4",
        "unit": "%",
        "subject": subject,
        "visit": visit,
        "specimen": specimen,
        "value": number,
        "status": status,
        "flags": "",
    }


def test_a_value_is_paired_with_the_one_of_the_same_subject_and_visit():
    (row,) = compare_values([value("4")], [value("5")])
    assert (row["old"], row["new"], row["difference"], row["ratio"]) == (4, 5, 1, 1.25)
    assert row["outcome"] == "moved"


def test_equal_values_are_the_same_and_the_last_digit_is_a_move():
    assert compare_values([value("0.1")], [value("0.1")])[0]["outcome"] == "same"
    assert compare_values([value("0.1")], [value("0.10000000000000002")])[0]["outcome"] == "moved"


def test_another_draw_that_answers_for_the_visit_is_still_the_visits_value():
    (row,) = compare_values([value("4", specimen="D1")], [value("5", specimen="D2")])
    assert (row["old_specimen"], row["new_specimen"], row["difference"]) == ("D1", "D2", 1)


def test_several_draws_of_a_visit_are_paired_draw_by_draw():
    old = [value("4", visit="UNSCHEDULED", specimen="D1"), value("6", visit="UNSCHEDULED", specimen="D2")]
    new = [value("7", visit="UNSCHEDULED", specimen="D2"), value("4", visit="UNSCHEDULED", specimen="D1")]
    rows = compare_values(old, new)
    assert [(row["new_specimen"], row["difference"]) for row in rows] == [("D1", 0), ("D2", 1)]


def test_what_one_run_has_and_the_other_not_is_told_and_not_zero():
    old = [
        value("4"),
        value("", subject="S2"),
        value("", subject="S3", status="FAIL"),
        value("1", subject="S4"),
    ]
    new = [value(""), value("3", subject="S2"), value("", subject="S3"), value("9", subject="S5")]
    outcomes = {row["subject"]: row["outcome"] for row in compare_values(old, new)}
    assert outcomes == {
        "S1": "lost",
        "S2": "gained",
        "S3": "missing",
        "S4": "not in both",
        "S5": "not in both",
    }
    assert math.isnan(compare_values(old, new)[0]["difference"])


def test_the_summary_of_moves_is_bland_and_altmans():
    # Differences 1, 2, 3: mean 2, SD 1; S4 is lost and enters neither.
    old = [value(str(v), subject=f"S{v}") for v in (1, 2, 3, 4)]
    new = [value(str(2 * v) if v < 4 else "", subject=f"S{v}") for v in (1, 2, 3, 4)]
    (row,) = summarise_moves(compare_values(old, new), ("parameter", "unit"))
    assert (row["n_pairs"], row["n_moved"], row["n_lost"], row["bias"], row["sd"]) == (3, 3, 1, 2, 1)
    assert round(row["upper_limit"], 2) == 3.96
    assert (round(row["ratio"], 9), round(row["ratio_upper_limit"], 9)) == (2, 2)
    assert row["largest_difference"] == 3


def visit(median: float, hl: float, p: float, p_holm: float, name: str = "W24") -> dict[str, Any]:
    return {
        "parameter": "TREGABS",
        "unit": "10^6/L",
        "visit": name,
        "n": 10,
        "median": median,
        "hl": hl,
        "p": p,
        "p_holm": p_holm,
    }


def test_a_p_value_that_passes_five_per_cent_is_a_conclusion_that_moves():
    (row,) = compare_visits([visit(13, 2, 0.02, 0.06)], [visit(14, 3, 0.08, 0.24)])
    assert row["conclusion"] == "P below 0.05 → 0.05 or above"
    assert (row["median_difference"], round(row["median_ratio"], 4)) == (1, 1.0769)


def test_a_change_that_turns_round_is_a_conclusion_that_moves():
    (row,) = compare_visits([visit(13, 2, 0.2, 0.4)], [visit(12, -1, 0.3, 0.6)])
    assert row["conclusion"] == "direction up → down"


def test_a_p_value_that_stays_on_its_side_moves_no_conclusion():
    (row,) = compare_visits([visit(13, 2, 0.0499, 0.0499)], [visit(14, 3, 0.0001, 0.0003)])
    assert row["conclusion"] == ""


def test_a_baseline_has_no_conclusion_and_a_test_that_can_no_longer_be_made_is_one():
    (baseline,) = compare_visits([visit(13, NAN, NAN, NAN, "W0")], [visit(14, NAN, NAN, NAN, "W0")])
    assert baseline["conclusion"] == ""
    (lost,) = compare_visits([visit(13, 2, 0.01, 0.03)], [visit(14, NAN, NAN, NAN)])
    assert lost["conclusion"].startswith("direction up → unknown; P below 0.05 → none")


def population(sample_id: str, name: str, events: str) -> dict[str, str]:
    return {
        "panel": "treg",
        "sample_id": sample_id,
        "population": name,
        "parent": "CD4+",
        "events": events,
        "parent_events": "1000",
        "percent_of_parent": str(float(events) / 10) if events else "",
        "status": "OK",
    }


def test_the_tubes_that_moved_most_come_first_each_with_its_population():
    old = [population("T1", "Treg", "100"), population("T1", "CD25+", "200"), population("T2", "Treg", "100")]
    new = [population("T1", "Treg", "110"), population("T1", "CD25+", "300"), population("T2", "Treg", "50")]
    rows = compare_populations(old, new)
    most = moved_most(rows, least_events=20, n_tubes=5)
    assert [(row["sample_id"], row["population"]) for row in most] == [("T2", "Treg"), ("T1", "CD25+")]
    assert round(most[0]["factor"], 2) == 0.50


def test_few_events_and_tubes_that_did_not_move_or_lost_a_gate_are_not_among_them():
    old = [population("T1", "Treg", "3"), population("T2", "Treg", "90"), population("T3", "Treg", "90")]
    new = [population("T1", "Treg", "9"), population("T2", "Treg", "90"), population("T3", "Treg", "")]
    assert moved_most(compare_populations(old, new), least_events=20, n_tubes=5) == []


def test_a_population_rests_on_its_parents_and_on_what_its_boolean_gate_joins():
    cut = RectangleGate((Dimension("CD4"),), (0.5,), (None,))
    both = BooleanGate("and", (("CD25+", False), ("FOXP3+", False)))
    gates = {
        "CD4+": ("T cells", cut),
        "CD25+": ("CD4+", cut),
        "FOXP3+": ("CD4+", cut),
        "Treg": ("CD4+", both),
        "B cells": ("root", cut),
    }
    assert lineage("Treg", gates) == ["Treg", "CD25+", "FOXP3+", "CD4+"]
