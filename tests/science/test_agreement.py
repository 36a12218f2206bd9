"""Agreement of two methods, against published examples and numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cytotrial.science.agreement import ancestors, concordance, denominators, difference, overlap, ratio

# Peak expiratory flow, l/min, first reading of each of 17 persons with two meters: Bland and Altman 1986,
# table I.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_bias_and_sd_are_those_of_bland_and_altmans_example():
    # The paper: mean difference -2.1 l/min, SD 38.8, 95 % confidence interval of the bias -22.0 to 17.8.
    found = difference(WRIGHT, MINI)
    assert found.n == 17
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert (found.bias_low, found.bias_high) == pytest.approx((-22.0, 17.8), abs=0.1)


def test_limits_of_agreement_have_the_interval_of_bland_and_altmans_example():
    # The paper takes 2 SD for 1.96: -79.7 (-114.3 to -45.1) and 75.5 (40.9 to 110.1), each +/- 34.6.
    found = difference(WRIGHT, MINI)
    assert found.low == pytest.approx(-2.1176 - 1.96 * 38.7651, abs=0.01)
    assert found.high - found.high_low == pytest.approx(34.6, abs=0.1)
    assert found.low_high - found.low == pytest.approx(34.6, abs=0.1)


def test_a_constant_difference_is_all_bias_and_its_limits_have_no_width():
    found = difference([3, 5, 9], [1, 3, 7])
    assert (found.bias, found.sd, found.low, found.high, found.bias_low) == (2, 0, 2, 2, 2)


def test_one_pair_has_a_bias_and_no_limits():
    found = difference([3], [1])
    assert (found.n, found.bias) == (1, 2)
    assert math.isnan(found.sd)
    assert math.isnan(found.high)


def test_a_pair_that_lacks_a_value_is_left_out():
    assert difference([1, np.nan, 5], [0, 2, 3]).n == 2
    assert difference([], []).n == 0


def test_ratios_are_averaged_as_logarithms():
    # log2 ratios 1 and -1: the mean ratio is 1, not 1.25; SD of ln is ln 2 * sqrt(2).
    found = ratio([2, 1], [1, 2])
    assert found.bias == pytest.approx(1)
    assert found.sd == pytest.approx(math.log(2) * math.sqrt(2))
    assert found.high == pytest.approx(math.exp(1.959964 * math.log(2) * math.sqrt(2)))
    assert found.low == pytest.approx(1 / found.high)


def test_a_value_of_zero_has_no_ratio():
    assert math.isnan(ratio([0, 1, 2], [1, 1, 2]).bias)


def test_concordance_of_a_shift_is_worked_out_by_hand():
    # Means 2 and 3, both variances (divisor n) 2/3, covariance 2/3: 2 * 2/3 / (2/3 + 2/3 + 1) = 4/7.
    found = concordance([1, 2, 3], [2, 3, 4])
    assert found.ccc == pytest.approx(4 / 7)
    assert found.correlation == pytest.approx(1)
    assert found.accuracy == pytest.approx(4 / 7)


def test_concordance_of_a_change_of_scale_is_worked_out_by_hand():
    # x = -1, 0, 1 and 2x: means 0, variances 2/3 and 8/3, covariance 4/3: 8/3 / (10/3) = 0.8.
    assert concordance([-1, 0, 1], [-2, 0, 2]).ccc == pytest.approx(0.8)


def test_perfect_disagreement_is_minus_one_and_identity_is_one():
    assert concordance([-1, 0, 1], [1, 0, -1]).ccc == pytest.approx(-1)
    found = concordance([1, 2, 4, 8, 9], [1, 2, 4, 8, 9])
    assert (found.ccc, found.low, found.high) == (1, 1, 1)


def test_the_interval_is_that_of_lins_corrected_variance():
    # x = 0, 1, 2, 3, 4, 5 and y = 1, 0, 3, 2, 5, 4: means 2.5, both variances 35/12, covariance 29/12 by
    # hand, so r = ccc = 29/35 and u = 0. Only the first term is left: var Z = (1/(n-2)) * 1 = 1/4, SE 0.5.
    found = concordance([0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4])
    assert found.ccc == pytest.approx(29 / 35)
    z = math.atanh(29 / 35)
    assert found.low == pytest.approx(math.tanh(z - 1.959964 * 0.5))
    assert found.high == pytest.approx(math.tanh(z + 1.959964 * 0.5))


def test_the_interval_of_a_pure_shift_is_worked_out_by_hand():
    # r = 1, equal variances 5/4 (x = 1, 2, 3, 4; y = x + 1): ccc = 2.5/3.5 = 5/7, u^2 = 1/1.25 = 0.8.
    # Terms: 0 + 2 c^3 (1-c) u^2 / (1-c^2)^2 - c^4 u^4 / (2 (1-c^2)^2), over n - 2 = 2.
    c, rest = 5 / 7, 1 - 25 / 49
    variance = (2 * c**3 * (1 - c) * 0.8 / rest**2 - c**4 * 0.64 / (2 * rest**2)) / 2
    found = concordance([1, 2, 3, 4], [2, 3, 4, 5])
    assert found.ccc == pytest.approx(5 / 7)
    assert found.low == pytest.approx(math.tanh(math.atanh(c) - 1.959964 * math.sqrt(variance)))


def test_too_few_pairs_have_no_interval_and_equal_values_no_coefficient():
    assert math.isnan(concordance([1, 2, 3], [1, 2, 4]).low)
    assert math.isnan(concordance([2, 2, 2], [2, 2, 2]).ccc)
    assert concordance([2, 2, 2], [3, 3, 3]).ccc == 0.0  # a constant agrees with nothing
    assert math.isnan(concordance([1], [1]).ccc)


def test_the_interval_holds_the_true_coefficient_about_as_often_as_it_says():
    # Bivariate normal with equal means and SD: ccc = r = 0.8. 2,000 samples of 40; SE of the share 0.5 %.
    random = np.random.default_rng(11)
    covered = 0
    for _ in range(2000):
        x = random.normal(size=40)
        y = 0.8 * x + 0.6 * random.normal(size=40)
        found = concordance(x, y)
        covered += found.low <= 0.8 <= found.high
    assert 0.925 < covered / 2000 < 0.975


def test_f1_counts_events_in_common():
    # 3 of ours, 4 of theirs, 2 in common: precision 2/3, recall 1/2, F1 4/7.
    ours = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    theirs = np.array([1, 1, 0, 1, 1, 0], dtype=bool)
    found = overlap(ours, theirs)
    assert (found.precision, found.recall, found.f1) == pytest.approx((2 / 3, 1 / 2, 4 / 7))


def test_two_empty_populations_have_no_f1_and_one_empty_has_zero():
    none, some = np.zeros(3, dtype=bool), np.array([True, False, False])
    assert math.isnan(overlap(none, none).f1)
    assert overlap(none, some).f1 == 0


OURS = {"singlets": "root", "T cells": "singlets", "CD4+": "T cells", "CD25+": "CD4+", "Treg": "CD25+"}
THEIRS = {"T": "root", "T/CD4": "T", "T/CD4/Treg": "T/CD4"}


def test_a_percentage_is_stated_of_the_nearest_population_that_both_gatings_have_above_it():
    pairs = {"CD4+": "T/CD4", "Treg": "T/CD4/Treg", "T cells": "T"}
    assert denominators("Treg", ours=OURS, theirs=THEIRS, pairs=pairs) == ["CD4+", "T cells", "root"]
    assert denominators("CD4+", ours=OURS, theirs=THEIRS, pairs=pairs) == ["T cells", "root"]


def test_a_population_that_only_one_gating_has_above_it_is_no_denominator():
    pairs = {"Treg": "T/CD4/Treg", "CD25+": "T"}  # T is above theirs, CD25+ above ours
    assert denominators("Treg", ours=OURS, theirs=THEIRS, pairs=pairs) == ["CD25+", "root"]
    pairs = {"CD4+": "T/CD4/Treg", "Treg": "T/CD4"}  # the other way up: no common ancestor but root
    assert denominators("Treg", ours=OURS, theirs=THEIRS, pairs=pairs) == ["root"]


def test_ancestors_end_at_the_root():
    assert ancestors("T/CD4", THEIRS) == ["T", "root"]
    assert ancestors("root", THEIRS) == []
