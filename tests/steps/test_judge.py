"""Doubts that only the whole trial can tell, on tables as gating writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cytotrial.science.bounds import ControlTail
from cytotrial.science.doubt import Limits
from cytotrial.settings import Percent
from cytotrial.steps.bounds import beside_controls
from cytotrial.steps.cohort import Cohort, read_cohort
from cytotrial.steps.judge import Judged, carried, judge_gates, reported_of, yardsticks_of
from cytotrial.steps.qc_donor import alarms_of, follow_donor
from cytotrial.terms import Role, Tube

LIMITS = Limits(0.04, 0.06, 3.0, 1.3, 0.85, 50, 200)
AXIS = {
    "channel": "APC-A",
    "matrix": "tube",
    "transform": {"kind": "logicle", "t": 262144, "w": 0.5, "m": 4.5, "a": 0},
}
PARAMETERS = {"TREGPCD4": Percent(kind="percent", panel="treg", population="Treg", of="CD4+")}


def tube(
    name: str, *, batch: str = "B1", subject: str = "S1", role: Role = Role.SAMPLE, marker: str = ""
) -> Tube:
    return Tube(name, f"{name}.fcs", "treg", role, batch, subject=subject, control_for=marker)


def threshold(cut: float) -> dict[str, Any]:
    return {"type": "rectangle", "dimensions": [AXIS], "low": [cut], "high": [None]}


def gates_of(
    name: str, *, cd4: float = 0.5, foxp3: float = 0.4, disagreement: float | None = 0.0, depth: float = 0.5
) -> list[dict[str, str]]:
    """CD4+ at a valley, FOXP3+ and CD25+ within it, and Treg of both."""

    def row(population: str, parent: str, gate: dict[str, Any], **cells: object) -> dict[str, str]:
        empty = dict.fromkeys(
            ("position", "batch_position", "confidence", "similarity", "disagreement", "flags", "control"), ""
        )
        filled = {key: "" if value is None else str(value) for key, value in cells.items()}
        return {
            **empty,
            "sample_id": name,
            "population": population,
            "parent": parent,
            "gate": json.dumps(gate),
            **filled,
        }

    both = {"type": "boolean", "operator": "and", "operands": [["FOXP3+", False], ["CD25+", False]]}
    return [
        row("CD4+", "root", threshold(cd4), position=cd4, confidence=depth, similarity=0.95),
        row("FOXP3+", "CD4+", threshold(foxp3), position=foxp3, disagreement=disagreement),
        row("CD25+", "CD4+", threshold(0.3), position=0.3),
        row("Treg", "CD4+", both),
    ]


def counts_of(name: str, *, cd4: int = 5000, treg: int = 250) -> list[dict[str, str]]:
    numbers = {
        "CD4+": (cd4, 9000),
        "FOXP3+": (treg + 100, cd4),
        "CD25+": (treg + 300, cd4),
        "Treg": (treg, cd4),
    }
    return [
        {
            "sample_id": name,
            "population": population,
            "events": str(events),
            "parent_events": str(parent),
            "median_intensities": "FOXP3=900.0|CD25=400.0",
        }
        for population, (events, parent) in numbers.items()
    ]


def cohort_of(
    tubes: Mapping[Tube, tuple[list[dict[str, str]], list[dict[str, str]]]], donors: tuple[str, ...] = ()
) -> Cohort:
    gates = [row for rows, _ in tubes.values() for row in rows]
    counts = [row for _, rows in tubes.values() for row in rows]
    return read_cohort(gates, counts, tubes, donors)


def ordinary(n: int = 9) -> dict[Tube, tuple[list[dict[str, str]], list[dict[str, str]]]]:
    """Tubes of one batch that differ a little, as tubes do."""
    return {
        tube(f"T{i}"): (gates_of(f"T{i}", foxp3=0.4 + 0.002 * (i - 4)), counts_of(f"T{i}", treg=240 + 5 * i))
        for i in range(n)
    }


def judged(cohort: Cohort) -> dict[tuple[str, str], Judged]:
    reported = reported_of(SimpleNamespace(parameters=PARAMETERS), cohort)  # type: ignore[arg-type]
    entries = judge_gates(cohort, yardsticks_of(cohort, reported), reported, LIMITS)
    return {entry.key: entry for entry in entries}


def flags_with(**doubtful: Any) -> dict[str, tuple[str, ...]]:
    """Population → doubts about it, of one tube among ordinary ones, with those it inherits."""
    gates = {key: doubtful.pop(key) for key in ("cd4", "foxp3", "disagreement", "depth") if key in doubtful}
    counts = {"cd4": doubtful["cd4_events"]} if "cd4_events" in doubtful else {}
    counts |= {"treg": doubtful["treg"]} if "treg" in doubtful else {}
    cohort = cohort_of({**ordinary(), tube("X"): (gates_of("X", **gates), counts_of("X", **counts))})
    laid = carried(judged(cohort).values())
    return {population: flags for (name, population), flags in laid.items() if name == "X"}


def test_an_ordinary_tube_is_not_doubted():
    assert set(flags_with().values()) == {()}


def test_a_gate_far_from_its_batch_is_doubted_with_all_that_rests_on_it():
    flags = flags_with(foxp3=0.46)
    assert flags["FOXP3+"] == flags["Treg"] == ("FAR_FROM_BATCH:FOXP3+",)
    assert flags["CD25+"] == flags["CD4+"] == ()


def test_a_gate_above_the_reported_ones_may_lie_a_little_farther():
    assert flags_with(cd4=0.555)["CD4+"] == ()
    assert flags_with(cd4=0.565)["Treg"] == ("FAR_FROM_BATCH:CD4+",)


def test_where_a_cut_lies_in_an_empty_valley_does_not_matter():
    assert flags_with(cd4=0.6, depth=0.97)["CD4+"] == ()


def test_a_percentage_unlike_the_cohorts_is_doubted_itself_and_nothing_else():
    flags = flags_with(treg=2500)
    assert flags["Treg"] == ("COHORT_OUTLIER:Treg",)
    assert flags["FOXP3+"] == ()


def test_two_methods_that_disagree_are_a_doubt_and_two_that_nearly_agree_are_none():
    assert flags_with(disagreement=-0.4)["Treg"] == ("METHODS_DISAGREE:FOXP3+",)
    assert flags_with(disagreement=0.2)["Treg"] == ()


def test_too_few_cells_of_the_parent_are_a_doubt_of_the_gates_drawn_on_them():
    flags = flags_with(cd4_events=150, treg=60)
    assert "FEW_PARENTS:FOXP3+" in flags["Treg"]
    assert "FEW_PARENTS:Treg" not in flags["Treg"]


def test_few_cells_of_a_reported_population_are_a_doubt_of_its_number():
    assert "FEW_POSITIVES:Treg" in flags_with(treg=40)["Treg"]


def test_the_most_doubtful_tube_has_the_highest_score():
    cohort = cohort_of({**ordinary(), tube("X"): (gates_of("X", foxp3=0.47), counts_of("X"))})
    scores = {
        name: entry.score for (name, population), entry in judged(cohort).items() if population == "FOXP3+"
    }
    assert max(scores, key=lambda name: scores[name]) == "X"
    assert 0 <= min(scores.values()) <= max(scores.values()) <= 1


def test_a_donor_of_quality_control_is_judged_by_the_cohort_and_is_no_part_of_it():
    donor = tube("Q", subject="QC01")
    tubes = {**ordinary(), donor: (gates_of("Q", foxp3=0.6), counts_of("Q"))}
    with_donor = cohort_of(tubes, ("QC01",))
    assert ("Q", "FOXP3+") in judged(with_donor)
    reported = reported_of(SimpleNamespace(parameters=PARAMETERS), with_donor)  # type: ignore[arg-type]
    without = yardsticks_of(cohort_of(ordinary()), reported)
    assert vars(yardsticks_of(with_donor, reported)) == vars(without)


def test_a_control_is_judged_by_nobody():
    fmo = tube("C", subject="", role=Role.FMO, marker="FOXP3")
    assert not [
        key
        for key in judged(cohort_of({**ordinary(), fmo: (gates_of("C"), counts_of("C"))}))
        if key[0] == "C"
    ]


# Bounds and background


def beside(cut: float, *, batch: str = "B1") -> Any:
    cohort = cohort_of({tube("X"): (gates_of("X", foxp3=cut), counts_of("X"))})
    values = np.linspace(0.5, 0.3, 200)
    tails = {"C": [ControlTail("FOXP3+", 1000, 0.42, (), 1, values)]}
    tubes = {"X": tube("X"), "C": tube("C", batch=batch, subject="", role=Role.FMO, marker="FOXP3")}
    return beside_controls(cohort.gates, tails, tubes, {"X": "2024-01-10", "C": "2024-01-20"}).get(
        ("X", "FOXP3+")
    )


def test_a_cut_below_the_fmos_bound_is_flagged_and_one_above_is_not():
    assert beside(0.41).flags == ("BELOW_FMO_BOUND",)
    assert beside(0.43).flags == ()


def test_the_background_is_the_share_of_the_fmos_parent_above_the_cut_and_its_pairing_is_told():
    # 200 values from 0.3 to 0.5 are the highest fifth of 1000: half of them, 10 %, lie above 0.4.
    assert beside(0.4).background_percent == pytest.approx(10.0)
    assert beside(0.4).controls == ("C:batch",)
    assert beside(0.4, batch="B7").controls == ("C:nearest",)


# The quality-control donor


def donors(percents: list[int], cuts: list[float]) -> Cohort:
    tubes = {
        tube(f"Q{i}", batch=f"B{i}", subject="QC01"): (
            gates_of(f"Q{i}", foxp3=cut),
            counts_of(f"Q{i}", treg=treg),
        )
        for i, (treg, cut) in enumerate(zip(percents, cuts, strict=True))
    }
    return cohort_of(tubes, ("QC01",))


def followed(cohort: Cohort) -> Any:
    reported = reported_of(SimpleNamespace(parameters=PARAMETERS), cohort)  # type: ignore[arg-type]
    acquired = {f"Q{i}": f"2024-01-{10 + i}T09:00" for i in range(10)}
    markers = {("treg", "FOXP3+"): "FOXP3", ("treg", "CD25+"): "CD25", ("treg", "CD4+"): "CD4"}
    return follow_donor(cohort, reported, ("QC01",), acquired, markers, establishing=5)


STEADY = [250, 255, 245, 252, 248, 251, 249]
CUTS = [0.40, 0.41, 0.39, 0.405, 0.395, 0.40, 0.41]


def test_the_donors_percentage_gates_and_intensities_are_followed_and_a_steady_one_is_no_alarm():
    series = followed(donors(STEADY, CUTS))
    assert {one.measure for one in series} == {
        "percent", "position FOXP3+", "median FOXP3", "position CD25+", "median CD25",
    }  # fmt: skip
    assert alarms_of(series) == {}


def test_a_batch_in_which_the_donor_has_another_percentage_is_an_alarm_for_that_batch_alone():
    found = alarms_of(followed(donors([*STEADY[:-1], 400], CUTS)))
    assert found == {("treg", "B6", "Treg"): ("QC_DONOR:1-3s:percent",)}


def test_a_batch_in_which_the_donors_gate_lies_elsewhere_is_an_alarm():
    found = alarms_of(followed(donors(STEADY, [*CUTS[:-1], 0.5])))
    assert found == {("treg", "B6", "Treg"): ("QC_DONOR:1-3s:position_FOXP3+",)}
