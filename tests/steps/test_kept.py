"""A job takes what its run read of the study, and reads it anew where anything is no more what it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.files.fingerprints import sha256_of
from cytotrial.steps.code import STEPS
from cytotrial.steps.kept import KEPT, keep_study, kept_plan
from cytotrial.steps.plan import Plan, make_plan
from tests.steps.running import begin_anew

CONFIG = Path("config/config.yaml")
SAMPLES = Path("resources/demo/sheets/samples.tsv")
OF_SHEETS = ("score", "count", "review", "dataset", "sdtm", "report")


@pytest.fixture
def begun(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of a run that has begun, in the current folder."""
    write_demo(tmp_path / "resources" / "demo", subjects=2, events=500, seed=5)
    begin_anew(tmp_path, repository)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEPT, "")
    plan = make_plan(CONFIG)
    keep_study(plan)
    return plan


def _in_full(plan: Plan) -> dict[str, object]:
    """Whatever of a plan decides what jobs there are and what they do."""
    trial = plan.trial
    slices = {
        (rule, panel): plan.settings_of(rule, panel=panel)
        for rule in STEPS
        if rule != "collect"
        for panel in trial.settings.panels
        if rule not in {"inventory", "pool"}
    }
    return {
        "rows": [trial.tubes, trial.subjects, trial.visits, trial.cbc, trial.clinical, trial.exposure],
        "units": plan.units,
        "jobs": [plan.gating_jobs, plan.matrices, plan.pools, plan.outlines],
        "controls": [plan.controls_of(*job) for job in plan.gating_jobs],
        "content": [plan.content_of(tubes) for tubes in plan.units.values()],
        "files": plan.fcs_sha256,
        "settings": slices,
        "sheets": [plan.sheets_of(rule) for rule in OF_SHEETS],
        "study": plan.study_digest,
        "warnings": trial.warnings,
    }


def test_the_kept_plan_is_the_one_that_the_run_made(begun: Plan):
    kept = kept_plan(CONFIG)
    assert kept is not None
    assert _in_full(kept) == _in_full(begun)


def test_outside_a_run_the_study_is_read(begun: Plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEPT)
    assert kept_plan(CONFIG) is None


def test_another_configuration_is_read(begun: Plan):
    assert kept_plan(Path("config/other.yaml")) is None


@pytest.mark.parametrize("edited", [CONFIG, SAMPLES, Path("config/gating/treg.yaml")])
def test_a_file_that_was_edited_since_is_read(begun: Plan, edited: Path):
    edited.write_text(edited.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert kept_plan(CONFIG) is None


def test_a_file_that_is_gone_is_missed(begun: Plan):
    SAMPLES.unlink()
    assert kept_plan(CONFIG) is None


def test_what_was_kept_is_not_believed_if_somebody_changed_it(begun: Plan):
    kept = json.loads(begun.layout.study.read_text(encoding="utf-8"))
    kept["sheets"]["tubes"][0][1] = "another.fcs"
    begun.layout.study.write_text(json.dumps(kept), encoding="utf-8")
    assert kept_plan(CONFIG) is None
    begun.layout.study.unlink()
    assert kept_plan(CONFIG) is None


def test_an_fcs_file_that_was_replaced_since_has_its_new_content(begun: Plan):
    first, second = sorted(begun.fcs_sha256)[:2]
    Path(first).write_bytes(Path(second).read_bytes())
    kept = kept_plan(CONFIG)
    assert kept is not None
    assert kept.fcs_sha256[first] == begun.fcs_sha256[second] == sha256_of(Path(second))


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nothing(
    begun: Plan, monkeypatch: pytest.MonkeyPatch
):
    begun.layout.study.unlink()
    begun.layout.study.mkdir()
    keep_study(begun)
    assert KEPT not in os.environ
