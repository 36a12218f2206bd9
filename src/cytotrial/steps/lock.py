"""Lock the gating of a trial: what its tubes were drawn towards and compared with stays as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cytotrial.errors import CytotrialError
from cytotrial.files.lock import SCHEMA, Lock, LockedPanel, write_lock
from cytotrial.steps.judge import Yardsticks
from cytotrial.steps.plan import Plan
from cytotrial.steps.pool import batch_to_plain, read_pool
from cytotrial.steps.verdict import Alarms, judge_trial


def lock_gating(plan: Plan, *, path: Path) -> str:
    """Write the lock of a finished run; what was locked, in words.

    Raises
    ------
    CytotrialError
        If the run is not finished.
    """
    for needed in (plan.layout.gates, plan.layout.populations, plan.layout.qc_donor):
        if not needed.is_file():
            raise CytotrialError(
                f"{needed} is not there: the run is not finished.", hint="Run snakemake first."
            )
    verdict = judge_trial(plan)
    lock = Lock(
        schema=SCHEMA,
        panels={panel: _panel(plan, panel) for panel in plan.gated_panels},
        tubes=sorted({row["sample_id"] for row in verdict.populations}),
        batches=sorted({row["batch"] for row in verdict.populations}),
        **_yardsticks(verdict.yardsticks),
        alarms=_alarms(verdict.alarms),
    )
    write_lock(path, lock)
    counts = f"{len(lock.panels)} panels, {len(lock.batches)} batches and {len(lock.tubes)} tubes"
    return f"{counts} locked in {path}\nname it in the configuration: locked: {path}"


def _panel(plan: Plan, panel: str) -> LockedPanel:
    pools = {
        batch: {
            name: batch_to_plain(pool) for name, pool in read_pool(plan.layout.pool(panel, batch)).items()
        }
        for of, batch in plan.pools
        if of == panel
    }
    return LockedPanel(**plan.digest_of_gating(panel), batches=pools)


def _yardsticks(yardsticks: Yardsticks) -> dict[str, Any]:
    middles: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (panel, population, batch), middle in yardsticks.middles.items():
        middles.setdefault(panel, {}).setdefault(population, {})[batch] = list(middle)
    spreads: dict[str, dict[str, Any]] = {}
    for (panel, population), spread in yardsticks.spreads.items():
        spreads.setdefault(panel, {})[population] = asdict(spread)
    sizes: dict[str, dict[str, Any]] = {}
    for (panel, population), by_measure in yardsticks.sizes.items():
        plain = {name: list(values) for name, values in by_measure.items()}
        sizes.setdefault(panel, {})[population] = plain
    return {"middles": middles, "spreads": spreads, "sizes": sizes}


def _alarms(alarms: Alarms) -> dict[str, dict[str, dict[str, list[str]]]]:
    plain: dict[str, dict[str, dict[str, list[str]]]] = {}
    for (panel, batch, population), flags in alarms.items():
        plain.setdefault(panel, {}).setdefault(batch, {})[population] = list(flags)
    return plain
