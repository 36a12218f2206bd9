"""Gate one unit's tubes of one panel: events in, small tables out."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from cytotrial.errors import CytotrialError
from cytotrial.files.tables import Row, write_table
from cytotrial.science.bounds import ControlTail, tails_of
from cytotrial.science.finders import Batch
from cytotrial.science.gating import GatedTube, gate_tube
from cytotrial.science.populations import cut_as_the_sample
from cytotrial.steps.bench import Bench, Checked, LoadedTube, checked_rows, usable
from cytotrial.steps.controls import ControlBench
from cytotrial.steps.gates_table import gate_row
from cytotrial.steps.layout import AUTOMATIC, BY_HAND, GATES, POPULATIONS, UNIT_QUALITY
from cytotrial.steps.overriding import ByHand, by_hand, rows_by_hand, rows_not_gated
from cytotrial.steps.pairing import key_of
from cytotrial.steps.pictures import pictures_file, pictures_of
from cytotrial.steps.place import read_placed
from cytotrial.steps.plan import CONTROLS, Plan
from cytotrial.steps.pool import read_pool
from cytotrial.steps.population_rows import population_row, population_rows, with_background
from cytotrial.steps.steadiness import Steadiness, TooUnsteadyError, read_steadiness
from cytotrial.steps.strategies import strategy_of
from cytotrial.steps.tails import write_tails
from cytotrial.steps.tubes import kinds_of
from cytotrial.terms import ROOT, PlacedGate, Role, Status, Tube

__all__ = ["Bench", "LoadedTube", "gate_unit"]


@dataclass(frozen=True)
class _Outcome:
    """What one tube contributes: rows of the tables and, of a control, tails.

    automatic : of a tube that gates placed by hand change, the populations without them
    by_hand : what became of its overrides
    shared : the populations whose events in the draw's control lie in this tube's own gates
    """

    quality: Sequence[Row]
    gates: Sequence[Row]
    populations: Sequence[Row]
    tails: Sequence[ControlTail] = ()
    automatic: Sequence[Row] = ()
    by_hand: Sequence[Row] = ()
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class _FirstPass:
    """What was found before: masked events, each tube's own gates, and where batches have theirs."""

    steadiness: Mapping[str, Steadiness] = field(default_factory=dict)
    placed: Mapping[str, Mapping[str, PlacedGate]] = field(default_factory=dict)
    batches: Mapping[str, Mapping[str, Batch]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Lent:
    """The gates of a draw's sample, for the draw's controls: as they apply, and without overrides."""

    applied: Mapping[str, PlacedGate] = field(default_factory=dict)
    automatic: Mapping[str, PlacedGate] = field(default_factory=dict)

    def with_those_of(self, sample: ByHand) -> _Lent:
        return _Lent(
            {**self.applied, **{gate.population: gate for gate in sample.gated.placed}},
            {**self.automatic, **{gate.population: gate for gate in sample.automatic.placed}},
        )


@dataclass(frozen=True, eq=False)
class _Work:
    """All that the gating of a unit's tubes needs; `draw` takes the pictures of a tube."""

    bench: Bench
    checked: Checked
    controls: ControlBench
    first: _FirstPass
    draw: Callable[[Sequence[Mapping[str, Any]]], None]


def gate_unit(plan: Plan, *, panel: str, unit: str) -> None:
    """Write a unit's gates, populations and pictures of one panel.

    A tube that was rejected, not done, or cannot be gated has its rows all the same, without
    events and with the reason.
    """
    tubes = plan.tubes_to_gate(panel, unit)
    first = _first_pass(plan, panel, unit)
    bench = Bench(plan, panel, first.steadiness)
    checked = checked_rows(plan, plan.units_looked_at(panel, unit))
    candidates = (*tubes, *plan.controls_of(panel, unit))
    controls = ControlBench(bench, candidates, checked, plan.outlines[panel].controls)
    with pictures_file(plan.layout.unit_pictures(panel, unit)) as draw:
        outcomes = _gate_draws(_Work(bench, checked, controls, first, draw), tubes)
    _write(plan, panel, unit, tubes, [outcomes[tube.sample_id] for tube in tubes])


def _first_pass(plan: Plan, panel: str, unit: str) -> _FirstPass:
    """What `place` and `pool` wrote, for a panel whose gates lean on the batch."""
    if panel not in plan.placed_panels:
        return _FirstPass()
    layout = plan.layout
    steadiness: dict[str, Steadiness] = {}
    for looked_at in plan.units_looked_at(panel, unit):
        steadiness |= read_steadiness(layout.unit_steadiness(panel, looked_at))
    batches = {batch: read_pool(layout.pool(panel, batch)) for batch in plan.pools_of(panel, unit)}
    return _FirstPass(steadiness, read_placed(layout.unit_placed(panel, unit)), batches)


def _write(plan: Plan, panel: str, unit: str, tubes: Sequence[Tube], done: Sequence[_Outcome]) -> None:
    layout = plan.layout
    tables = {
        layout.unit_quality(panel, unit): (UNIT_QUALITY, "quality"),
        layout.unit_gates(panel, unit): (GATES, "gates"),
        layout.unit_populations(panel, unit): (POPULATIONS, "populations"),
        layout.unit_automatic(panel, unit): (AUTOMATIC, "automatic"),
        layout.unit_by_hand(panel, unit): (BY_HAND, "by_hand"),
    }
    for path, (columns, name) in tables.items():
        write_table(path, columns, [row for outcome in done for row in getattr(outcome, name)])
    tails = {tube.sample_id: outcome.tails for tube, outcome in zip(tubes, done, strict=True)}
    write_tails(layout.unit_tails(panel, unit), tails)


def _gate_draws(work: _Work, members: Sequence[Tube]) -> dict[str, _Outcome]:
    """Gate the unit's tubes a draw at a time, samples before the draw's controls; a batch after another."""
    outcomes: dict[str, _Outcome] = {}
    first_batch = {tube.specimen: tube.batch for tube in reversed(members) if tube.specimen}

    def draw_of(tube: Tube) -> tuple[str, str]:
        return first_batch.get(tube.specimen, tube.batch), tube.specimen

    ordered = sorted(members, key=lambda tube: (draw_of(tube), tube.sample_id))
    for (_, specimen), grouped in groupby(ordered, key=draw_of):
        outcomes |= _gate_draw(work, list(grouped), of_a_draw=bool(specimen))
    return outcomes


def _gate_draw(work: _Work, draw: Sequence[Tube], *, of_a_draw: bool) -> dict[str, _Outcome]:
    outcomes: dict[str, _Outcome] = {}
    lent = _Lent()
    for tube in sorted(draw, key=lambda tube: (tube.role is not Role.SAMPLE, tube.sample_id)):
        borrowed = lent if of_a_draw and tube.role in CONTROLS else None
        outcomes[tube.sample_id], done = _gate_one(work, tube, borrowed)
        if done is not None and tube.role is Role.SAMPLE:
            lent = lent.with_those_of(done)
    if of_a_draw:
        _lay_background_beside(outcomes, draw)
    return outcomes


def _lay_background_beside(outcomes: dict[str, _Outcome], draw: Sequence[Tube]) -> None:
    """What the draw's unstimulated tube holds in the sample's own gates, beside the sample's value."""
    samples = [tube.sample_id for tube in draw if tube.role is Role.SAMPLE]
    controls = [outcomes[tube.sample_id] for tube in draw if tube.role is Role.UNSTIMULATED]
    for name in samples:
        outcomes[name] = replace(
            outcomes[name],
            populations=[
                with_background(row, [control.populations for control in controls], outcomes[name].shared)
                for row in outcomes[name].populations
            ],
        )


def _gate_one(work: _Work, tube: Tube, borrowed: _Lent | None) -> tuple[_Outcome, ByHand | None]:
    checked = work.checked[tube.sample_id]
    if not usable(checked):
        reason = checked["message"] if checked["status"] == "not_done" else checked["code"]
        return _without_events(work.bench, tube, Status.NOT_DONE, reason), None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded, done = _load_and_gate(work, tube, borrowed)
        loaded = replace(
            loaded, flags=(*loaded.flags, *(f"SOFTWARE_WARNING:{kind}" for kind in kinds_of(caught)))
        )
    except TooUnsteadyError as error:
        empty = _without_events(work.bench, tube, Status.FAIL, str(error))
        return replace(empty, quality=[error.steadiness.row]), None
    except CytotrialError as error:
        return _without_events(work.bench, tube, Status.FAIL, str(error)), None
    except Exception as error:  # one tube never stops the others; the log has the whole story
        traceback.print_exc()
        return _without_events(work.bench, tube, Status.FAIL, f"UNFORESEEN: {type(error).__name__}"), None
    outcome = _outcome(loaded, done.gated, work.first.batches.get(tube.batch, {}))
    work.draw(pictures_of(done.gated, control=tube.role in CONTROLS))
    return _with_overrides(outcome, work, loaded, done), done


def _load_and_gate(work: _Work, tube: Tube, borrowed: _Lent | None) -> tuple[LoadedTube, ByHand]:
    loaded = work.bench.load(tube, work.checked[tube.sample_id])
    done = by_hand(work.bench.plan, loaded, _gated(work, loaded, borrowed.applied if borrowed else None))
    if borrowed and borrowed.applied != borrowed.automatic:
        done = replace(done, automatic=_gated(work, loaded, borrowed.automatic))
    return loaded, done


def _gated(work: _Work, loaded: LoadedTube, borrowed: Mapping[str, PlacedGate] | None) -> GatedTube:
    tube = loaded.tube
    return gate_tube(
        loaded.strategy,
        loaded.stained,
        controls=work.controls.of(tube),
        borrowed=borrowed,
        batches=work.first.batches.get(tube.batch, {}),
        known=work.first.placed.get(tube.sample_id, {}),
    )


def _with_overrides(outcome: _Outcome, work: _Work, loaded: LoadedTube, done: ByHand) -> _Outcome:
    """The outcome with what its overrides did, and with the populations as they would be without them."""
    without = list(population_rows(loaded, done.automatic)) if done.changed else []
    return replace(outcome, automatic=without, by_hand=list(rows_by_hand(work.bench.plan, loaded, done)))


def _outcome(loaded: LoadedTube, gated: GatedTube, batches: Mapping[str, Batch]) -> _Outcome:
    name = loaded.tube.sample_id
    control = loaded.tube.role in CONTROLS
    return _Outcome(
        quality=[loaded.steadiness.row],
        gates=[gate_row(name, gate, batches.get(gate.population)) for gate in gated.placed],
        populations=list(population_rows(loaded, gated)),
        tails=list(tails_of(loaded.strategy, gated, key_of(loaded.tube))) if control else [],
        shared=cut_as_the_sample(loaded.strategy),
    )


def _without_events(bench: Bench, tube: Tube, status: Status, reason: str) -> _Outcome:
    """Rows of a tube that has no events: every population of its strategy, empty, with the reason."""
    try:
        strategy = strategy_of(bench.strategies, fcs=tube.fcs)
        names = [(ROOT, ""), *((population.name, population.parent) for population in strategy.populations)]
        version = strategy.full_version
    except CytotrialError:
        names, version = [(ROOT, "")], ""
    rows = [
        population_row(tube, name, parent, status=status, reason=reason, version=version)
        for name, parent in names
    ]
    return _Outcome([], [], rows, by_hand=list(rows_not_gated(bench.plan, tube, reason)))
