"""The manifest: what went into a run, what came out, made by whom, when and with what.

It is written last, and is the one result with a clock in it; all but its part `run` is the same
whenever the same inputs are run by the same software.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cytotrial.errors import CytotrialError, all_problems
from cytotrial.files.bucket import list_objects
from cytotrial.files.claim import read_claim
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.tables import read_table
from cytotrial.files.whole import read_bytes, write_text
from cytotrial.settings import digest
from cytotrial.steps.layout import Layout
from cytotrial.steps.plan import Plan
from cytotrial.steps.runs import now_utc
from cytotrial.steps.software import checkout, software

FORM = "cytotrial.manifest/1"
EXIT_STATES = ("complete", "complete, with rejected rows")


def write_manifest(plan: Plan) -> None:
    """Write manifest.json.

    Raises
    ------
    SealError
        If a result is not as it was made.
    CytotrialError
        If a raw file was changed while the run went on, or if no run is going on.
    """
    layout = plan.layout
    _refuse_changed_raw_files(plan)
    rows = rows_by_status(layout)
    manifest = {
        "form": FORM,
        "study": plan.trial.settings.study,
        "settings_digest": digest(plan.trial.settings.model_dump(mode="json")),
        "software": software(),
        "gating": gatings(plan),
        "rows": rows,
        "inputs": inputs_of(plan),
        "outputs": _outputs(layout),
        "run": _run(layout, rejected=rows["tubes"].get("reject", 0)),
    }
    write_text(layout.manifest, json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


def read_manifest(layout: Layout) -> dict[str, Any]:
    """What `write_manifest` wrote. Raises SealError if it was changed since, OSError if there is none."""
    manifest: dict[str, Any] = json.loads(read_bytes(layout.manifest))
    return manifest


def rows_by_status(layout: Layout) -> dict[str, dict[str, int]]:
    """How many rows of each status: tubes of the sheet, gated populations, values of the dataset."""
    tables = {"tubes": layout.inventory, "populations": layout.populations, "values": layout.counts}
    counted = {name: Counter(row["status"] for row in read_table(path)) for name, path in tables.items()}
    return {name: dict(sorted(statuses.items())) for name, statuses in counted.items()}


def gatings(plan: Plan) -> dict[str, dict[str, Any]]:
    """Panel → its gating's file, SHA-256, and the versions that stand in the gated populations."""
    versions: dict[str, set[str]] = {}
    for row in read_table(plan.layout.populations):
        versions.setdefault(row["panel"], set()).add(row["gating_version"])
    return {
        name: {
            "file": panel.gating,
            "sha256": sha256_of(Path(panel.gating)),
            "versions": sorted(version for version in versions.get(name, ()) if version),
        }
        for name, panel in sorted(plan.trial.settings.panels.items())
    }


def inputs_of(plan: Plan) -> dict[str, dict[str, Any]]:
    """Path → SHA-256 and size of the configuration, the sheets, every file it names, every FCS file."""
    named = {path: sha256_of(path) for path in plan.files_named}
    local = {Path(path): sha256 for path, sha256 in plan.fcs_sha256.items() if not plan.objects}
    entries = {str(path): _entry(path, sha256) for path, sha256 in {**named, **local}.items()}
    stored = {plan.url_of(path): _stored(plan, path) for path in plan.objects}
    return dict(sorted({**entries, **stored}.items()))


def _stored(plan: Plan, path: str) -> dict[str, Any]:
    """An object's SHA-256, as the sheet says and the check has compared it, its size and its ETag."""
    size, etag = plan.objects[path].split(":", 1)
    return {"sha256": plan.fcs_sha256[path], "bytes": int(size), "etag": etag}


def _outputs(layout: Layout) -> dict[str, dict[str, Any]]:
    """Path → SHA-256, size and rule of everything the workflow made, each read and compared with its seal."""
    return {
        str(path): {**_entry(path, hashlib.sha256(read_bytes(path)).hexdigest()), "rule": rule}
        for name, rule in _jobs(layout).items()
        for path in _files(Path(name))
        if path != layout.manifest
    }


def _jobs(layout: Layout) -> dict[str, str]:
    """Result → rule, as the run noted it when it began."""
    try:
        made: dict[str, str] = json.loads(layout.jobs.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CytotrialError(
            f"{layout.results}: no run is going on, so it is not known what belongs to it.",
            hint="The manifest is written by snakemake as the last step of a run.",
        ) from None
    return made


def _files(path: Path) -> list[Path]:
    """A result, or the visible files of a folder that is one."""
    if not path.is_dir():
        return [path]
    return sorted(
        file for file in path.rglob("*") if file.is_file() and not any(p[0] == "." for p in file.parts)
    )


def _entry(path: Path, sha256: str) -> dict[str, Any]:
    return {"sha256": sha256, "bytes": path.stat().st_size}


def _run(layout: Layout, *, rejected: int) -> dict[str, Any]:
    """Who ran it, when and where; the part that differs from run to run."""
    told = read_claim(layout.claim)
    about = {key: told.get(key, "") for key in ("run", "started", "user", "host", "executor")}
    state = EXIT_STATES[1] if rejected else EXIT_STATES[0]
    return {**about, "ended": now_utc(), "exit_state": state, "folder": str(Path.cwd()), **checkout()}


def _refuse_changed_raw_files(plan: Plan) -> None:
    """Every file must be the one that was checked: no job may have read another."""
    changed = list(_replaced_objects(plan) if plan.trial.storage else _changed_files(plan))
    if changed:
        raise CytotrialError(
            all_problems(
                "raw files changed while the run went on", changed, outcome="no manifest is written"
            ),
            hint="Run snakemake again: what rests on them is made anew.",
        )


def _changed_files(plan: Plan) -> Iterator[str]:
    checked = {row["sample_id"]: row["fcs_sha256"] for row in read_table(plan.layout.inventory)}
    for tube in plan.trial.tubes:
        then, now = checked.get(tube.sample_id, ""), plan.sha256_of(tube) or "gone"
        if then and then != now:
            path = plan.path_of(tube)
            yield f"{path} ({tube.sample_id}) was checked with SHA-256 {then[:12]}, now it is {now[:12]}"


def _replaced_objects(plan: Plan) -> Iterator[str]:
    """Objects that are others, or gone, since the run began."""
    listing = list_objects(plan.trial.storage)
    root = Path(plan.trial.settings.fcs_dir)
    for path, stamp in plan.objects.items():
        if listing.get(Path(path).relative_to(root).as_posix()) != stamp:
            yield f"{plan.url_of(path)} was replaced"
