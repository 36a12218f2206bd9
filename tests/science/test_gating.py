"""Gating of a whole tube: trees, controls, fallbacks, and gates borrowed from the draw's sample."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import StainedTube, count_populations, gate_control, gate_tube
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    Events,
    Find,
    GatingStrategy,
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
