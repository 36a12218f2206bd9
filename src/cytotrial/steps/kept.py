"""What a run read of its study, kept for its jobs.

The process that the user started reads and checks the configuration and every sheet. A job takes what that
found, as long as none of those files has changed since: reading all of a large trial anew takes longer
than most jobs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cytotrial.errors import CytotrialError
from cytotrial.files.atomic import replace_file
from cytotrial.files.fingerprints import fingerprints, stamp_of
from cytotrial.files.sheets.study import BloodCount, ClinicalValue, Dose
from cytotrial.settings import Settings
from cytotrial.steps.layout import Layout
from cytotrial.steps.outline import Outline
from cytotrial.steps.plan import Plan, columns_of
from cytotrial.steps.study import Trial
from cytotrial.terms import Role, Subject, Tube, Visit

KEPT = "CYTOTRIAL_KEPT"
"""Environment variable of a run's jobs: where the study was kept, and the SHA-256 of that file."""

SHEETS: Mapping[str, Any] = {
    "tubes": Tube,
    "subjects": Subject,
    "visits": Visit,
    "cbc": BloodCount,
    "clinical": ClinicalValue,
    "exposure": Dose,
}
"""A trial's sheets, and what a row of each is."""

ROLE = columns_of(Tube).index("role")


def keep_study(plan: Plan) -> None:
    """Keep what the plan was made from for the jobs of this run; where that cannot be, they read it anew."""
    trial = plan.trial
    kept = {
        "config": str(trial.config),
        "files": {str(path): stamp_of(path) for path in plan.files_named},
        "settings": trial.settings.model_dump(mode="json"),
        "sheets": {name: _plain(row, getattr(trial, name)) for name, row in SHEETS.items()},
        "extra": {name: dict(cells) for name, cells in trial.extra.items()},
        "warnings": trial.warnings,
        "storage": trial.storage,
        "fcs": dict(plan.fcs_sha256),
        "objects": dict(plan.objects),
        "outlines": {name: [sorted(one.controls), one.drawn] for name, one in plan.outlines.items()},
    }
    content = json.dumps(kept, separators=(",", ":")).encode()
    file = plan.layout.study
    os.environ.pop(KEPT, None)
    with suppress(CytotrialError):
        replace_file(file, content, durable=False)
        os.environ[KEPT] = f"{hashlib.sha256(content).hexdigest()} {file.absolute()}"


def kept_plan(config: Path) -> Plan | None:
    """The plan of the run that this process is a job of; None if there is none, or a file of it has changed.

    FCS files are looked at as ever: one that is no more what it was is read again.
    """
    kept = _kept()
    if kept.get("config") != str(config) or _has_changed(kept["files"]):
        return None
    settings = Settings.model_validate_json(json.dumps(kept["settings"]))
    sheets = {name: _rows(row, kept["sheets"][name]) for name, row in SHEETS.items()}
    trial = Trial(
        config=config,
        settings=settings,
        **sheets,
        extra=kept["extra"],
        warnings=tuple(kept["warnings"]),
        storage=kept["storage"],
    )
    cache = Layout(Path(settings.results)).fingerprints
    fcs = kept["fcs"] if trial.storage else fingerprints(kept["fcs"], cache=cache)
    return Plan(trial, fcs, kept["objects"], _outlines(kept["outlines"]))


def _kept() -> dict[str, Any]:
    """What the run kept; empty outside a run, and if the file is not the one that the run wrote."""
    digest, _, file = os.environ.get(KEPT, "").partition(" ")
    try:
        content = Path(file).read_bytes() if file else b""
    except OSError:
        return {}
    if not digest or hashlib.sha256(content).hexdigest() != digest:
        return {}
    kept: dict[str, Any] = json.loads(content)
    return kept


def _has_changed(files: Mapping[str, str]) -> bool:
    return any(stamp_of(path) != stamp for path, stamp in files.items())


def _plain(row: Any, rows: Sequence[Any]) -> list[list[Any]]:
    return [[getattr(one, name) for name in columns_of(row)] for one in rows]


def _rows(row: Any, plain: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    if row is Tube:
        plain = [[*cells[:ROLE], Role(cells[ROLE]), *cells[ROLE + 1 :]] for cells in plain]
    return tuple(row(*cells) for cells in plain)


def _outlines(plain: Mapping[str, Any]) -> dict[str, Outline]:
    return {
        name: Outline(frozenset((role, marker) for role, marker in controls), drawn)
        for name, (controls, drawn) in plain.items()
    }
