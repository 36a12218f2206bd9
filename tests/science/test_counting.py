"""Counts and their intervals against worked examples.

Expected values: B = 50,000 beads in V = 50 µL, so B/V = 1,000; log-normal 95 % limits unless said.
Each is arithmetic that a pocket calculator repeats, e.g. 5120/10000 · 1000 = 512.
"""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.errors import CountError
from cytotrial.science.counting import (
    count_across_tubes,
    count_against_beads,
    frequency,
    ratio_of_shared_parent,
    subtract_background,
)


def cd4() -> object:
    return count_against_beads(5120, 10_000, beads_per_tube=50_000, blood_ul=50)


def test_cells_are_scaled_up_by_the_beads_that_were_missed():
    # One bead in five was acquired: 200 cells seen stand for 1000 in 50 µL, 20 per µL.
    assert count_against_beads(200, 10_000, beads_per_tube=50_000, blood_ul=50).value == 20.0


def test_a_bead_count_has_exact_conditional_limits():
    count = count_against_beads(5120, 10_000, beads_per_tube=50_000, blood_ul=50)
    assert count.value == 512.0
    assert (round(count.ci_low, 2), round(count.ci_high, 2)) == (494.95, 529.59)
    assert round(count.cv_percent, 3) == 1.718


def test_no_bead_seen_is_an_error_and_not_a_zero():
    with pytest.raises(CountError, match="no event in the bead gate"):
        count_against_beads(200, 0, beads_per_tube=50_000, blood_ul=50)


def test_an_unknown_bead_lot_is_an_error():
    with pytest.raises(CountError, match="beads_per_tube 0"):
        count_against_beads(200, 1000, beads_per_tube=0, blood_ul=50)


def test_no_cell_seen_is_zero_with_an_upper_limit():
    # Poisson: −ln 0.025 = 3.689 events; 3.689/5000 · 1000 = 0.738 cells/µL.
    count = count_against_beads(0, 5000, beads_per_tube=50_000, blood_ul=50)
    assert (count.value, count.ci_low, round(count.ci_high, 3)) == (0.0, 0.0, 0.738)


def test_treg_per_microlitre_is_their_share_of_cd4_times_the_cd4_count():
    treg = count_across_tubes(frequency(507, 20_000), cd4())
    assert round(treg.value, 3) == 12.979
    assert (round(treg.ci_low, 3), round(treg.ci_high, 3)) == (11.835, 14.234)


def test_background_of_the_unstimulated_tube_is_subtracted():
    net = subtract_background(frequency(240, 20_000), frequency(17, 20_000))
    assert net.value == pytest.approx(1.115)
    assert (round(net.ci_low / 100, 6), round(net.ci_high / 100, 6)) == (0.009588, 0.012712)
    th17 = count_across_tubes(net, cd4())
    assert (round(th17.value, 4), round(th17.ci_low, 3), round(th17.ci_high, 3)) == (5.7088, 4.943, 6.594)


def test_a_background_above_the_signal_gives_zero_and_a_flag():
    net = subtract_background(frequency(10, 20_000), frequency(17, 20_000))
    assert net.value == 0.0
    assert "BACKGROUND_ABOVE_SIGNAL" in net.flags


def test_the_cd4_count_cancels_in_the_ratio_of_th17_to_treg():
    ratio = ratio_of_shared_parent(frequency(240, 20_000), frequency(507, 20_000))
    assert (round(ratio.value, 4), round(ratio.ci_low, 4), round(ratio.ci_high, 4)) == (
        0.4734,
        0.4065,
        0.5513,
    )


def test_the_ratio_net_of_background_is_wider():
    net = subtract_background(frequency(240, 20_000), frequency(17, 20_000))
    ratio = ratio_of_shared_parent(net, frequency(507, 20_000))
    assert (round(ratio.value, 4), round(ratio.ci_low, 4), round(ratio.ci_high, 4)) == (
        0.4398,
        0.3732,
        0.5184,
    )


def test_a_ratio_to_nothing_is_an_error():
    with pytest.raises(CountError, match="undefined"):
        ratio_of_shared_parent(frequency(240, 20_000), frequency(0, 20_000))


def test_a_ratio_of_nothing_is_zero_with_an_upper_limit():
    ratio = ratio_of_shared_parent(frequency(0, 20_000), frequency(507, 20_000))
    assert ratio.value == 0.0
    assert ratio.ci_high > 0


def test_an_empty_parent_is_an_error():
    with pytest.raises(CountError, match="holds no event"):
        frequency(0, 0)


def test_a_population_larger_than_its_parent_is_an_error():
    with pytest.raises(CountError, match="not inside its parent"):
        frequency(11, 10)


def test_intervals_cover_the_truth_in_about_95_of_100_experiments():
    # 2,000 simulated tubes: the exact forms may over-cover, never under-cover by more than chance
    # (binomial standard error 0.5 %).
    rng = np.random.default_rng(11)
    cells, beads = rng.poisson(300, 2000), rng.poisson(2000, 2000)
    counts = [
        count_against_beads(int(c), int(b), beads_per_tube=50_000, blood_ul=50)
        for c, b in zip(cells, beads, strict=True)
    ]
    covered = np.mean([count.ci_low <= 150.0 <= count.ci_high for count in counts])
    assert 0.94 <= covered <= 0.97
    hits = rng.binomial(20_000, 0.0115, 2000)
    treg = rng.binomial(20_000, 0.025, 2000)
    ratios = [
        ratio_of_shared_parent(frequency(int(h), 20_000), frequency(int(t), 20_000))
        for h, t in zip(hits, treg, strict=True)
    ]
    covered = np.mean([r.ci_low <= 0.46 <= r.ci_high for r in ratios])
    assert 0.94 <= covered <= 0.97
