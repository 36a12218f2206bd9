"""What a control tube says of a gate: a bound, and the background above the cut."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.science.bounds import tails_of
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import StainedTube, gate_tube
from cytotrial.terms import Dimension, Events, Find, GatingStrategy, Population, RectangleGate

FOXP3 = Dimension("FOXP3")
BOUND = Find("control_quantile", (FOXP3,), {"quantile": 0.995}, control="fmo", control_marker="FOXP3")
FIND = Find("negative_offset", (FOXP3,), {"offset": 0.2}, bound=BOUND)
STRATEGY = GatingStrategy(
    "test",
    "1",
    "test.yaml",
    (
        Population("CD4+", "root", gate=RectangleGate((Dimension("CD4"),), (100.0,), (None,))),
        Population("FOXP3+", "CD4+", find=FIND),
    ),
)


def fmo(values: np.ndarray) -> StainedTube:
    """An FMO tube all of whose events are CD4+, with these values on the empty channel."""
    events = Events(np.stack([np.full(values.size, 200.0), values]).astype(np.float32), ("FITC-A", "APC-A"))
    channels = {"CD4": "FITC-A", "FOXP3": "APC-A"}
    return StainedTube("C1", TubeEvents(events), channels, np.ones(values.size, bool), lacks="FOXP3")


def test_the_bound_is_the_quantile_of_the_controls_own_parent():
    (tail,) = tails_of(STRATEGY, gate_tube(STRATEGY, fmo(np.arange(10_000.0)), controls={}), ("fmo", "FOXP3"))
    assert (tail.population, tail.n_events) == ("FOXP3+", 10_000)
    assert tail.bound == pytest.approx(0.995 * 9_999, rel=1e-4)


def test_the_background_is_the_share_of_the_control_above_the_samples_cut():
    (tail,) = tails_of(STRATEGY, gate_tube(STRATEGY, fmo(np.arange(10_000.0)), controls={}), ("fmo", "FOXP3"))
    assert tail.percent_above(9_900.0) == pytest.approx(1.0)
    assert tail.percent_above(20_000.0) == 0.0


def test_a_cut_amid_the_controls_events_has_no_background_to_tell():
    (tail,) = tails_of(STRATEGY, gate_tube(STRATEGY, fmo(np.arange(10_000.0)), controls={}), ("fmo", "FOXP3"))
    assert tail.percent_above(2_000.0) is None


def test_of_a_large_control_only_some_values_are_kept_and_still_tell_the_share():
    gated = gate_tube(STRATEGY, fmo(np.arange(100_000.0)), controls={})
    (tail,) = tails_of(STRATEGY, gated, ("fmo", "FOXP3"))
    assert tail.values.size <= 4_000
    assert tail.percent_above(99_000.0) == pytest.approx(1.0, abs=0.01)


def test_a_control_of_another_marker_bounds_nothing():
    gated = gate_tube(STRATEGY, fmo(np.arange(1_000.0)), controls={})
    assert list(tails_of(STRATEGY, gated, ("fmo", "CD25"))) == []
