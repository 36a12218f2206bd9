"""The counted results as the datasets take them: numbers as numbers, lists as lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.tables import lines_by_id, read_table
from cytotrial.science.cdisc.model import Result, TubeTrace
from cytotrial.science.cdisc.timing import DrawTime
from cytotrial.steps.layout import Layout
from cytotrial.steps.plan import Plan
from cytotrial.terms import Role, Tube

WHOLE = (
    "study_day", "target_day", "events", "parent_events", "bead_events", "lymphocyte_events",
    "background_events", "background_parent_events", "lod_events", "lloq_events",
)  # fmt: skip
NUMBERS = (
    "analysis_visit_num", "days_from_target", "value", "ci_low", "ci_high", "cv_percent",
    "systematic_cv_percent", "beads_per_tube", "blood_ul", "dilution", "volume_nl",
    "cbc_lymphocytes_10e9_per_l", "cbc_cv_percent", "parent_value", "background_percent", "raw_percent",
)  # fmt: skip
SHA_DIGITS = 16


def read_results(path: Path) -> list[Result]:
    """The rows of candidates.csv, typed."""
    return [_typed(row) for row in read_table(path)]


def _typed(row: Mapping[str, str]) -> Result:
    typed: dict[str, Any] = dict(row)
    for name in (*NUMBERS, *WHOLE):
        typed[name] = float(row[name]) if row[name] else None
    for name in WHOLE:
        typed[name] = None if typed[name] is None else int(typed[name])
    for name in ("flags", "sample_ids"):
        typed[name] = tuple(part for part in row[name].split(";") if part)
    return typed


def draws_of(tubes: Iterable[Tube]) -> list[DrawTime]:
    """Every specimen of a subject, with the first date that one of its tubes has."""
    draws: dict[str, DrawTime] = {}
    for tube in sorted(tubes, key=lambda tube: (tube.collected == "", tube.sample_id)):
        if tube.subject and tube.specimen not in draws:
            draws[tube.specimen] = DrawTime(tube.subject, tube.specimen, tube.visit, tube.collected)
    return list(draws.values())


def tube_traces(plan: Plan) -> dict[str, TubeTrace]:
    """Sample id → its file's hash, its gates' hash and the tree of its populations."""
    layout = plan.layout
    files = {row["sample_id"]: row["fcs_sha256"] for row in read_table(layout.inventory)}
    gates = {name: hashlib.sha256(lines).hexdigest() for name, lines in lines_by_id(layout.gates).items()}
    parents = _parents(layout)
    return {
        tube.sample_id: TubeTrace(
            panel=tube.panel,
            unstimulated=tube.role is Role.UNSTIMULATED,
            fcs_sha=files.get(tube.sample_id, "")[:SHA_DIGITS],
            gates_sha=gates.get(tube.sample_id, "")[:SHA_DIGITS],
            parents=parents.get(tube.sample_id, {}),
        )
        for tube in plan.trial.tubes
    }


def _parents(layout: Layout) -> dict[str, dict[str, str]]:
    parents: dict[str, dict[str, str]] = {}
    for row in read_table(layout.populations):
        parents.setdefault(row["sample_id"], {})[row["population"]] = row["parent"]
    return parents


def gating_definitions(plan: Plan) -> dict[str, str]:
    """Panel → first digits of the SHA-256 of its gating file."""
    return {
        name: sha256_of(Path(panel.gating))[:SHA_DIGITS] for name, panel in plan.trial.settings.panels.items()
    }
