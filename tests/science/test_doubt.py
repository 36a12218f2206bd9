"""Each doubt about a gate: raised where it should be, and not where it should not."""

from __future__ import annotations

import math

import pytest

from cytotrial.science.doubt import (
    COHORT_OUTLIER,
    FAR_FROM_BATCH,
    FEW_PARENTS,
    FEW_POSITIVES,
    LOW_SIMILARITY,
    METHODS_DISAGREE,
    Limits,
    Measures,
    farthest,
    flags_of,
    logit,
    middle_of,
    rank,
    robust_z,
    score,
    sizes,
    spread_of,
)

LIMITS = Limits(
    batch_distance=0.04,
    batch_distance_above=0.06,
    cohort_z=3.0,
    disagreement=1.3,
    similarity=0.85,
    few_events=50,
    few_parents=200,
)


def flags(measures: Measures, *, reported: bool = True, deciding: bool = True, on_events: bool = True):
    return flags_of(measures, LIMITS, reported=reported, deciding=deciding, on_events=on_events)


@pytest.mark.parametrize(
    ("flag", "doubtful", "fine"),
    [
        (FAR_FROM_BATCH, Measures(batch_distance=0.041), Measures(batch_distance=0.039)),
        (FAR_FROM_BATCH, Measures(batch_distance=-0.041), Measures(batch_distance=-0.039)),
        (COHORT_OUTLIER, Measures(cohort_z=-3.1), Measures(cohort_z=2.9)),
        (METHODS_DISAGREE, Measures(disagreement=math.log(1.31)), Measures(disagreement=math.log(1.29))),
        (METHODS_DISAGREE, Measures(disagreement=-math.log(1.31)), Measures(disagreement=-math.log(1.29))),
        (LOW_SIMILARITY, Measures(similarity=0.84), Measures(similarity=0.86)),
        (FEW_POSITIVES, Measures(events=49), Measures(events=50)),
        (FEW_PARENTS, Measures(parent_events=199), Measures(parent_events=200)),
    ],
)
def test_a_doubt_is_raised_beyond_its_limit_and_not_within(flag: str, doubtful: Measures, fine: Measures):
    assert flags(doubtful) == (flag,)
    assert flags(fine) == ()


def test_what_was_not_measured_is_no_doubt():
    assert flags(Measures()) == ()


def test_a_gate_above_the_reported_ones_may_lie_farther_from_its_batch():
    far = Measures(batch_distance=0.05)
    assert flags(far, reported=False, deciding=True) == (FAR_FROM_BATCH,)
    assert flags(far, reported=False, deciding=False) == ()
    assert flags(Measures(batch_distance=0.07), reported=False, deciding=False) == (FAR_FROM_BATCH,)


def test_only_a_reported_number_is_compared_with_the_cohort_and_held_to_events():
    assert flags(Measures(cohort_z=9.0, events=3), reported=False) == ()


def test_a_boolean_population_is_not_blamed_for_a_small_parent():
    # Treg within CD25+FOXP3+: a rare parent is what it should be.
    assert flags(Measures(parent_events=60), on_events=False) == ()


def test_a_cut_in_an_empty_valley_is_nowhere_far_and_in_a_shallow_one_it_is():
    assert farthest((0.6,), (0.5,), depth=0.96) == 0.0
    assert farthest((0.625,), (0.5,), depth=0.5) == 0.125


def test_a_gate_that_moves_in_two_directions_is_as_far_as_the_farther_one():
    assert farthest((0.0, -0.25), (0.125, 0.25)) == -0.5


def test_two_tubes_are_no_batch():
    assert middle_of([(0.5,), (0.6,)]) == ()
    assert middle_of([(0.5,), (0.6,), (0.9,)]) == (0.6,)


def test_the_robust_z_does_not_follow_the_outlier():
    # Median 3, MAD 1: ten is (10 - 3) / 1.4826 robust SD away.
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 10.0])
    assert robust_z(10.0, spread) == pytest.approx(7 / 1.4826)


def test_tubes_that_are_all_alike_give_no_z():
    assert robust_z(5.0, spread_of([1.0] * 6)) is None


def test_no_event_of_many_is_far_down_and_not_infinite():
    assert logit(0, 1000) == pytest.approx(math.log(0.5 / 1000.5))


def test_the_score_is_the_largest_rank_so_that_one_way_of_standing_out_is_enough():
    cohort = {FAR_FROM_BATCH: (0.0, 0.01, 0.02, 0.03), COHORT_OUTLIER: (0.1, 0.5, 1.0, 2.0)}
    assert score(Measures(batch_distance=-0.03, cohort_z=0.1), cohort) == (0.875, FAR_FROM_BATCH)
    assert score(Measures(), cohort) == (0.0, "")


def test_ranks_run_from_0_to_1_and_ties_share():
    assert [rank(value, (1.0, 2.0, 2.0, 3.0)) for value in (0.5, 2.0, 9.0)] == [0.0, 0.5, 1.0]


def test_sizes_forget_the_direction():
    assert sizes(Measures(batch_distance=-0.1, disagreement=-2.0)) == {
        FAR_FROM_BATCH: 0.1,
        METHODS_DISAGREE: 2.0,
    }
