"""One count tube under each method: what it needs, what is refused, what is flagged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cytotrial.files.sheets import BloodCount
from cytotrial.settings import Settings
from cytotrial.steps.draws import Draw, Value
from cytotrial.steps.values import values_of
from cytotrial.terms import Role, Status, Tube

TUBE = Tube(
    "c", "c.fcs", "count", Role.SAMPLE, "B1", subject="S1", visit="W00", specimen="S1.W00",
    collected="2024-01-01T09:00", beads_per_tube=50_000.0, blood_ul=50.0, dilution=40.0,
)  # fmt: skip
BLOOD_COUNT = BloodCount("S1.W00", lymphocytes_10e9_per_l=1.2, collected="2024-01-01T08:30")
CHECKED = {
    "status": "ok", "code": "", "message": "", "acquired": "", "events": "60000",
    "volume_nl": "40000", "seconds": "60", "events_lost": "",
}  # fmt: skip
PARENTS = {"CD4+": "lymphocytes", "lymphocytes": "singlets", "singlets": "root", "beads": "root"}


def settings(method: str, *, marker: str = "CD45", material: str = "blood", **counts: Any) -> Settings:
    return Settings.model_validate(
        {
            "study": "T",
            "fcs_dir": "fcs",
            "sheets": {"samples": "s", "subjects": "s", "visits": "s", "cbc": "c"},
            "panels": {
                "count": {"markers": {marker: [marker]}, "gating": "count.yaml", "material": material}
            },
            "counts": {"method": method, **counts},
            "parameters": {"CD4ABS": {"kind": "absolute", "panel": "count", "population": "CD4+"}},
        }
    )


def counted(
    chosen: Settings,
    *,
    tube: Tube = TUBE,
    blood_count: BloodCount | None = BLOOD_COUNT,
    steady: float = 1.0,
    events: dict[str, int] | None = None,
    parents: dict[str, str] = PARENTS,
    **checked: str,
) -> Value:
    """The worked example: 5,120 CD4+ of 12,000 lymphocytes, 10,000 beads, 40 µL of a 40-fold dilution."""
    numbers = {"CD4+": 5120, "lymphocytes": 12_000, "singlets": 50_000, "beads": 10_000} | (events or {})
    rows = {
        name: {"events": str(n), "parent": parents[name], "flags": "", "reason": "", "gating_version": "1"}
        for name, n in numbers.items()
    }
    draw = Draw((tube,), {"c": rows}, {"c": CHECKED | checked}, blood_count, {"c": steady})
    return values_of(draw, chosen)["CD4ABS"]


def refusal(value: Value) -> str:
    assert (value.count, value.status) == (None, Status.FAIL)
    return value.flags[-1]


@pytest.mark.parametrize(
    ("method", "value"), [("beads", 512.0), ("dual_platform", 512.0), ("volumetric", 5120.0)]
)
def test_each_method_gives_the_worked_example(method: str, value: float):
    # 5120/10,000 · 1000; 5120/12,000 · 1200; 5120/40 · 40.
    blood_count = None if method == "volumetric" else BLOOD_COUNT
    found = counted(settings(method), blood_count=blood_count)
    assert found.count is not None
    assert (found.count.value, found.status, found.flags) == (pytest.approx(value), Status.OK, ())


def test_every_number_that_the_formula_took_is_told():
    beads, dual, volume = (
        counted(settings(method)).count for method in ("beads", "dual_platform", "volumetric")
    )
    assert beads is not None
    assert dual is not None
    assert volume is not None
    assert beads.inputs == {"bead_events": 10_000, "beads_per_tube": 50_000.0, "blood_ul": 50.0}
    assert dual.inputs == {
        "lymphocyte_events": 12_000, "cbc_lymphocytes_10e9_per_l": 1.2, "cbc_cv_percent": 3.0,
    }  # fmt: skip
    assert volume.inputs == {"volume_nl": 40_000.0, "dilution": 40.0}


# Beads.


@pytest.mark.parametrize("column", ["beads_per_tube", "blood_ul"])
def test_without_bead_lot_or_blood_volume_there_is_no_count(column: str):
    tube = replace(TUBE, **{column: None})
    assert f"{column} empty in the sample sheet" in refusal(counted(settings("beads"), tube=tube))


def test_no_bead_in_the_gate_is_no_count():
    assert "no event in the bead gate" in refusal(counted(settings("beads"), events={"beads": 0}))


def test_few_beads_are_flagged():
    found = counted(settings("beads"), events={"beads": 999, "CD4+": 512, "lymphocytes": 1200})
    assert (found.flags, found.status) == (("FEW_BEADS",), Status.WARN)


def test_beads_of_one_microlitre_written_for_the_tube_are_refused():
    tube = replace(TUBE, beads_per_tube=1010.0)
    assert "10000 beads were acquired of 1010" in refusal(counted(settings("beads"), tube=tube))


def test_cells_inside_the_bead_gate_are_refused():
    parents = PARENTS | {"CD4+": "beads"}
    assert "these would be beads" in refusal(counted(settings("beads"), parents=parents))


def test_a_washed_tube_shows_by_the_blood_count_and_is_flagged():
    # Washing took nine of ten beads and left the cells: 12,000 lymphocytes per 1,000 beads are
    # 12,000 per µL; the haematology analyser has 1,200.
    found = counted(settings("beads"), events={"beads": 1000})
    assert found.flags == ("CBC_DISAGREES:12000 lymphocytes per µL, the blood count has 1200",)
    assert found.status is Status.WARN


def test_a_blood_count_of_another_day_is_not_compared_with():
    other = replace(BLOOD_COUNT, collected="2024-01-05T08:30")
    assert counted(settings("beads"), events={"beads": 1000}, blood_count=other).flags == ()


# Two platforms.


def test_without_a_blood_count_there_is_no_count_on_two_platforms():
    assert "no blood count of specimen S1.W00" in refusal(
        counted(settings("dual_platform"), blood_count=None)
    )


@pytest.mark.parametrize(
    ("collected", "refused"),
    [
        ("2024-01-02T08:59", False),
        ("2024-01-02T09:01", True),
        ("2023-12-31T08:59", True),
        ("2024-01-01", False),
        ("2024-01-02", True),
    ],
)
def test_a_blood_count_counts_for_a_draw_within_24_hours_or_without_times_on_its_day(
    collected: str, refused: bool
):
    found = counted(settings("dual_platform"), blood_count=replace(BLOOD_COUNT, collected=collected))
    assert (found.count is None) is refused
    if refused:
        assert "taken at" in refusal(found)


def test_a_blood_count_without_a_date_is_used_and_flagged():
    found = counted(settings("dual_platform"), blood_count=replace(BLOOD_COUNT, collected=""))
    assert found.flags == ("CBC_TIME_UNKNOWN",)


def test_lymphocytes_are_worked_out_from_leukocytes_where_they_are_not_given():
    # 4.8 · 10⁹/L leukocytes, 25 % lymphocytes: 1.2.
    blood_count = BloodCount("S1.W00", None, 4.8, 25.0, "2024-01-01")
    found = counted(settings("dual_platform"), blood_count=blood_count)
    assert found.count is not None
    assert found.count.value == pytest.approx(512.0)


def test_lymphocytes_that_contradict_the_leukocytes_are_flagged():
    blood_count = BloodCount("S1.W00", 1.2, 4.8, 55.0, "2024-01-01")
    found = counted(settings("dual_platform"), blood_count=blood_count)
    assert found.flags == ("CBC_CONTRADICTS_ITSELF:1.2 and 2.64 x 10^9/L",)


def test_a_blood_count_in_cells_per_microlitre_is_refused_and_not_taken_1000_fold():
    blood_count = replace(BLOOD_COUNT, lymphocytes_10e9_per_l=1200.0)
    assert "cells per µL?" in refusal(counted(settings("dual_platform"), blood_count=blood_count))


def test_a_population_outside_the_lymphocyte_gate_is_refused():
    parents = PARENTS | {"CD4+": "singlets"}
    assert "'lymphocytes' is no ancestor of 'CD4+'" in refusal(
        counted(settings("dual_platform"), parents=parents)
    )


def test_lymphocytes_without_cd45_are_flagged():
    assert counted(settings("dual_platform", marker="CD3")).flags == ("NO_CD45",)


@pytest.mark.parametrize("method", ["beads", "dual_platform", "volumetric"])
def test_cells_of_a_density_gradient_are_flagged_under_every_method(method: str):
    found = counted(settings(method, material="pbmc"), blood_count=BLOOD_COUNT)
    assert "PBMC" in found.flags
    assert found.status is Status.WARN


# Volume.


def test_without_an_acquired_volume_or_a_dilution_there_is_no_count():
    assert "no acquired volume ($VOL)" in refusal(counted(settings("volumetric"), volume_nl=""))
    tube = replace(TUBE, dilution=None)
    assert "dilution empty" in refusal(counted(settings("volumetric"), tube=tube))


@pytest.mark.parametrize("volume_nl", ["40", "40000000"])
def test_a_volume_in_an_unlikely_unit_gives_no_count(volume_nl: str):
    # 40 µL in a minute; taken for 40 nL or 40 mL the flow is none that a cytometer has.
    assert "$VOL is in another unit" in refusal(counted(settings("volumetric"), volume_nl=volume_nl))


def test_a_volume_that_was_taken_for_microlitres_flags_the_count():
    found = counted(settings("volumetric"), code="VOLUME_IN_MICROLITRES", status="warn", blood_count=None)
    assert found.flags == ("TUBE_WARN:VOLUME_IN_MICROLITRES",)


def test_a_volume_that_cannot_be_checked_by_the_time_it_took_is_flagged():
    assert counted(settings("volumetric"), seconds="", blood_count=None).flags == ("VOLUME_UNCHECKED",)


def test_a_file_that_may_lack_events_of_its_volume_gives_no_count():
    found = counted(settings("volumetric"), code="ZEROS_AT_END", status="warn")
    assert "may be missing (ZEROS_AT_END)" in refusal(found)


def test_masked_time_takes_its_share_of_the_volume():
    # A tenth of the events were masked: 5,120 cells stand for 36 µL, not for 40.
    found = counted(settings("volumetric"), steady=0.9, blood_count=None)
    assert found.count is not None
    assert found.count.value == pytest.approx(5120 / 36 * 40)
    assert found.count.inputs["volume_nl"] == pytest.approx(36_000)
    assert found.flags == ("VOLUME_SHARE:90.0%",)


@pytest.mark.parametrize(("lost", "flags"), [("600", ()), ("700", ("EVENTS_LOST:1.2%",))])
def test_more_than_one_percent_of_lost_events_are_flagged(lost: str, flags: tuple[str, ...]):
    found = counted(settings("volumetric"), events_lost=lost, blood_count=None)
    assert found.flags == flags


# Settings that can give no count.


def plain(method: str, **panel: Any) -> dict[str, Any]:
    made = settings("beads").model_dump()
    made["counts"]["method"] = method
    made["panels"]["count"] |= panel
    return made


@pytest.mark.parametrize("method", ["beads", "volumetric"])
def test_a_washed_tube_is_refused_where_beads_or_volume_are_counted(method: str):
    with pytest.raises(ValueError, match="panel 'count' is washed, which loses cells and beads"):
        Settings.model_validate(plain(method, washed=True))
    assert Settings.model_validate(plain("dual_platform", washed=True)).counts.method == "dual_platform"


def test_two_platforms_without_a_sheet_of_blood_counts_are_refused():
    made = plain("dual_platform")
    made["sheets"]["cbc"] = None
    with pytest.raises(ValueError, match=r"name their sheet under sheets\.cbc"):
        Settings.model_validate(made)


def test_limits_of_one_parameter_may_not_be_reversed_by_those_of_all():
    made = plain("beads")
    made["parameters"]["CD4ABS"]["lod_events"] = 60
    with pytest.raises(
        ValueError, match=r"parameters\.CD4ABS: lloq_events 50 must not be below lod_events 60"
    ):
        Settings.model_validate(made)
