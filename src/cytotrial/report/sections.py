"""The tables of the page, T1 to T3 and the summary on top, as plain text cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytotrial.report.figures import HEADLINE
from cytotrial.report.layout import Group, Row, Table, as_texts, distinct
from cytotrial.report.tables import ReportTables, rows_of
from cytotrial.report.text import (
    DASH,
    decimals_for,
    estimate_and_limits,
    limits_in_words,
    middle_and_range,
    number,
    of_all,
    p_value,
    parameter_label,
    whole,
)
from cytotrial.terms import Outcome, Status


@dataclass(frozen=True, slots=True)
class State:
    """One subject at one visit: letter, values available of those expected, reasons."""

    letter: str
    share: str
    reasons: str


_VISIT_COLUMNS = (
    *("Visit", "N planned", "n", "Median [Q1, Q3]", "n < LLOQ", "n not done", "n failed", "Paired n"),
    *("Median change [Q1, Q3]", "Hodges-Lehmann change (95 % CI)", "Median ratio to baseline"),
    *("P (Wilcoxon)", "P (Holm)"),
)


_ACCOUNTING_COLUMNS = ("Rows in", "ok", "warn", "reject", "not done")


def summary_numbers(tables: ReportTables) -> list[tuple[str, list[tuple[str, int]]]]:
    """The numbers on top: subjects and visits, tubes by outcome, values by status."""
    subjects = {*tables.subjects["subject"], *tables.counts["subject"]}
    draws = tables.counts.loc[tables.counts["value"].notna(), ["subject", "specimen"]].drop_duplicates()
    study = [
        ("subjects", len(subjects)),
        ("planned visits", len(tables.visits)),
        ("draws with a value", len(draws)),
    ]
    return [
        ("Study", study),
        ("Tubes", _by_outcome(tables.inventory["status"], "rows in the sample sheet", _TUBES)),
        ("Values", _by_outcome(tables.counts["status"], "rows in the dataset", _VALUES)),
    ]


_TUBES = {
    Outcome.OK.value: "ok",
    Outcome.WARN.value: "with a warning",
    Outcome.REJECT.value: "rejected",
    Outcome.NOT_DONE.value: "not done",
}
_VALUES = {
    Status.OK.value: "OK",
    Status.WARN.value: "with a warning",
    Status.FAIL.value: "failed",
    Status.NOT_DONE.value: "not done",
}


def _by_outcome(status: pd.Series, total: str, labels: dict[str, str]) -> list[tuple[str, int]]:
    """The total, then how many ended in which way; these always add up to it."""
    found = [(label, int((status == outcome).sum())) for outcome, label in labels.items()]
    other = len(status) - sum(n for _, n in found)
    return [(total, len(status)), *found, *([("of unknown status", other)] if other else [])]


def tube_accounting(inventory: pd.DataFrame) -> Table:
    """Rows of the sample sheet by panel and role, and what became of them: rows in = rows out."""
    keys = [key for key in ("panel", "role") if key in inventory.columns]
    outcomes = [outcome.value for outcome in Outcome]
    parts: list[tuple[Any, pd.DataFrame]] = list(inventory.groupby(keys, sort=True)) if keys else []
    rows = [_accounting_row(as_texts(key), part["status"], outcomes) for key, part in parts]
    total = _accounting_row(("all", *[""] * (len(keys) - 1)), inventory["status"], outcomes)
    return Table(
        id="tubes",
        caption="Tubes: every row of the sample sheet is accounted for",
        columns=(*(key.capitalize() for key in keys or ["rows"]), *_ACCOUNTING_COLUMNS),
        groups=(Group("", (*rows, total)),),
        texts=max(len(keys), 1),
    )


def _accounting_row(key: Row, status: pd.Series, outcomes: Sequence[str]) -> Row:
    return (*key, str(len(status)), *(str(int((status == outcome).sum())) for outcome in outcomes))


def headline(tables: ReportTables) -> Table:
    """Treg, Th17 and their ratio: median and quartiles per visit, and the change at the last visit."""
    names = tuple(tables.visits["visit"])
    rows = [
        _headline_row(part, names)
        for code in HEADLINE
        if len(part := tables.cell_counts[tables.cell_counts["parameter"] == code])
    ]
    last = names[-1] if names else ""
    return Table(
        id="headline",
        caption="Median [quartiles], n",
        columns=("Parameter", *names, f"Change to {last} (95 % CI), pairs"),
        groups=(Group("", tuple(rows)),),
        texts=1,
        notes=("Change: Hodges-Lehmann estimate of the paired change from baseline.",),
    )


def _headline_row(part: pd.DataFrame, names: Sequence[str]) -> Row:
    digits = decimals_for(part["median"])
    by_visit = {row.visit: row for row in rows_of(part)}
    cells = [_headline_cell(by_visit.get(name), digits) for name in names]
    last: Any = by_visit.get(names[-1]) if names else None
    change = DASH
    if last is not None and np.isfinite(last.hl):
        change = f"{estimate_and_limits(last.hl, last.hl_low, last.hl_high, digits)}, {whole(last.n_paired)}"
    return (parameter_label(part["parameter"].iloc[0], part["unit"].iloc[0]), *cells, change)


def _headline_cell(row: Any, digits: int) -> str:
    if row is None or not row.n > 0:
        return DASH
    return f"{middle_and_range(row.median, row.q1, row.q3, digits)}, n = {whole(row.n)}"


def cell_count_table(tables: ReportTables) -> Table:
    """T1: cell counts by visit."""
    groups = [
        Group(
            f"{parameter_label(str(code), part['unit'].iloc[0])} ({code})",
            tuple(_visit_row(row, decimals_for(part["median"])) for row in rows_of(part)),
        )
        for code, part in tables.cell_counts.groupby("parameter", sort=False)
    ]
    return Table(
        id="t1",
        caption="T1 Cell counts by visit",
        columns=_VISIT_COLUMNS,
        groups=tuple(groups),
        texts=1,
        notes=(
            "Exploratory; no confirmatory claim. N planned: subjects in the subject sheet; every number of "
            "subjects is given out of those it comes from. One record per subject, parameter and visit: of "
            "those with a value whose study day lies in the visit's window, the nearest to the target day, "
            "then the later draw, then the higher repeat (dataset/candidates.csv has them all).",
            f"n < LLOQ, by the events above background: {limits_in_words(tables.limits)}. Such values are "
            "shown as measured, with their counting interval; none is imputed or carried forward.",
            "Not done and failed: subjects without a value, by the status of their record; subjects of whom "
            "the sample sheet has no row at the visit make up the rest of N planned.",
            "Baseline: the record of the baseline visit, the last at or before the first dose; without it "
            "that of the last visit before.",
            *_test_notes(tables.cell_counts),
            f"Gating version: {distinct(tables.counts['gating_version'])}.",
        ),
    )


def _visit_row(row: Any, digits: int) -> Row:
    change = middle_and_range(row.change_median, row.change_q1, row.change_q3, digits)
    return (
        row.visit,
        whole(row.n_planned),
        of_all(row.n, row.n_planned),
        middle_and_range(row.median, row.q1, row.q3, digits),
        of_all(getattr(row, "n_below_lloq", float("nan")), row.n),
        of_all(getattr(row, "n_not_done", float("nan")), row.n_planned),
        of_all(getattr(row, "n_failed", float("nan")), row.n_planned),
        of_all(row.n_paired, row.n_planned) if np.isfinite(row.change_median) else DASH,
        change,
        estimate_and_limits(row.hl, row.hl_low, row.hl_high, digits),
        number(row.ratio_median, 2),
        _tested(row),
        p_value(row.p_holm),
    )


def _tested(row: Any) -> str:
    if not np.isfinite(row.p):
        return DASH
    zeros = f"; {whole(row.n_zero)} zero" if row.n_zero > 0 else ""
    return f"{p_value(row.p)} ({row.p_method}; n = {whole(row.n_paired - row.n_zero)}{zeros})"


def _test_notes(summary: pd.DataFrame) -> tuple[str, ...]:
    zeros = int(summary["n_zero"].fillna(0).sum())
    return (
        "Change is from baseline, in subjects with both values (paired n). Quartiles: "
        "linear interpolation (R type 7). Hodges-Lehmann: median of the Walsh averages; 95 % CI from the "
        "signed-rank distribution, none below 6 pairs.",
        "P: Wilcoxon signed-rank, two-sided, with the way it was found: exact (up to 50 "
        "changes; exact, ties: with mid-ranks) or approximate (normal). None for fewer than 2 changes. "
        f"Zero changes are dropped: {zeros} in this table. "
        "Holm: over the post-baseline visits of one parameter.",
    )


def clinical_table(tables: ReportTables) -> Table | None:
    """T2: clinical values by visit, if there are any."""
    summary = tables.clinical_by_visit
    if summary is None:
        return None
    groups = [_clinical_group(str(test), part) for test, part in summary.groupby("test", sort=False)]
    dropped = ("n < LLOQ", "n not done", "n failed")
    return Table(
        id="t2",
        caption="T2 Clinical values by visit",
        columns=(*(name for name in _VISIT_COLUMNS if name not in dropped), "Text values"),
        groups=tuple(groups),
        texts=1,
        notes=(
            "Values of the visit as in visit_wide. Yes/no tests: x/n positive, per cent (Clopper-Pearson "
            "95 % CI). Text values (such as <10) are counted in the last column and enter no number.",
            *_test_notes(summary),
        ),
    )


def _clinical_group(test: str, part: pd.DataFrame) -> Group:
    unit = part["unit"].iloc[0]
    digits = decimals_for(part["median"])
    rows = tuple(_clinical_row(row, digits) for row in rows_of(part))
    return Group(f"{test}, {unit}" if unit else test, rows)


def _clinical_row(row: Any, digits: int) -> Row:
    if row.kind == "counted":
        share = f"{whole(row.x)}/{whole(row.n)}"
        if np.isfinite(row.percent):
            share += f", {estimate_and_limits(row.percent, row.percent_low, row.percent_high, 1)} %"
        n, text = of_all(row.n, row.n_planned), of_all(row.n_not_numeric, row.n_planned)
        return (row.visit, whole(row.n_planned), n, share, *[DASH] * 6, text)
    cells = _visit_row(row, digits)
    return (*cells[:4], *cells[7:], of_all(row.n_not_numeric, row.n_planned))


def completeness(tables: ReportTables) -> tuple[tuple[str, ...], list[tuple[str, list[State]]], list[Row]]:
    """T3: the visits, the state of every subject at every visit, and the totals by letter."""
    names = tuple(dict.fromkeys(tables.completeness["visit"]))
    found = {(str(row.subject), str(row.visit)): _state(row) for row in rows_of(tables.completeness)}
    subjects = list(dict.fromkeys(tables.completeness["subject"]))
    states = [(subject, [found[subject, name] for name in names]) for subject in subjects]
    totals = [
        (
            letter,
            *(
                of_all(sum(row[place].letter == letter for _, row in states), len(subjects))
                for place in range(len(names))
            ),
        )
        for letter in "DWFN."
    ]
    return names, states, totals


def _state(row: Any) -> State:
    share = of_all(row.available, row.expected) if row.available < row.expected and row.state != "." else ""
    return State(row.state, share, distinct([row.reasons]).removeprefix(DASH))
