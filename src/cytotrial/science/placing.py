"""Place one gate of a strategy on one tube.

A fixed gate is put on the tube's channels. A gate that is found is asked of its finder, then of the finders
and the cut that the template names for when that one cannot answer; each answer says where it comes from.
What an independent second finder says is written down and moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.densities import density, depth_at
from cytotrial.science.finders import Found, NoReferenceError, View, find_gate, threshold
from cytotrial.science.gates import combine, contains
from cytotrial.science.stained import Around, ControlKey, GatedTube, StainedTube
from cytotrial.terms import (
    BoolArray,
    BooleanGate,
    Dimension,
    Find,
    FloatArray,
    Gate,
    Origin,
    PlacedGate,
    Population,
    RectangleGate,
)

FALLBACK = "GATE_FALLBACK"

Masks = Mapping[str, BoolArray]


def own_gate(population: Population, tube: StainedTube, masks: Masks, around: Around) -> PlacedGate:
    """The gate of a population on this tube: fixed by the template, or found.

    Raises
    ------
    GateError
        If neither the finder nor what the template names in its place can answer.
    """
    if population.find is None:
        assert population.gate is not None
        return PlacedGate(population.name, population.parent, on_channels(population.gate, tube.channels))
    flags: tuple[str, ...] = ()
    reasons = []
    for find in population.find.attempts():
        try:
            return _placed(population, find, *_ask(find, population, tube, masks, around), flags=flags)
        except GateError as error:
            reasons.append(str(error))
            merely_uncalibrated = isinstance(error, NoReferenceError) and not around.calibrated
            flags = flags if merely_uncalibrated else (FALLBACK,)
    if isinstance(find.fallback, float | int):
        gate = threshold(on_channel(find.dimensions[0], tube.channels), find.fallback, keep=_side(find))
        return PlacedGate(population.name, population.parent, gate, flags=flags)
    raise GateError(f"gate {population.name}: {' Then: '.join(reasons)}")


def _side(find: Find) -> str:
    return str(find.arguments.get("keep", "above"))


def _placed(
    population: Population, find: Find, found: Found, controls: Sequence[GatedTube], *, flags: tuple[str, ...]
) -> PlacedGate:
    origin: Origin = "control" if controls else "template" if find.reference is None else "reference"
    return PlacedGate(
        population.name,
        population.parent,
        found.gate,
        origin,
        tuple(control.name for control in controls),
        found.confidence,
        (*flags, *found.flags),
        found.position,
        found.position_se,
        found.similarity,
    )


def _ask(
    find: Find, population: Population, tube: StainedTube, masks: Masks, around: Around
) -> tuple[Found, tuple[GatedTube, ...]]:
    """What a finder says of the parent's events, and the controls it looked at."""
    dimensions = tuple(on_channel(dimension, tube.channels) for dimension in find.dimensions)
    controls = controls_for(find, population.parent, around.controls)
    values = tube.events.axes(dimensions, masks[population.parent])
    if values[0].size < find.min_events:
        raise GateError(f"{values[0].size} events in {population.parent}; the gate needs {find.min_events}.")
    view = View(
        dimensions,
        values,
        pooled_values(controls, find, population.parent),
        find.reference,
        around.batches.get(population.name),
    )
    return find_gate(find.finder, view, find.arguments), controls


def controls_for(
    find: Find, parent: str, controls: Mapping[ControlKey, Sequence[GatedTube]]
) -> tuple[GatedTube, ...]:
    """The controls that a finder looks at, of those that were gated down to the parent."""
    if not find.control:
        return ()
    wanted = controls.get((find.control, find.control_marker), ())
    return tuple(control for control in wanted if parent in control.masks)


def pooled_values(controls: Sequence[GatedTube], find: Find, parent: str) -> tuple[FloatArray, ...] | None:
    """The controls' events of the parent population, one array for each dimension."""
    if not controls:
        return None
    each = [
        control.tube.events.axes(
            tuple(on_channel(dimension, control.tube.channels) for dimension in find.dimensions),
            control.masks[parent],
        )
        for control in controls
    ]
    return tuple(np.concatenate(parts) for parts in zip(*each, strict=True))


def look_aside(
    gate: PlacedGate, population: Population, tube: StainedTube, masks: Masks, around: Around
) -> PlacedGate:
    """The gate with how far an independent finder's per cent is from its own; it stays where it is.

    The disagreement is ln of the second finder's events over the gate's, half an event added to both.
    """
    if population.find is None or population.find.second is None:
        return gate
    try:
        found, _ = _ask(population.find.second, population, tube, masks, around)
    except GateError:
        return gate
    parent = masks[population.parent]
    other, own = (
        np.count_nonzero(parent & inside(placed, tube, masks)) for placed in (found.gate, gate.gate)
    )
    return replace(gate, disagreement=math.log((other + 0.5) / (own + 0.5)))


def cut_of(gate: Gate) -> float:
    """Where a threshold on one channel lies.

    Raises
    ------
    GateError
        If the gate is not a threshold.
    """
    if isinstance(gate, RectangleGate) and len(gate.dimensions) == 1:
        limits = [limit for limit in (*gate.low, *gate.high) if limit is not None]
        if len(limits) == 1:
            return limits[0]
    raise GateError("the gate is not a threshold on one channel.")


def valley_depth(gate: PlacedGate, tube: StainedTube, masks: Masks) -> float:
    """How deep the valley is in which a threshold lies: 1 is an empty valley, 0 none.

    1 − the least density about the cut (within 2 % of the range) / the lower of the highest peaks on its
    two sides.

    Raises
    ------
    GateError
        If the gate is not a threshold, or its parent is empty.
    """
    cut = cut_of(gate.gate)
    assert isinstance(gate.gate, RectangleGate)
    (values,) = tube.events.axes(gate.gate.dimensions, masks[gate.parent])
    if not values.size:
        raise GateError(f"no event in {gate.parent}.")
    curve = density(values, adjust=1.5)
    reach = curve.grid.size // 50
    near = int(np.clip(np.searchsorted(curve.grid, cut), reach, curve.grid.size - reach))
    lowest = near - reach + int(np.argmin(curve.height[near - reach : near + reach]))
    return depth_at(curve, lowest)


def everything(gate: PlacedGate, *, flag: str) -> PlacedGate:
    """The gate opened so far that it holds every event of its parent, flagged."""
    if not isinstance(gate.gate, RectangleGate):
        raise GateError(f"gate {gate.population}: only a threshold can give way to its parent.")
    none = (None,) * len(gate.gate.dimensions)
    return replace(gate, gate=replace(gate.gate, low=none, high=none), flags=(*gate.flags, flag))


def inside(gate: Gate, tube: StainedTube, masks: Masks) -> BoolArray:
    """Which events lie in a gate, its parent not looked at."""
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
