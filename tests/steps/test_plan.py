"""How work is cut into jobs, and which code a rule's result depends on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cytotrial.steps.code import PACKAGE, STEPS, code_of, modules_of
from cytotrial.steps.plan import Plan
from cytotrial.terms import Role, Tube


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
        ("science/finders.py", {"gate", "read_gating", "report"}),
        ("science/compensation/estimate.py", {"compensate"}),
        ("files/fcs/decode.py", {"check", "check_dataset", "compensate", "gate"}),
        ("files/cdisc/xpt.py", {"adam", "check_dataset", "define", "sdtm"}),
        ("science/cdisc/conformance/adam.py", {"check_dataset"}),
        ("report/page.py", {"report"}),
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


def plan_of(*subjects: str, shards: int | None) -> Plan:
    tubes = tuple(
        Tube(f"T{subject}", f"{subject}.fcs", "treg", Role.SAMPLE, "B1", subject=subject)
        for subject in subjects
    )
    control = Tube("C1", "c.fcs", "treg", Role.FMO, "B1", control_for="FOXP3")
    settings = SimpleNamespace(execution=SimpleNamespace(shards=shards), fcs_dir="fcs", results="results")
    return Plan(SimpleNamespace(tubes=(*tubes, control), settings=settings), {})  # type: ignore[arg-type]


def test_a_job_takes_a_subject_and_the_batchs_controls_are_a_job_of_their_own():
    plan = plan_of("S1", "S2", shards=None)
    assert list(plan.units) == ["batch.B1", "subject.S1", "subject.S2"]
    assert [tube.sample_id for tube in plan.controls_of("treg", "subject.S1")] == ["C1"]


def test_one_more_subject_moves_no_other_to_another_shard():
    subjects = [f"S{number:03d}" for number in range(60)]
    units = plan_of(*subjects, shards=8).units
    more = plan_of("A000", *subjects, shards=8).units
    moved = [
        tube.subject
        for unit, tubes in units.items()
        for tube in tubes
        if tube.subject and tube not in more[unit]
    ]
    assert moved == []
    assert len([unit for unit in units if unit.startswith("shard.")]) == 8
