"""The whole way of one number of the dataset, back to the bytes of its files; from result tables only."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cytotrial.errors import CountError, CytotrialError
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.tables import read_table
from cytotrial.files.whole import read_text
from cytotrial.settings import Absolute, CrossTube, ParameterCode, Percent
from cytotrial.steps.formulas import Draw, Formula, Row, agrees, formula_of
from cytotrial.steps.layout import Layout
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.terms import ROOT, Tube


@dataclass(frozen=True)
class _Tables:
    """The result tables that the way leads through."""

    counts: Sequence[Row]
    specimens: Sequence[Row]
    inventory: Mapping[str, Row]
    quality: Mapping[str, Row]
    gates: Mapping[tuple[str, str], Row]
    populations: Mapping[tuple[str, str], Row]
    by_hand: Mapping[tuple[str, str], Sequence[Row]]


def trace(config: Path, subject: str, visit: str, parameter: str) -> str:
    """What `cytotrial trace` prints.

    Raises
    ------
    CytotrialError
        If the dataset has no such row; the nearest names are said.
    SealError
        If a table on the way is not as it was made.
    """
    plan = make_plan(config)
    tables = _read(plan.layout)
    found = [
        row
        for row in tables.counts
        if (row["subject"], row["visit"], row["parameter"]) == (subject, visit, parameter)
    ]
    if not found:
        raise _not_found(tables.counts, subject, visit, parameter)
    return "\n\n".join("\n".join(_way(plan, tables, row)) for row in found)


def _read(layout: Layout) -> _Tables:
    def by(name: str, path: Path) -> dict[str, Row]:
        return {row[name]: row for row in read_table(path)}

    def by_population(path: Path) -> dict[tuple[str, str], Row]:
        return {(row["sample_id"], row["population"]): row for row in read_table(path)}

    by_hand: dict[tuple[str, str], list[Row]] = {}
    for row in read_table(layout.by_hand):
        by_hand.setdefault((row["sample_id"], row["population"]), []).append(row)
    return _Tables(
        counts=read_table(layout.counts),
        specimens=read_table(layout.specimens),
        inventory=by("sample_id", layout.inventory),
        quality=by("sample_id", layout.quality),
        gates=by_population(layout.gates),
        populations=by_population(layout.populations),
        by_hand=by_hand,
    )


def _not_found(rows: Sequence[Row], subject: str, visit: str, parameter: str) -> CytotrialError:
    wanted = {"subject": subject, "visit": visit, "parameter": parameter}
    for column, name in wanted.items():
        known = sorted({row[column] for row in rows})
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(known[:12])}."
            return CytotrialError(f"the dataset has no {column} {name}.", hint=hint)
    return CytotrialError(f"the dataset has no {parameter} of {subject} at {visit}.")


def _way(plan: Plan, tables: _Tables, row: Row) -> Iterator[str]:
    """Value, formula, tubes with their gates, versions."""
    tubes = _tubes(plan, row)
    yield f"{row['parameter']} of subject {row['subject']} at {row['visit']}: {_value(row)}"
    yield f"  specimen  {row['specimen'] or '-'}, drawn {row['collected'] or '-'}, {_day(row)}"
    yield f"  status    {row['status']}{_after(row['flags'])}"
    yield from _formula(plan, tables, row, tubes)
    for tube in tubes:
        yield from _tube(plan, tables, tube, _populations_of(plan, row["parameter"], tube.panel))
    yield from _versions(plan, row)


def _value(row: Row) -> str:
    if not row["value"]:
        return "no value"
    limits = f", 95 % interval {float(row['ci_low']):g} to {float(row['ci_high']):g}" if row["ci_low"] else ""
    return f"{row['value']} {row['unit']}".rstrip() + limits


def _day(row: Row) -> str:
    return f"study day {row['study_day']}" if row["study_day"] else "no study day"


def _after(flags: str) -> str:
    return f": {', '.join(flags.split(';'))}" if flags else ""


def _tubes(plan: Plan, row: Row) -> tuple[Tube, ...]:
    named = row["sample_ids"].split(";")
    known = {tube.sample_id: tube for tube in plan.trial.tubes}
    return tuple(known[name] for name in named if name in known)


def _formula(plan: Plan, tables: _Tables, row: Row, tubes: tuple[Tube, ...]) -> Iterator[str]:
    """The formula with its numbers, worked out again; a mismatch is said."""
    if not row["value"]:
        yield "  formula   none: there is no value, for the reason above"
        return
    code = cast(ParameterCode, row["parameter"])
    values = {line["parameter"]: line for line in tables.specimens if line["specimen"] == row["specimen"]}
    draw = Draw(plan.trial.settings, values, tubes, tables.populations)
    try:
        formula = formula_of(draw, code)
    except CountError as error:
        yield f"  formula   cannot be worked out again: {error}"
        return
    yield f"  method    {row['method']}"
    yield from _lines(formula, "  formula   ")
    if agrees(formula, row["value"]):
        yield f"  agrees    {formula.value:.12g} from events, as the dataset says"
    else:
        yield f"  MISMATCH  {formula.value:.12g} from events, the dataset says {row['value']}"


def _lines(formula: Formula, indent: str) -> Iterator[str]:
    yield f"{indent}{formula.code} = {formula.words} = {formula.numbers} = {formula.value:.6g}"
    for part in formula.parts:
        yield from _lines(part, " " * (len(indent) + 2))


def _populations_of(plan: Plan, code: str, panel: str) -> list[str]:
    """The populations of a panel that a parameter rests on, directly or through others."""
    settings = plan.trial.settings
    parameter = settings.parameters.get(cast(ParameterCode, code))
    if isinstance(parameter, Absolute):
        named = [parameter.population, settings.counts.beads] if parameter.panel == panel else []
    elif isinstance(parameter, Percent):
        named = [parameter.population, parameter.of] if parameter.panel == panel else []
    elif parameter is None:
        named = []
    else:
        names = (
            (parameter.percent, parameter.count)
            if isinstance(parameter, CrossTube)
            else (parameter.numerator, parameter.denominator)
        )
        named = [population for name in names for population in _populations_of(plan, name, panel)]
    return list(dict.fromkeys(named))


def _tube(plan: Plan, tables: _Tables, tube: Tube, populations: Sequence[str]) -> Iterator[str]:
    about = tables.inventory[tube.sample_id]
    yield f"tube {tube.sample_id}: panel {tube.panel}, {tube.role.value}, batch {tube.batch}"
    yield f"  file      {_file(plan, tube, about['fcs_sha256'])}"
    yield f"  check     {about['status']}{_after(about['message'])}"
    acquired, cytometer, events = (about[key] or "-" for key in ("acquired", "cytometer", "events"))
    yield f"  acquired  {acquired} on {cytometer}, {events} events"
    yield f"  matrix    {_matrix(plan, tube)}"
    yield f"  masked    {_masked(tables.quality.get(tube.sample_id))}"
    gates = _with_ancestors(tables, tube, populations)
    for name in gates:
        yield f"  gate      {_gate(tables, tube, name)}"
        for override in tables.by_hand.get((tube.sample_id, name), ()):
            yield f"  by hand   {_by_hand(override)}"
    for control in _controls(plan, tables, tube, gates):
        digest = tables.inventory[control.sample_id]["fcs_sha256"]
        yield f"  control   {control.sample_id}, {control.role.value}: {_file(plan, control, digest)}"
    yield f"  look      {_where_to_look(plan.layout, tube, populations)}"


def _file(plan: Plan, tube: Tube, then: str) -> str:
    path = plan.path_of(tube)
    now = plan.sha256_of(tube)
    state = "unchanged" if now == then else f"CHANGED SINCE: now {now[:12] or 'gone'}"
    return f"{path}, SHA-256 {then or '-'} ({state if then else 'not read'})"


def _matrix(plan: Plan, tube: Tube) -> str:
    mode = plan.compensation(tube.panel, tube.batch)
    if mode == "none":
        return "none: the events were compensated before export"
    if mode == "embedded":
        return "the file's own $SPILLOVER"
    path = plan.layout.matrix(tube.panel, tube.batch)
    lines = read_text(path).splitlines()
    made = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    return f"{path}, SHA-256 {sha256_of(path)}" + (f" ({'; '.join(made)})" if made else "")


def _masked(row: Row | None) -> str:
    if row is None:
        return "not gated"
    reasons = [
        f"{name.removesuffix('_percent')} {row[name]} %"
        for name in row
        if name.endswith("_percent") and name != "removed_percent" and row[name] not in {"", "0"}
    ]
    parts = [*reasons, *([f"time {row['intervals']}"] if row["intervals"] else [])]
    told = f" ({', '.join(parts)})" if parts else ""
    return f"{row['removed_percent'] or 0} % of {row['events']} events{told}"


def _with_ancestors(tables: _Tables, tube: Tube, populations: Sequence[str]) -> list[str]:
    """The populations and all that they were drawn on or made of, from the root down, each once."""
    found: dict[str, None] = {}

    def add(name: str, below: tuple[str, ...]) -> None:
        row = tables.populations.get((tube.sample_id, name))
        if name == ROOT or name in found or name in below:
            return
        gate = tables.gates.get((tube.sample_id, name))
        parts = [operand for operand, _ in json.loads(gate["gate"]).get("operands", [])] if gate else []
        for other in [*([row["parent"]] if row and row["parent"] else []), *parts]:
            add(other, (*below, name))
        found[name] = None

    for name in populations:
        add(name, ())
    return list(found)


def _controls(plan: Plan, tables: _Tables, tube: Tube, populations: Sequence[str]) -> list[Tube]:
    """The control tubes that the gates of some populations lean on."""
    gates = [tables.gates.get((tube.sample_id, name)) for name in populations]
    named = {control for gate in gates if gate for control in gate["control"].split(";")}
    return [other for other in plan.trial.tubes if other.sample_id in named]


def _gate(tables: _Tables, tube: Tube, population: str) -> str:
    """Where a gate lies, who or what put it there, and what it holds."""
    row = tables.populations.get((tube.sample_id, population))
    if row is None:
        return f"{population}: not in this tube's gating"
    held = f"{row['events']} of {row['parent_events']} {row['parent']}" if row["events"] else "no events"
    why = f" ({row['reason']})" if row["reason"] else ""
    gate = tables.gates.get((tube.sample_id, population))
    if gate is None:
        return f"{population}: {held}{why}"
    controls = f" with {gate['control']}" if gate["control"] else ""
    confidence = f", confidence {gate['confidence']}" if gate["confidence"] else ""
    flagged = [flag for flag in f"{gate['flags']};{row['flags']}".split(";") if flag]
    flags = _after(";".join(dict.fromkeys(flagged)))
    origin = "PLACED BY HAND (override)" if gate["origin"] == "override" else gate["origin"]
    place = _coordinates(json.loads(gate["gate"]))
    return f"{population}: {held}{why}; {place}; from {origin}{controls}{confidence}{flags}"


def _by_hand(row: Row) -> str:
    """What a person decided about a gate: who, when, why, and what became of it."""
    review = (
        f"reviewed by {row['reviewed_by']}, {row['reviewed_utc']}" if row["reviewed_by"] else "not reviewed"
    )
    reason = ": ".join(part for part in (row["reason_code"], row["reason_text"]) if part)
    outcome = row["outcome"] + (f" ({row['why']})" if row["why"] else "")
    shares = [
        f"{float(cell):.4g} %" if cell else "none" for cell in (row["percent_before"], row["percent_after"])
    ]
    what = f"{row['override_id']}, {row['action']} {row['population']}"
    told = f"{what} by {row['made_by']}, {row['utc']}, {review}"
    return f"{told}; {reason}; {outcome}; of parent before {shares[0]}, after {shares[1]}"


def _coordinates(gate: Mapping[str, Any]) -> str:
    """A gate's coordinates and the scale they are in, on one line."""
    axes = [_axis(dimension) for dimension in gate.get("dimensions", [])]
    if gate["type"] == "rectangle":
        limits = zip(axes, gate["low"], gate["high"], strict=True)
        return " and ".join(f"{axis} {_limit(low, high)}" for axis, low, high in limits)
    if gate["type"] == "boolean":
        operands = [f"{'not ' if complement else ''}{name}" for name, complement in gate["operands"]]
        only = len(operands) == 1
        return (
            f"not {operands[0]}"
            if only and gate["operator"] == "not"
            else f" {gate['operator']} ".join(operands)
        )
    points = gate["vertices"] if gate["type"] == "polygon" else [gate["mean"]]
    listed = " ".join(f"({', '.join(f'{number:.4g}' for number in point)})" for point in points)
    return f"{gate['type']} on {' and '.join(axes)}: {listed}"


def _axis(dimension: Mapping[str, Any]) -> str:
    return f"{dimension['channel']} [{dimension['transform']['kind']}]"


def _limit(low: float | None, high: float | None) -> str:
    if low is None:
        return "anywhere" if high is None else f"< {high:.6g}"
    return f">= {low:.6g}" if high is None else f"{low:.6g} to {high:.6g}"


def _where_to_look(layout: Layout, tube: Tube, populations: Sequence[str]) -> str:
    page = layout.results / "review.html"
    shown = page if page.exists() else layout.report
    return f"{shown}, tube {tube.sample_id}" + (f", gates {', '.join(populations)}" if populations else "")


def _versions(plan: Plan, row: Row) -> Iterator[str]:
    """Of the gating, and of the run and the software as the manifest tells them."""
    yield "made by"
    yield f"  gating    {row['gating_version'] or '-'}"
    try:
        manifest = json.loads(read_text(plan.layout.manifest))
    except FileNotFoundError:
        yield "  run       not ended: there is no manifest"
        return
    run, software = manifest["run"], manifest["software"]
    edited = " with edits" if run["dirty"] else ""
    commit = f", commit {run['commit'][:12]}{edited}" if run["commit"] else ""
    yield f"  run       {run['run']} by {run['user']} on {run['host']}, {run['exit_state']}"
    yield f"  software  cytotrial {software['cytotrial']}, code {software['code_sha256'][:12]}{commit}"
    for panel in sorted({tube.panel for tube in _tubes(plan, row)}):
        gating = manifest["gating"][panel]
        yield f"  template  {gating['file']}, SHA-256 {gating['sha256']}"
