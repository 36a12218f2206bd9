"""Place the gates of a strategy on a tube, and count what they hold.

Parents come before children. A gate that cannot be placed takes its descendants with it:
they are reported as missing with the reason, never as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders import View, find_gate, threshold
from cytotrial.science.gates import TubeEvents, combine, contains, operands
from cytotrial.terms import (
    ROOT,
    BoolArray,
    BooleanGate,
    Dimension,
    Find,
    Gate,
    GatingStrategy,
    PlacedGate,
    Population,
)

FALLBACK = "GATE_FALLBACK"
NOT_FROM_SAMPLE = "GATE_NOT_FROM_SAMPLE"

ControlKey = tuple[str, str]
"""Role and marker of a control: ("fmo", "FOXP3"), ("unstimulated", "")."""


@dataclass(frozen=True, eq=False)
class StainedTube:
    """A tube ready for gating.

    events : TubeEvents, compensated on demand
    channels : marker → $PnN of the detector it is on; channels that are not markers name themselves
    keep : ndarray of bool, shape (n_events,): events of steady acquisition, the root population
    """

    sample_id: str
    events: TubeEvents
    channels: Mapping[str, str]
    keep: BoolArray


@dataclass(frozen=True, eq=False)
class GatedTube:
    """What gating made of a tube.

    placed : gates in the strategy's order
    masks : population → ndarray of bool, shape (n_events,); `root` included
    missing : population → why its gate could not be placed
    """

    tube: StainedTube
    placed: tuple[PlacedGate, ...]
    masks: Mapping[str, BoolArray]
    missing: Mapping[str, str] = field(default_factory=dict)

    def events_of(self, population: str) -> int:
        return int(np.count_nonzero(self.masks[population]))


@dataclass(frozen=True, slots=True)
class PopulationCount:
    """Events of one population; `events` is None where its gate could not be placed."""

    population: str
    parent: str
    events: int | None
    parent_events: int | None
    flags: tuple[str, ...] = ()
    reason: str = ""


def gate_tube(
    strategy: GatingStrategy,
    tube: StainedTube,
    *,
    controls: Mapping[ControlKey, Sequence[GatedTube]],
    borrowed: Mapping[str, PlacedGate] | None = None,
) -> GatedTube:
    """Place and apply every gate of a strategy on one tube.

    Parameters
    ----------
    strategy : GatingStrategy
        Parents before children.
    tube : StainedTube
    controls : mapping of (role, marker) to gated control tubes
        Of the same draw or batch; `gate_control` prepares them.
    borrowed : mapping of population to placed gate, optional
        For a control of a draw: the gates of the draw's sample tube, which it gets for populations
        that are marked `from_sample`. One that is not among them is placed anew and flagged.

    Returns
    -------
    GatedTube
    """
    return _gate(strategy.populations, tube, controls=controls, borrowed=borrowed)


def gate_control(strategy: GatingStrategy, tube: StainedTube) -> GatedTube:
    """Gate a control tube as far as no other control is needed: down to the parents of controlled gates."""
    free = [
        population for population in strategy.populations if not (population.find and population.find.control)
    ]
    return _gate(free, tube, controls={}, borrowed=None)


def _gate(
    populations: Iterable[Population],
    tube: StainedTube,
    *,
    controls: Mapping[ControlKey, Sequence[GatedTube]],
    borrowed: Mapping[str, PlacedGate] | None,
) -> GatedTube:
    placed: list[PlacedGate] = []
    masks: dict[str, BoolArray] = {ROOT: tube.keep}
    missing: dict[str, str] = {}
    for population in populations:
        try:
            gate = _place(population, tube, masks, missing, controls=controls, borrowed=borrowed)
            masks[population.name] = masks[population.parent] & _inside(gate.gate, tube, masks)
            placed.append(gate)
        except GateError as error:
            missing[population.name] = str(error)
    return GatedTube(tube, tuple(placed), masks, missing)


def _place(
    population: Population,
    tube: StainedTube,
    masks: Mapping[str, BoolArray],
    missing: Mapping[str, str],
    *,
    controls: Mapping[ControlKey, Sequence[GatedTube]],
    borrowed: Mapping[str, PlacedGate] | None,
) -> PlacedGate:
    for needed in (population.parent, *(operands(population.gate) if population.gate else ())):
        if needed not in masks:
            raise GateError(missing.get(needed, f"population {needed} was not gated."))
    if population.from_sample and borrowed is not None and population.name in borrowed:
        return borrowed[population.name]
    gate = _own_gate(population, tube, masks, controls)
    if population.from_sample and borrowed is not None:
        return replace(gate, flags=(*gate.flags, NOT_FROM_SAMPLE))
    return gate


def _own_gate(
    population: Population,
    tube: StainedTube,
    masks: Mapping[str, BoolArray],
    controls: Mapping[ControlKey, Sequence[GatedTube]],
) -> PlacedGate:
    """The gate of a population on this tube: fixed by the template, or found."""
    if population.find is None:
        assert population.gate is not None
        return PlacedGate(population.name, population.parent, on_channels(population.gate, tube.channels))
    return _found(population, population.find, tube, masks, controls)


def _found(
    population: Population,
    find: Find,
    tube: StainedTube,
    masks: Mapping[str, BoolArray],
    controls: Mapping[ControlKey, Sequence[GatedTube]],
) -> PlacedGate:
    """Run the gate finder; where it cannot answer, the template's fallback does, flagged."""
    dimensions = tuple(on_channel(dimension, tube.channels) for dimension in find.dimensions)
    used = _controls_for(find, population.parent, controls)
    origin: Literal["control", "template"] = "control" if used else "template"
    names = tuple(control.tube.sample_id for control in used)
    try:
        values = _values(tube, dimensions, masks[population.parent])
        if values[0].size < find.min_events:
            raise GateError(
                f"{values[0].size} events in {population.parent}; the gate needs {find.min_events}."
            )
        found = find_gate(
            find.finder, View(dimensions, values, _pooled(used, find, population.parent)), find.arguments
        )
    except GateError as error:
        if find.fallback is None:
            raise GateError(f"gate {population.name}: {error}") from None
        gate = threshold(dimensions[0], find.fallback, keep=str(find.arguments.get("keep", "above")))
        return PlacedGate(population.name, population.parent, gate, "template", flags=(FALLBACK,))
    return PlacedGate(
        population.name, population.parent, found.gate, origin, names, found.confidence, found.flags
    )


def _controls_for(
    find: Find, parent: str, controls: Mapping[ControlKey, Sequence[GatedTube]]
) -> tuple[GatedTube, ...]:
    if not find.control:
        return ()
    return tuple(
        control
        for control in controls.get((find.control, find.control_marker), ())
        if parent in control.masks
    )


def _pooled(controls: Sequence[GatedTube], find: Find, parent: str) -> tuple[np.ndarray, ...] | None:
    """The controls' events of the parent population, one array for each dimension."""
    if not controls:
        return None
    each = [
        _values(
            control.tube,
            tuple(on_channel(dimension, control.tube.channels) for dimension in find.dimensions),
            control.masks[parent],
        )
        for control in controls
    ]
    return tuple(np.concatenate(parts) for parts in zip(*each, strict=True))


def _values(tube: StainedTube, dimensions: Sequence[Dimension], mask: BoolArray) -> tuple[np.ndarray, ...]:
    """The masked events on each dimension's scale; only they are transformed."""
    return tube.events.axes(dimensions, mask)


def _inside(gate: Gate, tube: StainedTube, masks: Mapping[str, BoolArray]) -> BoolArray:
    return combine(gate, masks) if isinstance(gate, BooleanGate) else contains(gate, tube.events)


def on_channel(dimension: Dimension, channels: Mapping[str, str]) -> Dimension:
    """The dimension on the tube's own $PnN, if it names a marker of the panel."""
    return replace(
        dimension,
        channel=channels.get(dimension.channel, dimension.channel),
        denominator=channels.get(dimension.denominator, dimension.denominator),
    )


def on_channels(gate: Gate, channels: Mapping[str, str]) -> Gate:
    """The gate with every marker replaced by the tube's own $PnN."""
    if isinstance(gate, BooleanGate):
        return gate
    dimensions = tuple(on_channel(dimension, channels) for dimension in gate.dimensions)
    return replace(gate, dimensions=dimensions)  # type: ignore[arg-type]


def count_populations(strategy: GatingStrategy, gated: GatedTube) -> tuple[PopulationCount, ...]:
    """Events and parent events of every population, root first, in the strategy's order.

    The flags of a gate go with everything that rests on it: a population carries those of its own
    gate, of its ancestors' and of the populations that a boolean gate joins, each with the name of
    the gate, such as `GATE_FALLBACK:CD4+`.
    """
    gates = {gate.population: gate for gate in gated.placed}
    carried: dict[str, tuple[str, ...]] = {ROOT: ()}
    rows = [PopulationCount(ROOT, "", gated.events_of(ROOT), None)]
    for population in strategy.populations:
        name, parent = population.name, population.parent
        if name not in gates:
            reason = gated.missing.get(name, "it was not gated")
            rows.append(PopulationCount(name, parent, None, None, ("GATE_MISSING",), reason))
            continue
        above = [flag for other in (parent, *operands(gates[name].gate)) for flag in carried[other]]
        own = [f"{flag}:{name}" for flag in gates[name].flags]
        carried[name] = tuple(dict.fromkeys([*above, *own]))
        rows.append(
            PopulationCount(name, parent, gated.events_of(name), gated.events_of(parent), carried[name])
        )
    return tuple(rows)
