"""Percentages, background, counts across tubes and ratios, against worked examples.

Expected values: B = 50,000 beads in V = 50 µL, so B/V = 1,000; log-normal 95 % limits unless said.
Each is arithmetic that a pocket calculator repeats, e.g. 5120/10000 · 1000 = 512.
"""

from __future__ import annotations

import pytest

from cytotrial.errors import CountError
from cytotrial.science.counting import (
    count_across_tubes,
    count_against_beads,
    frequency,
    ratio_of_counts,
    ratio_of_shared_parent,
    subtract_background,
)
from cytotrial.terms import Count


def cd4() -> Count:
    return count_against_beads(5120, 10_000, beads_per_tube=50_000, blood_ul=50)


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


def test_half_an_event_stands_in_for_none_in_the_interval_of_a_ratio():
    # 0 of 20,000 over 507 of 20,000: 0.5/507 · exp(1.96 · √(2 + 0.97465/507)) = 0.0158.
    ratio = ratio_of_shared_parent(frequency(0, 20_000), frequency(507, 20_000))
    assert (ratio.value, ratio.ci_low, round(ratio.ci_high, 4)) == (0.0, 0.0, 0.0158)


def test_a_difference_that_is_mostly_noise_has_limits_on_its_own_scale_and_a_flag():
    # 60 against 50 of 20,000 each: net 0.05 %, SD 0.052 %. Newcombe's limits, by hand from the Wilson
    # limits 0.2332..0.3859 % and 0.1897..0.3294 %: 0.05 − √(0.0668² + 0.0794²), 0.05 + √(0.0859² + 0.0603²).
    net = subtract_background(frequency(60, 20_000), frequency(50, 20_000))
    assert net.value == pytest.approx(0.05)
    assert (net.ci_low, round(net.ci_high, 3)) == (0.0, 0.155)
    assert net.flags == ("NOT_ABOVE_BACKGROUND",)
    # Log-normal limits would end at 0.05 · exp(1.96 · 1.05) = 0.39 %: 1.99 per µL. The count keeps 0.155 %.
    count = count_across_tubes(net, cd4())
    assert count.ci_low == 0.0
    assert count.ci_high == pytest.approx(0.155 / 100 * 512, rel=0.01)


def test_a_count_of_a_parent_without_cells_ends_at_the_upper_limits_of_both():
    nothing = count_against_beads(0, 5000, beads_per_tube=50_000, blood_ul=50)
    count = count_across_tubes(frequency(507, 20_000), nothing)
    assert (count.value, count.ci_low) == (0.0, 0.0)
    assert count.ci_high == pytest.approx(0.02762 * 0.738, rel=1e-3)


def test_a_ratio_of_counts_that_share_nothing_adds_all_errors():
    # CV² = 1/240 + 1/507 + 2/10,000 (two bead counts of 10,000 beads each).
    above, below = (
        count_against_beads(cells, 10_000, beads_per_tube=50_000, blood_ul=50) for cells in (240, 507)
    )
    ratio = ratio_of_counts(above, below)
    assert ratio.value == pytest.approx(240 / 507)
    assert ratio.cv_percent == pytest.approx(100 * (1 / 240 + 1 / 507 + 2 / 10_000) ** 0.5)


def test_what_was_subtracted_is_told():
    net = subtract_background(frequency(240, 20_000), frequency(17, 10_000))
    assert net.inputs == {
        "background_events": 17,
        "background_parent_events": 10_000,
        "background_percent": pytest.approx(0.17),
        "raw_percent": pytest.approx(1.2),
    }
