"""Acquisition quality in the gating step: what is removed is told, and a tube that loses too much fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError
from cytotrial.files.tables import concatenate, read_table
from cytotrial.steps.check import check_unit
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.gate import gate_unit
from cytotrial.steps.layout import QUALITY
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.strategies import compile_gating
from cytotrial.steps.traces import unpacked_trace
from tests.steps.running import begin_anew, leave_the_batch_alone

CONFIG = Path("config/config.yaml")
UNIT = "subject.S001"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acquisition")
    write_demo(folder / "resources" / "demo", subjects=1, events=12_000, seed=20240101)
    return folder


@pytest.fixture
def here(trial: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trial)
    begin_anew(trial, repository)
    leave_the_batch_alone(CONFIG)
    return trial


def configure(quality: str) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    begin, end = text.index("quality:\n"), text.index("\nreport:")
    CONFIG.write_text(f"{text[:begin]}quality: {{{quality}}}\n{text[end:]}", encoding="utf-8")


def gated(panel: str = "treg") -> tuple[Plan, dict[str, dict[str, str]], list[dict[str, str]]]:
    """The unit's rows of acquisition quality by tube, and its populations."""
    plan = make_plan(CONFIG)
    tubes = plan.tubes_to_gate(panel, UNIT)
    for name in plan.units_of([*tubes, *plan.controls_of(panel, UNIT)]):
        check_unit(plan, name)
    for batch in sorted({tube.batch for tube in tubes}):
        check_unit(plan, f"batch.{batch}")
        compensate_batch(plan, panel=panel, batch=batch)
    compile_gating(CONFIG, panel=panel)
    gate_unit(plan, panel=panel, unit=UNIT)
    layout = plan.layout
    rows = {row["sample_id"]: row for row in read_table(layout.unit_quality(panel, UNIT))}
    return plan, rows, read_table(layout.unit_populations(panel, UNIT))


def test_every_gated_tube_says_whether_it_was_judged_over_time(here: Path) -> None:
    _, rows, populations = gated()
    gated_tubes = {row["sample_id"] for row in populations if row["events"]}
    assert gated_tubes == set(rows)
    assert {row["time_check"] for row in rows.values()} <= {"judged", "hardly judged", "not judged"}
    for row in rows.values():
        few = int(row["events"]) < 7_575
        assert (row["time_check"] != "judged") == few
        assert few == any(flag.startswith("TIME_") for flag in row["flags"].split(";"))


def test_a_clogged_tube_hands_on_when_what_was_removed_and_the_joined_table_stays_small(here: Path) -> None:
    plan, rows, _ = gated()
    clogged = [row for row in rows.values() if row["intervals"]]
    assert clogged
    for row in clogged:
        trace = unpacked_trace(row["trace"])
        assert sum(trace["rate"]) == int(row["events"])
        assert len(trace["removed"]) == len(row["intervals"].split(";"))
        assert trace["channels"][0] in row["channels"].split(";") or row["channels"] == "rate"
    quiet = [row for row in rows.values() if not row["intervals"] and not row["flags"]]
    assert all(row["trace"] == "" for row in quiet)
    parts = [plan.layout.unit_quality("treg", UNIT)]
    concatenate(plan.layout.quality, parts, columns=QUALITY, sort_by=["sample_id"])
    assert "trace" not in read_table(plan.layout.quality)[0]


def test_a_tube_that_loses_more_than_is_configured_fails_with_its_share_and_keeps_its_row(here: Path) -> None:
    _, before, _ = gated()
    lost = {name: float(row["removed_percent"]) for name, row in before.items() if row["intervals"]}
    assert lost
    configure("max_time_removed_percent: 0, fail_time_removed_percent: 1")
    _, rows, populations = gated()
    assert set(rows) == set(before)
    for name in rows:
        of_tube = [row for row in populations if row["sample_id"] == name]
        if lost.get(name, 0) > 1.5:
            assert {row["status"] for row in of_tube} == {"FAIL"}
            assert all("UNSTABLE_TIME" in row["reason"] and "at most 1 %" in row["reason"] for row in of_tube)
            assert any(flag.startswith("UNSTABLE_TIME:") for flag in rows[name]["flags"].split(";"))
            assert all(row["events"] == "" for row in of_tube)
        elif name not in lost:
            assert "FAIL" not in {row["status"] for row in of_tube if row["population"] == "root"}


def test_the_check_over_time_can_be_turned_off_and_every_row_says_so(here: Path) -> None:
    configure("time_bins: false")
    _, rows, _ = gated()
    assert {row["time_check"] for row in rows.values()} == {"off"}
    assert {row["removed_percent"] for row in rows.values()} == {"0"}


def test_a_tube_cannot_fail_before_it_warns(here: Path) -> None:
    configure("max_time_removed_percent: 40, fail_time_removed_percent: 30")
    with pytest.raises(ConfigError, match="fail_time_removed_percent 30 must not be below"):
        make_plan(CONFIG)
