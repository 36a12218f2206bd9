"""What the workflow does before gates are judged, by the steps themselves and in their order."""

from __future__ import annotations

import shutil
from pathlib import Path

from cytotrial.steps.check import check_unit, join_inventory
from cytotrial.steps.collect import collect_gating
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.gate import gate_unit
from cytotrial.steps.place import place_unit
from cytotrial.steps.plan import Plan
from cytotrial.steps.pool import pool_panel
from cytotrial.steps.strategies import compile_gating


def run_to_the_joined_tables(plan: Plan, config: Path) -> None:
    """Check, compensate and gate every unit of a study."""
    for unit in plan.units:
        check_unit(plan, unit)
    join_inventory(plan)
    for panel, batch in plan.matrices:
        compensate_batch(plan, panel=panel, batch=batch)
    for panel in plan.gated_panels:
        compile_gating(config, panel=panel)
    for panel, unit in plan.gating_jobs:
        if panel in plan.placed_panels:
            place_unit(plan, panel=panel, unit=unit)
    for panel in plan.placed_panels:
        pool_panel(plan, panel=panel)
    for panel, unit in plan.gating_jobs:
        gate_unit(plan, panel=panel, unit=unit)
    collect_gating(plan)


def begin_anew(folder: Path, repository: Path) -> None:
    """Put the repository's configuration into a study, and take its results away."""
    for name in ("config", "results"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(repository / "config", folder / "config")


def leave_the_batch_alone(config: Path) -> None:
    """Gate every tube by itself, and by the templates' own constants: no other unit has to be read."""
    text = config.read_text(encoding="utf-8")
    for panel in ("count", "treg", "th17"):
        reference = f"    reference:\n      file: config/gating/{panel}.reference.json\n"
        assert reference in text
        text = text.replace(reference, "    batch_reference: false\n")
    config.write_text(text, encoding="utf-8")
