"""Cells per microlitre by beads, by a blood count and in a volume, against worked examples.

B = 50,000 beads in V = 50 µL, so B/V = 1,000. Expected values are arithmetic, or Clopper-Pearson limits.
"""

from __future__ import annotations

import math

import pytest

from cytotrial.errors import CountError
from cytotrial.science.counting import (
    check_flow_rate,
    count_against_beads,
    count_by_blood_count,
    count_in_volume,
    log_normal,
)


def test_cells_are_scaled_up_by_the_beads_that_were_missed():
    # One bead in five was acquired: 200 cells seen stand for 1000 in 50 µL, 20 per µL.
    assert count_against_beads(200, 10_000, beads_per_tube=50_000, blood_ul=50).value == 20.0


def test_a_bead_count_has_exact_conditional_limits():
    count = count_against_beads(5120, 10_000, beads_per_tube=50_000, blood_ul=50)
    assert count.value == 512.0
    assert (round(count.ci_low, 2), round(count.ci_high, 2)) == (494.95, 529.59)
    assert round(count.cv_percent, 3) == 1.718


def test_the_log_normal_limits_of_a_bead_count_are_hardly_other_ones():
    low, high = log_normal(512.0, math.sqrt(1 / 5120 + 1 / 10_000))
    assert (round(low, 2), round(high, 2)) == (495.04, 529.54)


def test_no_bead_seen_is_an_error_and_not_a_zero():
    with pytest.raises(CountError, match="no event in the bead gate"):
        count_against_beads(200, 0, beads_per_tube=50_000, blood_ul=50)


def test_an_unknown_bead_lot_is_an_error():
    with pytest.raises(CountError, match="beads_per_tube 0"):
        count_against_beads(200, 1000, beads_per_tube=0, blood_ul=50)


def test_more_beads_than_the_tube_holds_mean_that_the_lot_was_written_down_wrong():
    # A lot of 1,010 beads per µL, written as if that were the number in the tube.
    with pytest.raises(CountError, match="10000 beads were acquired of 1010") as refused:
        count_against_beads(200, 10_000, beads_per_tube=1010, blood_ul=50)
    assert "per µL or per mL" in refused.value.hint


def test_all_beads_of_a_tube_may_be_acquired_and_a_few_more_by_the_lots_own_error():
    assert count_against_beads(200, 51_000, beads_per_tube=50_000, blood_ul=50).value > 0


def test_no_cell_seen_is_zero_with_an_upper_limit():
    # Poisson: −ln 0.025 = 3.689 events; 3.689/5000 · 1000 = 0.738 cells/µL.
    count = count_against_beads(0, 5000, beads_per_tube=50_000, blood_ul=50)
    assert (count.value, count.ci_low, round(count.ci_high, 3)) == (0.0, 0.0, 0.738)


def test_on_two_platforms_the_blood_count_is_shared_out_among_the_lymphocytes():
    # 5,120 of 12,000 lymphocytes, 1.20 · 10⁹/L (CV 3 %): 512 [481.05, 544.94].
    count = count_by_blood_count(5120, 12_000, lymphocytes_10e9_per_l=1.2)
    assert count.value == 512.0
    assert (round(count.ci_low, 2), round(count.ci_high, 2)) == (481.05, 544.94)


def test_all_lymphocytes_are_as_certain_as_the_blood_count():
    count = count_by_blood_count(12_000, 12_000, lymphocytes_10e9_per_l=1.2)
    assert (count.value, count.cv_percent) == (1200.0, pytest.approx(3.0))


def test_on_two_platforms_no_cell_seen_is_zero_with_an_upper_limit():
    # Clopper-Pearson of 0 of 12,000: 1 − 0.025^(1/12000) = 0.03074 %; of 1200 per µL 0.369.
    count = count_by_blood_count(0, 12_000, lymphocytes_10e9_per_l=1.2)
    assert (count.value, count.ci_low, round(count.ci_high, 3)) == (0.0, 0.0, 0.369)


@pytest.mark.parametrize("blood_count", [0.0, 1200.0, float("nan")])
def test_a_blood_count_in_another_unit_is_refused(blood_count: float):
    with pytest.raises(CountError, match="x 10\\^9/L lymphocytes is none"):
        count_by_blood_count(5120, 12_000, lymphocytes_10e9_per_l=blood_count)


def test_a_population_that_is_not_among_the_lymphocytes_is_refused():
    with pytest.raises(CountError, match="13 events of 12 lymphocytes"):
        count_by_blood_count(13, 12, lymphocytes_10e9_per_l=1.2)


def test_in_a_volume_cells_are_scaled_by_the_dilution():
    # 512 events in 40 µL of a 40-fold dilution: 512/40 · 40 = 512 per µL of blood.
    count = count_in_volume(512, volume_nl=40_000, dilution=40)
    assert count.value == 512.0
    assert count.cv_percent == pytest.approx(100 / math.sqrt(512))


def test_the_error_of_the_metered_volume_is_part_of_the_interval():
    # CV² = 1/400 + 0.05² = 0.0707²
    count = count_in_volume(400, volume_nl=40_000, dilution=40, cv_percent=5.0)
    assert count.cv_percent == pytest.approx(7.0711, abs=1e-4)
    assert count.ci_high == pytest.approx(400 * math.exp(1.959964 * 0.0707107), rel=1e-6)


def test_in_a_volume_no_cell_seen_is_zero_with_an_upper_limit():
    # 3.689 events in 40 µL, 40-fold: 3.689 per µL.
    count = count_in_volume(0, volume_nl=40_000, dilution=40)
    assert (count.value, count.ci_low, round(count.ci_high, 3)) == (0.0, 0.0, 3.689)


@pytest.mark.parametrize(("volume", "dilution"), [(0.0, 40.0), (-1.0, 40.0), (40_000.0, 0.5)])
def test_no_volume_or_a_dilution_below_one_is_an_error(volume: float, dilution: float):
    with pytest.raises(CountError, match="must be"):
        count_in_volume(512, volume_nl=volume, dilution=dilution)


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_volume_in_another_unit_would_mean_a_flow_that_no_cytometer_has(factor: float):
    # 30.35 µL in 26 s are 70 µL/min; 1000-fold either way is 70 mL/min or 0.07 µL/min.
    check_flow_rate(30_350, seconds=26)
    with pytest.raises(CountError, match="is in another unit"):
        check_flow_rate(30_350 * factor, seconds=26)
