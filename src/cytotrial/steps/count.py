"""From events per population to a value per specimen and parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.settings import ParameterCode, Settings, event_limits
from cytotrial.steps.draws import Draw, Value
from cytotrial.steps.layout import INPUTS, SPECIMENS, VALUES_BY_HAND
from cytotrial.steps.plan import Plan
from cytotrial.steps.values import values_of
from cytotrial.steps.values_by_hand import changes_of, marked, read_by_hand, rests_on_hand
from cytotrial.terms import Role, Tube

UNITS = {
    "LYMABS": "10^6/L", "CD4ABS": "10^6/L", "TREGABS": "10^6/L", "TH17ABS": "10^6/L",
    "TREGPCD4": "%", "TH17PCD4": "%", "TH17TREG": "",
}  # fmt: skip
"""10^6/L is the same number as cells/µL."""


def count_specimens(plan: Plan) -> None:
    """Write counts/specimens.csv: every parameter of every specimen; and counts/by_hand.csv."""
    settings, by_hand = plan.trial.settings, read_by_hand(plan.layout)
    rows: list[Row] = []
    changes: list[Row] = []
    for draw in draws_of(plan):
        without = by_hand.without(draw, settings)
        values = {code: marked(value, without.get(code)) for code, value in values_of(draw, settings).items()}
        rows += [_row(draw, code, value, settings) for code, value in sorted(values.items())]
        changes += changes_of(draw, values, without, by_hand.applied, UNITS)
    write_table(plan.layout.specimens, SPECIMENS, rows)
    write_table(plan.layout.values_by_hand, VALUES_BY_HAND, changes)


def draws_of(plan: Plan) -> Iterator[Draw]:
    """The draws of subjects, sorted by specimen, with what gating and checking made of their tubes."""
    gated: dict[str, dict[str, dict[str, str]]] = {}
    for row in read_table(plan.layout.populations):
        gated.setdefault(row["sample_id"], {})[row["population"]] = row
    inventory = {row["sample_id"]: row for row in read_table(plan.layout.inventory)}
    steady = {row["sample_id"]: _steady(row) for row in read_table(plan.layout.quality)}
    blood_counts = {count.specimen: count for count in plan.trial.cbc}
    for specimen, tubes in _by_specimen(plan.trial.participants_tubes).items():
        yield Draw(tubes, gated, inventory, blood_counts.get(specimen), steady)


def _steady(row: Mapping[str, str]) -> float:
    """Share of a tube's on-scale events that were taken while the instrument ran steadily."""
    on_scale = 100 - float(row["margin_percent"])
    return (100 - float(row["removed_percent"])) / on_scale if on_scale else 1.0


def _by_specimen(tubes: Iterable[Tube]) -> dict[str, tuple[Tube, ...]]:
    """Specimen → its tubes, of subjects only; specimens and tubes sorted."""
    draws: dict[str, list[Tube]] = {}
    for tube in sorted(tubes, key=lambda tube: tube.sample_id):
        if tube.subject and tube.role in {Role.SAMPLE, Role.UNSTIMULATED}:
            draws.setdefault(tube.specimen, []).append(tube)
    return {specimen: tuple(draws[specimen]) for specimen in sorted(draws)}


def _row(draw: Draw, code: ParameterCode, value: Value, settings: Settings) -> Row:
    count = value.count
    collected = next((tube.collected for tube in draw.tubes if tube.collected), "")
    tube = replace(draw.tubes[0], collected=collected)
    lod, lloq = event_limits(settings, code)
    inputs = count.inputs if count else {}
    return {
        "subject": tube.subject,
        "visit": tube.visit,
        "specimen": tube.specimen,
        "collected": tube.collected,
        "parameter": code,
        "value": count.value if count else None,
        "unit": UNITS[code],
        "ci_low": count.ci_low if count else None,
        "ci_high": count.ci_high if count else None,
        "events": count.events if count else None,
        "parent_events": count.parent_events if count else None,
        "cv_percent": count.cv_percent if count else None,
        "method": count.method if count else "",
        "status": value.status.value,
        "flags": value.flags,
        "gating_version": tuple(sorted(set(value.versions))),
        "sample_ids": value.tubes,
        "systematic_cv_percent": count.systematic_cv_percent if count else None,
        **{name: inputs.get(name) for name in INPUTS},
        "lod_events": lod,
        "lloq_events": lloq,
        "quantifiable": value.quantifiable,
        "override": "Y" if rests_on_hand(value) else "",
    }
