"""The final tables: doubts, values held back, bounds and background, the donor, what to look at first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.files.tables import read_table, write_table
from cytotrial.steps.count import count_specimens
from cytotrial.steps.layout import JUDGED, POPULATIONS
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.score import score_gating
from cytotrial.terms import Role
from tests.steps.running import run_to_the_joined_tables

CONFIG = Path("config/config.yaml")


@pytest.fixture(scope="module")
def trial(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trial, gated without a reference."""
    folder = tmp_path_factory.mktemp("score")
    write_demo(folder / "resources" / "demo", subjects=1, events=3000, seed=5)
    shutil.copytree(repository / "config", folder / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plain = CONFIG.read_text(encoding="utf-8").splitlines(keepends=True)
        CONFIG.write_text("".join(_without_references(plain)), encoding="utf-8")
        run_to_the_joined_tables(make_plan(CONFIG), CONFIG)
    return folder


def _without_references(lines: list[str]) -> Iterator[str]:
    skipping = False
    for line in lines:
        skipping = line.startswith("    reference:") or (skipping and line.startswith("      "))
        if not skipping:
            yield line


@pytest.fixture
def here(trial: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(trial)
    config = CONFIG.read_text(encoding="utf-8")
    yield trial
    CONFIG.write_text(config, encoding="utf-8")


def scored(doubt: str = "") -> tuple[Plan, list[dict[str, str]], list[dict[str, str]]]:
    """The plan, gates.csv and populations.csv, judged by these limits."""
    if doubt:
        CONFIG.write_text(CONFIG.read_text(encoding="utf-8") + f"doubt: {{{doubt}}}\n", encoding="utf-8")
    plan = make_plan(CONFIG)
    score_gating(plan)
    return plan, read_table(plan.layout.gates), read_table(plan.layout.populations)


def of(rows: list[dict[str, str]], **cells: str) -> list[dict[str, str]]:
    return [row for row in rows if all(row[name] == cell for name, cell in cells.items())]


def test_every_gate_and_population_of_the_joined_tables_is_in_the_final_ones(here: Path):
    plan, gates, populations = scored()
    assert len(gates) == len(read_table(plan.layout.joined_gates))
    assert len(populations) == len(read_table(plan.layout.joined_populations))
    assert (tuple(gates[0]), tuple(populations[0])) == (JUDGED, POPULATIONS)


def test_without_a_reference_every_reported_value_is_uncalibrated_and_no_other(here: Path):
    _, _, populations = scored()
    marked = {(row["panel"], row["population"]) for row in populations if "uncalibrated" in row["flags"]}
    assert marked == {
        ("count", "CD4+"), ("count", "lymphocytes"), ("count", "beads"),
        ("treg", "CD4+"), ("treg", "Treg"), ("th17", "CD4+"), ("th17", "Th17"),
    }  # fmt: skip
    assert {row["role"] for row in populations if "uncalibrated" in row["flags"]} == {"sample"}


def test_the_uncalibrated_flag_reaches_the_counts(here: Path):
    plan, _, _ = scored()
    count_specimens(plan)
    values = [row for row in read_table(plan.layout.specimens) if row["value"]]
    assert values
    assert all("uncalibrated" in row["flags"].split(";") for row in values)


def test_a_value_whose_gate_failed_is_held_back_with_the_reason_and_so_is_the_count(here: Path):
    plan, _, populations = scored("few_parents: 100000000, hold_back: [FEW_PARENTS]")
    rows = [row for row in of(populations, population="Treg", role="sample") if row["status"] != "NOT_DONE"]
    assert rows
    assert {(row["status"], row["events"], row["percent_of_parent"]) for row in rows} == {("FAIL", "", "")}
    assert all(row["reason"].startswith(("held back: FEW_PARENTS", "gate ")) for row in rows)
    count_specimens(plan)
    treg = [row for row in read_table(plan.layout.specimens) if row["parameter"] == "TREGPCD4"]
    assert not [row for row in treg if row["value"]]
    assert any("held back" in row["flags"] for row in treg)


def test_what_is_not_to_be_held_back_is_flagged_and_published(here: Path):
    _, _, populations = scored("few_parents: 100000000, hold_back: []")
    rows = [row for row in of(populations, population="Treg", role="sample") if row["events"]]
    assert rows
    assert all("FEW_PARENTS:FOXP3+" in row["flags"] and row["status"] == "WARN" for row in rows)


def test_fmo_tubes_are_bounds_paired_by_batch_and_their_background_stands_beside_the_value(here: Path):
    plan, gates, populations = scored()
    batch = {tube.sample_id: tube.batch for tube in plan.trial.tubes}
    bounded = [row for row in of(gates, population="FOXP3+") if row["bound"]]
    assert bounded
    for row in bounded:
        control, how = row["control"].split(":")
        assert (batch[control], how) == (batch[row["sample_id"]], "batch")
        cut = json.loads(row["gate"])["low"][0]
        assert ("BELOW_FMO_BOUND" in row["flags"]) == (cut < float(row["bound"]))
    beside = [row for row in of(populations, population="FOXP3+", role="sample") if row["background_percent"]]
    assert beside
    for row in beside:
        net = float(row["percent_of_parent"]) - float(row["background_percent"])
        assert float(row["net_percent"]) == pytest.approx(max(net, 0.0))


def test_the_unstimulated_tubes_background_stands_beside_th17_and_its_value_is_as_it_was(here: Path):
    _, _, populations = scored()
    unstimulated = {row["specimen"]: row for row in of(populations, population="Th17", role="unstimulated")}
    samples = [row for row in of(populations, population="Th17", role="sample") if row["background_percent"]]
    assert samples
    for row in samples:
        partner = unstimulated[row["specimen"]]
        assert row["background_percent"] == partner["percent_of_parent"]
        assert row["background_control"] == f"{partner['sample_id']}:draw"
        assert float(row["percent_of_parent"]) == pytest.approx(
            100 * int(row["events"]) / int(row["parent_events"])
        )


def test_fmo_tubes_are_no_failures(here: Path):
    _, _, populations = scored()
    fmo = of(populations, role="fmo")
    assert "FAIL" not in {row["status"] for row in fmo}
    assert {row["status"] for row in of(fmo, population="FOXP3+")} == {"NOT_DONE"}


def test_what_to_look_at_first_is_scored_from_0_to_1(here: Path):
    plan, _, populations = scored()
    scores = read_table(plan.layout.review_scores)
    assert {tuple(row) for row in scores} == {("sample_id", "population", "score", "reasons")}
    assert all(0 <= float(row["score"]) <= 1 for row in scores)
    failed = {(row["sample_id"], row["population"]) for row in populations if row["status"] == "FAIL"}
    assert {float(row["score"]) for row in scores if (row["sample_id"], row["population"]) in failed} <= {1.0}


def change(path: Path, sample_id: str, **cells: str) -> None:
    """Give one tube's row of a table other cells."""
    rows = read_table(path)
    rows = [{**row, **cells} if row["sample_id"] == sample_id else row for row in rows]
    write_table(path, list(rows[0]), rows)


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("quality", {"removed_percent": "12.73", "margin_percent": "0.1"}, "UNSTEADY:12.6%"),
        ("quality", {"flags": "DRIFT:PE-A"}, "DRIFT:PE-A"),
        ("quality", {"events": "400"}, "SMALL_TUBE:400"),
        ("inventory", {"status": "reject", "code": "TRUNCATED"}, "TRUNCATED"),
    ],
)
def test_a_tube_with_a_fault_of_its_own_comes_before_every_gate_that_is_only_the_farthest(
    here: Path, name: str, cells: dict[str, str], reason: str
):
    plan = make_plan(CONFIG)
    sample = next(t.sample_id for t in plan.trial.tubes if t.role is Role.SAMPLE and t.status == "DONE")
    path = getattr(plan.layout, name)
    before = read_table(path)
    try:
        change(path, sample, **cells)
        plan, _, _ = scored()
    finally:
        write_table(path, list(before[0]), before)
    rows = of(read_table(plan.layout.review_scores), population="root")
    (row,) = of(rows, sample_id=sample)
    assert (row["score"], row["reasons"]) == ("1", reason)


def test_some_bins_that_are_off_by_chance_make_no_fault(here: Path):
    plan = make_plan(CONFIG)
    sample = next(t.sample_id for t in plan.trial.tubes if t.role is Role.SAMPLE and t.status == "DONE")
    before = read_table(plan.layout.quality)
    try:
        change(plan.layout.quality, sample, removed_percent="0.9", margin_percent="0", flags="")
        plan, _, _ = scored()
    finally:
        write_table(plan.layout.quality, list(before[0]), before)
    (row,) = of(read_table(plan.layout.review_scores), population="root", sample_id=sample)
    assert (row["score"], row["reasons"]) == ("0", "")


def test_the_donor_of_quality_control_is_followed_and_is_in_no_table_of_the_trial(here: Path):
    plan, _, populations = scored()
    followed = read_table(plan.layout.qc_donor)
    assert {row["measure"] for row in of(followed, population="Treg")} >= {"percent", "position FOXP3+"}
    assert of(populations, subject="QC01")
    count_specimens(plan)
    assert not of(read_table(plan.layout.specimens), subject="QC01")
