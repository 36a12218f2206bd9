"""Gates placed by hand reach the tables, change nothing else, and are not applied where they do not stand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError
from cytotrial.files.overrides import (
    HEADER,
    Override,
    basis_digest,
    digest_of_text,
    entry_digests,
    upstream_of,
    write_overrides,
)
from cytotrial.files.reference import read_reference
from cytotrial.files.strategy import read_strategies
from cytotrial.files.tables import read_table, write_table
from cytotrial.settings import Expert
from cytotrial.steps.check import check_unit
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.experts import gated_by_experts
from cytotrial.steps.gate import gate_unit
from cytotrial.steps.gates_table import gate_of_row
from cytotrial.steps.layout import BY_HAND, Layout
from cytotrial.steps.learn import learn_reference
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.strategies import compile_gating
from cytotrial.steps.summary import overrides_not_applied
from cytotrial.terms import RectangleGate, Role
from tests.steps.running import begin_anew, leave_the_batch_alone

CONFIG, FILE = Path("config/config.yaml"), Path("config/overrides.tsv")
UNIT = "subject.S001"
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overriding")
    write_demo(folder / "resources" / "demo", subjects=1, events=4000, seed=5)
    return folder


@pytest.fixture
def here(trial: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trial, every tube of it gated by itself and by the templates' own constants."""
    monkeypatch.chdir(trial)
    begin_anew(trial, repository)
    assert f"overrides: {FILE}" in CONFIG.read_text(encoding="utf-8")
    leave_the_batch_alone(CONFIG)
    write_overrides(FILE, ())
    return trial


def gated(panel: str = "treg") -> tuple[Plan, Rows, dict[tuple[str, str], dict[str, str]]]:
    """Plan, gates and populations of one subject's tubes of a panel."""
    plan = make_plan(CONFIG)
    tubes = plan.tubes_to_gate(panel, UNIT)
    if not plan.layout.strategy(panel).exists():
        for tube in tubes:
            check_unit(plan, f"batch.{tube.batch}")
        check_unit(plan, UNIT)
        for batch in sorted({tube.batch for tube in tubes}):
            compensate_batch(plan, panel=panel, batch=batch)
        compile_gating(CONFIG, panel=panel)
    gate_unit(plan, panel=panel, unit=UNIT)
    populations = read_table(plan.layout.unit_populations(panel, UNIT))
    rows = {(row["sample_id"], row["population"]): row for row in populations}
    return plan, read_table(plan.layout.unit_gates(panel, UNIT)), rows


def override(
    plan: Plan,
    gates: Rows,
    population: str,
    *,
    action: str = "move",
    new_gate: str = "",
    panel: str = "treg",
) -> Override:
    """A row about the first tube's gate of a population, as the review page would make it."""
    row = next(row for row in gates if row["population"] == population)
    name = row["sample_id"]
    placed = {entry["population"]: gate_of_row(entry) for entry in gates if entry["sample_id"] == name}
    texts = {entry["population"]: entry["gate"] for entry in gates if entry["sample_id"] == name}
    (strategy,) = read_strategies(plan.layout.strategy(panel)).values()
    tube = next(tube for tube in plan.trial.tubes if tube.sample_id == name)
    digest = basis_digest(
        population,
        row["gate"],
        fcs_sha256=plan.sha256_of(tube),
        entries=entry_digests(strategy),
        above={above: texts[above] for above in upstream_of(population, placed)},
    )
    return Override(
        "R1", "2026-01-01T00:00:00Z", "Ada", "", "", name, population, action, row["gate"], new_gate, digest,
        digest_of_text(new_gate) if new_gate else "", "TOO_LOW", "cuts the negatives", "N", f"{panel}:1.0.0",
        digest_of_text(HEADER),
    )  # fmt: skip


def higher(gates: Rows, population: str, by: float = 0.1) -> str:
    """The first tube's threshold of a population, moved up."""
    plain = json.loads(next(row["gate"] for row in gates if row["population"] == population))
    plain["low"] = [plain["low"][0] + by]
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def test_a_gate_placed_by_hand_is_in_the_tables_and_no_other_tube_changes(here: Path):
    plan, gates, before = gated()
    row = override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+"))
    write_overrides(FILE, [row])
    _, after_gates, after = gated()
    moved = next(
        entry
        for entry in after_gates
        if (entry["sample_id"], entry["population"]) == (row.sample_id, "FOXP3+")
    )
    assert (moved["origin"], moved["gate"]) == ("override", row.new_gate)
    treg = row.sample_id, "Treg"
    assert int(after[treg]["events"]) < int(before[treg]["events"])
    assert "OVERRIDE:FOXP3+" in after[treg]["flags"].split(";")
    others = [key for key in before if key[0] != row.sample_id]
    assert others
    assert all(after[key] == before[key] for key in others)


def test_an_excluded_population_is_missing_with_the_persons_reason(here: Path):
    plan, gates, _ = gated()
    row = override(plan, gates, "CD25+", action="exclude")
    write_overrides(FILE, [row])
    _, _, after = gated()
    assert (after[row.sample_id, "Treg"]["status"], after[row.sample_id, "Treg"]["events"]) == ("FAIL", "")
    assert "excluded by hand: TOO_LOW, cuts the negatives (R1)" in after[row.sample_id, "Treg"]["reason"]


def test_an_override_of_a_gate_that_has_moved_since_is_flagged_and_not_applied(here: Path):
    plan, gates, before = gated()
    stale = replace(override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+")), old_sha="0" * 64)
    write_overrides(FILE, [stale])
    _, _, after = gated()
    key = stale.sample_id, "FOXP3+"
    assert after[key]["events"] == before[key]["events"]
    assert "STALE_OVERRIDE:FOXP3+" in after[key]["flags"]


def by_hand(plan: Plan) -> list[dict[str, str]]:
    return read_table(plan.layout.unit_by_hand("treg", UNIT))


def test_what_the_tube_would_be_without_its_override_is_kept_beside_it(here: Path):
    plan, gates, before = gated()
    row = override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+"))
    write_overrides(FILE, [row])
    plan, _, after = gated()
    automatic = read_table(plan.layout.unit_automatic("treg", UNIT))
    own = {key[1]: entry for key, entry in before.items() if key[0] == row.sample_id}
    assert {entry["population"]: entry["events"] for entry in automatic} == {
        name: entry["events"] for name, entry in own.items()
    }
    (told,) = by_hand(plan)
    key = row.sample_id, "FOXP3+"
    assert (told["override_id"], told["outcome"], told["made_by"]) == ("R1", "applied", "Ada")
    assert told["events_before"] == before[key]["events"]
    assert told["events_after"] == after[key]["events"]
    assert float(told["percent_before"]) == pytest.approx(float(before[key]["percent_of_parent"]))
    assert float(told["percent_after"]) < float(told["percent_before"])


def test_an_unstimulated_tube_that_borrows_the_gate_is_kept_as_it_would_be_without_too(here: Path):
    plan, gates, before = gated("th17")
    tubes = {tube.sample_id: tube for tube in plan.trial.tubes}
    paired = {tube.specimen: tube.sample_id for tube in tubes.values() if tube.role is Role.UNSTIMULATED}
    of_samples = [
        row
        for row in gates
        if tubes[row["sample_id"]].role is Role.SAMPLE
        and tubes[row["sample_id"]].specimen in paired
        and before[row["sample_id"], "Th17"]["events"]
    ]
    row = override(plan, of_samples, "Th17", action="exclude", panel="th17")
    control = paired[tubes[row.sample_id].specimen]
    write_overrides(FILE, [row])
    plan, _, _ = gated("th17")
    automatic = {
        (entry["sample_id"], entry["population"]): entry["events"]
        for entry in read_table(plan.layout.unit_automatic("th17", UNIT))
    }
    for name in (row.sample_id, control):
        assert automatic[name, "Th17"] == before[name, "Th17"]["events"] != ""


def test_without_overrides_nothing_is_kept_beside(here: Path):
    plan, _, _ = gated()
    assert (by_hand(plan), read_table(plan.layout.unit_automatic("treg", UNIT))) == ([], [])


def test_an_approved_gate_is_told_and_changes_nothing(here: Path):
    plan, gates, before = gated()
    write_overrides(FILE, [override(plan, gates, "FOXP3+", action="accept")])
    plan, _, after = gated()
    assert after == before
    (told,) = by_hand(plan)
    assert (told["outcome"], told["events_after"]) == ("accepted", told["events_before"])
    assert read_table(plan.layout.unit_automatic("treg", UNIT)) == []


def test_an_excluded_population_has_its_events_before_and_none_after(here: Path):
    plan, gates, before = gated()
    row = override(plan, gates, "CD25+", action="exclude")
    write_overrides(FILE, [row])
    plan, _, _ = gated()
    (told,) = by_hand(plan)
    assert told["events_before"] == before[row.sample_id, "CD25+"]["events"]
    assert (told["outcome"], told["events_after"], told["percent_after"]) == ("applied", "", "")


def test_a_stale_override_is_told_with_the_reason_and_the_automatic_events(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    plan, gates, before = gated()
    row = replace(override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+")), old_sha="0" * 64)
    write_overrides(FILE, [row])
    plan, _, _ = gated()
    (told,) = by_hand(plan)
    assert told["outcome"] == "stale"
    assert "has changed since the override was made" in told["why"]
    assert told["events_after"] == told["events_before"] == before[row.sample_id, "FOXP3+"]["events"]
    assert f"not applied: override R1 (tube {row.sample_id}, FOXP3+)" in capsys.readouterr().err


def test_the_summary_of_a_run_names_the_overrides_that_are_not_applied(tmp_path: Path):
    layout = Layout(tmp_path)
    assert overrides_not_applied(layout) == []
    row = {"override_id": "R1", "sample_id": "T1", "population": "CD4+"}
    stale = {**dict.fromkeys(BY_HAND), **row, "outcome": "stale", "why": "the gate moved"}
    write_table(layout.by_hand, BY_HAND, [{**stale, "override_id": "R0", "why": ""}, stale])
    assert overrides_not_applied(layout) == ["override R1 of T1, CD4+, is not applied: the gate moved"]


def test_an_override_of_a_tube_without_gates_is_told_as_not_applied(here: Path):
    plan, gates, _ = gated()
    row = override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+"))
    write_overrides(FILE, [row])
    tube = next(tube for tube in plan.trial.tubes if tube.sample_id == row.sample_id)
    path = plan.path_of(tube)
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:2000])
        check_unit(make_plan(CONFIG), UNIT)
        plan, _, _ = gated()
    finally:
        path.write_bytes(whole)
        check_unit(make_plan(CONFIG), UNIT)
    (told,) = by_hand(plan)
    assert (told["outcome"], told["events_after"]) == ("not_gated", "")
    assert told["why"]


def test_an_override_of_a_single_stain_is_refused(here: Path):
    plan, gates, _ = gated()
    stain = next(tube.sample_id for tube in plan.trial.tubes if tube.role is Role.SINGLE_STAIN)
    write_overrides(FILE, [replace(override(plan, gates, "FOXP3+", action="accept"), sample_id=stain)])
    with pytest.raises(
        ConfigError, match=f"R1: '{stain}' is a tube of role single_stain, which has no gates"
    ):
        make_plan(CONFIG)


def test_only_the_units_of_tubes_with_overrides_depend_on_the_file(here: Path):
    plan, gates, _ = gated()
    units = ("subject.S001", "subject.S900")
    before = [plan.overrides_of("treg", unit) for unit in units]
    write_overrides(FILE, [override(plan, gates, "FOXP3+", action="accept")])
    after = [make_plan(CONFIG).overrides_of("treg", unit) for unit in units]
    assert [then != now for then, now in zip(before, after, strict=True)] == [True, False]


def test_an_override_of_a_tube_that_the_sheet_does_not_have_is_refused(here: Path):
    plan, gates, _ = gated()
    write_overrides(FILE, [replace(override(plan, gates, "FOXP3+", action="accept"), sample_id="T0")])
    with pytest.raises(ConfigError, match="R1: 'T0' is not a tube of the sample sheet"):
        make_plan(CONFIG)


def learnt_place() -> float:
    """Of the cut of FOXP3+, display scale, from the one tube whose gates stand in the overrides file."""
    learn_reference(CONFIG, panel="treg")
    reference = read_reference(Path("config/gating/mine.json"))
    constants = reference.populations["FOXP3+"].constants
    assert len(reference.tubes) == 1
    assert constants is not None
    (place,) = constants["place"]
    return float(place)


def test_gates_that_were_approved_or_moved_teach_a_reference(here: Path):
    plan, gates, _ = gated()
    section = (
        "    batch_reference: false\n    reference:\n      file: config/gating/mine.json\n      experts:\n"
        f'        - {{source: {FILE}, expert: Ada, gated_on: "2026-01-01"}}\n'
    )
    text, gating = CONFIG.read_text(encoding="utf-8"), "    gating: config/gating/treg.yaml\n"
    CONFIG.write_text(
        text.replace(f"{gating}    batch_reference: false\n", gating + section), encoding="utf-8"
    )
    write_overrides(FILE, [override(plan, gates, "FOXP3+", action="accept")])
    approved = learnt_place()
    write_overrides(FILE, [override(plan, gates, "FOXP3+", new_gate=higher(gates, "FOXP3+", 0.05))])
    # One tube teaches where its own cut lies; 0.005 of the scale is a tenth of what was moved.
    automatic = next(gate_of_row(row).gate for row in gates if row["population"] == "FOXP3+")
    assert isinstance(automatic, RectangleGate)
    assert approved == pytest.approx(automatic.low[0], abs=0.005)
    assert learnt_place() == pytest.approx(approved + 0.05, abs=0.005)


def test_a_gate_that_was_taken_out_after_it_was_approved_teaches_nothing(here: Path):
    plan, gates, _ = gated()
    approved = override(plan, gates, "FOXP3+", action="accept")
    chained = digest_of_text(approved.line)
    taken_out = replace(approved, override_id="R2", action="exclude", prev_row_sha256=chained)
    write_overrides(FILE, [approved, taken_out])
    (tube,) = [tube for tube in plan.tubes_to_gate("treg", UNIT) if tube.sample_id == approved.sample_id]
    template = next(iter(read_strategies(plan.layout.strategy("treg")).values()))
    expert = Expert(source=str(FILE), expert="Ada", gated_on="2026-01-01")
    with pytest.raises(ConfigError, match="gates no sample tube"):
        gated_by_experts([expert], [tube], template, study=plan.trial.settings.study)
    write_overrides(FILE, [approved])
    (found,) = gated_by_experts([expert], [tube], template, study=plan.trial.settings.study)
    assert found.names == {"FOXP3+": "FOXP3+"}
