"""Every row of the sample sheet gets a status; nothing that is wrong with one file stops another."""

from __future__ import annotations

import json
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from cytotrial.errors import ConfigError
from cytotrial.files.fcs import FcsHeader, FcsReport, acquisition_seconds, examine_fcs
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.spillover import already_compensated
from cytotrial.files.tables import Row, cell, concatenate, write_table
from cytotrial.settings import Panel
from cytotrial.steps.layout import INVENTORY
from cytotrial.steps.plan import GATED_ROLES, Plan, make_plan
from cytotrial.steps.tubes import STAINED_ALONE, channels_of_markers, kinds_of, markers_needed, worst
from cytotrial.terms import Finding, Outcome, Tube

MOST_DAYS_TO_ACQUIRE = 7
"""Fixed cells keep for days, not for weeks: a file acquired later is more likely that of another draw."""


def check_unit(plan: Plan, unit: str) -> None:
    """Write the inventory rows of one unit."""
    write_table(plan.layout.checked(unit), INVENTORY, [check_tube(plan, tube) for tube in plan.units[unit]])


def join_inventory(plan: Plan) -> None:
    """Write check/inventory.csv: as many rows as the sheet has, in the order of sample ids."""
    parts = [plan.layout.checked(unit) for unit in plan.units]
    concatenate(plan.layout.inventory, parts, columns=INVENTORY, sort_by=["sample_id"])


def check_tube(plan: Plan, tube: Tube) -> Row:
    """The inventory row of one tube: strict pre-flight of its file, hash, markers, compensation."""
    if tube.status == "NOT_DONE":
        return _row(tube, Outcome.NOT_DONE, "NOT_DONE", tube.reason_not_done)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return _checked(plan, tube, caught)
    except Exception as error:  # one file never stops the others; the log has the whole story
        traceback.print_exc()
        return _row(tube, Outcome.REJECT, "UNFORESEEN", f"UNFORESEEN: {type(error).__name__} while checking")


def _checked(plan: Plan, tube: Tube, caught: Sequence[warnings.WarningMessage]) -> Row:
    path = plan.path_of(tube)
    report = examine_fcs(path, root=Path(plan.trial.settings.fcs_dir))
    digest = sha256_of(path) if report.header else ""
    findings = [
        *_of_file(report, plan.trial.settings.panels[tube.panel], tube),
        *_of_hash(tube, digest),
        *_of_twins(plan.twins_of(tube)),
        *_of_dates(tube, report),
        *_of_panel(report, plan.trial.settings.panels[tube.panel], tube),
    ]
    findings += [Finding("SOFTWARE_WARNING", Outcome.WARN, kind) for kind in kinds_of(caught)]
    status = worst(findings)
    telling = sorted(
        (finding for finding in findings if finding.outcome is not Outcome.OK),
        key=lambda finding: finding.outcome is not Outcome.REJECT,
    )
    code = ";".join(dict.fromkeys(finding.code for finding in telling))
    message = " | ".join(_sentence(finding) for finding in telling)
    return _row(tube, status, code, message, report=report, digest=digest)


def _of_file(report: FcsReport, panel: Panel, tube: Tube) -> list[Finding]:
    """Findings of the pre-flight, as far as they matter for the panel.

    A bad embedded matrix only rejects tubes that need it; names that say the events were compensated
    are as they should be where the panel says so too.
    """
    header = report.header
    findings = list(report.findings)
    mode = panel.matrix_files.get(tube.batch, panel.compensation)
    if mode == "none":
        findings = [finding for finding in findings if finding.code != "NAMES_SAY_COMPENSATED"]
    needs_own = mode == "embedded" and panel.compensation_fallback == "none" and tube.role in GATED_ROLES
    if header is None or needs_own:
        return findings
    beside = set(header.spillover_findings)
    return [
        replace(finding, outcome=Outcome.WARN)
        if finding in beside and finding.outcome is Outcome.REJECT
        else finding
        for finding in findings
    ]


def _of_hash(tube: Tube, digest: str) -> list[Finding]:
    if not tube.sha256 or not digest or tube.sha256.lower() == digest:
        return []
    return [
        Finding(
            "SHA256_DIFFERS",
            Outcome.REJECT,
            f"the file's SHA-256 begins {digest[:12]}, the sheet says {tube.sha256[:12].lower()}",
            keyword="sha256",
            seen=digest[:12],
            expected=tube.sha256[:12].lower(),
            remedy="the file was changed or another one was copied: find the one the sheet means",
        )
    ]


def _of_twins(twins: Sequence[str]) -> list[Finding]:
    if not twins:
        return []
    named = ", ".join(twins[:5])
    return [
        Finding(
            "SAME_CONTENT",
            Outcome.REJECT,
            f"the file holds the very same bytes as that of {named}",
            keyword="fcs",
            seen=named[:60],
            expected="a file of its own",
            remedy="one of the rows names the wrong file, or a file was copied over another: correct it",
        )
    ]


def _of_dates(tube: Tube, report: FcsReport) -> list[Finding]:
    """Acquisition as the file says it, against the draw as the sheet says it; either may be unknown."""
    acquired = report.header.acquired[:10] if report.header else ""
    collected = tube.collected[:10]
    if not acquired or not collected:
        return []
    days = (date.fromisoformat(acquired) - date.fromisoformat(collected)).days
    if 0 <= days <= MOST_DAYS_TO_ACQUIRE:
        return []
    when = "before" if days < 0 else f"{days} days after"
    return [
        Finding(
            "DATES_DISAGREE",
            Outcome.WARN,
            f"acquired on {acquired}, {when} the draw on {collected}",
            keyword="$DATE",
            seen=acquired,
            expected=f"{collected} or at most {MOST_DAYS_TO_ACQUIRE} days later",
            remedy="correct the date in the sheet, or make sure that this is the tube of that draw",
        )
    ]


def _of_panel(report: FcsReport, panel: Panel, tube: Tube) -> list[Finding]:
    """Markers that are missing or doubled, and compensation that does not fit the file."""
    header = report.header
    if header is None:
        return []
    _, findings = channels_of_markers(header.channels, markers_needed(tube, panel.markers))
    mode = panel.matrix_files.get(tube.batch, panel.compensation)
    done_before = already_compensated(header.names)
    if tube.role in GATED_ROLES | STAINED_ALONE and mode != "none" and done_before:
        findings.append(
            Finding(
                "ALREADY_COMPENSATED",
                Outcome.REJECT,
                "the channels' names say that the events were compensated before export",
                keyword="$PnN",
                expected="compensation: none",
                remedy="set compensation: none for this panel, or export the raw events",
            )
        )
    elif tube.role in GATED_ROLES and mode == "embedded" and _has_no_matrix(header):
        findings.append(
            Finding(
                "NO_SPILLOVER",
                Outcome.REJECT if panel.compensation_fallback == "none" else Outcome.WARN,
                "the file holds no spillover matrix",
                keyword="$SPILLOVER",
                expected="$SPILLOVER, SPILL or $COMP",
                remedy="set the panel's compensation to controls or to a matrix file, or set "
                "compensation_fallback",
            )
        )
    return findings


def _has_no_matrix(header: FcsHeader) -> bool:
    """Whether the file holds no matrix at all; a bad one has its own findings."""
    return header.spillover is None and not header.spillover_findings


def _sentence(finding: Finding) -> str:
    keyword = f" ({finding.keyword})" if finding.keyword else ""
    remedy = f" Remedy: {finding.remedy.rstrip('.')}." if finding.remedy else ""
    return f"{finding.code}{keyword}: {finding.message.rstrip('.')}.{remedy}"


def _row(
    tube: Tube, status: Outcome, code: str, message: str, *, report: FcsReport | None = None, digest: str = ""
) -> Row:
    header = report.header if report else None
    return {
        "sample_id": tube.sample_id,
        "status": status.value,
        "code": code,
        "message": message,
        "fcs_sha256": digest,
        "events": header.n_events if header else None,
        "cytometer": header.cytometer if header else "",
        "acquired": header.acquired if header else "",
        "panel": tube.panel,
        "role": tube.role.value,
        "subject": tube.subject,
        "visit": tube.visit,
        "batch": tube.batch,
        **_metered(header),
    }


def _metered(header: FcsHeader | None) -> Row:
    """What a count in a volume needs: the volume, the time it took, and events that were not recorded."""
    if header is None:
        return {"volume_nl": None, "seconds": None, "events_lost": None}
    lost = [header.keyword(name).strip() for name in ("$ABRT", "$LOST")]
    told = [int(number) for number in lost if number.isascii() and number.isdecimal()]
    return {
        "volume_nl": header.volume_nl,
        "seconds": acquisition_seconds(header.keyword("$BTIM"), header.keyword("$ETIM")),
        "events_lost": sum(told) if told else None,
    }


def check_study(config: Path, *, as_json: bool = False) -> tuple[str, bool]:
    """Check everything without running the pipeline.

    Returns
    -------
    (text, rejected)
        What to print, and whether any row was rejected.
    """
    plan = make_plan(config)
    if plan.trial.storage:
        raise ConfigError(
            f"{plan.trial.storage} is object storage: its files are fetched by the jobs of a run only.",
            hint="Configuration and sheets are right; snakemake checks the files, see check/inventory.csv.",
        )
    rows = [check_tube(plan, tube) for tubes in plan.units.values() for tube in tubes]
    rows.sort(key=lambda row: str(row["sample_id"]))
    rejected = any(row["status"] == Outcome.REJECT.value for row in rows)
    if as_json:
        plain = {
            "warnings": plan.trial.warnings,
            "tubes": [{k: cell(v) for k, v in row.items()} for row in rows],
        }
        return json.dumps(plain, indent=1), rejected
    return _as_text(rows, plan.trial.warnings), rejected


def _as_text(rows: Sequence[Row], warnings: Sequence[str]) -> str:
    counted = Counter(str(row["status"]) for row in rows)
    lines = [
        f"  {row['sample_id']:<20} {row['status']:<9} {row['message']}" for row in rows if row["message"]
    ]
    sheet = [f"  {warning}" for warning in warnings]
    return "\n".join([*_headed("sheets", sheet), *_headed("tubes", lines), tubes_in_words(counted)])


def _headed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *lines] if lines else []


def tubes_in_words(counted: Mapping[str, int]) -> str:
    """One line that accounts for every row of the sheet.

    Examples
    --------
    >>> tubes_in_words({"ok": 3, "reject": 1})
    '4 tubes: 3 ok, 0 warned, 1 rejected, 0 not done'
    """
    total = sum(counted.values())
    words = {"ok": "ok", "warn": "warned", "reject": "rejected", "not_done": "not done"}
    return f"{total} tubes: " + ", ".join(f"{counted.get(key, 0)} {word}" for key, word in words.items())
