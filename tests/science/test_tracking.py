"""A quality-control donor on a Levey–Jennings chart."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.science.tracking import RULE_13S, RULE_22S, judge_batches

STEADY = [5.0, 5.2, 4.9, 5.1, 4.8, 5.0, 5.1, 4.9]


def test_a_steady_donor_raises_no_alarm():
    assert {batch.rule for batch in judge_batches(STEADY, establishing=5)} == {""}


def test_one_batch_beyond_three_sd_is_an_alarm():
    judged = judge_batches([*STEADY, 7.0], establishing=5)
    assert [batch.rule for batch in judged] == [""] * len(STEADY) + [RULE_13S]
    assert judged[-1].z > 3


def test_one_batch_beyond_two_sd_is_none_but_a_second_on_the_same_side_is():
    # Mean 5, SD 0.13 over eight batches: two SD of a prediction are 0.36, three are 0.66.
    once = judge_batches([*STEADY, 5.5], establishing=5)
    twice = judge_batches([*STEADY, 5.5, 5.6], establishing=5)
    opposite = judge_batches([*STEADY, 5.5, 4.5], establishing=5)
    assert (once[-1].rule, twice[-1].rule, opposite[-1].rule) == ("", RULE_22S, "")


def test_a_batch_is_never_judged_by_itself():
    alone, with_outlier = (judge_batches([*STEADY, value], establishing=5)[-1] for value in (5.0, 50.0))
    assert (alone.mean, alone.sd, alone.n_batches) == (with_outlier.mean, with_outlier.sd, 8)


def test_the_first_batches_are_judged_by_each_other():
    judged = judge_batches([5.0, 5.2, 4.9, 5.1, 20.0], establishing=5)
    assert judged[0].n_batches == 4
    assert judged[-1].rule == RULE_13S


def test_a_batch_out_of_control_does_not_widen_the_limits_of_later_ones():
    judged = judge_batches([*STEADY, 9.0, 5.0], establishing=5)
    assert judged[-1].n_batches == len(STEADY)


def test_a_later_batch_changes_no_judgement_on_an_earlier_one():
    assert judge_batches([*STEADY, 6.0], establishing=5)[: len(STEADY)] == judge_batches(
        STEADY, establishing=5
    )


def test_three_batches_judge_nobody():
    assert [(b.z, b.rule, b.low3) for b in judge_batches([1.0, 2.0, 9.0], establishing=5)] == [
        (None, "", None)
    ] * 3


def test_few_batches_make_wide_limits_and_many_make_two_and_three_sd():
    # Prediction limits of five batches: t(4) beyond 2 normal SD is 2.87, times √(1 + 1/5).
    judged = judge_batches([0.0, 1.0, 2.0, 3.0, 4.0, 2.0], establishing=5)[-1]
    assert (judged.high2 - judged.mean) / judged.sd == pytest.approx(2.8693 * np.sqrt(1.2), rel=1e-3)
    many = judge_batches([*np.tile([1.0, 2.0, 3.0], 200), 2.0], establishing=5)[-1]
    assert (many.high2 - many.mean) / many.sd == pytest.approx(2.0, rel=0.01)
    assert (many.high3 - many.mean) / many.sd == pytest.approx(3.0, rel=0.01)


def test_steady_donors_are_alarmed_about_as_seldom_as_the_rules_say():
    # 1-3s: 0.27 % of batches, a little more because batches out of control are left out of the limits;
    # 2-2s: 2 x 0.023^2 = 0.10 %. Mean ± 3 SD of six batches would alarm in 4 %.
    rng = np.random.default_rng(7)
    rules = [judge_batches(rng.normal(5, 1, 7), establishing=5)[-1].rule for _ in range(4000)]
    assert 0.001 < np.mean([rule == RULE_13S for rule in rules]) < 0.008
    assert np.mean([rule == RULE_22S for rule in rules]) < 0.006
