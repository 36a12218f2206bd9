"""Place the gates of a strategy on a tube, parents before children.

A gate that cannot be placed takes its descendants with it: they are reported as missing with the reason,
never as zero. A control is gated as far as it can be: an FMO tube says nothing about a gate that looks at
the marker it lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cytotrial.errors import GateError
from cytotrial.science.finders import Batch, uses_batch
from cytotrial.science.gates import operands
from cytotrial.science.placing import (
    FALLBACK,
    everything,
    inside,
    look_aside,
    on_channel,
    on_channels,
    own_gate,
    valley_depth,
)
from cytotrial.science.populations import PopulationCount, count_populations
from cytotrial.science.stained import Around, ControlKey, GatedTube, StainedTube
from cytotrial.terms import (
    BY_HAND,
    ROOT,
    STALE_BY_HAND,
    BoolArray,
    Gate,
    GatingStrategy,
    PlacedGate,
    Population,
)

__all__ = [
    "FALLBACK",
    "NOT_FROM_SAMPLE",
    "Around",
    "ControlKey",
    "GatedTube",
    "PopulationCount",
    "StainedTube",
    "count_populations",
    "gate_control",
    "gate_tube",
    "on_channel",
    "on_channels",
    "with_gates_by_hand",
    "without_second",
]

NOT_FROM_SAMPLE = "GATE_NOT_FROM_SAMPLE"


def gate_tube(
    strategy: GatingStrategy,
    tube: StainedTube,
    *,
    controls: Mapping[ControlKey, Sequence[GatedTube]],
    borrowed: Mapping[str, PlacedGate] | None = None,
    batches: Mapping[str, Batch] | None = None,
    known: Mapping[str, PlacedGate] | None = None,
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
    batches : mapping of population to Batch, optional
        Where the other tubes of the batch have each gate, for the finders that draw their gate towards it.
    known : mapping of population to placed gate, optional
        The gates of a first pass over this very tube, without `batches`: a gate whose finder does not look
        at the batch, and above which nothing moved, is taken from here and not found again.

    Returns
    -------
    GatedTube
    """
    around = Around(
        controls=controls,
        borrowed=borrowed,
        batches=batches or {},
        known=known or {},
        calibrated=bool(strategy.reference),
    )
    return _gate(strategy.populations, tube, around)


def gate_control(strategy: GatingStrategy, tube: StainedTube, *, paired: str = "") -> GatedTube:
    """Gate a control tube as far as no other control is needed: down to the parents of controlled gates."""
    free = [
        population for population in strategy.populations if not (population.find and population.find.control)
    ]
    around = Around(calibrated=bool(strategy.reference))
    return replace(_gate(free, tube, around), paired=paired)


def with_gates_by_hand(
    gated: GatedTube, gates: Mapping[str, Gate], excluded: Mapping[str, str], *, stale: Collection[str] = ()
) -> GatedTube:
    """The tube with some gates placed by a person; all others stay where they are, and events change.

    Parameters
    ----------
    gates : mapping of population to gate
    excluded : mapping of population to the reason why it is not used; what rests on it is not used either
    stale : collection of population
        Where a gate by hand was made for what is no more so, and is not applied: flagged.
    """
    so_far = _Progress({ROOT: gated.masks[ROOT]}, missing=dict(gated.missing))
    for placed in gated.placed:
        name = placed.population
        lost = [
            so_far.missing[other]
            for other in (placed.parent, *operands(placed.gate))
            if other in so_far.missing
        ]
        if name in excluded or lost:
            so_far.missing[name] = excluded[name] if name in excluded else lost[0]
            continue
        gate = _by_hand(placed, gates.get(name), stale=name in stale)
        mask = so_far.masks[gate.parent] & inside(gate.gate, gated.tube, so_far.masks)
        so_far.masks[name] = mask
        so_far.placed.append(gate)
    return replace(gated, placed=tuple(so_far.placed), masks=so_far.masks, missing=so_far.missing)


def _by_hand(placed: PlacedGate, gate: Gate | None, *, stale: bool) -> PlacedGate:
    if gate is not None:
        return replace(placed, gate=gate, origin="override", flags=(*placed.flags, BY_HAND))
    return replace(placed, flags=(*placed.flags, STALE_BY_HAND)) if stale else placed


def without_second(strategy: GatingStrategy) -> GatingStrategy:
    """The strategy without second finders: they move no gate."""

    def bare(population: Population) -> Population:
        find = population.find
        return population if find is None else replace(population, find=replace(find, second=None))

    return replace(strategy, populations=tuple(map(bare, strategy.populations)))


@dataclass
class _Progress:
    """What has been placed of a tube so far; `unmoved` are the populations that are as in the first pass."""

    masks: dict[str, BoolArray]
    placed: list[PlacedGate] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    unmoved: set[str] = field(default_factory=lambda: {ROOT})


class _LeftOutError(GateError):
    """A population that a control is not gated for; no failure."""


def _gate(populations: Iterable[Population], tube: StainedTube, around: Around) -> GatedTube:
    so_far = _Progress({ROOT: tube.keep})
    for population in populations:
        try:
            gate = _place(population, tube, so_far, around)
            mask = so_far.masks[population.parent] & inside(gate.gate, tube, so_far.masks)
        except _LeftOutError as error:
            so_far.left_out[population.name] = str(error)
        except GateError as error:
            so_far.missing[population.name] = str(error)
        else:
            so_far.masks[population.name] = mask
            so_far.placed.append(gate)
            if _as_before(gate, so_far, around):
                so_far.unmoved.add(population.name)
    return GatedTube(tube, tuple(so_far.placed), so_far.masks, so_far.missing, so_far.left_out)


def _place(population: Population, tube: StainedTube, so_far: _Progress, around: Around) -> PlacedGate:
    for needed in (population.parent, *(operands(population.gate) if population.gate else ())):
        if needed in so_far.left_out:
            raise _LeftOutError(so_far.left_out[needed])
        if needed not in so_far.masks:
            raise GateError(so_far.missing.get(needed, f"population {needed} was not gated."))
    if population.from_sample and population.name in (around.borrowed or {}):
        assert around.borrowed is not None
        return around.borrowed[population.name]
    _stop_where_a_marker_is_left_out(population, tube)
    gate = _known_or_own(population, tube, so_far, around)
    gate = _instead(gate, population, tube, so_far, around)
    if population.from_sample and around.borrowed is not None:
        gate = replace(gate, flags=(*gate.flags, NOT_FROM_SAMPLE))
    return look_aside(gate, population, tube, so_far.masks, around)


def _stop_where_a_marker_is_left_out(population: Population, tube: StainedTube) -> None:
    dimensions = population.find.dimensions if population.find else ()
    if tube.lacks and tube.lacks in {dimension.channel for dimension in dimensions}:
        raise _LeftOutError(
            f"the tube is a control without {tube.lacks}, which the gate {population.name} looks at."
        )


def _known_or_own(population: Population, tube: StainedTube, so_far: _Progress, around: Around) -> PlacedGate:
    known = around.known.get(population.name)
    looked_at = {population.parent, *((population.instead.watched,) if population.instead else ())}
    settled = looked_at - {population.name} <= so_far.unmoved
    if known is not None and settled and not _drawn(population, around):
        return known
    return own_gate(population, tube, so_far.masks, around)


def _drawn(population: Population, around: Around) -> bool:
    """Whether the batch has a say in where the gate lies."""
    if population.find is None or population.name not in around.batches:
        return False
    return any(uses_batch(find.finder) for find in population.find.attempts())


def _as_before(gate: PlacedGate, so_far: _Progress, around: Around) -> bool:
    """Whether a population is what it was in the first pass: its gate, its parent, and what it is made of."""
    known = around.known.get(gate.population)
    above = {gate.parent, *operands(gate.gate)}
    return known is not None and known.gate == gate.gate and above <= so_far.unmoved


def _instead(
    gate: PlacedGate, population: Population, tube: StainedTube, so_far: _Progress, around: Around
) -> PlacedGate:
    """The gate, or all of its parent where the strategy says so; a draw's control follows its sample."""
    rule = population.instead
    if rule is None or rule.flag in gate.flags:
        return gate
    lent = (around.borrowed or {}).get(population.name)
    if lent is not None:
        return everything(gate, flag=rule.flag) if rule.flag in lent.flags else gate
    watched = next((placed for placed in so_far.placed if placed.population == rule.watched), gate)
    if valley_depth(watched, tube, so_far.masks) < rule.depth_below:
        return everything(gate, flag=rule.flag)
    return gate
