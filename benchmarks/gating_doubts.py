"""Which tubes of a simulated cohort the pipeline would flag, by its own measures and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytotrial.science.doubt import (
    Limits,
    Measures,
    farthest,
    flags_of,
    logit,
    middle_of,
    robust_z,
    spread_of,
)
from cytotrial.science.gates import operands
from cytotrial.science.gating import GatedTube
from cytotrial.settings import Doubt
from cytotrial.terms import PlacedGate


@dataclass(frozen=True, eq=False)
class Noted:
    """What is kept of a gated tube: its batch, its gates, and how many events each holds."""

    batch: str
    gates: tuple[PlacedGate, ...]
    events: Mapping[str, int]

    @classmethod
    def of(cls, tube: GatedTube, batch: str) -> Noted:
        return cls(batch, tube.placed, {name: tube.events_of(name) for name in tube.masks})


def doubts_of(tubes: Sequence[Noted], *, reported: str) -> list[tuple[str, ...]]:
    """The flags of each tube's reported value: of its own gate and of every gate it rests on."""
    doubt = Doubt.model_validate({})
    limits = Limits(**{name: getattr(doubt, name) for name in Limits.__slots__})
    middles = {
        batch: _middles([tube for tube in tubes if tube.batch == batch]) for batch in {t.batch for t in tubes}
    }
    of = _denominator(tubes[0], reported)
    logits = [logit(tube.events[reported], tube.events[of]) for tube in tubes]
    spread = spread_of([value for value in logits if value is not None])
    return [
        tuple(
            _flags(
                tube,
                reported,
                robust_z(own, spread) if own is not None else None,
                middles[tube.batch],
                limits,
            )
        )
        for tube, own in zip(tubes, logits, strict=True)
    ]


def _denominator(tube: Noted, reported: str) -> str:
    return "CD4+" if reported != "CD4+" else next(g.parent for g in tube.gates if g.population == "CD4+")


def _middles(tubes: Sequence[Noted]) -> dict[str, tuple[float, ...]]:
    names = {gate.population for tube in tubes for gate in tube.gates}
    return {
        name: middle_of([g.position for t in tubes for g in t.gates if g.population == name and g.position])
        for name in sorted(names)
        if any(g.population == name and g.position for t in tubes for g in t.gates)
    }


def _flags(
    tube: Noted, reported: str, z: float | None, middles: Mapping[str, tuple[float, ...]], limits: Limits
) -> list[str]:
    flags: list[str] = []
    for gate in tube.gates:
        if gate.population not in _below(tube, reported):
            continue
        measures = Measures(
            batch_distance=farthest(gate.position, middles.get(gate.population, ()), depth=gate.confidence),
            cohort_z=z,
            disagreement=gate.disagreement,
            similarity=gate.similarity,
            events=tube.events[gate.population],
            parent_events=tube.events[gate.parent],
        )
        own = flags_of(
            measures,
            limits,
            reported=gate.population == reported,
            deciding=gate.parent == "CD4+",
            on_events=bool(gate.position),
        )
        flags += [f"{flag}:{gate.population}" for flag in (*gate.flags, *own)]
    return flags


def _below(tube: Noted, population: str) -> set[str]:
    """The population and all it rests on."""
    gates = {gate.population: gate for gate in tube.gates}
    found, todo = set(), [population]
    while todo:
        name = todo.pop()
        if name in gates and name not in found:
            found.add(name)
            todo += [gates[name].parent, *operands(gates[name].gate)]
    return found
