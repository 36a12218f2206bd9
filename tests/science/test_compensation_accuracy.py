"""Spillover of simulated controls beside the truth: what good ones must give, what is said of poor ones."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cytotrial.errors import CompensationError
from cytotrial.science.compensation.control_findings import precision_findings


@pytest.fixture(scope="module")
def bench(repository: Path) -> Any:
    """The benchmark, with its simulation of controls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "benchmarks")
        yield importlib.import_module("compensation")


@pytest.mark.parametrize(
    "name",
    [
        "cells, 8 % of them unstained",
        "cells, 60 % unstained",
        "cells, 96 % unstained",
        "beads, 7 % unstained",
        "noisy detectors (20 units a photo-electron)",
        "stain grows with the glow",
        "15 % of the positives another kind, dim",
    ],
)
def test_no_spillover_of_good_controls_is_wrong_by_half_a_hundredth(bench: Any, name: str) -> None:
    found = bench.estimate(bench.simulate_kit(bench.GOOD_CASES[name], seed=11))
    assert bench.errors(found.matrix.values).max() <= 0.005
    assert found.standard_error.max() <= 0.005
    assert found.findings == ()


@pytest.mark.parametrize(
    "name",
    ["stained cells glow twice as much", "brightness 2,000, glow twice as much", "brightness 800"],
)
def test_what_cannot_be_known_to_half_a_hundredth_is_told_and_by_how_much(bench: Any, name: str) -> None:
    found = bench.estimate(bench.simulate_kit(bench.DOUBTFUL_CASES[name], seed=12))
    wrong = np.abs(found.matrix.values - bench.TRUE)
    assert wrong.max() > 0.005
    told = {f.keyword for f in found.findings if f.code == "control.imprecise"}
    far = {bench.DETECTORS[i] for i in np.flatnonzero(wrong.max(axis=1) > 0.005)}
    assert far <= told
    assert np.all(wrong <= 2.5 * found.standard_error + 1e-12)


def test_a_dim_control_is_told_how_much_brighter_it_must_be(bench: Any) -> None:
    found = bench.estimate(bench.with_a_poor_tube(bench.Case(brightness=300.0), seed=13))
    (told,) = [f for f in found.findings if f.code == "control.imprecise"]
    assert "'tube-B3-A' for 'B3-A': its spillover into" in told.message
    assert "its stain is dim beside the background of the cells" in told.message
    times = float(told.remedy.split("A stain ")[1].split(" times as bright")[0])
    # What is unknown of the background over the brightness is the error: five times the error wanted, five
    # times the brightness.
    assert times == pytest.approx(float(told.seen) / 0.005, rel=0.1)


def test_a_poor_tube_among_good_ones_is_refused_or_told_and_spoils_no_other(bench: Any) -> None:
    said = {
        name: bench.what_is_said(bench.with_a_poor_tube(case, seed=14))
        for name, case in bench.POOR_TUBES.items()
    }
    assert said["150 positive events"][0] == "refused: positive events"
    assert said["never stained"][0].startswith("refused:")
    words, others = said["brightness 300"]
    assert words.startswith("told: known to ±0.")
    assert others <= 0.005


def test_a_control_with_few_events_is_told_how_many_it_needs(bench: Any) -> None:
    # 400 events give 0.01; the error falls with the root of their number, so four times as many give 0.005.
    selection = replace(bench.estimate(bench.simulate_kit(seed=15)).selections[0], n_positive=400)
    scatter, background = np.zeros((6, 6)), np.zeros((6, 6))
    scatter[0, 3] = 0.01
    (told,) = precision_findings([selection], scatter, background, detectors=bench.DETECTORS, most=0.005)
    assert "into 'R1-A' is known to ±0.01 (standard error); 0.005 was asked for" in told.message
    assert "it rests on 400 positive events" in told.message
    assert "Acquire about 1600 positive events" in told.remedy


def test_fewer_positives_than_the_setting_asks_for_are_refused_and_the_setting_can_be_changed(
    bench: Any,
) -> None:
    kit = bench.with_a_poor_tube(bench.POOR_TUBES["150 positive events"], seed=16)
    with pytest.raises(CompensationError, match="at least 300 are needed"):
        bench.estimate(kit)
    found = bench.estimate_spillover(
        kit.controls, unstained=kit.unstained, detectors=bench.DETECTORS, min_positive=80
    )
    assert bench.errors(found.matrix.values).max() < 0.01


def test_this_method_is_nearer_to_the_truth_than_autospill_and_medians(bench: Any) -> None:
    contest = bench.simulated_contest(bench.GOOD, "good")
    wrong = {name: bench.errors(matrix).max() for name, matrix in contest.matrices.items()}
    assert wrong["this method"] < wrong["medians"] < wrong["AutoSpill"]
