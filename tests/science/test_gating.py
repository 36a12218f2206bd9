"""Gating of a whole tube: trees, controls, fallbacks, and gates borrowed from the draw's sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cytotrial.science.batches import Batch
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import StainedTube, count_populations, gate_control, gate_tube
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    Events,
    Find,
    GatingStrategy,
    Instead,
    PlacedGate,
    Population,
    RectangleGate,
)

CD4, IL17 = Dimension("CD4"), Dimension("IL-17A")
CHANNELS = {"CD4": "FITC-A", "IL-17A": "PE-A"}


def tube(sample_id: str, cd4: np.ndarray, il17: np.ndarray, *, keep: np.ndarray | None = None) -> StainedTube:
    values = np.stack([cd4, il17]).astype(np.float32)
    events = TubeEvents(Events(values, ("FITC-A", "PE-A")))
    return StainedTube(sample_id, events, CHANNELS, np.ones(cd4.size, bool) if keep is None else keep)


def strategy(*populations: Population) -> GatingStrategy:
    return GatingStrategy("test", "1.0.0", "test.yaml", populations)


CD4_POSITIVE = Population("CD4+", "root", gate=RectangleGate((CD4,), (100.0,), (None,)))


def test_a_child_is_counted_within_its_parent():
    # Four events; two are CD4+, one of which is also above 10 in IL-17A; a CD4- event is too.
    stained = tube("t", np.array([200.0, 200, 0, 0]), np.array([50.0, 0, 50, 0]))
    child = Population("Th17", "CD4+", gate=RectangleGate((IL17,), (10.0,), (None,)))
    rows = count_populations(
        strategy(CD4_POSITIVE, child), gate_tube(strategy(CD4_POSITIVE, child), stained, controls={})
    )
    assert [(row.population, row.events, row.parent_events) for row in rows] == [
        ("root", 4, None),
        ("CD4+", 2, 4),
        ("Th17", 1, 2),
    ]


def test_events_of_unsteady_acquisition_are_in_no_population():
    stained = tube("t", np.array([200.0, 200]), np.zeros(2), keep=np.array([True, False]))
    gated = gate_tube(strategy(CD4_POSITIVE), stained, controls={})
    assert [row.events for row in count_populations(strategy(CD4_POSITIVE), gated)] == [1, 1]


def test_an_event_on_the_lower_limit_is_inside_and_on_the_upper_limit_is_not():
    stained = tube("t", np.array([99.999, 100, 150, 200]), np.zeros(4))
    band = Population("band", "root", gate=RectangleGate((CD4,), (100.0,), (200.0,)))
    assert gate_tube(strategy(band), stained, controls={}).events_of("band") == 2


def test_a_gate_that_cannot_be_placed_is_missing_with_its_descendants_and_not_zero():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    lost = Population("CD4+", "root", find=Find("density_minimum", (CD4,), {"bounds": (0.9, 1.0)}))
    child = Population("Th17", "CD4+", gate=RectangleGate((IL17,), (10.0,), (None,)))
    rows = count_populations(strategy(lost, child), gate_tube(strategy(lost, child), stained, controls={}))
    assert [(row.population, row.events) for row in rows[1:]] == [("CD4+", None), ("Th17", None)]
    assert "no valley" in rows[1].reason
    assert rows[2].reason == rows[1].reason
    assert rows[1].flags == ("GATE_MISSING",)


def test_the_fallback_answers_and_is_flagged():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    find = Find("density_minimum", (CD4,), {"bounds": (0.9, 1.0)}, fallback=0.5)
    gated = gate_tube(strategy(Population("CD4+", "root", find=find)), stained, controls={})
    (gate,) = gated.placed
    assert gate.gate == RectangleGate((Dimension("FITC-A"),), (0.5,), (None,))
    assert gate.flags == ("GATE_FALLBACK",)


def test_too_few_parent_events_bring_in_the_fallback():
    stained = tube("t", np.linspace(0, 1, 99), np.zeros(99))
    find = Find("negative_offset", (CD4,), {"offset": 0.1}, fallback=0.7, min_events=100)
    gated = gate_tube(strategy(Population("CD4+", "root", find=find)), stained, controls={})
    assert gated.placed[0].flags == ("GATE_FALLBACK",)


NO_VALLEY = {"bounds": (0.9, 1.0)}


def test_finders_answer_in_turn_until_one_can_and_the_answer_is_flagged():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    last = Find("negative_offset", (CD4,), {"offset": 0.25}, fallback=0.9)
    second = Find("density_minimum", (CD4,), NO_VALLEY, fallback=last)
    find = Find("density_minimum", (CD4,), NO_VALLEY, fallback=second)
    (gate,) = gate_tube(strategy(Population("CD4+", "root", find=find)), stained, controls={}).placed
    assert gate.flags == ("GATE_FALLBACK",)
    assert gate.gate.low[0] == pytest.approx(0.75, abs=0.05)


def test_where_no_finder_in_the_row_can_answer_each_reason_is_told():
    stained = tube("t", np.linspace(0, 1, 20), np.zeros(20))
    find = Find(
        "density_minimum", (CD4,), NO_VALLEY, fallback=Find("negative_offset", (CD4,), {"offset": 0.1})
    )
    reason = gate_tube(strategy(Population("CD4+", "root", find=find)), stained, controls={}).missing["CD4+"]
    assert "no valley" in reason
    assert "20 events in the parent" in reason


def without_a_reference() -> Find:
    """A finder that has no constants but those of reference tubes, and one in its place."""
    return Find("reference_valley", (CD4,), fallback=Find("negative_offset", (CD4,), {"offset": 0.25}))


def test_a_finder_that_only_lacks_a_reference_which_nobody_has_made_leaves_no_flag():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    tree = strategy(Population("CD4+", "root", find=without_a_reference()))
    assert gate_tube(tree, stained, controls={}).placed[0].flags == ()


def test_a_finder_that_the_panels_reference_did_not_teach_is_a_flagged_fallback():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    tree = replace(strategy(Population("CD4+", "root", find=without_a_reference())), reference="2024-01-01+0")
    assert gate_tube(tree, stained, controls={}).placed[0].flags == ("GATE_FALLBACK",)


def test_a_second_finders_disagreement_is_told_and_moves_nothing():
    stained = tube("t", np.random.default_rng(0).normal(0.5, 0.1, 1000), np.zeros(1000))
    first = Find("negative_offset", (CD4,), {"offset": 0.1})
    beside = replace(first, second=Find("negative_offset", (CD4,), {"offset": 0.2}))
    alone, judged = (
        gate_tube(strategy(Population("CD4+", "root", find=find)), stained, controls={})
        for find in (first, beside)
    )
    assert alone.placed[0].gate == judged.placed[0].gate
    mode = judged.placed[0].gate.low[0] - 0.1
    values = stained.events.axes((Dimension("FITC-A"),), stained.keep)[0]
    expected = np.log((np.sum(values >= mode + 0.2) + 0.5) / (np.sum(values >= mode + 0.1) + 0.5))
    assert judged.placed[0].disagreement == pytest.approx(expected)


# A parent that gives way


def th17_tree() -> GatingStrategy:
    """CD4+ by a valley, or all of CD8- where the valley is shallow; Th17 within."""
    find = Find("density_minimum", (CD4,), {"bounds": (0.3, 0.7)}, fallback=0.5)
    rule = Instead("CD4+", 0.3, "CD4_DOWNREGULATED")
    return strategy(
        Population("CD8-", "root", gate=RectangleGate((IL17,), (-10.0,), (None,))),
        Population("CD4+", "CD8-", find=find, instead=rule),
        Population("Th17", "CD4+", gate=RectangleGate((IL17,), (5.0,), (None,))),
    )


def stimulated(fall: float) -> StainedTube:
    """CD4+ cells at 0.7 less a fall, CD4- cells at 0.2; one in a hundred makes IL-17."""
    rng = np.random.default_rng(1)
    cd4 = np.concatenate([rng.normal(0.7 - fall, 0.05, 9000), rng.normal(0.2, 0.05, 1000)])
    return tube(f"down {fall}", cd4, np.where(np.arange(10_000) % 100 == 0, 10.0, 0.0))


def test_cd4_is_cut_while_its_valley_is_deep():
    gated = gate_tube(th17_tree(), stimulated(0.1), controls={})
    rows = {row.population: row for row in count_populations(th17_tree(), gated)}
    assert rows["CD4+"].events == pytest.approx(9000, rel=0.01)
    assert (rows["Th17"].flags, rows["Th17"].denominator) == ((), "CD4+")


def test_where_cd4_has_gone_down_all_of_the_parent_is_the_denominator_and_every_value_says_so():
    gated = gate_tube(th17_tree(), stimulated(0.45), controls={})
    rows = {row.population: row for row in count_populations(th17_tree(), gated)}
    assert rows["CD4+"].events == rows["CD8-"].events == 10_000
    assert "CD4_DOWNREGULATED:CD4+" in rows["Th17"].flags
    assert rows["Th17"].denominator == "CD4+ (all CD8-)"
    assert rows["Th17"].parent_events == 10_000


def test_the_unstimulated_tube_has_the_denominator_of_its_stimulated_partner():
    sample = gate_tube(th17_tree(), stimulated(0.45), controls={})
    lent = {gate.population: gate for gate in sample.placed}
    partner = gate_tube(th17_tree(), stimulated(0.0), controls={}, borrowed=lent)
    rows = {row.population: row for row in count_populations(th17_tree(), partner)}
    assert rows["Th17"].denominator == "CD4+ (all CD8-)"
    cut = gate_tube(th17_tree(), stimulated(0.1), controls={})
    lent = {gate.population: gate for gate in cut.placed}
    partner = gate_tube(th17_tree(), stimulated(0.45), controls={}, borrowed=lent)
    assert "CD4_DOWNREGULATED" not in partner.placed[1].flags


# A control that lacks the marker


def test_an_fmo_tube_is_gated_down_to_the_gates_that_need_what_it_lacks():
    find = Find("negative_offset", (IL17,), {"offset": 2.0})
    tree = strategy(
        CD4_POSITIVE,
        Population("Th17", "CD4+", find=find),
        Population("bright", "Th17", gate=RectangleGate((CD4,), (500.0,), (None,))),
    )
    stained = tube("fmo", np.full(1000, 200.0), np.zeros(1000))
    gated = gate_tube(tree, replace(stained, lacks="IL-17A"), controls={})
    rows = {row.population: row for row in count_populations(tree, gated)}
    assert rows["CD4+"].events == 1000
    assert [rows[name].flags for name in ("Th17", "bright")] == [("NOT_GATED_IN_CONTROL",)] * 2
    assert "without IL-17A" in rows["bright"].reason
    assert gated.missing == {}


# A second pass, with what the batch says


def drawn() -> GatingStrategy:
    offset = Find("negative_offset", (CD4,), {"offset": 0.2})
    return strategy(
        Population(
            "kept", "root", find=Find("density_minimum", (CD4,), {"bounds": (0.0, 1.0)}, fallback=0.1)
        ),
        Population("CD4+", "kept", find=offset),
        Population(
            "below", "CD4+", find=Find("density_minimum", (IL17,), {"bounds": (-9, 9)}, fallback=-1.0)
        ),
    )


def test_a_tube_is_drawn_towards_its_batch_and_what_lies_above_is_not_found_again():
    rng = np.random.default_rng(2)
    stained = tube("t", rng.normal(0.5, 0.1, 300), rng.normal(0, 1, 300))
    alone = gate_tube(drawn(), stained, controls={})
    known = {gate.population: gate for gate in alone.placed}
    batch = Batch((known["CD4+"].position[0] - 0.05,), (0.0,), 9)
    elsewhere = replace(known["kept"], gate=RectangleGate((Dimension("FITC-A"),), (0.05,), (None,)))
    both = gate_tube(
        drawn(), stained, controls={}, batches={"CD4+": batch}, known={**known, "kept": elsewhere}
    )
    assert both.placed[0] is elsewhere
    assert both.placed[1].gate.low[0] == pytest.approx(batch.position[0])
    assert both.placed[1].gate != known["CD4+"].gate


def test_without_a_word_from_the_batch_the_second_pass_is_the_first():
    rng = np.random.default_rng(2)
    stained = tube("t", rng.normal(0.5, 0.1, 300), rng.normal(0, 1, 300))
    alone = gate_tube(drawn(), stained, controls={})
    again = gate_tube(drawn(), stained, controls={}, known={gate.population: gate for gate in alone.placed})
    assert all(first is second for first, second in zip(alone.placed, again.placed, strict=True))


def test_a_gate_placed_by_hand_comes_before_every_other_and_an_excluded_population_has_its_reason():
    stained = tube("t", np.array([200.0, 200, 0]), np.array([50.0, 0, 0]))
    child = Population("Th17", "CD4+", gate=RectangleGate((IL17,), (10.0,), (None,)))
    by_hand = PlacedGate("CD4+", "root", RectangleGate((Dimension("FITC-A"),), (-1.0,), (None,)), "override")
    moved = gate_tube(strategy(CD4_POSITIVE, child), stained, controls={}, by_hand={"CD4+": by_hand})
    assert (moved.events_of("CD4+"), moved.placed[0].origin) == (3, "override")
    out = gate_tube(strategy(CD4_POSITIVE, child), stained, controls={}, excluded={"CD4+": "poor staining"})
    assert out.missing == {"CD4+": "poor staining", "Th17": "poor staining"}


def controlled() -> GatingStrategy:
    find = Find("control_quantile", (IL17,), {"quantile": 0.99}, control="fmo", control_marker="IL-17A")
    return strategy(CD4_POSITIVE, Population("IL-17A+", "CD4+", find=find))


def test_the_control_is_looked_at_within_the_same_parent():
    # The FMO's CD4+ events reach 999 in IL-17A, its CD4- events 100,000: only the former count.
    cd4 = np.repeat([200.0, 0.0], 1000)
    fmo = tube("fmo", cd4, np.concatenate([np.arange(1000.0), np.full(1000, 1e5)]))
    gated = gate_control(controlled(), fmo)
    assert gated.missing == {}
    sample = gate_tube(controlled(), tube("s", cd4, np.zeros(2000)), controls={("fmo", "IL-17A"): [gated]})
    gate = sample.placed[1]
    assert gate.gate.low[0] == pytest.approx(0.99 * 999, rel=1e-6)
    assert (gate.origin, gate.controls) == ("control", ("fmo",))


def test_without_its_control_a_controlled_gate_is_missing():
    sample = gate_tube(controlled(), tube("s", np.full(1000, 200.0), np.zeros(1000)), controls={})
    assert "no control tube" in sample.missing["IL-17A+"]


def test_the_unstimulated_tube_is_cut_where_the_stimulated_one_is():
    find = Find("negative_offset", (IL17,), {"offset": 2.0})
    th17 = strategy(Population("Th17", "root", find=find, from_sample=True))
    rng = np.random.default_rng(3)
    stimulated = gate_tube(th17, tube("s", np.zeros(1000), rng.normal(10, 1, 1000)), controls={})
    borrowed = {gate.population: gate for gate in stimulated.placed}
    unstimulated = tube("u", np.zeros(1000), rng.normal(5, 1, 1000))
    own = gate_tube(th17, unstimulated, controls={})
    same = gate_tube(th17, unstimulated, controls={}, borrowed=borrowed)
    assert same.placed[0].gate == stimulated.placed[0].gate
    assert own.placed[0].gate != same.placed[0].gate


def test_boolean_gates_join_populations_of_one_parent():
    low = Population("IL-17A-", "root", gate=RectangleGate((IL17,), (None,), (10.0,)))
    both = Population("both", "root", gate=BooleanGate("and", (("CD4+", False), ("IL-17A-", True))))
    stained = tube("t", np.array([200.0, 200, 0]), np.array([50.0, 0, 50]))
    assert gate_tube(strategy(CD4_POSITIVE, low, both), stained, controls={}).events_of("both") == 1


def test_what_rests_on_a_doubtful_gate_carries_its_flag_down_and_through_boolean_gates():
    stained = tube("t", np.random.default_rng(0).normal(0.6, 0.05, 1000), np.zeros(1000))
    doubtful = Find("density_minimum", (CD4,), {"bounds": (0.9, 1.0)}, fallback=0.5)
    tree = strategy(
        Population("CD4+", "root", find=doubtful),
        Population("low", "root", gate=RectangleGate((IL17,), (None,), (1.0,))),
        Population("both", "low", gate=BooleanGate("and", (("CD4+", False), ("low", False)))),
        Population("child", "both", gate=RectangleGate((IL17,), (None,), (1.0,))),
    )
    flags = {
        row.population: row.flags for row in count_populations(tree, gate_tube(tree, stained, controls={}))
    }
    assert flags["low"] == ()
    assert flags["CD4+"] == flags["both"] == flags["child"] == ("GATE_FALLBACK:CD4+",)


def test_a_control_that_finds_no_gate_of_its_draws_sample_is_flagged():
    th17 = strategy(
        Population("Th17", "root", find=Find("negative_offset", (IL17,), {"offset": 2.0}), from_sample=True)
    )
    alone = gate_tube(th17, tube("u", np.zeros(100), np.linspace(0, 1, 100)), controls={}, borrowed={})
    assert alone.placed[0].flags == ("GATE_NOT_FROM_SAMPLE",)
