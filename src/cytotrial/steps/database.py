"""The tidy tables and the analysis datasets in one DuckDB file, with views for the usual questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from cytotrial.files.database import write_database
from cytotrial.files.sheets import ClinicalValue
from cytotrial.science.endpoints import column_of
from cytotrial.steps.conformance import require_passed
from cytotrial.steps.layout import COUNTS
from cytotrial.steps.plan import Plan
from cytotrial.steps.results import NUMBERS, WHOLE
from cytotrial.terms import Subject, Visit

NUMBER, INTEGER = "number", "integer"

CANDIDATE_KINDS = {**dict.fromkeys(NUMBERS, NUMBER), **dict.fromkeys(WHOLE, INTEGER)}
POPULATION_KINDS = {"events": INTEGER, "parent_events": INTEGER, "percent_of_parent": NUMBER}

VIEWS = {
    "latest_visit": """
        SELECT studyid, usubjid, subjid, paramcd, param, avisit, avisitn, adt, ady, aval, base, chg, pchg,
            qcfl
        FROM (
            SELECT *, row_number() OVER (PARTITION BY usubjid, paramcd ORDER BY avisitn DESC) AS place
            FROM adcp WHERE anl01fl = 'Y'
        ) AS ranked
        WHERE place = 1
        ORDER BY usubjid, paramcd""",
    "change_from_baseline": """
        SELECT studyid, usubjid, subjid, trtp, paramcd, param, avisit, avisitn, ady, base, aval, chg, pchg,
            r2base, avallcl, avalucl, qcfl
        FROM adcp
        WHERE anl01fl = 'Y' AND chg IS NOT NULL
        ORDER BY usubjid, paramcd, avisitn""",
    "flagged_tubes": """
        SELECT sample_id, subject, visit, batch, panel, role, status, code, message
        FROM inventory
        WHERE status <> 'ok'
        ORDER BY sample_id""",
}
"""View → its query; DuckDB and PostgreSQL both run it."""


def write_trial_database(plan: Plan) -> None:
    """Write dataset/trial.duckdb of a dataset whose checks passed.

    Raises
    ------
    DatasetError
        If a check failed: no database is made of such a dataset.
    """
    layout, trial = plan.layout, plan.trial
    require_passed(layout.checks)
    counts = {name: kind for name, kind in COUNTS.items() if kind != "text"}
    measured: dict[str, str] = dict.fromkeys(map(str, trial.settings.parameters), NUMBER)
    wide = {"visit_num": NUMBER, **measured, **_numeric(trial.clinical)}
    write_database(
        layout.database,
        csv_tables={
            "counts": (layout.counts, counts),
            "candidates": (layout.candidates, CANDIDATE_KINDS),
            "visit_wide": (layout.visit_wide, wide),
            "populations": (layout.populations, POPULATION_KINDS),
            "gates": (layout.gates, {"confidence": NUMBER}),
            "inventory": (layout.inventory, {"events": INTEGER}),
            "checks": (layout.checks, {"problems": INTEGER}),
        },
        parquet_tables={name: layout.adam / f"{name}.parquet" for name in ("adsl", "adcp")},
        row_tables={
            "subjects": _sheet(Subject, sorted(trial.subjects, key=lambda row: row.subject), {"age": NUMBER}),
            "visits": _sheet(
                Visit,
                sorted(trial.visits, key=lambda row: row.visit_num),
                {
                    "visit_num": NUMBER,
                    **dict.fromkeys(("target_day", "first_day", "last_day"), INTEGER),
                    "baseline": "boolean",
                },
            ),
            "clinical": _clinical(trial.clinical),
        },
        views=VIEWS,
    )


def _numeric(clinical: Iterable[ClinicalValue]) -> dict[str, str]:
    """The clinical columns of visit_wide whose values are all numbers."""
    kinds: dict[str, str] = {}
    for value in clinical:
        column = column_of(value.test)
        if isinstance(value.value, str):
            kinds[column] = "text"
        kinds.setdefault(column, NUMBER)
    return kinds


def _sheet(
    noun: type, rows: Sequence[Any], kinds: Mapping[str, str]
) -> tuple[dict[str, str], list[list[Any]]]:
    """Typed rows of a sheet as a table; an empty text is NULL."""
    columns = {field.name: kinds.get(field.name, "text") for field in fields(noun)}
    cells = [[_cell(asdict(row)[name], kind) for name, kind in columns.items()] for row in rows]
    return columns, cells


def _cell(value: Any, kind: str) -> Any:
    if value is None or value == "":
        return None
    return float(value) if kind == NUMBER else value


def _clinical(values: Iterable[ClinicalValue]) -> tuple[dict[str, str], list[list[Any]]]:
    """The clinical sheet, long: a value in words is `value_text`, a number `value`."""
    kinds = dict.fromkeys(("subject", "test", "collected"), "text")
    kinds |= {"value": NUMBER, "value_text": "text", "unit": "text"}
    ordered = sorted(values, key=lambda row: (row.subject, row.test, row.collected))
    rows = [
        [
            *(row.subject, row.test, row.collected),
            None if isinstance(row.value, str) else float(row.value),
            row.value if isinstance(row.value, str) else None,
            row.unit or None,
        ]
        for row in ordered
    ]
    return kinds, rows
