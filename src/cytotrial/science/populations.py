"""What the gates of a tube hold: events, flags, denominators, and the background in its controls."""

from __future__ import annotations

from dataclasses import dataclass

from cytotrial.science.gates import operands
from cytotrial.science.stained import GatedTube
from cytotrial.terms import ROOT, GatingStrategy, PlacedGate, RectangleGate

MISSING, LEFT_OUT = "GATE_MISSING", "NOT_GATED_IN_CONTROL"


@dataclass(frozen=True, slots=True)
class PopulationCount:
    """Events of one population; `events` is None where its gate could not be placed.

    denominator : what the per cent of the parent is a per cent of; more than the parent's name where the
        parent holds other cells than its name says
    """

    population: str
    parent: str
    events: int | None
    parent_events: int | None
    flags: tuple[str, ...] = ()
    reason: str = ""
    denominator: str = ""


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
        if name in gated.left_out:
            rows.append(PopulationCount(name, parent, None, None, (LEFT_OUT,), gated.left_out[name]))
            continue
        if name not in gates:
            reason = gated.missing.get(name, "it was not gated")
            rows.append(PopulationCount(name, parent, None, None, (MISSING,), reason))
            continue
        above = [flag for other in (parent, *operands(gates[name].gate)) for flag in carried[other]]
        own = [f"{flag}:{name}" for flag in gates[name].flags]
        carried[name] = tuple(dict.fromkeys([*above, *own]))
        events, parent_events = gated.events_of(name), gated.events_of(parent)
        held = denominator(parent, gates)
        rows.append(PopulationCount(name, parent, events, parent_events, carried[name], denominator=held))
    return tuple(rows)


def denominator(parent: str, gates: dict[str, PlacedGate]) -> str:
    """The parent's name; where its gate was opened, also the population whose events it then holds.

    Examples
    --------
    >>> from cytotrial.terms import Dimension
    >>> opened = PlacedGate("CD4+", "CD8-", RectangleGate((Dimension("V450-A"),), (None,), (None,)))
    >>> denominator("CD4+", {"CD4+": opened})
    'CD4+ (all CD8-)'
    """
    gate = gates.get(parent)
    if gate is None or not _open(gate):
        return parent
    return f"{parent} (all {denominator(gate.parent, gates)})"


def _open(gate: PlacedGate) -> bool:
    shape = gate.gate
    return isinstance(shape, RectangleGate) and {*shape.low, *shape.high} == {None}


def cut_as_the_sample(strategy: GatingStrategy) -> frozenset[str]:
    """The populations whose events in a draw's control lie in the sample's own gate: its background.

    They are those that are marked `from_sample`, and all that rest on one: children, and boolean gates.
    """
    found: set[str] = set()
    for population in strategy.populations:
        above = {population.parent, *(operands(population.gate) if population.gate else ())}
        if population.from_sample or above & found:
            found.add(population.name)
    return frozenset(found)
