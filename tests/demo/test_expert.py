"""The simulated expert, other labs, and batches that lie farther apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cytotrial.demo.biology import USUAL, Lab, another_biology, dimmer_background
from cytotrial.demo.cells import Kind
from cytotrial.demo.cohort import cohort_subject
from cytotrial.demo.expert import expert_gates, usual_cuts
from cytotrial.demo.panels import PANELS, TREG
from cytotrial.demo.tubes import acquire_tube, batch_of_panel, plan_draw
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import Events, SpilloverMatrix


def test_the_expert_finds_most_regulatory_cells_and_few_others():
    subject = cohort_subject(0, seed=5)
    plan = next(p for p in plan_draw(subject, subject.draws[0], n_events=40_000, seed=5) if p.panel == "treg")
    acquired = acquire_tube(plan, seed=5).acquired
    spillover = SpilloverMatrix(TREG.dye_detectors, batch_of_panel(TREG, plan.batch, seed=5).spillover)
    channels = tuple(name for name, _label in TREG.channels)
    events = TubeEvents(Events(np.ascontiguousarray(acquired.values.T), channels), {"tube": spillover})
    masks = apply_strategy(expert_gates(plan, seed=5), events)
    true = acquired.kinds == Kind.TREG
    found = masks["Treg"]
    assert 2 * np.sum(found & true) / (found.sum() + true.sum()) > 0.75
    assert found.sum() == pytest.approx(true.sum(), rel=0.5)  # his hand shakes


@pytest.mark.parametrize("panel", list(PANELS))
def test_the_expert_names_populations_as_the_shipped_templates_do(panel: str, repository):
    subject = cohort_subject(0, seed=5)
    plan = next(p for p in plan_draw(subject, subject.draws[0], n_events=1000, seed=5) if p.panel == panel)
    template = (repository / "config" / "gating" / f"{panel}.yaml").read_text(encoding="utf-8")
    for gate in expert_gates(plan, seed=5):
        assert f"name: {gate.population}\n" in template, gate.population


def test_batches_lie_farther_apart_by_the_factor_that_was_asked_for():
    # Below the limits, the logarithm of every factor is the usual one times the shift.
    usual, far = (batch_of_panel(TREG, "B01", seed=3, shift=shift).optics.gain for shift in (1.0, 2.2))
    assert np.log(far) == pytest.approx(2.2 * np.log(usual))


def test_another_labs_cells_stain_otherwise_and_its_expert_cuts_elsewhere():
    here, there = usual_cuts("treg", USUAL), usual_cuts("treg", another_biology(2))
    assert max(abs(here[marker] - there[marker]) for marker in here) > 0.02
    assert another_biology(2).specific == another_biology(2).specific


def test_a_dimmer_background_leaves_the_specific_staining_alone():
    dim = dimmer_background(USUAL, 0.35)
    assert dim.nonspecific["FOXP3"].median == pytest.approx(0.35 * USUAL.nonspecific["FOXP3"].median)
    assert dim.specific == USUAL.specific
    assert replace(Lab(), biology=dim).biology is dim
