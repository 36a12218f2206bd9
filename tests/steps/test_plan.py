"""How work is cut into jobs, and which code a rule's result depends on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cytotrial.cli import cli
from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError
from cytotrial.steps.code import PACKAGE, STEPS, code_of, modules_of
from cytotrial.steps.plan import Plan
from cytotrial.terms import Role, Tube
from tests.steps.running import begin_anew


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's code that a test may edit."""
    copy = tmp_path / "cytotrial"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize(
    ("edited", "rules"),
    [
        ("science/counting/absolute.py", {"count", "dataset", "report"}),
        ("science/finders/valleys.py", {"place", "pool", "gate", "score", "read_gating", "report", "review"}),
        ("science/compensation/estimate.py", {"compensate", "judge_matrices", "report"}),
        ("files/fcs/decode.py", {"check", "check_dataset", "compensate", "judge_matrices", "place", "gate"}),
        ("files/cdisc/xpt.py", {"adam", "check_dataset", "define", "sdtm"}),
        ("science/cdisc/conformance/adam.py", {"check_dataset"}),
        ("report/page.py", {"report"}),
        ("report/review.py", {"review"}),
        ("files/tables.py", set(STEPS) - {"read_gating"}),
        ("terms.py", set(STEPS) - {"collect", "define"}),
        ("demo/light.py", set()),
        ("cli.py", set()),
    ],
)
def test_editing_a_module_changes_the_rules_that_run_it(package: Path, edited: str, rules: set[str]):
    before = {rule: code_of(rule, package=package) for rule in STEPS}
    module = package / edited
    module.write_text(module.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    after = {rule: code_of(rule, package=package) for rule in STEPS}
    assert {rule for rule in STEPS if before[rule] != after[rule]} == rules


def test_a_time_stamp_changes_no_rule(package: Path):
    before = code_of("gate", package=package)
    (package / "terms.py").touch()
    assert code_of("gate", package=package) == before


def test_the_gating_job_does_not_depend_on_report_or_demo():
    assert not [name for name in modules_of("steps/gate.py") if name.startswith(("report/", "demo/", "cli"))]


FMO_TEMPLATE = """
version: 1.0.0
populations:
  - name: FOXP3+
    channels: [FOXP3]
    find: {finder: control_quantile, control: {role: fmo, marker: FOXP3}}
"""


def plan_of(*tubes: Tube, gating: str = "none.yaml", shards: int | None = None) -> Plan:
    """A plan of tubes whose files are there, all of panel treg."""
    settings = SimpleNamespace(
        execution=SimpleNamespace(shards=shards),
        fcs_dir="fcs",
        results="results",
        panels={"treg": SimpleNamespace(gating=gating, batch_reference=True)},
    )
    files = {f"fcs/{tube.fcs}": tube.sample_id for tube in tubes}
    return Plan(SimpleNamespace(tubes=tubes, settings=settings, storage=""), files)  # type: ignore[arg-type]


def sample(subject: str, batch: str = "B1") -> Tube:
    return Tube(f"T{subject}", f"{subject}.fcs", "treg", Role.SAMPLE, batch, subject=subject)


def fmo(name: str, batch: str = "B1", marker: str = "FOXP3") -> Tube:
    return Tube(name, f"{name}.fcs", "treg", Role.FMO, batch, control_for=marker)


def test_a_job_takes_a_subject_and_the_batchs_controls_are_a_job_of_their_own():
    plan = plan_of(sample("S1"), sample("S2"), fmo("C1"))
    assert list(plan.units) == ["batch.B1", "subject.S1", "subject.S2"]


@pytest.fixture
def fmo_gating(tmp_path: Path) -> str:
    (tmp_path / "treg.yaml").write_text(FMO_TEMPLATE, encoding="utf-8")
    return str(tmp_path / "treg.yaml")


def test_a_job_reads_the_controls_of_its_batch_that_gates_look_at_and_no_others(fmo_gating: str):
    tubes = (sample("S1"), fmo("C1"), fmo("C2", marker="CD25"), fmo("C3", batch="B2"))
    plan = plan_of(*tubes, gating=fmo_gating)
    assert [tube.sample_id for tube in plan.controls_of("treg", "subject.S1")] == ["C1"]


def test_a_batch_without_a_control_may_look_at_those_of_any_other_batch(fmo_gating: str):
    tubes = (sample("S1", "B3"), fmo("C1"), fmo("C2", marker="CD25"), fmo("C3", batch="B2"))
    plan = plan_of(*tubes, gating=fmo_gating)
    assert [tube.sample_id for tube in plan.controls_of("treg", "subject.S1")] == ["C1", "C3"]


def test_a_panel_whose_finders_do_not_look_at_the_batch_has_no_first_pass(fmo_gating: str, repository: Path):
    drawn = str(repository / "config" / "gating" / "treg.yaml")
    assert plan_of(sample("S1"), gating=fmo_gating).pools == ()
    assert plan_of(sample("S1"), fmo("C1", "B2"), gating=drawn).pools == (("treg", "B1"),)


def test_one_more_subject_moves_no_other_to_another_shard():
    subjects = [f"S{number:03d}" for number in range(60)]
    units = plan_of(*map(sample, subjects), shards=8).units
    more = plan_of(*map(sample, ["A000", *subjects]), shards=8).units
    moved = [
        tube.subject
        for unit, tubes in units.items()
        for tube in tubes
        if tube.subject and tube not in more[unit]
    ]
    assert moved == []
    assert len([unit for unit in units if unit.startswith("shard.")]) == 8


def test_in_a_wide_trial_several_batches_controls_are_one_job_and_a_new_batch_moves_none_of_them():
    batches = [f"B{number:02d}" for number in range(40)]
    controls = [fmo(f"C{batch}", batch) for batch in batches]
    units = plan_of(*controls, shards=8).units
    more = plan_of(fmo("CA00", "A00"), *controls, shards=8).units
    assert sorted(units) == [f"controls.{number:05d}" for number in range(4)]
    assert [tube for unit, tubes in units.items() for tube in tubes if tube not in more[unit]] == []


@pytest.mark.parametrize(
    "command", [["check-unit"], ["place", "--panel", "treg"], ["gate", "--panel", "treg"]]
)
def test_a_unit_that_is_not_there_is_refused_by_name(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    write_demo(tmp_path / "resources" / "demo", subjects=1, events=500, seed=5)
    begin_anew(tmp_path, repository)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*command, "--unit", "subject.S999"])
    assert isinstance(done.exception, ConfigError)
    assert "there is no unit 'subject.S999'; there are" in done.exception.message
