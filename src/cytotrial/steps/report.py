"""Fill the report's tables from the result files and write the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from cytotrial import __version__
from cytotrial.files.whole import write_text
from cytotrial.report.page import render_report
from cytotrial.report.pictures import GatePicture
from cytotrial.report.tables import ReportTables
from cytotrial.science.endpoints import column_of
from cytotrial.science.statistics import cell_counts_by_visit, clinical_by_visit, mark_analysis_records
from cytotrial.steps.pictures import read_pictures
from cytotrial.steps.plan import Plan
from cytotrial.terms import Role, Transform

METHODS = {
    "Absolute counts (BEAD)": "cells / beads acquired × beads per tube / µL of blood; "
    "exact conditional 95 % limits.",
    "Percentages (FRACTION)": "events of the population / events of the named parent; Clopper-Pearson "
    "95 % limits. FRACTION-BACKGROUND subtracts the fraction in the unstimulated tube of the same draw, "
    "not below 0.",
    "Counts across tubes (XTUBE)": "percentage of CD4+ in the stained tube × CD4+ per µL in the count tube "
    "of the same draw; log-normal 95 % limits.",
    "Ratio (RATIO)": "quotient of the two percentages of CD4+: the CD4+ count that both share cancels.",
    "Interval": "counting error only: how far a value could be off if the same blood were acquired again.",
    "Acquisition": "stretches of time with an unstable rate or signal are masked before gating; a tube that "
    "loses much is flagged.",
}


def write_report(plan: Plan) -> None:
    """Write report.html."""
    layout, trial = plan.layout, plan.trial
    counts = mark_analysis_records(_read(layout.counts), frame_of(trial.visits))
    visits, subjects = frame_of(trial.visits), frame_of(trial.subjects)
    visit_wide = _read(layout.visit_wide)
    units = {column_of(value.test): value.unit for value in trial.clinical}
    planned = len(trial.subjects)
    tables = ReportTables(
        study=trial.settings.study,
        title=trial.settings.report.title,
        inventory=_read(layout.inventory),
        populations=_read(layout.populations),
        gates=_read(layout.gates),
        counts=counts,
        visit_wide=visit_wide,
        visits=visits,
        subjects=subjects,
        cell_counts=cell_counts_by_visit(
            counts, visits, n_planned=planned, lloq_events=trial.settings.counts.lloq_events
        ),
        clinical_by_visit=clinical_by_visit(visit_wide, visits, units=units, n_planned=planned)
        if units
        else None,
        clinical=frame_of(trial.clinical) if trial.clinical else None,
        exposure=frame_of(trial.exposure) if trial.exposure else None,
        pictures=tuple(_pictures(plan)),
        spillover=_matrices(plan),
        compensation_quality=_flagged_pairs(plan),
        methods={**METHODS, **_doubts(plan)},
        versions=_versions(),
        lod_events=trial.settings.counts.lod_events,
        lloq_events=trial.settings.counts.lloq_events,
        profiles=_profiles(plan),
        qc_donor=_read(layout.qc_donor),
    )
    write_text(layout.report, render_report(tables))


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def frame_of(rows: Sequence[Any]) -> pd.DataFrame:
    """A sheet's typed rows as a table; an open end or a missing value is an empty cell."""
    plain = [{key: _cell(value) for key, value in asdict(row).items()} for row in rows]
    return pd.DataFrame(plain)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "Y" if value else ""
    return "" if value is None else value


def _pictures(plan: Plan) -> list[GatePicture]:
    """The gates of a few sample tubes of each panel, spread over the batches."""
    chosen = _pictured(plan)
    units = sorted({(panel, unit) for panel, unit, _ in chosen})
    loaded = read_pictures(plan.layout.unit_pictures(*job) for job in units)
    wanted = {sample_id for _, _, sample_id in chosen}
    return [gate_picture(picture) for picture in loaded if picture["sample_id"] in wanted]


def _pictured(plan: Plan) -> list[tuple[str, str, str]]:
    """(panel, unit, sample_id) of the tubes to show: one of each batch in turn, in the order of ids."""
    status = _read(plan.layout.inventory).set_index("sample_id")["status"]
    wanted = plan.trial.settings.report.gate_pictures
    chosen: list[tuple[str, str, str]] = []
    for panel in plan.trial.settings.panels:
        by_batch: dict[str, list[tuple[str, str, str]]] = {}
        for tube in sorted(plan.trial.tubes, key=lambda tube: tube.sample_id):
            if tube.panel == panel and tube.role is Role.SAMPLE and status[tube.sample_id] in {"ok", "warn"}:
                by_batch.setdefault(tube.batch, []).append((panel, plan.unit_of(tube), tube.sample_id))
        rounds = zip_longest(*by_batch.values())
        chosen += [tube for tubes in rounds for tube in tubes if tube is not None][:wanted]
    return chosen


def gate_picture(picture: dict[str, Any]) -> GatePicture:
    """A picture that the gating step wrote, as the report draws it."""
    x, y = picture["x"], picture["y"]
    parents = picture["parent_events"]
    return GatePicture(
        sample_id=picture["sample_id"],
        population=picture["population"],
        parent=picture["parent"],
        x_label=x["label"],
        y_label=y["label"],
        x_transform=_transform(x),
        y_transform=_transform(y),
        x_range=(x["low"], x["high"]),
        y_range=(y["low"], y["high"]),
        counts=picture["counts"],
        gate=picture["gate"],
        percent_of_parent=100 * picture["events"] / parents if parents else None,
        events=picture["events"],
        parent_events=parents,
        x_ticks=tuple((position, label) for position, label in x["ticks"]),
        y_ticks=tuple((position, label) for position, label in y["ticks"]),
        flags=tuple(picture["flags"]),
    )


def _transform(axis: dict[str, Any]) -> Transform:
    return Transform(axis["kind"], tuple(sorted(axis["parameters"].items())))


def _matrices(plan: Plan) -> dict[str, pd.DataFrame]:
    """The matrices that were made, by "panel, batch"."""
    made = {}
    for panel, batch in plan.matrices:
        text = plan.layout.matrix(panel, batch).read_text(encoding="utf-8")
        if not text.startswith("refused\n"):
            lines = [line for line in text.splitlines() if not line.startswith("# ")]
            made[f"{panel}, {batch}"] = pd.read_csv(StringIO("\n".join(lines)), index_col=0)
    return made


def _flagged_pairs(plan: Plan) -> pd.DataFrame | None:
    """Channel pairs and findings that are flagged; the whole figures are in the quality files."""
    parts = [
        _read(plan.layout.matrix_quality(panel, batch)).assign(panel=panel, batch=batch)
        for panel, batch in plan.matrices
    ]
    if not parts:
        return None
    joined = pd.concat(parts, ignore_index=True)
    flagged = joined[joined["flags"] != ""]
    return flagged[["panel", "batch", *[name for name in flagged.columns if name not in {"panel", "batch"}]]]


def _doubts(plan: Plan) -> dict[str, str]:
    """What the sheets leave in doubt, as `cytotrial check` lists it."""
    warnings = plan.trial.warnings
    if not warnings:
        return {}
    more = f" | and {len(warnings) - 20} more, see cytotrial check" if len(warnings) > 20 else ""
    return {"Doubts about the sheets": " | ".join(warnings[:20]) + more}


def _profiles(plan: Plan) -> tuple[str, ...]:
    """The configured subjects that the sheet has."""
    known = {subject.subject for subject in plan.trial.subjects}
    return tuple(subject for subject in plan.trial.settings.report.profiles if subject in known)


def _versions() -> dict[str, str]:
    libraries = ("numpy", "scipy", "pandas", "flowkit", "flowio", "flowutils", "snakemake")
    return {"cytotrial": __version__, **{name: version(name) for name in libraries}}
