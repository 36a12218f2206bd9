"""From events per population to values of a draw, with literal events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cytotrial.science.counting import QUANTIFIABLE
from cytotrial.settings import Settings
from cytotrial.steps.draws import Draw
from cytotrial.steps.values import values_of
from cytotrial.terms import Role, Status, Tube

SETTINGS = Settings.model_validate(
    {
        "study": "T",
        "fcs_dir": "fcs",
        "sheets": {"samples": "s", "subjects": "s", "visits": "s"},
        "panels": {
            name: {"markers": {"CD4": ["CD4"]}, "gating": f"{name}.yaml"}
            for name in ("count", "treg", "th17")
        },
        "parameters": {
            "CD4ABS": {"kind": "absolute", "panel": "count", "population": "CD4+"},
            "TREGPCD4": {"kind": "percent", "panel": "treg", "population": "Treg", "of": "CD4+"},
            "TH17PCD4": {
                "kind": "percent", "panel": "th17", "population": "Th17", "of": "CD4+", "background": True,
            },
            "TREGABS": {"kind": "cross_tube", "percent": "TREGPCD4", "count": "CD4ABS"},
            "TH17ABS": {"kind": "cross_tube", "percent": "TH17PCD4", "count": "CD4ABS"},
            "TH17TREG": {"kind": "ratio", "numerator": "TH17ABS", "denominator": "TREGABS"},
        },
    }
)  # fmt: skip


def changed(**parameters: dict[str, object]) -> Settings:
    """The settings with other keys in some parameters."""
    plain = SETTINGS.model_dump()
    for code, keys in parameters.items():
        plain["parameters"][code] |= keys
    return Settings.model_validate(plain)


def tube(sample_id: str, panel: str, role: Role = Role.SAMPLE) -> Tube:
    return Tube(
        sample_id, f"{sample_id}.fcs", panel, role, "B1", subject="S1", visit="W00", specimen="S1.W00",
        collected="2024-01-01", beads_per_tube=50_000.0, blood_ul=50.0,
    )  # fmt: skip


PARENTS = {"Treg": "CD4+", "Tregs": "CD4+", "Th17": "CD4+", "CD4+": "root", "CD8+": "root"}


def populations(flags: str = "", **events: int | None) -> dict[str, dict[str, str]]:
    return {
        name: {
            "events": "" if number is None else str(number),
            "parent": PARENTS.get(name, "root"),
            "flags": flags,
            "reason": "no valley" if number is None else "",
            "gating_version": "1.0.0",
        }
        for name, number in events.items()
    }


def draw(**changes: dict[str, dict[str, str]]) -> Draw:
    """Worked example: 5,120 CD4+ and 10,000 beads; 507 Treg and 240 (17 unstimulated) Th17 of 20,000 CD4+."""
    tubes = (tube("c", "count"), tube("r", "treg"), tube("s", "th17"), tube("u", "th17", Role.UNSTIMULATED))
    gated = {
        "c": populations(**{"CD4+": 5120, "beads": 10_000}),
        "r": populations(**{"CD4+": 20_000, "Treg": 507}),
        "s": populations(**{"CD4+": 20_000, "Th17": 240}),
        "u": populations(**{"CD4+": 20_000, "Th17": 17}),
    } | changes
    inventory = {t.sample_id: {"status": "ok", "code": "", "message": "", "acquired": ""} for t in tubes}
    return Draw(tubes, gated, inventory)


def test_a_whole_draw_gives_the_worked_example():
    result = values_of(draw(), SETTINGS)
    numbers = {code: round(value.count.value, 3) for code, value in result.items() if value.count}
    assert numbers == {
        "CD4ABS": 512.0, "TREGPCD4": 2.535, "TH17PCD4": 1.115,
        "TREGABS": 12.979, "TH17ABS": 5.709, "TH17TREG": 0.44,
    }  # fmt: skip
    assert {value.status for value in result.values()} == {Status.OK}


def test_the_ratio_has_no_term_for_the_cd4_count_that_both_share():
    # Net of background: 0.4398 [0.3732, 0.5184] from the fractions alone.
    ratio = values_of(draw(), SETTINGS)["TH17TREG"].count
    assert ratio is not None
    assert (round(ratio.ci_low, 4), round(ratio.ci_high, 4)) == (0.3732, 0.5184)


def test_a_rejected_treg_tube_leaves_cd4_and_th17_as_they_were():
    whole = draw()
    inventory = {
        **whole.inventory,
        "r": {"status": "reject", "code": "TRUNCATED", "message": "cut", "acquired": ""},
    }
    result = values_of(replace(whole, inventory=inventory), SETTINGS)
    for code in ("TREGPCD4", "TREGABS", "TH17TREG"):
        assert result[code].count is None
        assert result[code].status is Status.NOT_DONE
        assert "TUBE_REJECTED:TRUNCATED" in result[code].flags
    assert result["CD4ABS"].count.value == 512.0
    assert result["TH17ABS"].count is not None


def test_a_gate_that_could_not_be_placed_is_a_failure_and_not_a_zero():
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "Treg": None})), SETTINGS)
    assert result["TREGABS"].count is None
    assert result["TREGABS"].status is Status.FAIL
    assert "could not be gated: no valley" in result["TREGPCD4"].flags[0]


def test_without_the_unstimulated_tube_the_raw_value_stands_and_is_flagged():
    whole = draw()
    result = values_of(replace(whole, tubes=whole.tubes[:3]), SETTINGS)
    assert round(result["TH17PCD4"].count.value, 3) == 1.2
    assert "NO_BACKGROUND" in result["TH17PCD4"].flags


def test_a_count_tube_without_bead_lot_gives_no_count():
    whole = draw()
    tubes = (replace(whole.tubes[0], beads_per_tube=None), *whole.tubes[1:])
    result = values_of(replace(whole, tubes=tubes), SETTINGS)
    assert result["CD4ABS"].status is Status.FAIL
    assert "beads_per_tube empty in the sample sheet" in result["CD4ABS"].flags[0]
    assert result["TREGPCD4"].count is not None


def test_few_beads_are_flagged():
    result = values_of(draw(c=populations(**{"CD4+": 512, "beads": 999})), SETTINGS)
    assert "FEW_BEADS" in result["CD4ABS"].flags
    assert result["CD4ABS"].status is Status.WARN


@pytest.mark.parametrize(
    ("events", "flag"), [(19, "BELOW_LOD"), (20, "BELOW_LLOQ"), (49, "BELOW_LLOQ"), (50, None)]
)
def test_limits_of_detection_and_quantitation_are_in_events(events: int, flag: str | None):
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "Treg": events})), SETTINGS)["TREGPCD4"]
    assert [f for f in result.flags if f.startswith("BELOW")] == ([flag] if flag else [])


def test_a_ratio_to_a_treg_count_below_quantitation_is_not_given():
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "Treg": 30})), SETTINGS)
    assert result["TH17TREG"].count is None
    assert "DENOMINATOR_BELOW_LLOQ" in result["TH17TREG"].flags


def test_a_population_that_the_gating_does_not_have_is_named_with_those_it_has():
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "Tregs": 3})), SETTINGS)
    assert "it has: CD4+, Tregs" in result["TREGPCD4"].flags[0]


def test_of_two_tubes_of_one_kind_the_usable_one_answers_and_is_flagged():
    whole = draw()
    repeat = tube("r2", "treg")
    both = replace(
        whole,
        tubes=(*whole.tubes, repeat),
        populations={**whole.populations, "r2": populations(**{"CD4+": 1000, "Treg": 100})},
        inventory={**whole.inventory, "r2": {"status": "ok", "code": "", "message": "", "acquired": ""}},
    )
    result = values_of(both, SETTINGS)["TREGPCD4"]
    assert result.count.value == pytest.approx(10.0)
    assert result.flags[:2] == ("REPEAT_TUBES:2", "NOT_USED:r")


def test_a_repeat_that_gives_no_count_does_not_hide_the_tube_that_does():
    whole = draw()
    repeat = tube("z", "treg")
    both = replace(
        whole,
        tubes=(*whole.tubes, repeat),
        populations={**whole.populations, "z": populations(**{"CD4+": 1000, "Treg": None})},
        inventory={**whole.inventory, "z": {**whole.inventory["r"], "acquired": "2024-01-02T10:00:00"}},
    )
    result = values_of(both, SETTINGS)["TREGPCD4"]
    assert result.count.value == pytest.approx(2.535)
    assert result.tubes == ("r",)


def test_of_two_good_repeats_the_one_acquired_last_answers():
    whole = draw()
    later = {**whole.inventory["r"], "acquired": "2024-01-01T12:00:00"}
    earlier = {**whole.inventory["r"], "acquired": "2024-01-01T11:00:00"}
    both = replace(
        whole,
        tubes=(*whole.tubes, tube("z", "treg")),
        populations={**whole.populations, "z": populations(**{"CD4+": 1000, "Treg": 100})},
        inventory={**whole.inventory, "r": later, "z": earlier},
    )
    assert values_of(both, SETTINGS)["TREGPCD4"].tubes == ("r",)


def test_flags_of_the_unstimulated_tube_reach_the_net_value():
    result = values_of(draw(u=populations("FEW_EVENTS:300", **{"CD4+": 200, "Th17": 0})), SETTINGS)[
        "TH17PCD4"
    ]
    assert result.flags == ("UNSTIMULATED_FEW_EVENTS:300",)
    assert result.status is Status.WARN


def test_flags_of_a_gate_reach_the_count_and_the_ratio():
    result = values_of(draw(r=populations("GATE_FALLBACK:CD4+", **{"CD4+": 20_000, "Treg": 507})), SETTINGS)
    for code in ("TREGPCD4", "TREGABS", "TH17TREG"):
        assert "GATE_FALLBACK:CD4+" in result[code].flags
        assert result[code].status is Status.WARN


def test_a_percentage_of_what_is_no_ancestor_is_refused():
    settings = changed(TREGPCD4={"of": "CD8+"}, TREGABS={"same_population": True})
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "CD8+": 9000, "Treg": 507})), settings)[
        "TREGPCD4"
    ]
    assert result.status is Status.FAIL
    assert "'CD8+' is no ancestor of 'Treg'" in result.flags[0]


def test_a_ratio_to_nothing_fails_and_says_why():
    settings = changed(TREGPCD4={"lod_events": 0, "lloq_events": 0})
    result = values_of(draw(r=populations(**{"CD4+": 20_000, "Treg": 0})), settings)["TH17TREG"]
    assert (result.count, result.status) == (None, Status.FAIL)
    assert any("the ratio is undefined" in flag for flag in result.flags)


def test_limits_of_a_parameter_come_before_those_of_all_counts_and_pass_to_what_rests_on_it():
    # 507 Treg are quantifiable by the usual 50 events, and not by a lab that validated 600.
    result = values_of(draw(), changed(TREGPCD4={"lod_events": 300, "lloq_events": 600}))
    for code in ("TREGPCD4", "TREGABS"):
        assert result[code].quantifiable == "DETECTED, NOT QUANTIFIABLE"
        assert "BELOW_LLOQ" in result[code].flags
    assert result["TH17ABS"].quantifiable == QUANTIFIABLE
    assert "DENOMINATOR_BELOW_LLOQ" in result["TH17TREG"].flags


def test_a_ratio_is_as_quantifiable_as_its_numerator():
    result = values_of(draw(s=populations(**{"CD4+": 20_000, "Th17": 48})), SETTINGS)
    assert result["TH17TREG"].quantifiable == "DETECTED, NOT QUANTIFIABLE"


def test_only_the_events_above_background_count_for_detection():
    # 100 events with 85 in as many unstimulated cells are 15 more than nothing: not detected.
    result = values_of(
        draw(s=populations(**{"CD4+": 20_000, "Th17": 100}), u=populations(**{"CD4+": 20_000, "Th17": 85})),
        SETTINGS,
    )["TH17PCD4"]
    assert result.quantifiable == "NOT DETECTED"
    assert result.flags == ("NOT_ABOVE_BACKGROUND", "BELOW_LOD")


def test_a_value_far_outside_what_blood_holds_is_flagged_and_kept():
    # 12 CD4+ cells/µL: a tenth of the healthy range ends at 36.
    result = values_of(draw(c=populations(**{"CD4+": 120, "beads": 10_000})), SETTINGS)["CD4ABS"]
    assert result.count is not None
    assert (result.count.value, result.status) == (12.0, Status.WARN)
    assert result.flags == ("IMPLAUSIBLE:CD4ABS 12 (360 to 1127 is usual)",)


def test_a_lab_with_other_patients_states_its_own_usual_range():
    result = values_of(
        draw(c=populations(**{"CD4+": 120, "beads": 10_000})), changed(CD4ABS={"typical": [50.0, 500.0]})
    )
    assert result["CD4ABS"].status is Status.OK


def test_a_gate_placed_by_hand_is_told_and_is_no_doubt():
    result = values_of(draw(r=populations("OVERRIDE:O1", **{"CD4+": 20_000, "Treg": 507})), SETTINGS)
    assert (result["TREGABS"].flags, result["TREGABS"].status) == (("OVERRIDE:O1",), Status.OK)


def test_what_a_count_took_is_told_with_it_so_that_it_can_be_worked_out_again():
    result = values_of(draw(), SETTINGS)
    cd4, th17 = (result[code].count for code in ("CD4ABS", "TH17ABS"))
    assert cd4 is not None
    assert th17 is not None
    assert cd4.inputs == {"bead_events": 10_000, "beads_per_tube": 50_000.0, "blood_ul": 50.0}
    assert th17.inputs["parent_value"] == 512.0
    share = 240 / 20_000 - th17.inputs["background_events"] / th17.inputs["background_parent_events"]
    assert share * th17.inputs["parent_value"] == pytest.approx(th17.value, rel=1e-12)


def test_errors_of_bead_lot_and_pipette_stand_beside_the_interval_and_leave_the_ratio():
    plain = SETTINGS.model_dump()
    plain["counts"] |= {"bead_lot_cv_percent": 3.0, "pipette_cv_percent": 4.0}
    result = values_of(draw(), Settings.model_validate(plain))
    without = values_of(draw(), SETTINGS)
    for code in ("CD4ABS", "TREGABS", "TH17ABS"):
        assert result[code].count.systematic_cv_percent == pytest.approx(5.0)  # 3² + 4² = 5²
        assert result[code].count.ci_high == without[code].count.ci_high
    for code in ("TREGPCD4", "TH17TREG"):
        assert result[code].count.systematic_cv_percent == 0.0
