"""How doubtful a gate is beside those of other tubes."""

from __future__ import annotations

import pytest

from cytotrial.science.outliers import doubt

NONE = [None] * 6


def scores(positions=NONE, percents=NONE, batches=("B1",) * 6, confidences=NONE, flags=((),) * 6):
    found = doubt(positions, percents, batches, confidences=confidences, flags=flags)
    return [round(score, 2) for score, _ in found], [reasons for _, reasons in found]


def test_a_gate_four_robust_sd_from_its_batch_is_half_doubtful():
    # Median 0.50, median absolute deviation 0.02: one robust SD is 0.02 / 0.6745 = 0.02965, four are 0.1186.
    found, reasons = scores([0.48, 0.48, 0.50, 0.52, 0.52, 0.6186])
    # With the sixth value the median is 0.51 and the MAD 0.02; 0.1086 / 0.02965 = 3.66 robust SD.
    assert found[-1] == pytest.approx(3.66**2 / (3.66**2 + 16), abs=0.01)
    assert reasons[-1] == ("3.7 robust SD from the gates of its batch",)


def test_batches_that_lie_apart_make_no_gate_doubtful():
    found, _ = scores(
        [0.3, 0.31, 0.3, 0.7, 0.71, 0.7] * 2,
        NONE * 2,
        ["A"] * 3 + ["B"] * 3 + ["A"] * 3 + ["B"] * 3,
        NONE * 2,
        ((),) * 12,
    )
    assert max(found) < 0.1


def test_a_percentage_far_from_all_other_tubes_is_doubtful_whatever_its_batch():
    found, reasons = scores(percents=[5.0, 5.5, 4.5, 5.2, 4.8, 40.0], batches=list("ABCDEF"))
    assert found[-1] > 0.9
    assert "robust SD from all tubes" in reasons[-1][0]


def test_a_flagged_gate_and_one_without_confidence_come_first():
    found, reasons = scores(
        flags=(("GATE_FALLBACK",), (), (), (), (), ()), confidences=[None, 0.2, 0.9, None, None, None]
    )
    assert found == [0.9, 0.8, 0.1, 0.0, 0.0, 0.0]
    assert reasons[0] == ("flagged GATE_FALLBACK",)


def test_three_tubes_are_too_few_to_call_one_an_outlier():
    assert max(scores([0.1, 0.1, 0.9, None, None, None])[0]) == 0
