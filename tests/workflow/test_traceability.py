"""What stands in the manifest, what a final analysis is refused for, and the way of one number."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cytotrial.files.seals import write_seal
from tests.workflow.faults import Contents, cytotrial, refused
from tests.workflow.few import read_sheet, write_sheet
from tests.workflow.study import Study

DECIDE_GATES = ("config/gating/count.yaml", "config/gating/count.reference.json", "config/overrides.tsv")
"""What a final analysis wants approved, by content."""


def manifest_of(study: Study) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(study.path("results/manifest.json").read_text(encoding="utf-8"))
    return told


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_names_every_file_that_went_in_and_came_out(ended: Study, undisturbed: Contents):
    manifest = manifest_of(ended)
    named = {name.removeprefix("results/") for name in manifest["outputs"]}
    assert named == {*undisturbed, "dataset/trial.duckdb"}
    for name, content in undisturbed.items():
        entry = manifest["outputs"][f"results/{name}"]
        assert (entry["sha256"], entry["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    raw = {path.relative_to(ended.folder).as_posix() for path in ended.path("resources").rglob("*.fcs")}
    sheets = {f"resources/demo/sheets/{path.name}" for path in ended.path("resources/demo/sheets").iterdir()}
    assert manifest["inputs"].keys() == raw | sheets | {"config/config.yaml", *DECIDE_GATES}
    for name in manifest["inputs"]:
        assert manifest["inputs"][name]["sha256"] == digest_of(ended.path(name))


def test_the_manifest_tells_who_when_with_what_and_what_became_of_the_rows(ended: Study):
    manifest = manifest_of(ended)
    run = manifest["run"]
    assert run["started"] <= run["ended"]
    assert run["ended"].endswith("+00:00")
    assert run["user"]
    assert run["host"]
    assert run["exit_state"].startswith("complete")
    assert set(manifest["software"]["packages"]) >= {"numpy", "flowkit", "snakemake"}
    reference = json.loads(ended.path("config/gating/count.reference.json").read_text(encoding="utf-8"))
    assert manifest["gating"]["count"]["versions"] == [f"1.1.0@{reference['version']}"]
    rows = read_sheet(ended.path("resources/demo/sheets/samples.tsv"))
    assert sum(manifest["rows"]["tubes"].values()) == len(rows)


def test_all_but_the_run_is_the_same_when_the_same_is_run_again(ended: Study):
    before = manifest_of(ended)
    done = ended.snakemake("--forcerun", "manifest")
    assert done.returncode == 0, done.stdout + done.stderr
    after = manifest_of(ended)
    assert before.pop("run") != after.pop("run")
    assert before == after


def test_a_final_analysis_needs_approved_gatings_a_clean_checkout_and_files_someone_vouched_for(ended: Study):
    said = refused(cytotrial(ended, "verify", "--final"))
    gating = digest_of(ended.path("config/gating/count.yaml"))
    lines = [f"{name}: {digest_of(ended.path(name))}" for name in DECIDE_GATES]
    for name, line in zip(DECIDE_GATES, lines, strict=True):
        assert f"{name} is a draft: approve it by the line '{line}' under approved" in said
    assert "was no git checkout" in said
    assert "tubes have no sha256 in the sheet" in said
    approved = "approved:\n" + "".join(f"  {line}\n" for line in lines)
    _make_final(ended, approved)
    try:
        ended.run()
        done = cytotrial(ended, "verify", "--final")
        assert done.returncode == 0, done.stdout
        ended.edit("config/config.yaml", f"{gating[:6]}", f"{gating[:6][::-1]}")
        assert "was edited after it was approved" in refused(cytotrial(ended, "verify", "--final"))
        ended.edit("config/config.yaml", f"{gating[:6][::-1]}", f"{gating[:6]}")
        ended.path("Snakefile").write_text(ended.path("Snakefile").read_text() + "# edited\n")
        assert ended.snakemake("--forcerun", "manifest").returncode == 0
        said = refused(cytotrial(ended, "verify", "--final"))
        assert "the working folder differed from commit" in said
    finally:
        subprocess.run(["rm", "-rf", ".git"], cwd=ended.folder, check=True)
        ended.edit("Snakefile", "# edited\n", "")
        ended.edit("config/config.yaml", approved, "")
        sheet = ended.path("resources/demo/sheets/samples.tsv")
        write_sheet(sheet, [{**row, "sha256": ""} for row in read_sheet(sheet)])
        ended.run()


def _make_final(study: Study, approved: str) -> None:
    """Approve the gating, pin every file, commit the checkout."""
    config = study.path("config/config.yaml")
    config.write_text(config.read_text(encoding="utf-8") + approved, encoding="utf-8")
    with study.path("results/check/inventory.csv").open(encoding="utf-8", newline="") as stream:
        known = {row["sample_id"]: row["fcs_sha256"] for row in csv.DictReader(stream)}
    sheet = study.path("resources/demo/sheets/samples.tsv")
    write_sheet(sheet, [{**row, "sha256": known[row["sample_id"]]} for row in read_sheet(sheet)])
    study.path(".gitignore").write_text("results/\n.snakemake/\n.cache/\nprofiles\n", encoding="utf-8")
    identity = ["-c", "user.name=a test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "Study"]):
        subprocess.run(["git", *command], cwd=study.folder, check=True)


@pytest.fixture
def way(ended: Study) -> str:
    done = cytotrial(ended, "trace", "S001", "W00", "CD4ABS")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_way_of_a_number_leads_from_its_files_to_its_formula(ended: Study, way: str):
    (tube,) = [
        row
        for row in read_sheet(ended.path("resources/demo/sheets/samples.tsv"))
        if (row["subject"], row["visit"], row["role"]) == ("S001", "W00", "sample")
    ]
    fcs = f"resources/demo/fcs/{tube['fcs']}"
    assert f"{fcs}, SHA-256 {digest_of(ended.path(fcs))} (unchanged)" in way
    matrix = f"results/compensation/count.{tube['batch']}.csv"
    assert f"{matrix}, SHA-256 {digest_of(ended.path(matrix))}" in way
    assert "CD4ABS = cells / beads × beads in the tube / blood in µL = " in way
    assert "from events, as the dataset says" in way
    for gate in ("bead events", "cells", "singlets", "lymphocytes", "T cells", "CD8-", "CD4+", "beads"):
        assert f"  gate      {gate}: " in way
    assert way.index("gate      singlets: ") < way.index("gate      CD4+: ")
    assert "from template" in way
    assert manifest_of(ended)["run"]["run"] in way
    assert f"tube {tube['sample_id']}, gates CD4+, beads" in way


def test_a_number_that_does_not_follow_from_its_events_is_said(ended: Study, way: str):
    table = ended.path("results/dataset/counts.csv")
    text = table.read_text(encoding="utf-8")
    value = way.splitlines()[0].split(": ")[1].split(" ")[0]
    assert text.count(value) == 1
    table.write_text(text.replace(value, f"1{value}"), encoding="utf-8")
    assert "was changed after it was made" in refused(cytotrial(ended, "trace", "S001", "W00", "CD4ABS"))
    write_seal(table, digest_of(table))
    said = cytotrial(ended, "trace", "S001", "W00", "CD4ABS").stdout
    assert f"from events, the dataset says 1{value}" in said
    assert "MISMATCH" in said


def test_a_missing_value_is_traced_to_its_reason_and_a_wrong_name_gets_a_suggestion(ended: Study):
    said = cytotrial(ended, "trace", "S001", "W06", "CD4ABS").stdout
    assert "CD4ABS of subject S001 at W06: no value" in said
    assert "none: there is no value, for the reason above" in said
    assert "Did you mean W06?" in refused(cytotrial(ended, "trace", "S001", "W6", "CD4ABS"))
