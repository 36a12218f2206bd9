"""Listing L2: what every override did to its gate and to the values that rest on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cytotrial.files.tables import Row, read_table
from cytotrial.steps.layout import OVERRIDES
from cytotrial.steps.plan import Plan
from cytotrial.terms import Tube

PERCENT_OF_PARENT = "percent_of_parent"
_NUMBERS = ("events_before", "parent_events_before", "events_after", "parent_events_after")


def overrides_listed(plan: Plan) -> list[Row]:
    """A row for the gate of each override, in the order of time, then one for each value that rests on it."""
    tubes = {tube.sample_id: tube for tube in plan.trial.tubes}
    values: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in read_table(plan.layout.values_by_hand):
        values.setdefault((row["override_id"], row["sample_id"]), []).append(row)
    in_time = sorted(read_table(plan.layout.by_hand), key=lambda row: (row["utc"], row["override_id"]))
    return [row for override in in_time for row in _rows(override, tubes[override["sample_id"]], values)]


def _rows(
    override: Mapping[str, str], tube: Tube, values: Mapping[tuple[str, str], list[Mapping[str, str]]]
) -> Iterator[Row]:
    about = {
        **{name: override[name] for name in OVERRIDES if name in override},
        **{name: getattr(tube, name) for name in ("subject", "visit", "specimen", "panel")},
    }
    yield {
        **about,
        "measure": PERCENT_OF_PARENT,
        "unit": "%",
        "before": _number(override["percent_before"]),
        "after": _number(override["percent_after"]),
        **{name: _number(override[name]) for name in _NUMBERS},
    }
    for value in values.get((override["override_id"], override["sample_id"]), ()):
        yield {
            **about,
            "measure": value["parameter"],
            "unit": value["unit"],
            "before": _number(value["value_before"]),
            "after": _number(value["value_after"]),
            **{name: _number(value[name]) for name in _NUMBERS},
        }


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
