"""The gates that the shipped templates place on simulated tubes hold the events that FlowKit finds there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.in_flowkit import in_flowkit, route_of, session_of

from cytotrial.demo.cohort import cohort_subject
from cytotrial.demo.folder import write_tube
from cytotrial.demo.panels import PANELS
from cytotrial.demo.tubes import plan_draw
from cytotrial.files.fcs import FcsHeader, inspect_fcs, read_events
from cytotrial.files.template import read_template
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import GatedTube, StainedTube, gate_tube
from cytotrial.science.quality import assess_acquisition
from cytotrial.terms import TUBE_MATRIX

SEED = 7
N_EVENTS = 20_000
CLOGGED = 1
"""The draw of subject S002 whose Th17 tube clogs: part of its events is masked by the time check."""


def write_tubes(folder: Path) -> dict[str, Path]:
    """Panel → the sample tube of one draw."""
    subject = cohort_subject(CLOGGED, seed=SEED)
    plans = plan_draw(subject, subject.draws[0], n_events=N_EVENTS, seed=SEED)[:3]
    for plan in plans:
        write_tube(plan, folder=folder, seed=SEED, labels=False)
    return {plan.panel: folder / "fcs" / plan.fcs for plan in plans}


def gate_by_template(template: Path, path: Path, header: FcsHeader) -> GatedTube:
    assert header.spillover is not None
    events = read_events(path, header).events
    channels = {channel.label: channel.name for channel in header.channels if channel.label}
    compensated = TubeEvents(events, {TUBE_MATRIX: header.spillover})
    signals = [name for name in events.channels if name != "Time"]
    keep = assess_acquisition(events, time_channel="Time", signal_channels=signals).keep
    tube = StainedTube(path.stem, compensated, channels, keep)
    return gate_tube(read_template(template), tube, controls={})


@pytest.fixture(scope="module")
def tubes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tubes(tmp_path_factory.mktemp("tubes"))


@pytest.mark.parametrize("panel", PANELS)
def test_every_population_of_a_template_holds_the_events_that_flowkit_finds_in_its_gates(
    panel: str, tubes: dict[str, Path], repository: Path
) -> None:
    header = inspect_fcs(tubes[panel]).header
    assert header is not None
    gated = gate_by_template(repository / "config" / "gating" / f"{panel}.yaml", tubes[panel], header)
    assert not gated.missing
    session = session_of(tubes[panel], in_flowkit(gated.placed, header.spillover))
    (sample,) = session.get_sample_ids()
    for gate in gated.placed:
        route = route_of(gate.population, gated.placed)
        theirs = session.get_gate_membership(sample, gate.population, route)
        # FlowKit gates all events; ours are those of steady acquisition.
        expected = theirs & gated.tube.keep
        assert expected.any(), gate.population
        np.testing.assert_array_equal(gated.masks[gate.population], expected, err_msg=gate.population)


def test_the_time_check_takes_events_out_of_the_tube_that_clogged(
    tubes: dict[str, Path], repository: Path
) -> None:
    header = inspect_fcs(tubes["th17"]).header
    assert header is not None
    gated = gate_by_template(repository / "config" / "gating" / "th17.yaml", tubes["th17"], header)
    assert 0 < np.count_nonzero(~gated.tube.keep) < N_EVENTS / 2
