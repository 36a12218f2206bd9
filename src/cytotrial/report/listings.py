"""The listings of the page: every tube, value, population and draw that a reader may ask about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from cytotrial.report.layout import Group, Row, Table, as_texts, distinct, spaced
from cytotrial.report.tables import PRIVATE, ReportTables, measured, rows_of
from cytotrial.report.text import DASH, limits_in_words, number, of_all, short, unit_label, whole
from cytotrial.terms import Outcome, Status

L2 = "l2"

OverrideIds = dict[tuple[str, str], list[str]]

_VALUE_COLUMNS = (
    *("Subject", "Visit", "Specimen", "Tubes", "Parameter", "Status", "Reasons", "Class"),
    *("Gating version", "In T1", "Value", "Unit", "Events", "Parent events", "CV %", "Overrides"),
)
_OVERRIDE_COLUMNS = (
    *("Gate and values", "Unit", "Before", "After", "Change"),
    *("Events before", "Parent events before", "Events after", "Parent events after"),
)
_OUTCOMES = {
    "applied": "applied",
    "accepted": "the automatic gate stays",
    "stale": "STALE, not applied",
    "not_gated": "NOT APPLIED, the tube has no gates",
}
_MAPPING_COLUMNS = (
    *("Subject", "Visit in the sheet", "Specimen", "Collected", "Visit by its day", "Why not", "Answers"),
    *("Study day", "Target day", "Difference, days", "Window"),
)


def rejected_tubes(inventory: pd.DataFrame) -> Table:
    """L1a: every tube that is not simply ok, with code and message."""
    shown = inventory[inventory["status"] != Outcome.OK.value]
    order = shown["status"].map({Outcome.REJECT.value: 0, Outcome.WARN.value: 1}).fillna(2)
    shown = shown.assign(order=order).sort_values(["order", "sample_id"], kind="stable")
    extra = [key for key in ("subject", "visit", "panel", "role", "batch") if key in shown.columns]
    columns = ["sample_id", *extra, "status", "code", "message"]
    return _listing("l1-tubes", "L1a Tubes rejected, warned about or not done", shown, columns)


def flagged_values(tables: ReportTables) -> Table:
    """L1b: every value with a flag or a status other than OK; the missing values of a draw share a row."""
    order = {visit: place for place, visit in enumerate(tables.visits["visit"])}
    counts = tables.counts
    missing = counts["value"].isna()
    flagged = counts[~missing & (counts["status"].ne(Status.OK.value) | counts["flags"].ne(""))]
    ids = _override_ids(tables.overrides)
    rows = [*_rows_missing(counts[missing], ids), *(_flagged_row(row, ids) for row in rows_of(flagged))]
    rows.sort(key=lambda row: (row[0], order.get(row[1], len(order)), row))
    return Table(
        id="l1-values",
        caption="L1b Flagged and missing values",
        columns=_VALUE_COLUMNS,
        groups=(Group("", tuple(rows)),),
        texts=10,
        notes=(
            f"Class, by the events above background: {limits_in_words(tables.limits)}. CV: counting error, "
            "with that of the blood count or of the metered volume where the count rests on one.",
        ),
    )


def _override_ids(overrides: pd.DataFrame | None) -> OverrideIds:
    """(specimen, parameter) → the overrides that its value rests on."""
    ids: OverrideIds = {}
    for row in [] if overrides is None else rows_of(overrides):
        ids.setdefault((row.specimen, row.measure), []).append(row.override_id)
    return ids


def _rows_missing(missing: pd.DataFrame, ids: OverrideIds) -> list[Row]:
    keys = ["subject", "visit", "specimen", "sample_ids", "status", "flags", "gating_version"]
    return [
        (
            *(subject, visit, specimen, spaced(tubes), distinct(part["parameter"]), status, spaced(flags)),
            *("", version, "no", DASH, "", DASH, DASH, DASH),
            distinct(name for code in part["parameter"] for name in ids.get((specimen, code), ())),
        )
        for key, part in missing.groupby(keys, sort=True)
        for subject, visit, specimen, tubes, status, flags, version in [as_texts(key)]
    ]


def _flagged_row(row: Any, ids: OverrideIds) -> Row:
    return (
        *(row.subject, row.visit, row.specimen, spaced(row.sample_ids), row.parameter, row.status),
        *(spaced(row.flags), row.quantifiable.lower(), row.gating_version),
        "yes" if row.analysis == "Y" else "no",
        *(short(row.value), unit_label(row.unit), whole(row.events), whole(row.parent_events)),
        number(row.cv_percent, 1),
        distinct(ids.get((row.specimen, row.parameter), ())),
    )


def flagged_populations(populations: pd.DataFrame) -> Table:
    """L1c: every population that was flagged when it was gated.

    What flags the whole tube is listed once, at its root; a tube without events stands in L1a.
    """
    status = populations["status"].str.upper()
    flagged = (populations["flags"].ne("") | ~status.isin(["OK", ""])) & status.ne("NOT_DONE")
    roots = populations[populations["population"] == "root"]
    of_tube = set(zip(roots["sample_id"], roots["flags"], roots["status"], strict=True))
    keys = zip(populations["sample_id"], populations["flags"], populations["status"], strict=True)
    repeated = pd.Series([key in of_tube for key in keys], index=populations.index)
    shown = populations[flagged & ~(repeated & populations["population"].ne("root"))]
    shown = shown.sort_values(["sample_id"], kind="stable")
    extra = [key for key in ("subject", "visit", "panel", "role") if key in shown.columns]
    columns = ["sample_id", *extra, "population", "parent", "status", "flags"]
    numbers = ["events", "parent_events", "percent_of_parent"]
    return _listing("l1-populations", "L1c Flagged populations", shown, columns, numbers)


def overrides(applied: pd.DataFrame | None) -> Table:
    """L2: every override with who, when and why; its gate and what rests on it, before and after."""
    rows = [] if applied is None else list(rows_of(applied))
    by_override = groupby(rows, key=lambda row: (row.override_id, row.sample_id))
    groups = [_override_group(list(members)) for _, members in by_override]
    return Table(
        id=L2,
        caption="L2 Gates placed by hand",
        columns=_OVERRIDE_COLUMNS,
        groups=tuple(groups),
        texts=2,
        notes=(
            "Before: as the automatic gates alone would have it, with no override of the draw. After: as it "
            "is in the dataset. A value that is missing after was taken out or is held back, see L1b. "
            "Of several rows about one gate the last one decides. All columns are in "
            "tables/l2_overrides.csv, both places of the gate in gating/by_hand.csv.",
        ),
    )


def _override_group(rows: Sequence[Any]) -> Group:
    first = rows[0]
    return Group(_override_in_words(first), tuple(_override_row(row) for row in rows))


def _override_in_words(row: Any) -> str:
    """Id, gate, tube, what was done and what became of it, by whom, when and why."""
    draw = ", ".join(part for part in (row.subject, row.visit) if part)
    tube = f"tube {row.sample_id}" + (f" ({draw})" if draw else "")
    outcome = _OUTCOMES.get(row.outcome, row.outcome) + (f": {row.why}" if row.why else "")
    reviewed = (
        f"reviewed by {row.reviewed_by}, {row.reviewed_utc}" if row.reviewed_by else "not reviewed by another"
    )
    reason = ": ".join(part for part in (row.reason_code, row.reason_text) if part)
    made = f"made by {row.made_by}, {row.utc}; {reviewed}"
    return f"{row.override_id} · {row.action} {row.population} · {tube} · {outcome} · {made} · {reason}"


def _override_row(row: Any) -> Row:
    of_gate = row.measure == "percent_of_parent"
    change = row.after - row.before
    return (
        f"{row.population}, % of {row.parent or 'parent'}" if of_gate else row.measure,
        unit_label(row.unit),
        *(short(row.before), short(row.after), short(change) if np.isfinite(change) else DASH),
        *(whole(row.events_before), whole(row.parent_events_before)),
        *(whole(row.events_after), whole(row.parent_events_after)),
    )


def gate_origins(gates: pd.DataFrame) -> Table:
    """Where the gates of each population come from."""
    names = ("template", "control", "reference", "override")
    rows = [
        (str(population), *(str(int((part["origin"] == name).sum())) for name in names), str(len(part)))
        for population, part in gates.groupby("population", sort=False)
    ]
    columns = ("Population", *names, "tubes")
    return Table("origins", "Origin of the gates, tubes", columns, (Group("", tuple(rows)),), texts=1)


def visit_mapping(tables: ReportTables) -> Table:
    """L3: every draw, the visit of the sheet, the visit in whose window its day lies, and what it answers."""
    keys = ["subject", "collected", "specimen", "visit", "analysis_visit"]
    windows = {row.visit: row for row in rows_of(tables.visits)}
    draws = tables.candidates.groupby(keys, sort=True)
    rows = [_mapped_row(as_texts(key), part, windows) for key, part in draws]
    return Table(
        id="l3",
        caption="L3 Visit mapping",
        columns=_MAPPING_COLUMNS,
        groups=(Group("", tuple(rows)),),
        texts=6,
        notes=(
            "Answers: parameters for which the draw is the record of its visit, of those it was drawn for. "
            "Why not: of the others. A draw outside every window is kept and answers for no visit.",
        ),
    )


def _mapped_row(key: Row, part: pd.DataFrame, windows: dict[Any, Any]) -> Row:
    subject, collected, specimen, nominal, visit = key
    window = windows.get(visit)
    first = part.iloc[0]
    return (
        *(subject, nominal, specimen, collected, visit or DASH, distinct(part["reason_not_chosen"])),
        of_all(int(part["answers"].eq("Y").sum()), len(part)),
        *(whole(first["study_day"]), whole(first["target_day"]), whole(first["days_from_target"])),
        DASH if window is None else f"{_end(window.first_day)} to {_end(window.last_day)}",
    )


def _end(day: float) -> str:
    return whole(day) if np.isfinite(day) else "open"


def values_by_visit(tables: ReportTables) -> Table:
    """L4: the values of every subject and visit, as in visit_wide."""
    order = {visit: place for place, visit in enumerate(tables.visits["visit"])}
    wide = tables.visit_wide
    wide = wide.assign(order=wide["visit"].map(order).fillna(len(order)))
    wide = wide.sort_values(["subject", "order"], kind="stable").drop(columns="order")
    rest = [column for column in wide.columns if column not in ("subject", "visit", "study")]
    return _listing("l4", "L4 Values by subject and visit", wide, ["subject", "visit"], rest)


def plain_table(name: str, caption: str, frame: pd.DataFrame) -> Table:
    """Any table as it is; words left, numbers with four digits."""
    frame = measured(frame)
    texts = [column for column in frame.columns if not pd.api.types.is_numeric_dtype(frame[column])]
    return _listing(name, caption, frame, texts, [column for column in frame.columns if column not in texts])


def dataset_checks(checks: pd.DataFrame) -> Table:
    """Every check of the trial dataset, those that failed first."""
    failed_first = checks.assign(order=checks["status"].ne("FAIL")).sort_values("order", kind="stable")
    columns = ["check", "status", "rule", "problems", "detail"]
    return _listing("dataset-checks", "Checks of the trial dataset", failed_first, columns)


def _listing(
    name: str, caption: str, frame: pd.DataFrame, texts: Sequence[str], numbers: Sequence[str] = ()
) -> Table:
    texts = [column for column in texts if str(column).lower() not in PRIVATE]
    numbers = [column for column in numbers if str(column).lower() not in PRIVATE]
    shown = [*texts, *numbers]
    rows = [tuple(map(_plain, row)) for row in frame[shown].itertuples(index=False, name=None)]
    heads = [str(column).replace("_", " ") for column in shown]
    columns = tuple(head[:1].upper() + head[1:] if head.islower() else head for head in heads)
    return Table(name, caption, columns, (Group("", tuple(rows)),), texts=len(texts))


def _plain(value: Any) -> str:
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return short(float(value)) if np.isfinite(value) else ""
    return "" if pd.isna(value) else spaced(str(value))
