"""The formulas as a reader of SUPPCP would apply them, by published and hand-made vectors."""

from __future__ import annotations

import pytest

from cytotrial.science.cdisc.recompute import recompute, value_of_events

BEADS = {"events": 5120, "bead_events": 10000, "beads_per_tube": 50000, "blood_ul": 50}


@pytest.mark.parametrize(
    ("method", "numbers", "expected"),
    [
        # 5,120 of 10,000 beads, 1,000 beads per µL
        ("BEAD", BEADS, 512.0),
        # the same in blood that was diluted fourfold before it was pipetted: 12.5 µL of blood
        ("BEAD", {**BEADS, "dilution": 4}, 2048.0),
        # 1.2e9 lymphocytes per litre, of which 5,120 of 12,000
        ("DUAL", {"events": 5120, "lymphocyte_events": 12000, "cbc_lymphocytes_10e9_per_l": 1.2}, 512.0),
        # 512 events in 40 µL of a fortyfold dilution
        ("VOL", {"events": 512, "volume_nl": 40000, "dilution": 40}, 512.0),
        ("FRACTION", {"events": 507, "parent_events": 20000}, 2.535),
        (
            "FRACTION-BACKGROUND",
            {
                "events": 240, "parent_events": 20000,
                "background_events": 17, "background_parent_events": 20000,
            },
            1.115,
        ),
        (
            "XTUBE(FRACTION-BACKGROUND,BEAD)",
            {
                "events": 240, "parent_events": 20000, "background_events": 17,
                "background_parent_events": 20000, "parent_value": 512.0,
            },
            5.7088,
        ),
    ],
)  # fmt: skip
def test_a_value_follows_from_its_numbers(method: str, numbers: dict[str, float], expected: float):
    assert recompute(method, numbers) == pytest.approx(expected, rel=1e-12)


def test_more_background_than_signal_is_no_negative_count():
    numbers = {"events": 3, "parent_events": 1000, "background_events": 9, "background_parent_events": 1000}
    assert recompute("FRACTION-BACKGROUND", numbers) == 0.0


@pytest.mark.parametrize(
    ("method", "numbers"),
    [("BEAD", {**BEADS, "bead_events": None}), ("BEAD", {**BEADS, "bead_events": 0}), ("MAGIC", BEADS),
     ("XTUBE(FRACTION,BEAD)", {"events": 1, "parent_events": 2}), ("DUAL", {"events": 5120})],
)  # fmt: skip
def test_without_a_number_or_a_known_formula_there_is_no_value(method: str, numbers: dict[str, float]):
    assert recompute(method, numbers) is None


def test_the_value_of_the_limit_of_quantitation_leaves_the_background_out():
    # 50 of 20,000 are 0.25 %, of 512 per µL: 1.28 per µL.
    numbers = {"events": 40, "parent_events": 20000, "background_events": 30,
               "background_parent_events": 9000, "parent_value": 512.0}  # fmt: skip
    assert value_of_events("XTUBE(FRACTION-BACKGROUND,BEAD)", numbers, 50) == pytest.approx(1.28)
