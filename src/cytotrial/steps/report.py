"""Fill the report's tables from the result files and write the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from cytotrial import __version__
from cytotrial.files.tables import Row, write_table
from cytotrial.files.whole import read_text, write_text
from cytotrial.report.layout import Table
from cytotrial.report.listings import L2
from cytotrial.report.page import page_and_listings
from cytotrial.report.pictures import GatePicture
from cytotrial.report.tables import ReportTables
from cytotrial.report.text import DASH
from cytotrial.science.endpoints import UNSCHEDULED, column_of
from cytotrial.science.statistics import (
    analysis_records,
    baseline_values,
    cell_counts_by_visit,
    clinical_by_visit,
    completeness,
)
from cytotrial.settings import event_limits
from cytotrial.steps.layout import LISTINGS, OVERRIDES
from cytotrial.steps.listing_overrides import overrides_listed
from cytotrial.steps.methods import methods_of
from cytotrial.steps.pictures import read_pictures
from cytotrial.steps.plan import Plan
from cytotrial.steps.report_quality import (
    acquisition_of,
    flagged_between_matrices,
    flagged_pairs,
    matrices_of,
    traces_of,
    worst_pairs_of,
)
from cytotrial.terms import Role, Transform


def write_report(plan: Plan) -> None:
    """Write report.html, the numbers of its tables T1 to T3, and its listings L1 to L4."""
    by_hand = overrides_listed(plan)
    tables = replace(_tables(plan), overrides=pd.DataFrame(by_hand, columns=list(OVERRIDES)))
    page, listings = page_and_listings(tables)
    write_text(plan.layout.report, page)
    _write_listings(plan, listings, by_hand)
    numbers = {"t1": tables.cell_counts, "t2": tables.clinical_by_visit, "t3": tables.completeness}
    for name, path in plan.layout.summaries.items():
        frame = numbers[name]
        if frame is not None:
            write_table(
                path,
                list(frame.columns),
                [dict(zip(frame.columns, row, strict=True)) for row in frame.to_numpy(object)],
            )


def _write_listings(plan: Plan, listings: Sequence[Table], by_hand: Sequence[Row]) -> None:
    """Write every listing as a table: L2 with all its digits and columns, the others as the page has them."""
    for table in listings:
        path = plan.layout.listing(LISTINGS[table.id])
        if table.id == L2:
            write_table(path, OVERRIDES, by_hand)
        else:
            rows = [row for group in table.groups for row in group.rows]
            cells = [["" if cell == DASH else cell for cell in row] for row in rows]
            write_table(path, table.columns, [dict(zip(table.columns, row, strict=True)) for row in cells])


def _tables(plan: Plan) -> ReportTables:
    """All that the page shows."""
    layout, trial = plan.layout, plan.trial
    visits, subjects = frame_of(trial.visits), frame_of(trial.subjects)
    candidates, visit_wide = _read(layout.candidates), _read(layout.visit_wide)
    counts = analysis_records(_read(layout.counts), candidates)
    units = {column_of(value.test): value.unit for value in trial.clinical}
    planned = len(trial.subjects)
    return ReportTables(
        study=trial.settings.study,
        title=trial.settings.report.title,
        inventory=_read(layout.inventory),
        populations=_read(layout.populations),
        gates=_read(layout.gates),
        counts=counts,
        candidates=candidates,
        visit_wide=visit_wide,
        visits=visits,
        subjects=subjects,
        cell_counts=cell_counts_by_visit(
            counts, visits, n_planned=planned, baselines=baseline_values(candidates)
        ),
        completeness=completeness(counts, subjects=_subjects(plan), visits=_visits(plan, counts)),
        clinical_by_visit=clinical_by_visit(visit_wide, visits, units=units, n_planned=planned)
        if units
        else None,
        clinical=frame_of(trial.clinical) if trial.clinical else None,
        exposure=frame_of(trial.exposure) if trial.exposure else None,
        pictures=tuple(_pictures(plan)),
        spillover=matrices_of(plan),
        compensation_quality=flagged_pairs(plan),
        compared_matrices=flagged_between_matrices(plan),
        pairs=worst_pairs_of(plan),
        acquisition=acquisition_of(plan),
        traces=traces_of(plan),
        checks=_read(layout.checks),
        methods={**methods_of(trial.settings), **_doubts(plan)},
        versions=_versions(),
        limits={code: event_limits(trial.settings, code) for code in sorted(trial.settings.parameters)},
        profiles=_profiles(plan),
        qc_donor=_read(layout.qc_donor),
    )


def _subjects(plan: Plan) -> list[str]:
    return sorted(subject.subject for subject in plan.trial.subjects)


def _visits(plan: Plan, counts: pd.DataFrame) -> list[str]:
    """The planned visits in order, and UNSCHEDULED if there are such draws."""
    planned = [visit.visit for visit in sorted(plan.trial.visits, key=lambda visit: visit.visit_num)]
    return [*planned, *([UNSCHEDULED] if (counts["visit"] == UNSCHEDULED).any() else [])]


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(StringIO(read_text(path)), dtype=str, keep_default_na=False)


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
    wanted = {sample_id for _, _, sample_id in chosen}
    loaded = read_pictures((plan.layout.unit_pictures(*job) for job in units), tubes=wanted)
    return [gate_picture(picture) for picture in loaded]


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
