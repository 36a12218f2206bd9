"""Acquisition quality on many simulated tubes, and against PeacoQC's own answer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SEEDS = range(100, 116)


@pytest.fixture(scope="module")
def bench(repository: Path) -> ModuleType:
    """The benchmark's simulation and scores."""
    spec = importlib.util.spec_from_file_location(
        "acquisition_quality", repository / "benchmarks" / "acquisition_quality.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("n_events", [2_400, 10_000, 40_000])
@pytest.mark.parametrize("beads", [0.0, 0.1, 0.5])
def test_steady_tubes_lose_at_most_one_per_cent_on_average(bench: ModuleType, n_events: int, beads: float):
    # Seven markers from absent to all cells, two of them rare (1 and 5 %).
    lost = [bench.score(*bench.simulate(n_events, seed=seed, beads=beads)).lost for seed in SEEDS]
    assert np.mean(lost) <= 1.0


@pytest.mark.parametrize("n_events", [10_000, 40_000])
@pytest.mark.parametrize(
    "what",
    [
        {"kind": "clog", "share": 0.10, "signal": 0.75, "rate": 0.35},
        {"kind": "clog", "share": 0.06, "signal": 0.80, "rate": 0.50},
        {"kind": "jump", "share": 0.10, "signal": 0.75, "rate": 1.0},
        {"kind": "step", "share": 0.30, "signal": 0.80, "rate": 1.0},
    ],
)
def test_of_disturbed_events_95_per_cent_go_and_of_the_others_3_at_most(
    bench: ModuleType, n_events: int, what: dict[str, object]
):
    disturbance = bench.Disturbance(**what)
    scores = [bench.score(*bench.simulate(n_events, seed=seed, disturbance=disturbance)) for seed in SEEDS]
    assert np.mean([one.removed for one in scores]) >= 95.0
    assert np.mean([one.lost for one in scores]) <= 3.0


@pytest.mark.parametrize("signal", [0.88, 1.12])
def test_a_drift_of_12_per_cent_is_flagged_and_costs_at_most_one_per_cent(bench: ModuleType, signal: float):
    what = bench.Disturbance("drift", 1.0, signal=signal)
    scores = [bench.score(*bench.simulate(40_000, seed=seed, disturbance=what)) for seed in SEEDS]
    assert all(one.drift for one in scores)
    assert np.mean([one.lost for one in scores]) <= 1.0


def test_steady_tubes_are_not_flagged_for_drift(bench: ModuleType):
    scores = [bench.score(*bench.simulate(10_000, seed=seed)) for seed in range(200, 220)]
    assert sum(one.drift for one in scores) <= 1


def test_nine_events_in_ten_are_judged_as_peacoqc_judged_its_example(bench: ModuleType, shared: Path):
    folder = shared / "data" / "qc_peacoqc"
    agreed, found = bench.agreement_with_peacoqc(folder)
    events, kept = bench.kept_by_peacoqc(folder)
    # The package's vignette kept 8,342 of 10,000 events; the green laser's five detectors rise from
    # nothing over the first 975.
    assert (events.n_events, np.count_nonzero(kept)) == (10_000, 8_342)
    assert agreed >= 0.9
    assert np.mean(found.keep[:975]) < 0.1
    assert {"G560-A", "G610-A", "G660-A", "G710-A", "G780-A"} <= set(found.channels)
