"""From events per population to a value per specimen and parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cytotrial.errors import CountError
from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.science.counting import (
    NO_EVENT,
    count_across_tubes,
    count_against_beads,
    frequency,
    ratio_of_shared_parent,
    subtract_background,
)
from cytotrial.settings import Absolute, Counts, CrossTube, Parameter, ParameterCode, Percent, Ratio
from cytotrial.steps.layout import INPUTS, SPECIMENS
from cytotrial.steps.plan import Plan
from cytotrial.steps.tubes import value_flags
from cytotrial.terms import Count, Role, Status, Tube

UNITS = {
    "LYMABS": "10^6/L", "CD4ABS": "10^6/L", "TREGABS": "10^6/L", "TH17ABS": "10^6/L",
    "TREGPCD4": "%", "TH17PCD4": "%", "TH17TREG": "",
}  # fmt: skip
"""10^6/L is the same number as cells/µL."""

TubePopulations = Mapping[str, Mapping[str, str]]
"""Population → its row in populations.csv, for one tube."""


@dataclass(frozen=True)
class Value:
    """A parameter of one specimen: a count, or the reasons why there is none."""

    count: Count | None
    status: Status
    flags: tuple[str, ...]
    tubes: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draw:
    """The tubes of one specimen, what the gates hold, and what became of each row of the sheet."""

    tubes: tuple[Tube, ...]
    populations: Mapping[str, TubePopulations]
    inventory: Mapping[str, Mapping[str, str]]


def count_specimens(plan: Plan) -> None:
    """Write counts/specimens.csv: every parameter of every specimen."""
    gated: dict[str, dict[str, dict[str, str]]] = {}
    for row in read_table(plan.layout.populations):
        gated.setdefault(row["sample_id"], {})[row["population"]] = row
    inventory = {row["sample_id"]: row for row in read_table(plan.layout.inventory)}
    settings = plan.trial.settings
    rows: list[Row] = []
    for specimen, tubes in _draws(plan.trial.tubes).items():
        draw = Draw(tubes, gated, inventory)
        values = values_of(draw, settings.parameters, settings.counts)
        collected = next((tube.collected for tube in tubes if tube.collected), "")
        about = replace(tubes[0], collected=collected)
        rows += [_row(specimen, about, code, value) for code, value in sorted(values.items())]
    write_table(plan.layout.specimens, SPECIMENS, rows)


def _draws(tubes: Iterable[Tube]) -> dict[str, tuple[Tube, ...]]:
    """Specimen → its tubes, of subjects only; specimens and tubes sorted."""
    draws: dict[str, list[Tube]] = {}
    for tube in sorted(tubes, key=lambda tube: tube.sample_id):
        if tube.subject and tube.role in {Role.SAMPLE, Role.UNSTIMULATED}:
            draws.setdefault(tube.specimen, []).append(tube)
    return {specimen: tuple(draws[specimen]) for specimen in sorted(draws)}


def values_of(draw: Draw, parameters: Mapping[ParameterCode, Parameter], counts: Counts) -> dict[str, Value]:
    """Every configured parameter of one draw.

    Parameters are worked out in the order they depend on each other: counts and percentages,
    then counts across tubes, then ratios.
    """
    values: dict[str, Value] = {}
    order = (Absolute, Percent, CrossTube, Ratio)
    for code, parameter in sorted(parameters.items(), key=lambda item: (order.index(type(item[1])), item[0])):
        values[code] = _limited(_value(draw, parameter, parameters, values, counts), parameter, counts)
    return values


def _value(
    draw: Draw,
    parameter: Parameter,
    parameters: Mapping[ParameterCode, Parameter],
    values: Mapping[str, Value],
    counts: Counts,
) -> Value:
    if isinstance(parameter, Absolute):
        return _in_tube(draw, parameter.panel, lambda rows, tube: _absolute(rows, tube, parameter, counts))
    if isinstance(parameter, Percent):
        stimulated = _in_tube(draw, parameter.panel, lambda rows, _: _percent(rows, parameter))
        return _net(draw, stimulated, parameter) if parameter.background else stimulated
    if isinstance(parameter, CrossTube):
        parts = (values[parameter.percent], values[parameter.count])
        return _combined(parts, count_across_tubes)
    return _ratio(parameter, parameters, values, counts)


def _in_tube(
    draw: Draw, panel: str, make: Callable[[TubePopulations, Tube], Count], role: Role = Role.SAMPLE
) -> Value:
    """A count of the tube of one panel and role that answers for the draw, or why there is none.

    Of repeated tubes the last one acquired that gives a count answers; that there were more is flagged.
    """
    tubes = [tube for tube in draw.tubes if tube.panel == panel and tube.role is role]
    if not tubes:
        return Value(None, Status.NOT_DONE, (f"NO_TUBE:{panel}",))
    latest_first = sorted(
        tubes, key=lambda tube: (draw.inventory[tube.sample_id]["acquired"], tube.sample_id), reverse=True
    )
    values = [_of_tube(draw, tube, make) for tube in latest_first]
    answer = next((value for value in values if value.count), None)
    if answer is None:
        failed = [value for value in values if value.status is Status.FAIL]
        answer = failed[0] if failed else values[0]
    if len(tubes) == 1:
        return answer
    status = Status.WARN if answer.status is Status.OK else answer.status
    return replace(answer, status=status, flags=(f"REPEAT_TUBES:{len(tubes)}", *answer.flags))


def _of_tube(draw: Draw, tube: Tube, make: Callable[[TubePopulations, Tube], Count]) -> Value:
    """A count of one tube, or why it has none."""
    if draw.inventory[tube.sample_id]["status"] not in {"ok", "warn"}:
        return _unavailable(tube, draw)
    rows = draw.populations.get(tube.sample_id, {})
    versions = tuple(sorted({f"{tube.panel}:{row['gating_version']}" for row in rows.values()}))
    warned = value_flags(draw.inventory[tube.sample_id]["code"])
    try:
        count = make(rows, tube)
    except CountError as error:
        reason = str(error).replace(";", ",")
        return Value(None, Status.FAIL, (*warned, f"NO_COUNT:{reason}"), (tube.sample_id,), versions)
    used = tuple(dict.fromkeys([*warned, *count.flags]))
    return Value(count, Status.WARN if used else Status.OK, used, (tube.sample_id,), versions)


def _unavailable(tube: Tube, draw: Draw) -> Value:
    """A tube that was not done or was rejected: no value, and the reason."""
    row = draw.inventory[tube.sample_id]
    reason = row["message"] if row["status"] == "not_done" else row["code"].split(";")[0]
    word = "NOT_DONE" if row["status"] == "not_done" else "TUBE_REJECTED"
    return Value(None, Status.NOT_DONE, (f"{word}:{reason.replace(';', ',')}",), (tube.sample_id,))


def _events(rows: TubePopulations, population: str) -> tuple[int, tuple[str, ...]]:
    """Events of a population and the flags of its gate.

    Raises
    ------
    CountError
        If the population is not in the gating, or its gate could not be placed.
    """
    row = rows.get(population)
    if row is None:
        known = ", ".join(sorted(rows))
        raise CountError(f"population '{population}' is not in the tube's gating; it has: {known}.")
    if row["events"] == "":
        raise CountError(f"population '{population}' could not be gated: {row['reason']}")
    return int(row["events"]), tuple(flag for flag in row["flags"].split(";") if flag)


def _ancestors(rows: TubePopulations, population: str) -> set[str]:
    """The populations that a population was drawn on, up to the root."""
    found: set[str] = set()
    while (parent := rows[population]["parent"] if population in rows else "") and parent not in found:
        found.add(parent)
        population = parent
    return found


def _absolute(rows: TubePopulations, tube: Tube, parameter: Absolute, counts: Counts) -> Count:
    if tube.beads_per_tube is None or tube.blood_ul is None:
        raise CountError(
            "beads_per_tube or blood_ul is empty in the sample sheet.",
            hint="Both are needed for a count against beads.",
        )
    cells, cell_flags = _events(rows, parameter.population)
    beads, bead_flags = _events(rows, counts.beads)
    count = count_against_beads(cells, beads, beads_per_tube=tube.beads_per_tube, blood_ul=tube.blood_ul)
    few = ("FEW_BEADS",) if beads < counts.min_bead_events else ()
    return replace(count, flags=(*count.flags, *cell_flags, *bead_flags, *few))


def _percent(rows: TubePopulations, parameter: Percent) -> Count:
    events, flags = _events(rows, parameter.population)
    parent_events, parent_flags = _events(rows, parameter.of)
    if parameter.of not in _ancestors(rows, parameter.population):
        raise CountError(f"'{parameter.of}' is no ancestor of '{parameter.population}' in the gating.")
    count = frequency(events, parent_events)
    return replace(count, flags=(*count.flags, *flags, *parent_flags))


def _net(draw: Draw, stimulated: Value, parameter: Percent) -> Value:
    """The percentage net of the unstimulated tube; without that tube the raw one, flagged."""
    unstimulated = _in_tube(
        draw, parameter.panel, lambda rows, _: _percent(rows, parameter), Role.UNSTIMULATED
    )
    if stimulated.count is None:
        return stimulated
    if unstimulated.count is None:
        return replace(
            stimulated, status=Status.WARN, flags=(*stimulated.flags, "NO_BACKGROUND", *unstimulated.flags)
        )
    net = subtract_background(stimulated.count, unstimulated.count)
    background = [f"UNSTIMULATED_{flag}" for flag in unstimulated.flags if flag != NO_EVENT]
    flags = tuple(dict.fromkeys([*stimulated.flags, *net.flags, *background]))
    tubes = (*stimulated.tubes, *unstimulated.tubes)
    return Value(net, Status.WARN if flags else Status.OK, flags, tubes, stimulated.versions)


def _combined(parts: Sequence[Value], make: Callable[[Count, Count], Count]) -> Value:
    """A value made of two others; missing if either is, with the reasons of what is missing."""
    tubes = tuple(dict.fromkeys(tube for part in parts for tube in part.tubes))
    versions = tuple(dict.fromkeys(version for part in parts for version in part.versions))
    absent = [part for part in parts if part.count is None]
    if absent:
        worst = Status.FAIL if any(part.status is Status.FAIL for part in absent) else Status.NOT_DONE
        flags = tuple(dict.fromkeys(flag for part in absent for flag in part.flags))
        return Value(None, worst, flags, tubes, versions)
    first, second = (part.count for part in parts)
    assert first is not None
    assert second is not None
    flags = tuple(dict.fromkeys(flag for part in parts for flag in part.flags))
    try:
        count = make(first, second)
    except CountError as error:
        return Value(None, Status.FAIL, (*flags, f"NO_COUNT:{str(error).replace(';', ',')}"), tubes, versions)
    return Value(count, Status.WARN if flags else Status.OK, flags, tubes, versions)


def _ratio(
    parameter: Ratio,
    parameters: Mapping[ParameterCode, Parameter],
    values: Mapping[str, Value],
    counts: Counts,
) -> Value:
    """Ratio of two counts across tubes: the shared count cancels, the fractions are divided."""
    codes = (parameter.numerator, parameter.denominator)
    shared = {getattr(parameters[code], "count", code) for code in codes}
    parts = tuple(values[code] for code in codes)
    if any(part.count is None for part in parts):
        return _combined(parts, ratio_of_shared_parent)
    below = parts[1].count
    if below is not None and (below.events or 0) < counts.lloq_events:
        joined = _combined(parts, lambda first, _: first)
        return replace(
            joined, count=None, status=Status.NOT_DONE, flags=("DENOMINATOR_BELOW_LLOQ", *joined.flags)
        )
    if len(shared) == 1 and all(isinstance(parameters[code], CrossTube) for code in codes):
        fractions = [values[parameters[code].percent] for code in codes]  # type: ignore[union-attr]
        divided = _combined(fractions, ratio_of_shared_parent)
        if divided.count is None:
            return divided
        tubes = tuple(dict.fromkeys(tube for part in parts for tube in part.tubes))
        flags = tuple(dict.fromkeys(flag for part in parts for flag in part.flags))
        return replace(divided, tubes=tubes, flags=flags, status=Status.WARN if flags else divided.status)
    return _combined(parts, ratio_of_shared_parent)


def _limited(value: Value, parameter: Parameter, counts: Counts) -> Value:
    """Flag a count of fewer events than the limits of detection and quantitation."""
    if value.count is None or value.count.events is None or isinstance(parameter, Ratio):
        return value
    events = value.count.events
    flag = "BELOW_LOD" if events < counts.lod_events else "BELOW_LLOQ" if events < counts.lloq_events else ""
    if not flag:
        return value
    others = [other for other in value.flags if other not in {"BELOW_LOD", "BELOW_LLOQ"}]
    return replace(value, status=Status.WARN, flags=(*others, flag))


def _row(specimen: str, tube: Tube, code: str, value: Value) -> Row:
    count = value.count
    inputs = count.inputs if count else {}
    return {
        **{name: inputs.get(name) for name in INPUTS},
        "systematic_cv_percent": count.systematic_cv_percent if count else None,
        "lod_events": None,
        "lloq_events": None,
        "quantifiable": "",
        "override": "Y" if any("OVERRIDE" in flag for flag in value.flags) else "",
        "subject": tube.subject,
        "visit": tube.visit,
        "specimen": specimen,
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
    }
