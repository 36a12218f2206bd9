"""Values worked out again from events: by arithmetic that can be checked by head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cytotrial.errors import CountError
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.settings import ParameterCode, Settings, load_settings
from cytotrial.steps.formulas import Draw, agrees, formula_of
from cytotrial.terms import Role, Tube

COUNT = Tube("T1", "1.fcs", "count", Role.SAMPLE, "B1", subject="S1", beads_per_tube=50_000, blood_ul=50)
TREG = Tube("T2", "2.fcs", "treg", Role.SAMPLE, "B1", subject="S1")
TH17 = Tube("T3", "3.fcs", "th17", Role.SAMPLE, "B1", subject="S1")
UNSTIMULATED = Tube("T4", "4.fcs", "th17", Role.UNSTIMULATED, "B1", subject="S1")

EVENTS = {
    ("T1", "CD4+"): 4000, ("T1", "beads"): 5000, ("T2", "CD4+"): 2000, ("T2", "Treg"): 100,
    ("T3", "CD4+"): 1000, ("T3", "Th17"): 30, ("T4", "CD4+"): 1000, ("T4", "Th17"): 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(repository: Path) -> Settings:
    return load_settings(read_yaml(repository / "config" / "config.yaml"), where="config.yaml")


def draw(settings: Settings, events: Mapping[tuple[str, str], Any] = EVENTS, **methods: str) -> Draw:
    told = {"CD4ABS": "BEAD", "TREGPCD4": "FRACTION", "TH17PCD4": "FRACTION-BACKGROUND", **methods}
    blood = {
        "lymphocyte_events": "8000",
        "cbc_lymphocytes_10e9_per_l": "2",
        "volume_nl": "40000",
        "dilution": "10",
    }
    return Draw(
        settings,
        {code: {"method": method, **blood} for code, method in told.items()},
        (COUNT, TREG, TH17, UNSTIMULATED),
        {key: {"events": str(number)} for key, number in events.items()},
    )


@pytest.mark.parametrize(
    ("code", "value", "numbers"),
    [
        # 4000 cells beside 5000 of 50,000 beads in 50 µL: 40,000 cells in 50 µL.
        ("CD4ABS", 800.0, "4000 / 5000 × 50000 / 50"),
        ("TREGPCD4", 5.0, "100 × 100 / 2000"),
        ("TH17PCD4", 2.0, "100 × 30 / 1000 − 100 × 10 / 1000"),
        ("TREGABS", 40.0, "5 / 100 × 800"),
        ("TH17ABS", 16.0, "2 / 100 × 800"),
        ("TH17TREG", 0.4, "16 / 40"),
    ],
)
def test_every_kind_of_parameter_is_worked_out_from_events(
    settings: Settings, code: ParameterCode, value: float, numbers: str
):
    formula = formula_of(draw(settings), code)
    assert formula.value == pytest.approx(value, rel=1e-12)
    assert formula.numbers == numbers
    assert agrees(formula, repr(value))
    assert not agrees(formula, repr(value * 1.001))


@pytest.mark.parametrize(
    # 4000 of 8000 lymphocytes, of which the blood count has 2 x 10^9/L = 2000 per µL: 1000 per µL.
    # 4000 cells in 40 µL are 100 per µL of a tenfold dilution: 1000 per µL of blood.
    ("method", "value"),
    [("DUAL", 1000.0), ("VOL", 1000.0)],
)
def test_a_count_by_blood_count_or_volume_is_worked_out_too(settings: Settings, method: str, value: float):
    assert formula_of(draw(settings, CD4ABS=method), "CD4ABS").value == pytest.approx(value)


def test_a_background_above_the_signal_leaves_zero(settings: Settings):
    above = {**EVENTS, ("T4", "Th17"): 40}
    assert formula_of(draw(settings, above), "TH17PCD4").value == 0.0


def test_a_number_that_is_not_in_the_tables_is_named(settings: Settings):
    without = {key: ("" if key == ("T2", "Treg") else number) for key, number in EVENTS.items()}
    with pytest.raises(CountError, match="T2 has no events in population Treg"):
        formula_of(draw(settings, without), "TREGABS")
